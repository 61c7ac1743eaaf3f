package session

import (
	"context"
	"iter"
	"net/netip"
	"time"
)

// Store keeps session records and the audit trail. Methods may be called concurrently;
// storetest.Run is the rest of this contract. What changes a session changes it only while it is
// alive; there is no upsert and no delete. A method that changes something returns once the change
// is durable. Errors other than those named mean that the store is out of reach: nothing may be
// concluded about any session then.
type Store interface {
	// Create adds r, remembers that r.User has signed in from r.Address, and writes the audit line,
	// in one step with counting: where the user would have more than limit live sessions (0: no
	// limit), the oldest are ended as replaced. ErrExists if the ID is in use.
	Create(ctx context.Context, r Record, limit int) (displaced []ID, err error)
	// Get returns ended sessions too, for TombstoneFor. ErrNotFound.
	Get(ctx context.Context, id ID) (Record, error)
	// Save replaces the application's values if the session lives and still has this version, which
	// then rises by one. ErrNotFound, ErrEnded, ErrConflict.
	Save(ctx context.Context, id ID, version int64, values []byte) error
	// Touch records activities; the later time wins. Those of sessions that have ended, or were due
	// to end before the activity, are passed over, and so are those of unknown ones, which it
	// tells.
	Touch(ctx context.Context, acts []Activity) (unknown []ID, err error)
	// Leave takes over what has become known of the session's tabs, as [Record.Leave] does, and
	// returns what is known now. ErrNotFound, ErrEnded.
	Leave(ctx context.Context, id ID, news TabTimes) (TabTimes, error)
	// SetRules replaces the rules of a session if nobody has replaced those that were read at this
	// revision, and returns the new one, which is higher. Where replicas take part, all of them
	// have the new rules by then. ErrNotFound, ErrEnded; ErrConflict: read the session again.
	SetRules(ctx context.Context, id ID, revision int64, rules Rules) (int64, error)
	// End ends the session, leaves its tombstone and writes its audit line in one step. first is
	// true to exactly one caller. If ifDueBy is not zero, a session that by its own record is not
	// due by then stays: ErrNotDue. ErrNotFound.
	End(ctx context.Context, id ID, why End, ifDueBy time.Time) (first bool, err error)
	// Live goes through all sessions that have not ended, in no order. Sessions that come or go
	// meanwhile may be missed.
	Live(ctx context.Context) iter.Seq2[Record, error]
	// OfUser lists the live sessions of a user, oldest first.
	OfUser(ctx context.Context, user string) ([]Record, error)

	// AddFact numbers a forced logout and writes it with its audit line in one step. The number is
	// higher than any that was given before, and than f.Number, the highest that the caller knows
	// of: the store may have forgotten its last ones.
	AddFact(ctx context.Context, f Fact) (Fact, error)
	// CancelFact calls off what is left of a fact's grace and block, for actor, with an audit line.
	// Whether the fact has taken effect is decided in the step that writes the outcome, by the time
	// of that, which is no earlier than at; see [Fact.CallOff]. A second call changes nothing.
	// ErrNotFound, ErrTooLate.
	CancelFact(ctx context.Context, id string, at time.Time, actor string) (Fact, error)
	// Facts lists the facts that may still matter, by number.
	Facts(ctx context.Context) ([]Fact, error)
	// LastFact is the number of the last fact, 0 if there is none.
	LastFact(ctx context.Context) (int64, error)

	// Append writes an event to the audit trail and, for a failed sign-in without a Reason, counts
	// it for throttling.
	Append(ctx context.Context, e Event) error
	// Events reads the audit trail, newest first.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// Failures tells what throttling needs to know about a name and an address. Only failures after
	// since count.
	Failures(ctx context.Context, login, address string, since time.Time) (Failures, error)

	// Secret returns the server's secret of that name, 32 bytes, drawn when it is first asked for.
	Secret(ctx context.Context, name string) ([]byte, error)
	// Prune forgets tombstones older than TombstoneFor, known addresses older than KnownFor, audit
	// entries older than auditKeep, and facts older than FactKeptFor that no live session is older
	// than.
	Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error
	// Ping returns nil if the store would work now.
	Ping(ctx context.Context) error
	// Reset forgets everything but the server's secrets. It serves --testing.
	Reset(ctx context.Context) error
	Close() error
}

// EventKind names what an audit line tells of.
type EventKind string

// The events of the audit trail.
const (
	EventSignIn        EventKind = "sign-in"
	EventSignInFailed  EventKind = "sign-in-failed"
	EventSessionEnd    EventKind = "session-end"
	EventLogout        EventKind = "logout" // a forced one
	EventNotice        EventKind = "notice"
	EventPolicy        EventKind = "policy"
	EventOriginRefused EventKind = "origin-refused"
	EventDirectoryLost EventKind = "directory-lost"
)

// EventKinds are all of them.
func EventKinds() []EventKind {
	return []EventKind{EventSignIn, EventSignInFailed, EventSessionEnd, EventLogout, EventNotice, EventPolicy,
		EventOriginRefused, EventDirectoryLost}
}

// Event is a line of the audit trail.
type Event struct {
	Number  uint64    `json:"number"` // rises; set by the store
	At      time.Time `json:"at"`
	Kind    EventKind `json:"event"`
	User    string    `json:"user,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Session string    `json:"session,omitempty"` // ID.Ref
	Address string    `json:"address,omitempty"`
	// of an end; of a sign-in that was refused although the password was right
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// EventQuery picks events. Fields at their zero value pick all.
type EventQuery struct {
	Before uint64 // only events of a lower number
	Limit  int    // at most so many
	User   string
	Actor  string
	Kind   EventKind
	Since  time.Time // this instant and later
}

// Picks reports whether e is asked for, Before and Limit apart.
func (q EventQuery) Picks(e Event) bool {
	return (q.User == "" || SameName(q.User, e.User)) && (q.Actor == "" || SameName(q.Actor, e.Actor)) &&
		(q.Kind == "" || q.Kind == e.Kind) && !e.At.Before(q.Since)
}

// FactKeptFor is how long a fact is kept at least: longer than any sign-in takes that has read an
// older number.
const FactKeptFor = 24 * time.Hour

// SignInEvent is the audit line of a sign-in.
func SignInEvent(r Record) Event {
	return Event{At: r.CreatedAt, Kind: EventSignIn, User: r.User, Session: r.ID.Ref(), Address: r.Address}
}

// EndEvent is the audit line of the end of r.
func EndEvent(r Record, e End) Event {
	return Event{
		At:      e.At,
		Kind:    EventSessionEnd,
		User:    r.User,
		Actor:   e.Actor,
		Session: r.ID.Ref(),
		Address: r.Address,
		Reason:  e.Reason,
		Detail:  e.Detail,
	}
}

// ReplacedBy is the end of a session that a newer sign-in of its user displaces.
func ReplacedBy(newer Record) End {
	return End{Reason: ReasonReplaced, At: newer.CreatedAt, Actor: newer.User,
		Message: "You were signed out because of a newer sign-in: " + Device(newer.Agent) + ", " + newer.Address + "."}
}

// Failures is what throttling knows about a name and an address. The times are those of failed
// sign-ins, oldest first.
type Failures struct {
	Pair    []time.Time // of the name from the address
	Address []time.Time // from the address, by names that had not signed in from there
	Name    []time.Time // of the name, from addresses where it had not signed in
	Known   bool        // the name has signed in from the address within KnownFor
}

// Network is the part of an address by which throttling counts: all of an IPv4 address, the /64 of
// an IPv6 one.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
