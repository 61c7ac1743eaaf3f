package bolt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// Append implements [session.Store]. A failed sign-in counts although its line cannot be written:
// on a full disk nobody may guess without end.
func (s *Store) Append(ctx context.Context, e session.Event) error {
	if e.Kind == session.EventSignInFailed && e.Reason == "" {
		known := false
		err := s.db.View(func(tx *bbolt.Tx) error {
			known = isKnown(tx, e.User, e.Address, e.At)
			return nil
		})
		s.failures.add(e.User, e.Address, e.At, known)
		if err != nil {
			return fmt.Errorf("append to audit trail: %w", err)
		}
	}
	if err := s.update(ctx, func(tx *bbolt.Tx) error { return s.appendEvent(tx, e) }); err != nil {
		return fmt.Errorf("append to audit trail: %w", err)
	}
	return nil
}

// OnEvent has f called with every audit line once it is durable, in order. All that is written
// waits for f, so what takes its time belongs behind a [session.EventDispatcher]. It must be called
// before anything is written, and once.
func (s *Store) OnEvent(f func(session.Event)) { s.onEvent = f }

// auditLine is an event as it is stored, in the order of writing. Highest bounds a search by date:
// see docs/decisions.md#an-audit-line-tells-the-latest-date-up-to-it.
type auditLine struct {
	session.Event
	Highest int64 `json:"highest,omitempty"` // Unix ms; that of the line itself where it is missing
}

// highest is the latest date of all lines up to l. Earlier versions told it of no line: there an
// end tells nothing.
func (l *auditLine) highest() (at time.Time, known bool) {
	if l.Highest != 0 {
		return session.FromUnixMilli(l.Highest), true
	}
	return l.At, l.Kind != session.EventSessionEnd
}

func (s *Store) appendEvent(tx *bbolt.Tx, e session.Event) error {
	audit := tx.Bucket(bucketAudit)
	n, err := audit.NextSequence()
	if err != nil {
		return err
	}
	e = e.Named()
	e.Number = n
	if e.At.After(s.highest) {
		s.highest = e.At
	}
	l := auditLine{Event: e}
	if e.Kind == session.EventSessionEnd || !e.At.Equal(s.highest) {
		l.Highest = session.UnixMilli(s.highest.Add(time.Millisecond - 1)) // no earlier than what it stands for
	}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if s.onEvent != nil {
		s.events = append(s.events, e)
	}
	return audit.Put(number(n), data)
}

// highestDate reads the latest date of all lines.
func highestDate(db *bbolt.DB) (at time.Time, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			var l auditLine
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			highest, known := l.highest()
			if highest.After(at) {
				at = highest
			}
			if known {
				return nil
			}
		}
		return nil
	})
	return at, err
}

// Events implements [session.Store].
func (s *Store) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	var events []session.Event
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		k, v := c.Last()
		if q.Before != 0 {
			if at, _ := c.Seek(number(q.Before)); at != nil {
				k, v = c.Prev()
			} else { // all are older than that
				k, v = c.Last()
			}
		}
		for ; k != nil && len(events) < q.Limit; k, v = c.Prev() {
			if err := ctx.Err(); err != nil { // a long trail takes long
				return err
			}
			var l auditLine
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			if highest, known := l.highest(); known && highest.Before(q.Since) {
				break
			}
			if q.Picks(l.Event) {
				events = append(events, l.Event.Numbered(l.Number))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit trail: %w", err)
	}
	return events, nil
}
