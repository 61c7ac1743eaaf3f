package session_test

import (
	"testing"
	"time"

	"curfew/session"
	"curfew/session/storetest"
)

// Stores are taken through the same rows by storetest.Run.
func TestASessionEnds(t *testing.T) {
	for _, d := range storetest.DueRows() {
		t.Run(d.Name, func(t *testing.T) {
			r, want := d.Record(), d.At(d.Ends)
			if end, why := r.Policy.EndsAt(&r); !end.Equal(want) || why != d.Why {
				t.Errorf("EndsAt = %s, %s, want %s, %s", end, why, want, d.Why)
			}
			if phase, _ := r.Policy.At(&r, want.Add(-time.Millisecond)); phase == session.Expired {
				t.Error("it is over a millisecond before")
			}
			if phase, _ := r.Policy.At(&r, want); phase != session.Expired {
				t.Errorf("at its end its phase is %v", phase)
			}
		})
	}
}
