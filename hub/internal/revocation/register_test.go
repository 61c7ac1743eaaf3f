package revocation

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/session"
)

// noon is when the forced logouts of these tests are asked for.
var noon = time.Date(2030, 3, 4, 12, 0, 0, 0, time.UTC)

var everyone = session.Scope{Everyone: true}

func ofUser(name string) session.Scope  { return session.Scope{User: name} }
func ofGroup(name string) session.Scope { return session.Scope{Group: name} }

// sessionID is the ID of a session that is told apart by its first byte.
func sessionID(n byte) session.ID { return session.ID{n} }

// revocation is one at noon. Its ID is its number.
func revocation(number int64, scope session.Scope, grace time.Duration) session.Revocation {
	return session.Revocation{
		Number:      number,
		ID:          fmt.Sprint(number),
		Scope:       scope,
		At:          noon,
		EffectiveAt: noon.Add(grace),
	}
}

// blocking is f with a block of so long after noon.
func blocking(f session.Revocation, d time.Duration) session.Revocation {
	f.BlockUntil = noon.Add(d)
	return f
}

// cancelled is f, cancelled so long after noon.
func cancelled(f session.Revocation, d time.Duration) session.Revocation {
	f.CancelledAt = noon.Add(d)
	return f
}

// except is f without one session.
func except(f session.Revocation, id session.ID) session.Revocation {
	f.Except = id.Ref()
	return f
}

// register has revocations, which are added in that order.
func register(revocations ...session.Revocation) *Register {
	r := &Register{}
	for _, f := range revocations {
		r.Add(f)
	}
	return r
}

// first is the ID of the revocation that ends s first; empty if none does.
func first(r *Register, s session.Record) (id string) {
	r.View(func(v View) {
		if e := v.First(&s); e != nil {
			id = e.Revocation.ID
		}
	})
	return id
}

func ids(list []*Entry) (ids []string) {
	for _, e := range list {
		ids = append(ids, e.Revocation.ID)
	}
	return ids
}

func TestEntriesAreListedByNumberInWhicheverOrderTheyCome(t *testing.T) {
	r := register(
		revocation(7, ofUser("ada"), 0),
		revocation(2, ofUser("ada"), 0),
		revocation(9, everyone, 0),
		revocation(5, ofUser("ada"), 0),
	)
	if got := ids(r.List()); !slices.Equal(got, []string{"2", "5", "7", "9"}) || r.Count() != 4 {
		t.Errorf("List = %q, Count = %d", got, r.Count())
	}
	if r.Newest() != 9 || r.Highest() != 9 {
		t.Errorf("Newest = %d, Highest = %d, want 9", r.Newest(), r.Highest())
	}
	if got := first(r, session.Record{User: "ada", SeenRevocation: 2}); got != "5" {
		t.Errorf("who has seen 2 is ended by %q, want 5", got)
	}
}

func TestAListIsFoundByEachOfItsSessions(t *testing.T) {
	list := func(number int64, ids ...byte) session.Revocation {
		var refs []string
		for _, id := range ids {
			refs = append(refs, sessionID(id).Ref())
		}
		set, _ := session.NewRefs(refs)
		return revocation(number, session.Scope{Refs: set}, grace)
	}
	r := register(list(1, 1, 2), list(2, 2, 3), list(3))
	wants := func(when string, listed int, want ...string) {
		t.Helper()
		for i, id := range want {
			if got := first(r, session.Record{ID: sessionID(byte(i + 1)), User: "ada"}); got != id {
				t.Errorf("%s: session %d is ended by %q, want %q", when, i+1, got, id)
			}
		}
		if r.Listed() != listed {
			t.Errorf("%s: %d are listed, want %d", when, r.Listed(), listed)
		}
	}
	wants("at first", 4, "1", "1", "2", "")
	r.Replace(cancelled(list(1, 1, 2), time.Second))
	wants("the first is cancelled", 4, "", "2", "2", "")
	r.Forget([]session.Revocation{list(2, 2, 3)}, 3, noon.Add(grace+session.RevocationKeptFor))
	wants("none is past", 4, "", "2", "2", "")
	r.Forget([]session.Revocation{list(2, 2, 3)}, 3, noon.Add(grace+session.RevocationKeptFor+1))
	wants("the others are past", 2, "", "2", "2", "")
	r.Reset()
	wants("after a reset", 0, "", "", "", "")
}

