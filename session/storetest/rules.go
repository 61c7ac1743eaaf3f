package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

func setRules(t *testing.T, s session.Store) {
	want, ctx := create(t, s, Record("ada")), t.Context()
	want.Groups = []session.Group{{Name: "kiosk", SeenRevocation: 9}}
	want.Former = []session.FormerGroup{{Name: "staff", SeenRevocation: 3, Until: 8}, {Name: "guests"}}
	want.Policy.WarnAfter, want.Policy.ExpireAfter = time.Minute, 2*time.Minute
	want.Policy.ExtendOn, want.Policy.MaxSessions = session.ExtendOnConfirm, 1
	revision, err := s.SetRules(ctx, want.ID, want.Revision, want.Rules())
	if err != nil || revision <= want.Revision {
		t.Fatalf("SetRules = %d, %v, want a revision above %d", revision, err, want.Revision)
	}
	_, err = s.SetRules(ctx, want.ID, want.Revision, session.Rules{Policy: policy})
	wantError(t, "SetRules by one who has read older rules", err, session.ErrConflict)
	want.Revision = revision
	if got := get(t, s, want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	_, err = s.End(ctx, want.ID, end(session.ReasonIdle, 0), start.Add(2*time.Minute-time.Millisecond))
	wantError(t, "End before the new idle timeout", err, session.ErrNotDue)
	if ended, err := s.End(ctx, want.ID, end(session.ReasonIdle, 0), start.Add(2*time.Minute)); err != nil || !ended {
		t.Errorf("End at the new idle timeout = %v, %v", ended, err)
	}
}

// rulesRace has many add a group to what they have read. Each must find all who came before.
func rulesRace(t *testing.T, s session.Store) {
	const writers = 8
	r := create(t, s, Record("ada"))
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for {
				now, err := s.Get(t.Context(), r.ID)
				if err != nil {
					t.Error(err)
					return
				}
				rules := now.Rules()
				rules.Groups = append(rules.Groups, session.Group{Name: fmt.Sprint("group ", i)})
				if _, err = s.SetRules(t.Context(), r.ID, now.Revision, rules); err == nil {
					return
				}
				if !errors.Is(err, session.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := get(t, s, r.ID); len(got.Groups) != writers+len(r.Groups) {
		t.Errorf("%d groups, want those of all %d writers: %+v", len(got.Groups), writers, got.Groups)
	}
}
