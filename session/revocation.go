package session

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scope says whom a revocation or a notice concerns. Exactly one of its fields is set; see
// [Scope.Validate].
type Scope struct {
	User     string `json:"user,omitempty"`
	Group    string `json:"group,omitempty"`
	Session  string `json:"session,omitempty"`  // ID.Ref
	Refs     Refs   `json:"sessions,omitempty"` // sessions, named one by one
	Everyone bool   `json:"everyone,omitempty"`
}

// Validate returns an error unless exactly one field is set. A name that folds to nothing, such as
// spaces, counts as not set.
func (s Scope) Validate() error {
	n := 0
	for _, set := range []bool{
		FoldName(s.User) != "", FoldName(s.Group) != "", s.Session != "", s.Refs != "", s.Everyone,
	} {
		if set {
			n++
		}
	}
	if t := s.Target().folded; n != 1 || (t.User == "") != (s.User == "") || (t.Group == "") != (s.Group == "") {
		return errors.New("exactly one of user, group, session, sessions and everyone must be given")
	}
	return nil
}

// OfSessions reports whether the scope names sessions one by one.
func (s Scope) OfSessions() bool { return s.Session != "" || s.Refs != "" }

// MayHave reports whether the session of that ID may be in the scope, as far as its ID tells.
func (s Scope) MayHave(id ID) bool {
	switch {
	case s.Session != "":
		return s.Session == id.Ref()
	case s.Refs != "":
		return s.Refs.Has(id.Ref())
	}
	return true
}

// Each iterates over the keys under which an index finds the scope: the scope itself, or one of
// each session that it lists.
func (s Scope) Each() iter.Seq[Scope] {
	return func(yield func(Scope) bool) {
		if s.Refs == "" {
			yield(s)
			return
		}
		for ref := range s.Refs.All() {
			if !yield(Scope{Session: ref}) {
				return
			}
		}
	}
}

// shownRefs is how many sessions of a list [Scope.String] names.
const shownRefs = 5

// String names the scope for people.
func (s Scope) String() string {
	switch {
	case s.User != "":
		return "user " + s.User
	case s.Group != "":
		return "group " + s.Group
	case s.Session != "":
		return "session " + s.Session
	case s.Refs != "":
		n := s.Refs.Len()
		text := fmt.Sprintf("%d sessions", n)
		if n == 1 {
			text = "1 session"
		}
		if n > 0 {
			text += ": " + strings.Join(slices.Collect(s.Refs.First(shownRefs).All()), ", ")
		}
		if n > shownRefs {
			text += fmt.Sprintf(" and %d more", n-shownRefs)
		}
		return text
	}
	return "everyone"
}

// Data names the scope for Event.Data: DataScope and DataName. The map is the caller's.
func (s Scope) Data() map[string]string {
	switch {
	case s.User != "":
		return map[string]string{DataScope: "user", DataName: s.User}
	case s.Group != "":
		return map[string]string{DataScope: "group", DataName: s.Group}
	case s.Session != "":
		return map[string]string{DataScope: "session", DataName: s.Session}
	case s.Refs != "":
		return map[string]string{DataScope: "sessions", DataName: strconv.Itoa(s.Refs.Len())}
	}
	return map[string]string{DataScope: "everyone"}
}

// Matches reports whether r is in scope. For many sessions see [Target.Matches].
func (s Scope) Matches(r *Record) bool {
	if s.Everyone {
		return true
	}
	n := r.Names()
	return s.Target().Matches(&n)
}

// Names are what scopes compare of a session: its user and groups, folded, and its ref. They are
// made once for a session and compared often.
type Names struct {
	User           string
	Groups         []Group
	Former         []FormerGroup
	Ref            string
	SeenRevocation int64
}

// Names prepares r for comparisons.
func (r *Record) Names() Names {
	n := Names{
		User:           FoldName(r.User),
		Groups:         r.Groups,
		Former:         r.Former,
		Ref:            r.ID.Ref(),
		SeenRevocation: r.SeenRevocation,
	}
	// usually there is nothing to fold
	if slices.ContainsFunc(n.Groups, func(g Group) bool { return !isFolded(g.Name) }) {
		n.Groups = slices.Clone(n.Groups)
		for i := range n.Groups {
			n.Groups[i].Name = FoldName(n.Groups[i].Name)
		}
	}
	if len(n.Former) > 0 {
		n.Former = slices.Clone(n.Former)
		for i := range n.Former {
			n.Former[i].Name = FoldName(n.Former[i].Name)
		}
	}
	return n
}

// Target is a scope with its names folded, to be compared with [Names]. Only [Scope.Target] makes
// one, so that no name is compared as somebody has typed it.
type Target struct{ folded Scope }

// Target prepares s for comparisons.
func (s Scope) Target() Target {
	s.User, s.Group = FoldName(s.User), FoldName(s.Group)
	return Target{s}
}

// Scope returns the scope with its names folded, as the key of an index.
func (t Target) Scope() Scope { return t.folded }

// Matches reports whether n is in scope.
func (t Target) Matches(n *Names) bool {
	s := &t.folded
	switch {
	case s.User != "":
		return s.User == n.User
	case s.Group != "":
		return slices.ContainsFunc(n.Groups, func(g Group) bool { return g.Name == s.Group })
	case s.Session != "":
		return s.Session == n.Ref
	case s.Refs != "":
		return s.Refs.Has(n.Ref)
	}
	return s.Everyone
}

