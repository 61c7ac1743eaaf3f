package redis_test

import (
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis/redistest"
)

func TestTabsAreUnderstoodBesideNodesOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t))
	r := signIn(t, s, "ada")
	at := func(seconds int) time.Time { return r.CreatedAt.Add(time.Duration(seconds) * time.Second) }
	older := func(left time.Time) {
		t.Helper()
		if err := s.LeaveAsBefore(t.Context(), r.ID, left); err != nil {
			t.Fatal(err)
		}
	}
	newer := func(news session.TabTimes) {
		t.Helper()
		if _, err := s.Leave(t.Context(), r.ID, news); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what string, left time.Time) {
		t.Helper()
		got, err := s.Get(t.Context(), r.ID)
		if err != nil || !got.LeftAt.Equal(left) || !got.Tabs.LeftAt().Equal(left) {
			t.Errorf("%s: left at %s (%+v), %v, want %s", what, got.LeftAt, got.Tabs, err, left)
		}
	}
	older(at(10))
	wants("an older node saw it closed", at(10))
	newer(session.TabTimes{OpenedAt: at(12)})
	wants("a newer one has a tab again", time.Time{})
	newer(session.TabTimes{ClosedAt: at(14)})
	wants("and saw it closed", at(14))
	older(time.Time{})
	wants("an older one has a tab again", time.Time{})
	newer(session.TabTimes{ClosedAt: at(14)})
	wants("what the newer one says again is no news", time.Time{})
	older(at(20))
	newer(session.TabTimes{OpenedAt: at(12)})
	wants("nor does it call off a later closing", at(20))
}
