package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

func missing(t *testing.T, nodes []Node) {
	live, over := create(t, nodes[0], Record("ada")), create(t, nodes[0], Record("ada"))
	mustEnd(t, nodes[0], over.ID, end(session.ReasonLogout, 0))
	ids := []session.ID{live.ID, over.ID}
	var lost []session.ID
	for i := range 300 {
		id := session.NewToken().ID()
		id[0] = live.ID[0] ^ byte(i%3) // where the others lie, and beside them
		lost = append(lost, id)
	}
	got, err := nodes[1].Missing(t.Context(), append(ids, lost...))
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "Missing", got, lost...)
	if got, err = nodes[1].Missing(t.Context(), ids); len(got) != 0 || err != nil {
		t.Errorf("Missing of one that lives and one that has ended = %v, %v, want none", got, err)
	}
}

// endLost: a node still has sessions of which the store has lost everything.
func endLost(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	live, over := create(t, one, Record("ada")), create(t, one, Record("ada"))
	lost, also := Record("ada"), Record("grace")
	mustEnd(t, one, over.ID, end(session.ReasonLogout, 0))
	lost.Values = []byte("of the application")
	why := session.End{
		Reason: session.ReasonAdmin,
		At:     start.Add(time.Hour),
		Actor:  "root",
		Cause:  session.CauseLost,
		Detail: "lost",
	}
	got, err := two.EndLost(ctx, []session.Record{live, lost, over, also}, why)
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "EndLost", got, lost.ID, also.ID)
	tombstone := get(t, one, lost.ID)
	want := lost
	want.End, want.Values = &why, nil
	if !reflect.DeepEqual(tombstone, want) {
		t.Errorf("tombstone %+v\nwant      %+v", tombstone, want)
	}
	if r := get(t, one, live.ID); r.End != nil {
		t.Errorf("a session that the store knows was ended: %+v", r.End)
	}
	if r := get(t, one, over.ID); r.End == nil || r.End.Reason != session.ReasonLogout {
		t.Errorf("the end that the store knows has become %+v", r.End)
	}
	lines := eventsOf(t, one, session.EventSessionEnd)
	refs := make(map[string]session.Event)
	for _, e := range lines {
		e.Number = 0
		refs[e.Session] = e
	}
	if len(lines) != 3 || !reflect.DeepEqual(refs[lost.ID.Ref()], session.EndEvent(lost, why)) ||
		refs[also.ID.Ref()].User != "grace" {
		t.Errorf("audit lines %+v, want one for each end", lines)
	}
	wantIndexed(t, one, "ada", 1)
	if again, err := one.EndLost(ctx, []session.Record{lost, also}, why); len(again) != 0 || err != nil {
		t.Errorf("EndLost once more = %v, %v, want none", again, err)
	}
	if first, err := two.End(ctx, lost.ID, end(session.ReasonLogout, 0), time.Time{}); first || err != nil {
		t.Errorf("End of one that was lost = %v, %v, want that it had ended", first, err)
	}
}

func endLostRace(t *testing.T, nodes []Node) {
	var records []session.Record
	for range 40 {
		records = append(records, Record("ada"))
	}
	var mu sync.Mutex
	told := make(map[session.ID]int)
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			lost, err := n.EndLost(t.Context(), records, end(session.ReasonAdmin, 0))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range lost {
				told[id]++
			}
		})
	}
	wg.Wait()
	for _, r := range records {
		if told[r.ID] != 1 {
			t.Errorf("%d nodes were told to have ended a session, want 1", told[r.ID])
		}
	}
	if n := len(eventsOf(t, nodes[0], session.EventSessionEnd)); n != len(records) {
		t.Errorf("%d session-end lines, want %d", n, len(records))
	}
}

func getMany(t *testing.T, nodes []Node) {
	var ids []session.ID
	want := make(map[session.ID]session.Record)
	for i := range 250 {
		r := create(t, nodes[0], Record(fmt.Sprintf("user%d", i)))
		if i%50 == 0 {
			mustEnd(t, nodes[0], r.ID, end(session.ReasonLogout, 0))
			r = get(t, nodes[0], r.ID)
		}
		want[r.ID] = r
		ids = append(ids, r.ID, session.NewToken().ID()) // every other one is unknown
	}
	got, err := nodes[1].GetMany(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	known := slices.DeleteFunc(slices.Clone(ids), func(id session.ID) bool { _, known := want[id]; return !known })
	if len(got) != len(known) {
		t.Fatalf("%d sessions, want the %d that are known", len(got), len(known))
	}
	for i, r := range got {
		if r.ID != known[i] || !reflect.DeepEqual(r, want[r.ID]) {
			t.Fatalf("in place %d: got %+v\nwant %+v", i, r, want[known[i]])
		}
	}
	if none, err := nodes[1].GetMany(t.Context(), nil); len(none) != 0 || err != nil {
		t.Errorf("GetMany of none = %v, %v", none, err)
	}
}