// A Revocation is the durable statement that ends all older sessions in a scope, at once or after a
// grace. A forced logout writes one. One counter of the store numbers them. A session records the
// last number from before its sign-in asked the directory, and for each group the last number from
// before its user joined it. A revocation in scope with a higher number ends the session, even if
// every message about it was lost.
type Revocation struct {
	Number int64  `json:"number"` // set by the store
	ID     string `json:"id"`     // public, unguessable
	Scope  `json:"scope"`
	Except string `json:"except,omitempty"` // ID.Ref of a session that is spared

	Actor   string    `json:"actor,omitempty"`
	Message string    `json:"message,omitempty"` // plain text for the users whose sessions it ends
	At      time.Time `json:"at"`
	Request string    `json:"request_id,omitempty"` // of the HTTP request that asked for it; see WithRequest

	EffectiveAt time.Time `json:"effective_at"` // when the sessions are over: At and the grace
	BlockUntil  time.Time `json:"block_until"`  // new sign-ins in scope are refused until then; zero for none
	// when what was left of its grace and its block was cancelled; zero if it was not
	CancelledAt time.Time `json:"cancelled_at"`

	// Took says that the revocation was seen to take effect. It stays in effect even if the clock
	// is set back. It is not stored.
	Took bool `json:"-"`

	// What was in scope when it was written.
	Sessions int `json:"sessions"` // live ones
	Tabs     int `json:"tabs"`
	Waiting  int `json:"waiting,omitempty"` // sessions that had ended, and whose pages might have waited; or NotCounted
	Skipped  int `json:"skipped,omitempty"` // of those that were listed, neither
}

// NotCounted is Revocation.Waiting where counting took longer than the revocation could wait to be
// written, or failed.
const NotCounted = -1

// IsPast reports whether nothing can follow from f any more, but for sessions that live and are
// older. A session that f ends is over when f takes effect, at the latest; its pages may wait for
// another [MaxKeepPage], and must be refused for as long.
func (f *Revocation) IsPast(now time.Time) bool {
	return now.Sub(f.EffectiveAt) > RevocationKeptFor && now.Sub(f.At) > RevocationKeptFor && now.After(f.BlockUntil)
}

// AtOnce reports whether the revocation has no grace. Then it is in effect because it exists,
// whatever time it is: the node that wrote it may have a clock that is ahead.
func (f *Revocation) AtOnce() bool { return f.EffectiveAt.Equal(f.At) }

// proven reports whether the revocation is in effect whatever time it is. f may be nil.
func (f *Revocation) proven() bool { return f != nil && (f.Took || f.AtOnce()) }

// InEffect reports whether the sessions that the revocation ends are over at now.
func (f *Revocation) InEffect(now time.Time) bool { return f.proven() || !now.Before(f.EffectiveAt) }

// Before reports whether f takes effect before g, so that a session which both end is ended by f.
// Of two without a grace the older one does.
func (f *Revocation) Before(g *Revocation) bool {
	switch {
	case f.AtOnce() && g.AtOnce():
		return f.Number < g.Number
	case f.AtOnce() || g.AtOnce():
		return f.AtOnce()
	}
	return f.EffectiveAt.Before(g.EffectiveAt)
}

// Cancelled reports whether the revocation was cancelled before it took effect: it ends nobody. One
// without a grace cannot be cancelled, except for its block.
func (f *Revocation) Cancelled() bool {
	return !f.AtOnce() && !f.CancelledAt.IsZero() && f.CancelledAt.Before(f.EffectiveAt)
}

// Cancel returns the revocation as it stands once it is cancelled at an instant. With late it has
// taken effect, so that only its block ends. ErrTooLate if nothing is left to cancel. A store
// decides by this function, or by a copy of it, in the step that writes the outcome. The copy
// stands in Lua: cancelScript, in redis/revocations.go.
func (f *Revocation) Cancel(at time.Time, late bool) (Revocation, error) {
	cancelled := *f
	cancelled.CancelledAt = at
	if late = late || f.AtOnce() || !at.Before(f.EffectiveAt); !late {
		return cancelled, nil
	}
	if !at.Before(f.BlockUntil) {
		return *f, ErrTooLate
	}
	if at.Before(f.EffectiveAt) {
		cancelled.CancelledAt = f.EffectiveAt
	}
	return cancelled, nil
}

// Ends reports whether the revocation ends r, now or after its grace.
func (f *Revocation) Ends(r *Record) bool {
	n := r.Names()
	return f.EndsNames(f.Scope.Target(), &n)
}

// EndsNames is [Revocation.Ends] for callers that compare many sessions. t is the target of the
// revocation's scope, and n the names of the session.
func (f *Revocation) EndsNames(t Target, n *Names) bool {
	if f.Cancelled() || f.Except != "" && f.Except == n.Ref {
		return false
	}
	if group := t.folded.Group; group != "" {
		is := func(g Group) bool { return g.Name == group && g.SeenRevocation < f.Number }
		was := func(g FormerGroup) bool {
			return g.Name == group && g.SeenRevocation < f.Number && (g.Until == 0 || f.Number <= g.Until)
		}
		return slices.ContainsFunc(n.Groups, is) || slices.ContainsFunc(n.Former, was)
	}
	return n.SeenRevocation < f.Number && t.Matches(n)
}

// Blocks reports whether the revocation refuses a sign-in of user at now. A block for everyone
// spares members of exempt.
func (f *Revocation) Blocks(user string, groups, exempt []string, now time.Time) bool {
	if !f.CancelledAt.IsZero() || !now.Before(f.BlockUntil) {
		return false
	}
	switch {
	case f.User != "":
		return SameName(f.User, user)
	case f.Group != "":
		return HasName(groups, f.Group)
	}
	return f.Everyone && !slices.ContainsFunc(groups, func(g string) bool { return HasName(exempt, g) })
}

// End is the end that the revocation gives to a session.
func (f *Revocation) End() End {
	return End{Reason: ReasonAdmin, At: f.EffectiveAt, Actor: f.Actor, Message: f.Message, Request: f.Request}
}
