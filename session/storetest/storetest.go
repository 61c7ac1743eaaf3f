// Package storetest checks that a session.Store keeps its promises. A new store is proved by one
// call of [Run].
package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

// start is a time in whole milliseconds, as stores keep it.
var start = time.Date(2026, 3, 29, 1, 59, 59, 987e6, time.UTC)

var policy = session.Policy{
	WarnAfter: 9 * time.Minute, ExpireAfter: 10 * time.Minute, MaxLifetime: 22 * time.Hour,
	CloseGrace: 20 * time.Second, ExtendOn: session.ExtendOnActivity,
}

// Record is a live session of a user, signed in at a fixed time.
func Record(user string) session.Record {
	return session.Record{
		ID:              session.NewToken().ID(),
		User:            user,
		Name:            "Name of " + user,
		Email:           user + "@example.org",
		DN:              "uid=" + user + ",dc=example",
		Identity:        "11111111-2222-3333-4444-555555555555",
		PasswordChanged: "20260101000000Z",
		Groups:          []session.Group{{Name: "staff", SeenRevocation: 7}, {Name: "Ünïcode, with comma"}},
		Login:           user,
		Address:         "192.0.2.1",
		Agent:           "Browser/1.0",
		Policy:          policy,
		SeenRevocation:  42,
		CreatedAt:       start,
		LastActiveAt:    start,
	}
}

