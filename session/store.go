package session

import (
	"context"
	"iter"
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

	// AddRevocation numbers a forced logout and writes it with its audit line in one step. The
	// number is higher than any that was given before, and than f.Number, the highest that the
	// caller knows of: the store may have forgotten its last ones.
	AddRevocation(ctx context.Context, f Revocation) (Revocation, error)
	// CancelRevocation calls off what is left of a revocation's grace and block, for actor, with an
	// audit line. Whether the revocation has taken effect is decided in the step that writes the
	// outcome, by the time of that, which is no earlier than at; see [Revocation.Cancel]. A second
	// call changes nothing. ErrNotFound, ErrTooLate.
	CancelRevocation(ctx context.Context, id string, at time.Time, actor string) (Revocation, error)
	// Revocations lists the revocations that may still matter, by number.
	Revocations(ctx context.Context) ([]Revocation, error)
	// LastRevocation is the number of the last revocation, 0 if there is none.
	LastRevocation(ctx context.Context) (int64, error)

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
	// entries older than auditKeep, and revocations older than RevocationKeptFor that no live
	// session is older than.
	Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error
	// Ping returns nil if the store would work now.
	Ping(ctx context.Context) error
	// Reset forgets everything but the server's secrets. It serves --testing.
	Reset(ctx context.Context) error
	Close() error
}

// RevocationKeptFor is how long a revocation is kept at least: longer than any sign-in takes that
// has read an older number.
const RevocationKeptFor = 24 * time.Hour
