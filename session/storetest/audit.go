package storetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

func eventsOf(t *testing.T, s session.Store, kind session.EventKind) []session.Event {
	t.Helper()
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e session.Event) bool { return e.Kind != kind })
}

// auditRequests: a line has the ID of the request that asked for what it tells of, and none where
// nobody has asked.
func auditRequests(t *testing.T, s session.Store) {
	of := func(id string) context.Context { return session.WithRequest(t.Context(), id) }
	old, fresh, idle := Record("ada"), Record("ada"), Record("grace")
	fresh.CreatedAt = start.Add(time.Second)
	want := make(map[string]string)
	for id, r := range map[string]session.Record{"q-grace": idle, "q-old": old} {
		if _, err := s.Create(of(id), r, 0); err != nil {
			t.Fatal(err)
		}
		want["in-"+r.ID.Ref()] = id
	}
	if _, err := s.Create(of("q-fresh"), fresh, 1); err != nil {
		t.Fatal(err)
	}
	want["in-"+fresh.ID.Ref()], want["end-"+old.ID.Ref()] = "q-fresh", "q-fresh"
	mustEnd(t, s, fresh.ID, session.End{
		Reason:  session.ReasonLogout,
		At:      start.Add(time.Minute),
		Request: "q-out/1",
	})
	want["end-"+fresh.ID.Ref()] = "q-out/1"
	if _, err := s.End(of("q-late"), idle.ID, end(session.ReasonIdle, time.Hour), time.Time{}); err != nil {
		t.Fatal(err)
	}
	want["end-"+idle.ID.Ref()] = "" // a request has only found it
	f := graced("x", time.Minute, time.Hour)
	f.Request = "q-forced"
	if f = addRevocation(t, s, f); f.Request != "q-forced" || f.End().Request != "q-forced" {
		t.Errorf("the forced logout is %+v, and ends by %+v", f, f.End())
	}
	if _, err := s.CancelRevocation(of("q-off"), "x", f.At, "linus"); err != nil {
		t.Fatal(err)
	}
	want["logout-x"], want["cancel-x"] = "q-forced", "q-off"
	kept, err := s.Revocations(t.Context())
	if err != nil || len(kept) != 1 || kept[0].Request != "q-forced" {
		t.Errorf("Revocations = %+v, %v", kept, err)
	}
	if e := get(t, s, fresh.ID).End; e == nil || e.Request != "q-out/1" {
		t.Errorf("the end is kept as %+v", e)
	}
	lines, err := s.Events(t.Context(), session.EventQuery{Limit: 100})
	got := make(map[string]string)
	for _, e := range lines {
		got[e.ID] = e.Request
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("requests of the lines: %v, %v\nwant %v", got, err, want)
	}
}

