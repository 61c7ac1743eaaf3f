package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"curfew/session"
)

func age(t *testing.T, s session.Store) {
	const by = 9*time.Minute + 7*time.Millisecond
	ctx := t.Context()
	r, other := Record("ada"), create(t, s, Record("ada"))
	r.CreatedAt = r.CreatedAt.Add(time.Second)
	r.Values = []byte("kept")
	create(t, s, r)
	if _, err := s.Touch(ctx, []session.Activity{{ID: r.ID, At: start.Add(3 * time.Second)}}); err != nil {
		t.Fatal(err)
	}
	news := session.TabTimes{OpenedAt: start.Add(time.Second), ClosedAt: start.Add(2 * time.Second)}
	if _, err := s.Leave(ctx, r.ID, news); err != nil {
		t.Fatal(err)
	}
	want := get(t, s, r.ID)
	if got, err := s.Age(ctx, r.ID.Ref(), 0); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("aged by nothing to %+v, %v, want %+v", got, err, want)
	}
	want.Age(by)
	got, err := s.Age(ctx, r.ID.Ref(), by)
	if again := get(t, s, r.ID); err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(again, want) {
		t.Errorf("aged to %+v, %v, and then read as %+v, want %+v", got, err, again, want)
	}
	if !want.CreatedAt.Equal(r.CreatedAt.Add(-by)) || !want.LeftAt.Equal(start.Add(2*time.Second-by)) ||
		!want.LastActiveAt.Equal(start.Add(3*time.Second-by)) {
		t.Errorf("aged to %+v, want all times of %+v earlier by %s", want, r, by)
	}
	if now := get(t, s, other.ID); !reflect.DeepEqual(now, other) {
		t.Errorf("another session is %+v now, want %+v", now, other)
	}
	if list, err := s.OfUser(ctx, "ada"); err != nil || len(list) != 2 || list[0].ID != r.ID {
		t.Errorf("the user's sessions are %+v, %v, want the aged one first", list, err)
	}
	if _, err := s.Create(ctx, Record("ada"), 2); err != nil || get(t, s, r.ID).End == nil {
		t.Errorf("one sign-in too many: %v, want it to end the aged session", err)
	}
	_, err = s.Age(ctx, "nobody", by)
	wantError(t, "Age of an unknown ref", err, session.ErrNotFound)
	if n := len(eventsOf(t, s, session.EventSignIn)); n != 3 {
		t.Errorf("%d sign-in lines, want 3", n)
	}
}

func ageEnded(t *testing.T, s session.Store) {
	ctx := t.Context()
	r, other := create(t, s, Record("ada")), create(t, s, Record("ada"))
	for _, id := range []session.ID{r.ID, other.ID} {
		mustEnd(t, s, id, end(session.ReasonIdle, 10*time.Minute))
	}
	got, err := s.Age(ctx, r.ID.Ref(), time.Hour)
	if err != nil || got.End == nil || got.End.Reason != session.ReasonIdle ||
		!got.End.At.Equal(start.Add(-50*time.Minute)) || !get(t, s, r.ID).End.At.Equal(got.End.At) {
		t.Fatalf("aged to the end %+v, %v, want it an hour earlier", got.End, err)
	}
	if err := s.Prune(ctx, start.Add(session.TombstoneFor-50*time.Minute), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, r.ID)
	wantError(t, "Get a day after the aged end", err, session.ErrNotFound)
	if !get(t, s, other.ID).End.At.Equal(start.Add(10 * time.Minute)) {
		t.Error("another session has another end")
	}
	if _, err := s.Age(ctx, r.ID.Ref(), time.Hour); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Age of a forgotten session = %v", err)
	}
}