func TestRevocationIsAddedOnce(t *testing.T) {
	r := &Register{}
	e, isNew := r.Add(revocation(1, everyone, 0))
	again, isNewAgain := r.Add(revocation(1, everyone, 0))
	if !isNew || isNewAgain || again != e || r.Find("1") != e || r.Count() != 1 {
		t.Errorf("Add = %v, then %v of the same entry: %v; %d are known", isNew, isNewAgain, again == e, r.Count())
	}
	if r.Find("2") != nil {
		t.Error("an unknown one is found")
	}
}

func TestFirstRevocationOfASession(t *testing.T) {
	const minute = time.Minute
	ada := session.Record{ID: sessionID(1), User: "ada", SeenRevocation: 10}
	for _, tt := range []struct {
		name  string
		of    session.Record
		known []session.Revocation
		want  string
	}{
		{"nothing is known", ada, nil, ""},
		{"it has seen the last one", ada, []session.Revocation{revocation(10, ofUser("ada"), 0)}, ""},
		{"the one after that", ada, []session.Revocation{revocation(11, ofUser("ada"), 0)}, "11"},
		{"a name that is written otherwise", ada, []session.Revocation{revocation(11, ofUser(" ADA"), 0)}, "11"},
		{"somebody else's", ada, []session.Revocation{revocation(11, ofUser("grace"), 0)}, ""},
		{"its own", ada, []session.Revocation{revocation(11, session.Scope{Session: sessionID(1).Ref()}, 0)}, "11"},
		{"another session's", ada,
			[]session.Revocation{revocation(11, session.Scope{Session: sessionID(2).Ref()}, 0)}, ""},
		{"everyone's", ada, []session.Revocation{revocation(11, everyone, 0)}, "11"},
		{"everyone's but its own", ada, []session.Revocation{except(revocation(11, everyone, 0), sessionID(1))}, ""},
		{"everyone's but another's", ada,
			[]session.Revocation{except(revocation(11, everyone, 0), sessionID(2))}, "11"},
		{"of two at once the older one", ada,
			[]session.Revocation{revocation(12, ofUser("ada"), 0), revocation(11, everyone, 0)}, "11"},
		{"of two with a grace the one that is sooner", ada,
			[]session.Revocation{revocation(11, everyone, 2*minute), revocation(12, ofUser("ada"), minute)}, "12"},
		{"at once before a grace, however late it came", ada,
			[]session.Revocation{revocation(11, everyone, minute), revocation(12, ofUser("ada"), 0)}, "12"},
		{"one that was cancelled in its grace ends nobody", ada,
			[]session.Revocation{cancelled(revocation(11, everyone, minute), 0)}, ""},
		{"nor does it keep another one from it", ada,
			[]session.Revocation{cancelled(revocation(11, everyone, minute), 0), revocation(12, everyone, 0)}, "12"},
		{"one that was cancelled after its grace", ada,
			[]session.Revocation{cancelled(revocation(11, everyone, minute), minute)}, "11"},
	} {
		if got := first(register(tt.known...), tt.of); got != tt.want {
			t.Errorf("%s: it is ended by %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFirstRevocationOfAGroup(t *testing.T) {
	ada := session.Record{ID: sessionID(1), User: "ada", SeenRevocation: 10}
	staff := func(seen int64) session.Record {
		groups := []session.Group{{Name: "staff", SeenRevocation: seen}}
		return session.Record{
			ID:             sessionID(1),
			User:           "ada",
			SeenRevocation: 10,
			Groups:         groups,
		}
	}
	left := func(seen, until int64) session.Record {
		former := []session.FormerGroup{{Name: "staff", SeenRevocation: seen, Until: until}}
		return session.Record{
			ID:             sessionID(1),
			User:           "ada",
			SeenRevocation: 10,
			Former:         former,
		}
	}
	for _, tt := range []struct {
		name  string
		of    session.Record
		known []session.Revocation
		want  string
	}{
		{"no member of the group", ada, []session.Revocation{revocation(11, ofGroup("staff"), 0)}, ""},
		{"a member since before", staff(10), []session.Revocation{revocation(11, ofGroup("Staff"), 0)}, "11"},
		{"a member since after", staff(11), []session.Revocation{revocation(11, ofGroup("staff"), 0)}, ""},
		{"a member who was one when it was written", left(10, 11),
			[]session.Revocation{revocation(11, ofGroup("staff"), 0)}, "11"},
		{"a member who had left by then", left(10, 11),
			[]session.Revocation{revocation(12, ofGroup("staff"), 0)}, ""},
		{"a member who joined and left after it", left(11, 12),
			[]session.Revocation{revocation(11, ofGroup("staff"), 0)}, ""},
		{"a member of whom it is not known yet when they left", left(10, 0),
			[]session.Revocation{revocation(99, ofGroup("staff"), 0)}, "99"},
	} {
		if got := first(register(tt.known...), tt.of); got != tt.want {
			t.Errorf("%s: it is ended by %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRevocationOfAFormerGroup(t *testing.T) {
	r := register(
		revocation(5, ofGroup("Staff"), 0),
		cancelled(revocation(6, ofGroup("guests"), time.Minute), 0),
		revocation(7, ofUser("staff"), 0),
	)
	for _, tt := range []struct {
		name string
		of   session.FormerGroup
		want bool
	}{
		{"a member when it was written", session.FormerGroup{Name: "staff", SeenRevocation: 4, Until: 5}, true},
		{"who left before", session.FormerGroup{Name: "staff", SeenRevocation: 3, Until: 4}, false},
		{"who joined after", session.FormerGroup{Name: "staff", SeenRevocation: 5, Until: 9}, false},
		{"of another group", session.FormerGroup{Name: "admins", SeenRevocation: 0, Until: 9}, false},
		{"of a group whose logout was cancelled",
			session.FormerGroup{Name: "guests", SeenRevocation: 0, Until: 9}, false},
	} {
		if got := r.OfFormer(tt.of); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBlocks(t *testing.T) {
	const hour = time.Hour
	user := blocking(revocation(1, ofUser("ada"), 0), hour)
	for _, tt := range []struct {
		name   string
		known  session.Revocation
		user   string
		groups []string
		after  time.Duration
		want   bool
	}{
		{"the user, while it lasts", user, "Ada", nil, hour - 1, true},
		{"the user, when it ends", user, "ada", nil, hour, false},
		{"another user", user, "grace", nil, 0, false},
		{"no block", revocation(1, ofUser("ada"), 0), "ada", nil, 0, false},
		{"a block that was cancelled", cancelled(user, 1), "ada", nil, 2, false},
		{"a member", blocking(revocation(1, ofGroup("staff"), 0), hour), "ada", []string{"guests", "STAFF"}, 0, true},
		{"no member", blocking(revocation(1, ofGroup("staff"), 0), hour), "ada", []string{"guests"}, 0, false},
		{"everyone", blocking(revocation(1, everyone, 0), hour), "ada", nil, 0, true},
		{"everyone but an admin", blocking(revocation(1, everyone, 0), hour), "ada", []string{"Admins"}, 0, false},
		{"an admin by their name", user, "ada", []string{"admins"}, 0, true},
	} {
		f, ok := register(tt.known).Blocking(tt.user, tt.groups, []string{"admins"}, noon.Add(tt.after))
		if ok != tt.want || ok && f.ID != tt.known.ID {
			t.Errorf("%s: blocked by %q, %v, want %v", tt.name, f.ID, ok, tt.want)
		}
	}
}

func TestReplacingKeepsWhatHasComeOfIt(t *testing.T) {
	const minute = time.Minute
	// after a fail-over, numbers may be given twice
	other := revocation(2, everyone, 2*minute)
	other.ID = "other"
	r := register(
		revocation(1, everyone, 5*minute),
		revocation(2, everyone, minute),
		other,
		revocation(3, everyone, 5*minute),
	)
	before := r.Find("2")
	before.Outcomes.Told("tab", "ada", "", sessionID(1))
	order := ids(r.List())
	if got := first(r, session.Record{User: "ada"}); got != "2" {
		t.Fatalf("ended by %q, want 2", got)
	}
	r.Replace(cancelled(revocation(2, everyone, minute), 0))
	after := r.Find("2")
	if after == before || !after.Revocation.Cancelled() || after.Outcomes != before.Outcomes {
		t.Errorf("it is %+v, want another entry with the same outcomes", after)
	}
	if before.Revocation.Cancelled() {
		t.Error("an entry was changed")
	}
	list := r.List()
	if got := ids(list); !slices.Equal(got, order) || !slices.Contains(list, after) || slices.Contains(list, before) {
		t.Errorf("List = %q, want %q with the new entry", got, order)
	}
	if got := first(r, session.Record{User: "ada"}); got != "other" {
		t.Errorf("then it is ended by %q, want the next one", got)
	}
	before.SetMarked()
	after.AwaitMarked()
	r.Replace(revocation(4, everyone, 0))
	if r.Find("4") != nil || r.Count() != 4 {
		t.Error("one that was not known is known")
	}
}

func TestForgetting(t *testing.T) {
	const kept = session.RevocationKeptFor
	for _, tt := range []struct {
		name   string
		stored bool
		last   int64
		age    time.Duration
		want   bool
	}{
		{"the store keeps it", true, 9, 2 * kept, true},
		{"the store has forgotten it, and a session may be older", false, 9, kept, true},
		{"the store has forgotten it, and no session is older", false, 9, kept + 1, false},
		{"it is newer than what the store has: a fail-over has lost it", false, 0, kept + 1, true},
	} {
		r := register(revocation(1, ofUser("ada"), 0))
		var stored []session.Revocation
		if tt.stored {
			stored = append(stored, revocation(1, ofUser("ada"), 0))
		}
		r.Forget(stored, tt.last, noon.Add(tt.age))
		want := ""
		if tt.want {
			want = "1"
		}
		if found := r.Find("1") != nil; found != tt.want || len(r.List()) != r.Count() {
			t.Errorf("%s: known: %v of %d, want %v", tt.name, found, r.Count(), tt.want)
		}
		if got := first(r, session.Record{User: "ada"}); got != want {
			t.Errorf("%s: ada is ended by %q, want %q", tt.name, got, want)
		}
		if r.Highest() != 1 {
			t.Errorf("%s: then Highest = %d", tt.name, r.Highest())
		}
	}
}

// TestNoRevocationIsAddedDuringAView is the rule by which no session escapes a forced logout:
// either First tells of it, or whoever has added it finds the session.
func TestNoRevocationIsAddedDuringAView(t *testing.T) {
	r := &Register{}
	var registered atomic.Bool
	var adding sync.WaitGroup
	r.View(func(v View) {
		if v.First(&session.Record{User: "ada"}) != nil {
			t.Error("the register is not empty")
		}
		begun := make(chan struct{})
		adding.Go(func() {
			close(begun)
			r.Add(revocation(1, everyone, 0))
			if !registered.Load() {
				t.Error("it was added before the session was registered, and First had not told of it")
			}
		})
		<-begun
		for range 1000 {
			runtime.Gosched() // whoever does not wait is done by now
		}
		registered.Store(true)
	})
	adding.Wait()
	if got := first(r, session.Record{User: "ada"}); got != "1" {
		t.Errorf("the next View tells of %q, want 1", got)
	}
}

func TestResetForgetsNumbersToo(t *testing.T) {
	r := register(revocation(3, everyone, 0))
	r.SetLast(3)
	r.Reset()
	if r.Count() != 0 || r.Find("3") != nil || r.Newest() != 0 || r.Highest() != 0 || r.Last() != 0 {
		t.Errorf("%d are known; Newest, Highest, Last = %d, %d, %d", r.Count(), r.Newest(), r.Highest(), r.Last())
	}
	if _, isNew := r.Add(revocation(1, everyone, 0)); !isNew {
		t.Error("nothing can be added")
	}
}

// BenchmarkFirst measures what a sign-in costs where a day's worth of forced logouts of single
// sessions is kept, as of an integration that signs people out one by one.
func BenchmarkFirst(b *testing.B) {
	for _, n := range []int{6_000, 16_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := &Register{}
			for i := range n {
				r.Add(revocation(int64(i+1), session.Scope{Session: session.NewToken().ID().Ref()}, 0))
			}
			s := session.Record{ID: session.NewToken().ID(), User: "ada", Groups: []session.Group{{Name: "staff"}}}
			b.ReportAllocs()
			for b.Loop() {
				r.View(func(v View) { v.First(&s) })
			}
		})
	}
}