func audit(t *testing.T, s session.Store) {
	r := Record("ada")
	r.Before, r.Continues = session.NewToken().ID(), true
	data := map[string]string{"by": "ä <b>/1|", "number": "007"}
	create(t, s, r)
	mustEnd(t, s, r.ID, session.End{
		Reason: session.ReasonAdmin,
		At:     start.Add(time.Hour),
		Actor:  "grace",
		Data:   data,
	})
	if err := s.Append(t.Context(), session.Event{
		At:     start.Add(2 * time.Hour),
		Kind:   session.EventOriginRefused,
		Detail: "http://evil.example\n",
		Data:   data,
	}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Events(t.Context(), session.EventQuery{Limit: 10})
	if err != nil || len(all) != 3 {
		t.Fatalf("Events = %v, %v, want 3", all, err)
	}
	want := session.Event{
		Number:  all[1].Number,
		ID:      "end-" + r.ID.Ref(),
		At:      start.Add(time.Hour),
		Kind:    session.EventSessionEnd,
		User:    "ada",
		Actor:   "grace",
		Session: r.ID.Ref(),
		Address: "192.0.2.1",
		Reason:  session.ReasonAdmin,
		Data:    data,
	}
	if !reflect.DeepEqual(all[1], want) || !reflect.DeepEqual(all[0].Data, data) {
		t.Errorf("got %+v, want %+v, and the data of %+v", all[1], want, all[0])
	}
	if !(all[0].Number > all[1].Number && all[1].Number > all[2].Number) || all[2].Kind != session.EventSignIn ||
		all[2].Continues != r.Before.Ref() {
		t.Errorf("not newest first, or the sign-in continues no session: %+v", all)
	}
	page, err := s.Events(t.Context(), session.EventQuery{Before: all[0].Number, Limit: 1})
	if err != nil || len(page) != 1 || !reflect.DeepEqual(page[0], want) {
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

// auditOutOfOrder: an end is dated by its deadline, which a downtime of any length lets lie far
// before the lines beside it; and a clock that was ahead was set back.
func auditOutOfOrder(t *testing.T, s session.Store) {
	for _, e := range []session.Event{
		{At: start, Kind: session.EventSignIn, User: "early"},
		{At: start.Add(-100 * time.Hour), Kind: session.EventSignIn, User: "late-carried"},
		{At: start.Add(5 * time.Hour), Kind: session.EventSignIn, User: "ahead"},
		{At: start.Add(time.Hour), Kind: session.EventSignIn, User: "ada"},
		{At: start.Add(-3 * time.Hour), Kind: session.EventSessionEnd, User: "old"},
		{At: start.Add(-200 * time.Hour), Kind: session.EventSessionEnd, User: "older"},
		{At: start.Add(time.Hour + time.Second), Kind: session.EventSignIn, User: "grace"},
	} {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		since time.Duration
		want  []string
	}{
		{"an hour after", time.Hour, []string{"grace", "ada", "ahead"}},
		{"from the first line", 0, []string{"grace", "ada", "ahead", "early"}},
		{"from before all", -200 * time.Hour,
			[]string{"grace", "older", "old", "ada", "ahead", "late-carried", "early"}},
		{"from the latest date", 5 * time.Hour, []string{"ahead"}},
		{"from after all", 6 * time.Hour, nil},
	} {
		events, err := s.Events(t.Context(), session.EventQuery{Since: start.Add(tt.since), Limit: 10})
		var got []string
		for _, e := range events {
			got = append(got, e.User)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// countLines counts all audit lines.
func countLines(t *testing.T, s session.Store) int {
	t.Helper()
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

func filteredAudit(t *testing.T, s session.Store) {
	for i, user := range []string{"ada", "grace", "ada", "ada"} {
		e := session.Event{
			At:      start.Add(time.Duration(i) * 2 * time.Hour),
			Kind:    session.EventNotice,
			User:    user,
			Actor:   "linus",
			Session: "ref-of-" + user,
			Request: "request-of-" + user,
		}
		if i == 3 {
			e.Kind, e.Actor = session.EventPolicy, ""
		}
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		q    session.EventQuery
		want int
	}{
		{"all", session.EventQuery{Limit: 10}, 4},
		{"the newest two", session.EventQuery{Limit: 2}, 2},
		{"of a user", session.EventQuery{Limit: 10, User: "ada"}, 3},
		{"of a user and a kind", session.EventQuery{Limit: 10, User: "ada", Kind: session.EventNotice}, 2},
		{"of an actor", session.EventQuery{Limit: 10, Actor: "linus"}, 3},
		{"since an instant, inclusive", session.EventQuery{Limit: 10, Since: start.Add(2 * time.Hour)}, 3},
		{"until an instant, which is not in it", session.EventQuery{Limit: 10, Until: start.Add(2 * time.Hour)}, 1},
		{"of a range", session.EventQuery{Limit: 10, Since: start.Add(time.Hour), Until: start.Add(5 * time.Hour)}, 2},
		{"of a session", session.EventQuery{Limit: 10, Session: "ref-of-ada"}, 3},
		{"of a request", session.EventQuery{Limit: 10, Request: "request-of-grace"}, 1},
		{"limit counts what is picked", session.EventQuery{Limit: 1, User: "grace"}, 1},
	} {
		if got, err := s.Events(t.Context(), tt.q); err != nil || len(got) != tt.want {
			t.Errorf("%s: %d events, %v, want %d", tt.name, len(got), err, tt.want)
		}
	}
}
