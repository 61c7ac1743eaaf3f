package session

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestRefsAreASet(t *testing.T) {
	one, two, other := NewToken().ID().Ref(), NewToken().ID().Ref(), NewToken().ID().Ref()
	sorted := []string{one, two}
	slices.Sort(sorted)
	for _, tt := range []struct {
		name    string
		given   []string
		want    []string
		strange int
	}{
		{"none", nil, nil, 0},
		{"some, in any order", []string{sorted[1], sorted[0]}, sorted, 0},
		{"one that is given twice", []string{one, one}, []string{one}, 0},
		{"what no session can have", []string{"", one, "unknown", one + "a", strings.ToUpper(one), "0189018901890189",
			"unknown", "aaaa,aaaaaaaaaaa"}, []string{one}, 6},
		{"nothing but that", []string{"unknown"}, nil, 1},
	} {
		refs, strange := NewRefs(tt.given)
		if got := slices.Collect(refs.All()); !slices.Equal(got, tt.want) || strange != tt.strange ||
			refs.Len() != len(tt.want) {
			t.Errorf("%s: %q and %d strange, want %q and %d", tt.name, got, strange, tt.want, tt.strange)
		}
		for _, ref := range []string{one, two, other, "", one[:15], one + ","} {
			if refs.Has(ref) != slices.Contains(tt.want, ref) {
				t.Errorf("%s: has %q: %v", tt.name, ref, refs.Has(ref))
			}
		}
		scope := Scope{Refs: refs}
		if err := scope.Validate(); err != nil {
			t.Errorf("%s: Validate = %v", tt.name, err)
		}
		data, err := json.Marshal(scope)
		if err != nil {
			t.Fatal(err)
		}
		var back Scope
		if err := json.Unmarshal(data, &back); err != nil || back != scope {
			t.Errorf("%s: %s is read as %+v, %v", tt.name, data, back, err)
		}
	}
	for _, bad := range []string{`{"sessions":["unknown"]}`, `{"sessions":"` + one + `"}`, `{"sessions":[7]}`} {
		var s Scope
		if json.Unmarshal([]byte(bad), &s) == nil {
			t.Errorf("%s is read as %+v", bad, s)
		}
	}
	if data, _ := json.Marshal(Scope{User: "ada"}); string(data) != `{"user":"ada"}` {
		t.Errorf("a scope without a list is written as %s", data)
	}
}

func TestScopeOfManySessionsIsNamedShortly(t *testing.T) {
	list := make([]string, 7)
	for i := range list {
		list[i] = strings.Repeat(string(rune('a'+i)), refSize)
	}
	for n, want := range map[int]string{
		0: "0 sessions",
		1: "1 session: " + list[0],
		2: "2 sessions: " + list[0] + ", " + list[1],
		7: "7 sessions: " + strings.Join(list[:5], ", ") + " and 2 more",
	} {
		refs, _ := NewRefs(list[:n])
		if got := (Scope{Refs: refs}).String(); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	refs, _ := NewRefs(list[:1])
	if (Scope{Refs: refs, User: "ada"}).Validate() == nil || (Scope{Refs: refs, Session: list[0]}).Validate() == nil {
		t.Error("two scopes are taken for one")
	}
}