// Run proves a store. open is called once for each case and must return an empty store; it may use
// t.Cleanup to close it.
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	cases := []struct {
		name string
		run  func(*testing.T, session.Store)
	}{
		{"a session comes back as it was created", roundTrip},
		{"an ID is used once, even after the end", createTwice},
		{"an unknown session is not found by any method", unknown},
		{"two ends: one is the first, and the first reason stays", endTwice},
		{"many ends at once: exactly one is the first, with one audit line", endRace},
		{"an end that waits for its deadline leaves a session that is not due", endIfDue},
		{"nothing changes an ended session", endedIsFinal},
		{"a slow save cannot revive a session", saveRacesEnd},
		{"save needs the version that was read", saveConflict},
		{"touches arrive in any order, the later time wins", touchOrder},
		{"a touch after the deadline does not reach past the end", touchTooLate},
		{"touches racing an end", touchRacesEnd},
		{"one more sign-in than the limit ends the oldest", limit},
		{"ends racing sign-ins leave nobody in the index who has ended", indexRace},
		{"sign-ins at once never exceed the limit", limitRace},
		{"a user is one user however the name is written", spellings},
		{"leaving and coming back", leave},
		{"rules can be replaced by whoever has read the newest", setRules},
		{"rules that are replaced at once are replaced one after the other", rulesRace},
		{"forced logouts are numbered and kept, with one audit line each", revocations},
		{"forced logouts at once get different numbers", revocationRace},
		{"a forced logout gets a number above all that its caller knows", revocationKnown},
		{"a forced logout is called off once", cancelRevocation},
		{"a forced logout that has taken effect is not called off, whatever the caller's clock says", cancelLate},
		{"a forced logout is forgotten when no session is older", pruneRevocations},
		{"the audit trail can be filtered", filteredAudit},
		{"live sessions are listed, ended ones not", live},
		{"the audit trail is numbered and pages backwards", audit},
		{"what came since an instant is found beside lines of any date", auditOutOfOrder},
		{"failed sign-ins count by name, by address and by both", failures},
		{"an IPv6 network counts as one address", failuresIPv6},
		{"secrets are drawn once", secrets},
		{"housekeeping forgets tombstones and audit lines when their time has come, not before", prune},
		{"a reset forgets all but the secrets", reset},
		{"a cancelled context is an error, not an answer", cancelled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func create(t *testing.T, s session.Store, r session.Record) session.Record {
	t.Helper()
	if displaced, err := s.Create(t.Context(), r, 0); err != nil || len(displaced) > 0 {
		t.Fatalf("Create = %v, %v, want none displaced and no error", displaced, err)
	}
	return r
}

func get(t *testing.T, s session.Store, id session.ID) session.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

func end(reason session.Reason, after time.Duration) session.End {
	return session.End{Reason: reason, At: start.Add(after)}
}

func mustEnd(t *testing.T, s session.Store, id session.ID, e session.End) {
	t.Helper()
	if first, err := s.End(t.Context(), id, e, time.Time{}); err != nil || !first {
		t.Fatalf("End = %v, %v, want the first end", first, err)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func roundTrip(t *testing.T, s session.Store) {
	want := create(t, s, Record("ada"))
	if got := get(t, s, want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func createTwice(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	_, err := s.Create(t.Context(), r, 0)
	wantError(t, "Create while it lives", err, session.ErrExists)
	mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
	_, err = s.Create(t.Context(), r, 0)
	wantError(t, "Create after the end", err, session.ErrExists)
}

func unknown(t *testing.T, s session.Store) {
	id, ctx := session.NewToken().ID(), t.Context()
	_, err := s.Get(ctx, id)
	wantError(t, "Get", err, session.ErrNotFound)
	wantError(t, "Save", s.Save(ctx, id, 0, nil), session.ErrNotFound)
	_, err = s.Leave(ctx, id, session.TabTimes{ClosedAt: start})
	wantError(t, "Leave", err, session.ErrNotFound)
	_, err = s.SetRules(ctx, id, 0, session.Rules{Policy: policy})
	wantError(t, "SetRules", err, session.ErrNotFound)
	_, err = s.CancelRevocation(ctx, "unknown", start, "ada")
	wantError(t, "CancelRevocation", err, session.ErrNotFound)
	_, err = s.End(ctx, id, end(session.ReasonLogout, 0), time.Time{})
	wantError(t, "End", err, session.ErrNotFound)
	known := create(t, s, Record("ada"))
	if unknown, err := s.Touch(ctx, []session.Activity{{ID: id, At: start}, {ID: known.ID, At: start}}); err != nil ||
		!slices.Equal(unknown, []session.ID{id}) {
		t.Errorf("Touch = %v, %v, want the unknown one told", unknown, err)
	}
}

func endTwice(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	first := session.End{
		Reason:  session.ReasonAdmin,
		At:      start.Add(time.Second),
		Actor:   "grace",
		Message: "Maintenance <b>now</b>",
	}
	mustEnd(t, s, r.ID, first)
	if again, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, time.Minute), time.Time{}); again || err != nil {
		t.Errorf("second End = %v, %v, want false and no error", again, err)
	}
	if got := get(t, s, r.ID); got.End == nil || *got.End != first {
		t.Errorf("End = %+v, want %+v", got.End, first)
	}
}

func endRace(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	reasons := []session.Reason{session.ReasonIdle, session.ReasonLogout, session.ReasonAdmin, session.ReasonReplaced}
	firsts := make([]bool, 32)
	var wg sync.WaitGroup
	for i := range firsts {
		wg.Go(func() {
			var err error
			firsts[i], err = s.End(t.Context(), r.ID, end(reasons[i%len(reasons)], 0), time.Time{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winner := slices.Index(firsts, true)
	if winner < 0 || slices.Index(firsts[winner+1:], true) >= 0 {
		t.Fatalf("first = %v, want exactly one true", firsts)
	}
	if got, want := get(t, s, r.ID).End.Reason, reasons[winner%len(reasons)]; got != want {
		t.Errorf("reason = %s, want that of the first caller, %s", got, want)
	}
	if n := len(eventsOf(t, s, session.EventSessionEnd)); n != 1 {
		t.Errorf("%d session-end lines, want 1", n)
	}
}

func endIfDue(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	deadline := start.Add(policy.ExpireAfter)
	_, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline.Add(-time.Millisecond))
	wantError(t, "a millisecond before the deadline", err, session.ErrNotDue)
	touch(t, s, r.ID, time.Minute)
	_, err = s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline)
	wantError(t, "at a deadline that activity has moved", err, session.ErrNotDue)
	first, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline.Add(time.Minute))
	if !first || err != nil {
		t.Errorf("at the moved deadline: %v, %v, want the first end", first, err)
	}
}

func touch(t *testing.T, s session.Store, id session.ID, after time.Duration) {
	t.Helper()
	unknown, err := s.Touch(t.Context(), []session.Activity{{ID: id, At: start.Add(after)}})
	if err != nil || len(unknown) > 0 {
		t.Fatalf("Touch = %v, %v", unknown, err)
	}
}

func endedIsFinal(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	mustEnd(t, s, r.ID, end(session.ReasonLogout, time.Second))
	before := get(t, s, r.ID)
	wantError(t, "Save", s.Save(ctx, r.ID, r.Version, []byte("late")), session.ErrEnded)
	_, err := s.Leave(ctx, r.ID, session.TabTimes{ClosedAt: start})
	wantError(t, "Leave", err, session.ErrEnded)
	_, err = s.SetRules(ctx, r.ID, r.Revision, session.Rules{})
	wantError(t, "SetRules", err, session.ErrEnded)
	touch(t, s, r.ID, 2*time.Second)
	if after := get(t, s, r.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("got  %+v\nwant %+v", after, before)
	}
}

func saveRacesEnd(t *testing.T, s session.Store) {
	for range 20 {
		r := create(t, s, Record("ada"))
		var saved error
		var wg sync.WaitGroup
		wg.Go(func() { saved = s.Save(t.Context(), r.ID, 0, []byte("values")) })
		wg.Go(func() { mustEnd(t, s, r.ID, end(session.ReasonLogout, 0)) })
		wg.Wait()
		if saved != nil && !errors.Is(saved, session.ErrEnded) {
			t.Fatalf("Save: %v, want nil or ErrEnded", saved)
		}
		if get(t, s, r.ID).End == nil {
			t.Fatal("the save has revived the session")
		}
	}
}

func saveConflict(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	if err := s.Save(ctx, r.ID, 0, []byte("one")); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Save with the old version", s.Save(ctx, r.ID, 0, []byte("lost update")), session.ErrConflict)
	if got := get(t, s, r.ID); got.Version != 1 || string(got.Values) != "one" {
		t.Errorf("got version %d, values %q, want 1, \"one\"", got.Version, got.Values)
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

func limit(t *testing.T, s session.Store) {
	var ids []session.ID
	for i := range 3 {
		r := Record("ada")
		r.CreatedAt = start.Add(time.Duration(i) * time.Second)
		ids = append(ids, r.ID)
		displaced, err := s.Create(t.Context(), r, 2)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 && len(displaced) > 0 || i == 2 && !slices.Equal(displaced, ids[:1]) {
			t.Fatalf("sign-in %d displaced %v", i+1, displaced)
		}
	}
	create(t, s, Record("grace"))
	if e := get(t, s, ids[0]).End; e == nil || e.Reason != session.ReasonReplaced {
		t.Errorf("end of the oldest = %+v, want replaced", e)
	}
	rs, err := s.OfUser(t.Context(), "ada")
	if err != nil || len(rs) != 2 || rs[0].ID != ids[1] || rs[1].ID != ids[2] {
		t.Errorf("OfUser = %v, %v, want the two newer ones, oldest first", rs, err)
	}
}

// spellings: a directory that compares names without case may come to write one in another way.
func spellings(t *testing.T, s session.Store) {
	first := create(t, s, Record("Ada Lovelace"))
	second := create(t, s, Record("ada  lovelace"))
	create(t, s, Record("ada"))
	for _, name := range []string{"Ada Lovelace", "ada lovelace", " ADA\u00a0LOVELACE"} {
		if rs, err := s.OfUser(t.Context(), name); err != nil || len(rs) != 2 {
			t.Errorf("OfUser(%q) = %d sessions, %v, want 2", name, len(rs), err)
		}
	}
	third := Record("ADA Lovelace")
	displaced, err := s.Create(t.Context(), third, 2)
	if err != nil || len(displaced) != 1 || displaced[0] != first.ID && displaced[0] != second.ID {
		t.Errorf("one more than the limit displaces %v, %v, want one of the two", displaced, err)
	}
	if got := get(t, s, third.ID); got.User != "ADA Lovelace" {
		t.Errorf("user = %q, want it as it was written", got.User)
	}
	for _, name := range []string{"Ada Lovelace", " ADA\u00a0LOVELACE", "ada   lovelace  "} {
		wantIndexed(t, s, name, 2)
	}
	if err := s.Append(t.Context(),
		session.Event{At: start, Kind: session.EventNotice, User: "ADA Lovelace"}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10, User: "ada LOVELACE", Kind: session.EventNotice})
	if err != nil || len(events) != 1 {
		t.Errorf("audit lines of the user: %v, %v, want one", events, err)
	}
}

func limitRace(t *testing.T, s session.Store) {
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := s.Create(t.Context(), Record("ada"), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if rs, err := s.OfUser(t.Context(), "ada"); len(rs) != 3 || err != nil {
		t.Errorf("%d live sessions, %v, want 3", len(rs), err)
	}
	if n := len(eventsOf(t, s, session.EventSessionEnd)); n != 9 {
		t.Errorf("%d session-end lines, want 9", n)
	}
	wantIndexed(t, s, "ada", 3)
	wantIndexed(t, s, " ADA ", 3)
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

func live(t *testing.T, s session.Store) {
	want := map[session.ID]bool{}
	for i := range 2100 { // more than any page of a scan
		r := Record(fmt.Sprintf("user%d", i))
		create(t, s, r)
		if i%7 == 0 {
			mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
		} else {
			want[r.ID] = true
		}
		if i > 300 && testing.Short() {
			break
		}
	}
	n := 0
	for r, err := range s.Live(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !want[r.ID] {
			t.Fatalf("listed twice or ended: %v", r.ID)
		}
		delete(want, r.ID)
		n++
	}
	if len(want) > 0 {
		t.Errorf("%d live sessions listed, %d missing", n, len(want))
	}
}

func eventsOf(t *testing.T, s session.Store, kind session.EventKind) []session.Event {
	t.Helper()
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e session.Event) bool { return e.Kind != kind })
}

func audit(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	mustEnd(t, s, r.ID, session.End{Reason: session.ReasonAdmin, At: start.Add(time.Hour), Actor: "grace"})
	if err := s.Append(t.Context(), session.Event{
		At:     start.Add(2 * time.Hour),
		Kind:   session.EventOriginRefused,
		Detail: "http://evil.example\n",
	}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Events(t.Context(), session.EventQuery{Limit: 10})
	if err != nil || len(all) != 3 {
		t.Fatalf("Events = %v, %v, want 3", all, err)
	}
	want := session.Event{
		Number: all[1].Number, At: start.Add(time.Hour), Kind: session.EventSessionEnd, User: "ada", Actor: "grace",
		Session: r.ID.Ref(), Address: "192.0.2.1", Reason: session.ReasonAdmin,
	}
	if all[1] != want {
		t.Errorf("got %+v, want %+v", all[1], want)
	}
	if !(all[0].Number > all[1].Number && all[1].Number > all[2].Number) || all[2].Kind != session.EventSignIn {
		t.Errorf("not newest first: %+v", all)
	}
	page, err := s.Events(t.Context(), session.EventQuery{Before: all[0].Number, Limit: 1})
	if err != nil || len(page) != 1 || page[0] != want {
		t.Errorf("second page = %+v, %v, want the end", page, err)
	}
	if page, err := s.Events(t.Context(), session.EventQuery{Before: all[0].Number + 96, Limit: 10}); err != nil ||
		!reflect.DeepEqual(page, all) {
		t.Errorf("page before a number that was never given = %+v, %v, want all", page, err)
	}
	if page, err := s.Events(t.Context(), session.EventQuery{Before: all[2].Number, Limit: 1}); err != nil ||
		len(page) != 0 {
		t.Errorf("page before the oldest = %+v, %v, want none", page, err)
	}
}

func fail(t *testing.T, s session.Store, login, address string, after time.Duration) {
	t.Helper()
	e := session.Event{At: start.Add(after), Kind: session.EventSignInFailed, User: login, Address: address}
	if err := s.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func wantFailures(t *testing.T, s session.Store, login, address string, pair, byAddress, byName int, known bool) {
	t.Helper()
	f, err := s.Failures(t.Context(), login, address, start.Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Pair) != pair || len(f.Address) != byAddress || len(f.Name) != byName || f.Known != known {
		t.Errorf("%s from %s: %d, %d, %d, known %v, want %d, %d, %d, known %v",
			login, address, len(f.Pair), len(f.Address), len(f.Name), f.Known, pair, byAddress, byName, known)
	}
}

func failures(t *testing.T, s session.Store) {
	create(t, s, Record("ada")) // known from 192.0.2.1
	fail(t, s, "ada", "192.0.2.1", 0)
	fail(t, s, "ada", "192.0.2.9", time.Second)
	fail(t, s, "grace", "192.0.2.9", 2*time.Second)
	fail(t, s, "grace", "192.0.2.9", -time.Minute)
	wantFailures(t, s, "ada", "192.0.2.1", 1, 0, 1, true)
	wantFailures(t, s, "ada", "192.0.2.9", 1, 2, 1, false)
	wantFailures(t, s, "grace", "192.0.2.9", 1, 2, 1, false)
	wantFailures(t, s, "linus", "192.0.2.8", 0, 0, 0, false)
	wantFailures(t, s, "ａDA ", "192.0.2.1", 1, 0, 1, true) // a name is one, however it is spelled
	if n := len(eventsOf(t, s, session.EventSignInFailed)); n != 4 {
		t.Errorf("%d audit lines, want 4", n)
	}
}

func failuresIPv6(t *testing.T, s session.Store) {
	fail(t, s, "ada", "2001:db8:1:2::1", 0)
	wantFailures(t, s, "ada", "2001:db8:1:2:ffff::2", 1, 1, 1, false)
	wantFailures(t, s, "ada", "2001:db8:1:3::1", 0, 0, 1, false)
}

func secrets(t *testing.T, s session.Store) {
	one, err1 := s.Secret(t.Context(), "csrf")
	again, err2 := s.Secret(t.Context(), "csrf")
	other, err3 := s.Secret(t.Context(), "other")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(one) != 32 || !slices.Equal(one, again) || slices.Equal(one, other) {
		t.Errorf("secrets %x, %x, %x: want 32 bytes, the same for one name, another for another", one, again, other)
	}
}

func prune(t *testing.T, s session.Store) {
	r, keep, ctx := create(t, s, Record("ada")), create(t, s, Record("grace")), t.Context()
	mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
	if err := s.Prune(ctx, start.Add(session.TombstoneFor-time.Millisecond), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	get(t, s, r.ID)
	if err := s.Prune(ctx, start.Add(session.TombstoneFor), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(ctx, r.ID)
	wantError(t, "Get after the tombstone's time", err, session.ErrNotFound)
	get(t, s, keep.ID)
	if n := len(eventsOf(t, s, session.EventSignIn)); n != 2 {
		t.Errorf("%d sign-in lines, want 2", n)
	}
	if err := s.Prune(ctx, start.Add(91*24*time.Hour), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if events, _ := s.Events(ctx, session.EventQuery{Limit: 10}); len(events) != 0 {
		t.Errorf("audit trail still holds %v", events)
	}
	if f, _ := s.Failures(ctx, "grace", "192.0.2.1", start.Add(91*24*time.Hour)); f.Known {
		t.Error("an address is known for longer than 30 days")
	}
}

func reset(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	secret, err := s.Secret(ctx, "csrf")
	if err != nil {
		t.Fatal(err)
	}
	fail(t, s, "ada", "192.0.2.1", 0)
	if err := s.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, r.ID)
	wantError(t, "Get", err, session.ErrNotFound)
	wantFailures(t, s, "ada", "192.0.2.1", 0, 0, 0, false)
	if again, _ := s.Secret(ctx, "csrf"); !slices.Equal(secret, again) {
		t.Error("the reset has changed a secret")
	}
}
