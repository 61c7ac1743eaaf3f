package session

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scope says whose sessions something is for. Exactly one of its fields is set; see [Scope.Validate].
type Scope struct {
	User     string `json:"user,omitempty"`
	Group    string `json:"group,omitempty"`
	Session  string `json:"session,omitempty"` // ID.Ref
	Everyone bool   `json:"everyone,omitempty"`
}

// Validate demands that exactly one field is set.
func (s Scope) Validate() error {
	n := 0
	for _, set := range []bool{s.User != "", s.Group != "", s.Session != "", s.Everyone} {
		if set {
			n++
		}
	}
	if n != 1 {
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
	switch {
	case s.User != "":
		return s.User == r.User
	case s.Group != "":
		return slices.ContainsFunc(r.Groups, func(g Group) bool { return g.Name == s.Group })
	case s.Session != "":
		return s.Session == r.ID.Ref()
	}
	return s.Everyone
}

// A Fact is a forced logout: one durable statement that ends all sessions in its scope that are older than it, at once or
// after a grace. Facts are numbered by one counter of the store. A session records the number that was the last before its
// sign-in asked the directory, and for each group the last before its user joined it; a fact with a higher number covers it,
// whatever has happened to the messages that tell of it.
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
	Cancelled   time.Time `json:"cancelled_at"` // when what was left of its grace and its block was called off; zero if it was not

	Sessions int `json:"sessions"` // in scope when it was written
	Tabs     int `json:"tabs"`
}

// Void reports whether the fact was called off before it took effect: nobody is ended by it.
func (f *Fact) Void() bool { return !f.Cancelled.IsZero() && f.Cancelled.Before(f.EffectiveAt) }

// Covers reports whether the fact ends r, now or after its grace.
func (f *Fact) Covers(r *Record) bool {
	if f.Void() || f.Except != "" && f.Except == r.ID.Ref() {
		return false
	}
	if f.Group != "" {
		return slices.ContainsFunc(r.Groups, func(g Group) bool { return g.Name == f.Group && g.SeenFact < f.Number }) ||
			slices.ContainsFunc(r.Former, func(g FormerGroup) bool {
				return g.Name == f.Group && g.SeenFact < f.Number && (g.Until == 0 || f.Number <= g.Until)
			})
	}
	return r.SeenFact < f.Number && f.Includes(r)
}

// Blocks reports whether the fact refuses a sign-in of user at now. A block for everyone spares members of exempt.
func (f Fact) Blocks(user string, groups, exempt []string, now time.Time) bool {
	if !f.Cancelled.IsZero() || !now.Before(f.BlockUntil) {
		return false
	}
	switch {
	case f.User != "":
		return f.User == user
	case f.Group != "":
		return slices.Contains(groups, f.Group)
	}
	return f.Everyone && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(exempt, g) })
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
