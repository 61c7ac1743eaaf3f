package storetest

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"curfew/session"
)

func tabsAreRead(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	a, b, c := session.NewToken().ID(), session.NewToken().ID(), session.NewToken().ID()
	set := func(tabs map[session.ID]string, whole bool) {
		t.Helper()
		if err := one.SetTabs(ctx, "one/1", tabs, whole); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(what, node string, want map[session.ID]string) {
		t.Helper()
		if got, err := two.Tabs(ctx, node); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: tabs of %s are %q, %v, want %q", what, node, got, err, want)
		}
	}
	wants("before anything was told", "one/1", nil)
	set(map[session.ID]string{a: `{"tabs":1}`, b: "two\n\x00"}, false)
	wants("told of two", "one/1", map[session.ID]string{a: `{"tabs":1}`, b: "two\n\x00"})
	set(map[session.ID]string{b: "three", c: "one"}, false)
	wants("told of a change and of another", "one/1", map[session.ID]string{a: `{"tabs":1}`, b: "three", c: "one"})
	set(map[session.ID]string{a: "", b: "four"}, false)
	wants("an empty text removes one", "one/1", map[session.ID]string{b: "four", c: "one"})
	set(map[session.ID]string{a: "again", b: ""}, true)
	wants("told of all there is", "one/1", map[session.ID]string{a: "again"})
	set(nil, false)
	wants("no news", "one/1", map[session.ID]string{a: "again"})
	set(nil, true)
	wants("told that there is none", "one/1", nil)
	set(map[session.ID]string{a: "one"}, true)
	wants("of a node that has told nothing", "one/2", nil)
}

func tabsOfMany(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	many := make(map[session.ID]string)
	for i := range 3000 {
		many[session.NewToken().ID()] = fmt.Sprint("tabs of session ", i)
	}
	wants := func(what string, want map[session.ID]string) {
		t.Helper()
		if got, err := two.Tabs(ctx, "one/1"); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: tabs of %d sessions, %v, want those of %d", what, len(got), err, len(want))
		}
	}
	for _, whole := range []bool{false, true} {
		if err := one.SetTabs(ctx, "one/1", many, whole); err != nil {
			t.Fatal(err)
		}
		wants("told of all", many)
	}
	gone, left := make(map[session.ID]string), make(map[session.ID]string)
	for id, text := range many {
		if len(gone) < 1700 {
			gone[id] = ""
		} else {
			left[id] = text
		}
	}
	if err := one.SetTabs(ctx, "one/1", gone, false); err != nil {
		t.Fatal(err)
	}
	wants("told that most are gone", left)
}

// transientsExpire: each text is kept for its own time.
func transientsExpire(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	put := func(name string, forHowLong time.Duration) {
		t.Helper()
		if err := one.PutTransient(ctx, "notices", name, "text of "+name, forHowLong); err != nil {
			t.Fatal(err)
		}
	}
	put("long", time.Hour)
	for i := range 20 {
		put(fmt.Sprintf("short%d", i), 50*time.Millisecond)
	}
	eventually(t, soon, 10*time.Millisecond, "the short ones are forgotten, the long one is read", func() bool {
		kept, err := two.Transients(ctx, "notices")
		return err == nil && len(kept) == 1 && kept["long"] == "text of long"
	})
	put("another", time.Minute)
	put("long", time.Hour) // once more
	want := map[string]string{"long": "text of long", "another": "text of another"}
	if kept, err := two.Transients(ctx, "notices"); err != nil || !maps.Equal(kept, want) {
		t.Errorf("kept %q, %v, want %q", kept, err, want)
	}
}

func transientsOfMany(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	want := make(map[string]string)
	for i := range 500 {
		name, text := fmt.Sprint("name ", i), fmt.Sprintf("{\"n\":%d}\n\x00", i)
		want[name] = text
		if err := nodes[i%2].PutTransient(ctx, "notices", name, text, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.PutTransient(ctx, "other", "name 1", "of another kind", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := two.PutTransient(ctx, "notices", "name 1", "replaced", time.Hour); err != nil {
		t.Fatal(err)
	}
	want["name 1"] = "replaced"
	if kept, err := one.Transients(ctx, "notices"); err != nil || !maps.Equal(kept, want) {
		t.Errorf("%d texts are kept, name 1 is %q, %v, want %d", len(kept), kept["name 1"], err, len(want))
	}
	if kept, err := one.Transients(ctx, "none"); err != nil || len(kept) != 0 {
		t.Errorf("texts of a kind that nobody has put: %q, %v", kept, err)
	}
}
