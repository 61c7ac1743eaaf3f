package session

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scope says whose sessions something is for. Exactly one of its fields is set; see
// [Scope.Validate].
type Scope struct {
	User     string `json:"user,omitempty"`
	Group    string `json:"group,omitempty"`
	Session  string `json:"session,omitempty"` // ID.Ref
	Everyone bool   `json:"everyone,omitempty"`
}

// Validate demands that exactly one field is set. A name of which nothing is left to compare is
// none.
func (s Scope) Validate() error {
	n := 0
	for _, set := range []bool{FoldName(s.User) != "", FoldName(s.Group) != "", s.Session != "", s.Everyone} {
		if set {
			n++
		}
	}
	if t := s.Target().folded; n != 1 || (t.User == "") != (s.User == "") || (t.Group == "") != (s.Group == "") {
		return errors.New("exactly one of user, group, session and everyone must be given")
	}
	return nil
}

// String names the scope for people.
func (s Scope) String() string {
	switch {
	case s.User != "":
		return "user " + s.User
	case s.Group != "":
		return "group " + s.Group
	case s.Session != "":
		return "session " + s.Session
	}
	return "everyone"
}

// Includes reports whether r is one of those meant.
func (s Scope) Includes(r *Record) bool {
	if s.Everyone {
		return true
	}
	n := r.Names()
	return s.Target().Includes(&n)
}

// Names are what scopes compare of a session: its user and groups in the form in which names are
// compared, and its ref. They are made once and compared often.
type Names struct {
	User     string
	Groups   []Group
	Former   []FormerGroup
	Ref      string
	SeenFact int64
}

