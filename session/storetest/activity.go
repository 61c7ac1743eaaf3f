package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

func touch(t *testing.T, s session.Store, id session.ID, after time.Duration) {
	t.Helper()
	unknown, err := s.Touch(t.Context(), []session.Activity{{ID: id, At: start.Add(after)}})
	if err != nil || len(unknown) > 0 {
		t.Fatalf("Touch = %v, %v", unknown, err)
	}
}

func touchOrder(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	touch(t, s, r.ID, 3*time.Minute)
	touch(t, s, r.ID, 2*time.Minute)
	if got, want := get(t, s, r.ID).LastActiveAt, start.Add(3*time.Minute); !got.Equal(want) {
		t.Errorf("last active %s, want %s", got, want)
	}
	var acts []session.Activity
	var ids []session.ID
	for i := range 2500 {
		r := Record(fmt.Sprintf("user%d", i%10))
		ids = append(ids, r.ID)
		acts = append(acts, session.Activity{ID: r.ID, At: start.Add(time.Duration(i+1) * time.Millisecond)})
	}
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			r := Record("many")
			r.ID = id
			if _, err := s.Create(t.Context(), r, 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Touch(t.Context(), acts); err != nil {
		t.Fatal(err)
	}
	for _, a := range acts {
		if got := get(t, s, a.ID).LastActiveAt; !got.Equal(a.At) {
			t.Fatalf("last active %s, want %s", got, a.At)
		}
	}
}

func touchTooLate(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	touch(t, s, r.ID, policy.ExpireAfter)
	if got := get(t, s, r.ID).LastActiveAt; !got.Equal(start) {
		t.Errorf("last active %s, want %s: at its deadline the session is over", got, start)
	}
}

func touchRacesEnd(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() { touch(t, s, r.ID, time.Duration(i)*time.Second) })
	}
	wg.Go(func() { mustEnd(t, s, r.ID, end(session.ReasonAdmin, 0)) })
	wg.Wait()
	if get(t, s, r.ID).End == nil {
		t.Error("a touch has revived the session")
	}
}

func leave(t *testing.T, s session.Store) {
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	opened := func(seconds int) session.TabTimes { return session.TabTimes{OpenedAt: at(seconds)} }
	asked := func(seconds int) session.TabTimes { return session.TabTimes{AskedAt: at(seconds)} }
	closed := func(seconds int) session.TabTimes { return session.TabTimes{ClosedAt: at(seconds)} }
	grace := int(policy.CloseGrace / time.Second)
	for _, c := range []struct {
		what string
		news []session.TabTimes
		left int // when the last tab was closed; 0: a tab may be open
	}{
		{"the last tab is closed", []session.TabTimes{opened(10), closed(60)}, 60},
		{"a tab comes back in time", []session.TabTimes{closed(60), opened(60 + grace - 1)}, 0},
		{"a tab comes when the grace is over", []session.TabTimes{closed(60), opened(60 + grace)}, 60},
		{"a navigation comes in time", []session.TabTimes{closed(60), asked(61)}, 0},
		{"a navigation comes when the grace is over", []session.TabTimes{closed(60), asked(60 + grace)}, 60},
		{"a navigation led on: the goodbye is of the page before",
			[]session.TabTimes{opened(10), asked(59), closed(60)}, 0},
		{"the same, heard of the other way round", []session.TabTimes{closed(60), asked(59), opened(10)}, 0},
		{"a navigation of long ago", []session.TabTimes{asked(29), closed(60)}, 60},
		{"the page that was asked for became a tab, and was closed",
			[]session.TabTimes{asked(40), opened(41), closed(60)}, 60},
		{"the same, heard of the other way round", []session.TabTimes{closed(60), opened(41), asked(40)}, 60},
		{"closed, back, closed", []session.TabTimes{closed(60), opened(61), closed(62)}, 62},
		{"told twice", []session.TabTimes{closed(60), opened(61), closed(60)}, 0},
	} {
		r := create(t, s, Record("ada"))
		for _, news := range c.news {
			known, err := s.Leave(t.Context(), r.ID, news)
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, s, r.ID).Tabs; got != known {
				t.Errorf("%s: Leave answers %+v and stores %+v", c.what, known, got)
			}
		}
		want := time.Time{}
		if c.left != 0 {
			want = at(c.left)
		}
		if got := get(t, s, r.ID).LeftAt; !got.Equal(want) {
			t.Errorf("%s: left at %s, want %s", c.what, got, want)
			continue
		}
		if c.left == 0 {
			_, err := s.End(t.Context(), r.ID, end(session.ReasonBrowserClosed, 0), at(62+grace))
			wantError(t, c.what+": End", err, session.ErrNotDue)
			continue
		}
		_, err := s.End(t.Context(), r.ID, end(session.ReasonBrowserClosed, 0),
			want.Add(policy.CloseGrace-time.Millisecond))
		wantError(t, c.what+": End within the grace", err, session.ErrNotDue)
		mustEndBy(t, s, r.ID, want.Add(policy.CloseGrace))
	}
}

func mustEndBy(t *testing.T, s session.Store, id session.ID, due time.Time) {
	t.Helper()
	if first, err := s.End(t.Context(), id, end(session.ReasonBrowserClosed, 0), due); !first || err != nil {
		t.Errorf("End after the grace = %v, %v, want the first", first, err)
	}
}
