package session_test

import (
	"fmt"
	"time"

	"curfew/session"
)

func ExamplePolicy_At() {
	policy := session.Policy{
		WarnAfter:   14 * time.Minute,
		ExpireAfter: 15 * time.Minute,
		MaxLifetime: 8 * time.Hour,
	}
	signIn := time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)
	r := session.Record{CreatedAt: signIn, LastActiveAt: signIn}
	for _, minutes := range []time.Duration{0, 14, 15} {
		now := signIn.Add(minutes * time.Minute)
		switch phase, next := policy.At(&r, now); phase {
		case session.Active:
			fmt.Println(now.Format(time.TimeOnly), "active; look again at", next.Format(time.TimeOnly))
		case session.Warning:
			fmt.Println(now.Format(time.TimeOnly), "warned; it ends at", next.Format(time.TimeOnly))
		case session.Expired:
			fmt.Println(now.Format(time.TimeOnly), "over")
		}
	}
	// Output:
	// 09:00:00 active; look again at 09:14:00
	// 09:14:00 warned; it ends at 09:15:00
	// 09:15:00 over
}
