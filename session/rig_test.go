package session

import (
	"time"
)

var t0 = time.Date(2026, 10, 25, 0, 59, 0, 0, time.UTC)

var standard = Policy{
	WarnAfter:   9 * time.Minute,
	ExpireAfter: 10 * time.Minute,
	MaxLifetime: time.Hour,
	CloseGrace:  20 * time.Second,
	ExtendOn:    ExtendOnActivity,
}

func at(created, active time.Duration) Record {
	return Record{CreatedAt: t0.Add(created), LastActiveAt: t0.Add(active)}
}

// pass lets time pass in a bubble, where that takes none.
func pass(d time.Duration) { time.Sleep(d) }
