package session

import (
	"context"
	"iter"
	"time"
)

// Store keeps session records, revocations and the audit trail. The hub calls it, and the pages
// read the audit trail from it. Methods may be called concurrently; storetest.Run is the rest of
// this contract. Every method that modifies a session fails with ErrEnded once the session has
// ended. There is no upsert and no delete. A method that changes something returns once the change
// is durable. An error other than those named means that the store is out of reach, or that ctx has
// ended: nothing may be concluded about any session then.
type Store interface {
	// Create adds r, remembers that r.User has signed in from r.Address, and writes the audit line.
	// It counts in the same step: if the user would have more than limit live sessions, the oldest
	// are ended as replaced. A limit of 0 means none. ErrExists if the ID is in use.
	Create(ctx context.Context, r Record, limit int) (displaced []ID, err error)
	// Get returns a session. It returns ended ones too, for TombstoneFor. ErrNotFound.
	Get(ctx context.Context, id ID) (Record, error)
	// Save replaces the application's values if the session still has this version, which then
	// rises by one. ErrNotFound, ErrEnded; ErrConflict if it has another version.
	Save(ctx context.Context, id ID, version int64, values []byte) error
	// Touch records activities of many sessions; the later time wins. It skips those of sessions
	// that have ended or were due by the time of the activity. It skips those of unknown sessions,
	// too, and returns which these are. It may change the order of acts.
	Touch(ctx context.Context, acts []Activity) (unknown []ID, err error)
	// Leave merges news of the session's tabs into its record, as [Record.Leave] does, and returns
	// the result. ErrNotFound, ErrEnded.
	Leave(ctx context.Context, id ID, news TabTimes) (TabTimes, error)
	// SetRules replaces the rules of a session if it still has this revision, and returns the new
	// revision, which is higher. If the store has replicas, all of them have the new rules by then.
	// ErrNotFound, ErrEnded; ErrConflict if somebody else has replaced the rules: read them again.
	SetRules(ctx context.Context, id ID, revision int64, rules Rules) (int64, error)
	// End ends the session, leaves its tombstone and writes its audit line in one step. first is
	// true for exactly one caller; a later call changes nothing and is no error. If ifDueBy is not
	// zero and the session, by its own record, is not due by then, it stays: ErrNotDue. Forced
	// logouts are no part of a record, so the caller judges them. ErrNotFound.
	End(ctx context.Context, id ID, why End, ifDueBy time.Time) (first bool, err error)
	// EndSoon is End for a caller with many ends. It returns before the end is durable, unless the
	// store writes each change by itself, and may wait until the store has room for more. The end
	// is made after every change that was asked for before the call, and before any that is asked
	// for after it. wait returns the outcome, and is called once.
	EndSoon(ctx context.Context, id ID, why End, ifDueBy time.Time) (wait func() (first bool, err error))
	// EndKeep notes in the tombstone of a session that no page of it waits any more: End.KeepOver.
	// It changes nothing of a session that lives or is unknown, and is no error then.
	EndKeep(ctx context.Context, id ID) error
	// Live yields all sessions that have not ended, in no order. It may miss sessions that begin or
	// end meanwhile. An error is the last that it yields.
	Live(ctx context.Context) iter.Seq2[Record, error]
	// OfUser lists the live sessions of a user, oldest first.
	OfUser(ctx context.Context, user string) ([]Record, error)
	// Waiting yields the sessions that have ended and whose pages wait at now, in no order: those
	// with a [Record.KeepUntil] after now, as of their ends. It looks at no others. Of a user, or
	// of sessions that the scope names, it yields and reads no others; of a group it yields all. An
	// error is the last that it yields.
	Waiting(ctx context.Context, now time.Time, scope Scope) iter.Seq2[Record, error]

	// AddRevocation numbers a revocation and writes it with its audit line in one step. The number
	// is higher than any that was given before, and higher than f.Number, the highest that the
	// caller knows of: a store that has failed over may have forgotten its last ones. After an
	// error it may have been written, but is not written any more: sessions that begin from then
	// on do not end by it. That does not hold where ctx was cancelled before its deadline.
	AddRevocation(ctx context.Context, f Revocation) (Revocation, error)
	// CancelRevocation cancels what is left of a revocation's grace and block, on behalf of actor,
	// with an audit line. The step that writes the outcome also decides whether the revocation has
	// taken effect, by the store's time but no earlier than at; see [Revocation.Cancel]. A second
	// call changes nothing. After another error than those named it may have been cancelled, but is
	// not cancelled any more, as with AddRevocation. ErrNotFound; ErrTooLate if nothing is left to
	// cancel.
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
	// Failures returns what throttling needs to know about a name and an address. Only failures
	// after since count, of the last FailuresFor and up to FailuresKept of each list.
	Failures(ctx context.Context, login, address string, since time.Time) (Failures, error)

	// Secret returns the server's secret of that name: 32 random bytes, drawn at the first call and
	// the same ever after.
	Secret(ctx context.Context, name string) ([]byte, error)
	// Prune deletes tombstones older than TombstoneFor, known addresses older than KnownFor, audit
	// lines older than auditKeep, and those revocations that are past, see [Revocation.IsPast], and
	// that every live session knew of when it began.
	Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error
	// Ping returns nil if the store can be written to now.
	Ping(ctx context.Context) error
	// Age makes the session of a ref so much older, as [Record.Age] does, and returns it as it is
	// then. by is in whole milliseconds. ErrNotFound. It serves --testing.
	Age(ctx context.Context, ref string, by time.Duration) (Record, error)
	// Reset deletes everything but the server's secrets. It serves --testing.
	Reset(ctx context.Context) error
	Close() error
}

// RevocationKeptFor is how long a revocation is kept at least, from its effect on. It must be
// longer than any sign-in takes: one that has read an older number may still be under way. And it
// must be as long as pages of an ended session may wait, since the revocation refuses them.
const RevocationKeptFor = max(24*time.Hour, MaxKeepPage)