// Names prepares r for comparisons.
func (r *Record) Names() Names {
	n := Names{User: FoldName(r.User), Groups: r.Groups, Former: r.Former, Ref: r.ID.Ref(), SeenFact: r.SeenFact}
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

// Target is a scope in the form in which it is compared with [Names]. Only [Scope.Target] makes it,
// so that no name is compared as somebody has written it.
type Target struct{ folded Scope }

// Target prepares s for comparisons.
func (s Scope) Target() Target {
	s.User, s.Group = FoldName(s.User), FoldName(s.Group)
	return Target{s}
}

// Scope is the scope with its names folded: what an index of scopes has as its key.
func (t Target) Scope() Scope { return t.folded }

// Includes reports whether n is one of those meant.
func (t Target) Includes(n *Names) bool {
	s := &t.folded
	switch {
	case s.User != "":
		return s.User == n.User
	case s.Group != "":
		return slices.ContainsFunc(n.Groups, func(g Group) bool { return g.Name == s.Group })
	case s.Session != "":
		return s.Session == n.Ref
	}
	return s.Everyone
}

// A Fact is a forced logout: one durable statement that ends all sessions in its scope that are
// older than it, at once or after a grace. Facts are numbered by one counter of the store. A
// session records the number that was the last before its sign-in asked the directory, and for each
// group the last before its user joined it; a fact with a higher number covers it, whatever has
// happened to the messages that tell of it.
type Fact struct {
	Number int64  `json:"number"` // set by the store
	ID     string `json:"id"`     // public, unguessable
	Scope  `json:"scope"`
	Except string `json:"except,omitempty"` // ID.Ref of a session that is spared

	Actor   string    `json:"actor,omitempty"`
	Message string    `json:"message,omitempty"` // plain text for the people it ends
	At      time.Time `json:"at"`

	EffectiveAt time.Time `json:"effective_at"` // when the sessions are over: At and the grace
	BlockUntil  time.Time `json:"block_until"`  // new sign-ins in scope are refused until then; zero for none
	// when what was left of its grace and its block was called off; zero if it was not
	Cancelled time.Time `json:"cancelled_at"`

	// Took says that the fact was seen to take effect: a clock that is set back does not take that
	// back. It is not stored.
	Took bool `json:"-"`

	Sessions int `json:"sessions"` // in scope when it was written
	Tabs     int `json:"tabs"`
}

// AtOnce reports whether the fact has no grace. It is in effect because it exists: the clock of the
// node that wrote it may be ahead of that of a node which reads it.
func (f *Fact) AtOnce() bool { return f.EffectiveAt.Equal(f.At) }

// proven reports whether the fact is in effect, whatever time it is. f may be nil.
func (f *Fact) proven() bool { return f != nil && (f.Took || f.AtOnce()) }

// InEffect reports whether the sessions that the fact covers are over.
func (f *Fact) InEffect(now time.Time) bool { return f.proven() || !now.Before(f.EffectiveAt) }

// Before reports whether f ends a session rather than g does: it takes effect sooner. Of two at
// once the older one does.
func (f *Fact) Before(g *Fact) bool {
	switch {
	case f.AtOnce() && g.AtOnce():
		return f.Number < g.Number
	case f.AtOnce() || g.AtOnce():
		return f.AtOnce()
	}
	return f.EffectiveAt.Before(g.EffectiveAt)
}

// Void reports whether the fact was called off before it took effect: nobody is ended by it. What
// has no grace cannot be called off, but for its block.
func (f *Fact) Void() bool {
	return !f.AtOnce() && !f.Cancelled.IsZero() && f.Cancelled.Before(f.EffectiveAt)
}

// CallOff is the fact as it is once it was called off at an instant. late: it has taken effect, and
// only its block ends. ErrTooLate where that leaves nothing to call off. Stores decide by it, or as
// it does, in the step that writes the outcome.
func (f Fact) CallOff(at time.Time, late bool) (Fact, error) {
	if late = late || f.AtOnce() || !at.Before(f.EffectiveAt); !late {
		f.Cancelled = at
		return f, nil
	}
	if !at.Before(f.BlockUntil) {
		return f, ErrTooLate
	}
	f.Cancelled = at
	if at.Before(f.EffectiveAt) {
		f.Cancelled = f.EffectiveAt
	}
	return f, nil
}

// Covers reports whether the fact ends r, now or after its grace.
func (f *Fact) Covers(r *Record) bool {
	n := r.Names()
	return f.CoversNames(f.Scope.Target(), &n)
}

// CoversNames is [Fact.Covers] for many sessions: t is the target of the fact's scope.
func (f *Fact) CoversNames(t Target, n *Names) bool {
	if f.Void() || f.Except != "" && f.Except == n.Ref {
		return false
	}
	if group := t.folded.Group; group != "" {
		return slices.ContainsFunc(n.Groups, func(g Group) bool { return g.Name == group && g.SeenFact < f.Number }) ||
			slices.ContainsFunc(n.Former, func(g FormerGroup) bool {
				return g.Name == group && g.SeenFact < f.Number && (g.Until == 0 || f.Number <= g.Until)
			})
	}
	return n.SeenFact < f.Number && t.Includes(n)
}

// Blocks reports whether the fact refuses a sign-in of user at now. A block for everyone spares
// members of exempt.
func (f Fact) Blocks(user string, groups, exempt []string, now time.Time) bool {
	if !f.Cancelled.IsZero() || !now.Before(f.BlockUntil) {
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

// End is the end of a session that the fact covers.
func (f Fact) End() End {
	return End{Reason: ReasonAdmin, At: f.EffectiveAt, Actor: f.Actor, Message: f.Message}
}

// FactEvent is the audit line of a forced logout.
func FactEvent(f Fact) Event {
	detail := fmt.Sprintf("%s (sessions: %d, tabs: %d)", f.Scope, f.Sessions, f.Tabs)
	if grace := f.EffectiveAt.Sub(f.At); grace > 0 {
		detail += fmt.Sprintf(", after %s", grace)
	}
	if !f.BlockUntil.IsZero() {
		detail += fmt.Sprintf(", sign-ins refused until %s", f.BlockUntil.Format(time.RFC3339))
	}
	if f.Message != "" {
		detail += ": " + f.Message
	}
	return Event{At: f.At, Kind: EventLogout, User: f.User, Actor: f.Actor, Session: f.Session, Detail: detail}
}

// CancelEvent is the audit line of a forced logout that was called off.
func CancelEvent(f Fact, actor string) Event {
	what := "the rest of its block"
	if f.Void() {
		what = "before it took effect"
	}
	return Event{At: f.Cancelled, Kind: EventLogout, User: f.User, Actor: actor, Session: f.Session,
		Detail: fmt.Sprintf("%s: called off, %s", f.Scope, what)}
}
