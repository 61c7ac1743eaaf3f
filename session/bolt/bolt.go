// Package bolt is the embedded session store: one file, durable, for one process.
//
// A sign-in and an end are on disk, with their audit line in the same transaction, before they are
// acknowledged. Changes that wait at the same time share one transaction (see commit.go), so that
// many sign-ins at once cost few disk flushes.
package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"curfew/session"
)

// fileFormat is the version of the layout below.
const fileFormat = 1

// The layout of the file. Numbers are big-endian, times Unix milliseconds.
var (
	bucketMeta        = []byte("meta")     // format, secret/NAME, ping
	bucketSessions    = []byte("sessions") // ID: timing, session.Record
	bucketActivity    = []byte("activity") // ID: time of the last activity, where newer than the record's
	bucketUsers       = []byte("users")    // folded user, NUL, ID: live sessions
	bucketEnded       = []byte("ended")    // time, ID: tombstones by age
	bucketAudit       = []byte("audit")    // number: session.Event
	bucketKnown       = []byte("known")    // login, NUL, network: last sign-in
	bucketRevocations = []byte("facts")    // number: revocations

	buckets = [][]byte{bucketMeta, bucketSessions, bucketActivity, bucketUsers, bucketEnded, bucketAudit, bucketKnown,
		bucketRevocations}
)

// Store implements [session.Store].
type Store struct {
	db     *bbolt.DB
	folder string
	clock  session.Clock // see SetClock

	events    []session.Event   // of the transaction under way; used by commitLoop alone, as the next one
	highest   time.Time         // see auditLine
	follow    *session.Follower // nil: see Follow
	commits   chan *commit
	closing   chan struct{}
	closeOnce sync.Once
	writer    sync.WaitGroup
	wrote     atomic.Int64 // when a transaction was last written, Unix ms; 0 if the last one was not

	// Failed sign-ins of the last minutes. They live in memory: a restart forgets a minute of them
	// at most.
	failures failures
}

var _ session.Store = (*Store)(nil)

// Open opens the store in a folder, which it makes if need be, and locks it. If another process
// holds it, the error names the folder and that process.
func Open(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := bbolt.Open(filepath.Join(folder, "curfew.db"), 0o600, &bbolt.Options{
		Timeout: 200 * time.Millisecond, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	})
	if err != nil {
		if errors.Is(err, bbolterrors.ErrTimeout) {
			return nil, fmt.Errorf("data folder %s is in use by another process%s", folder, holder(folder))
		}
		return nil, fmt.Errorf("open store in %s: %w", folder, err)
	}
	s := &Store{
		db:      db,
		folder:  folder,
		clock:   session.RealClock{},
		commits: make(chan *commit),
		closing: make(chan struct{}),
	}
	err = s.prepare()
	if err == nil {
		s.highest, err = highestDate(db)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", folder, err), db.Close())
	}
	s.writer.Add(1)
	go s.commitLoop()
	return s, nil
}

// SetClock sets the clock by which the store decides what comes too late. Without it that is the
// computer's. It is called before the store is used.
func (s *Store) SetClock(c session.Clock) { s.clock = c }

const pidFile = "curfew.pid"

func holder(folder string) string {
	pid, err := os.ReadFile(filepath.Join(folder, pidFile))
	if err != nil {
		return ""
	}
	return " (process " + strings.TrimSpace(string(pid)) + ")"
}

func (s *Store) prepare() error {
	if err := os.WriteFile(filepath.Join(s.folder, pidFile), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		switch format := meta.Get([]byte("format")); {
		case format == nil:
			return meta.Put([]byte("format"), number(fileFormat))
		case binary.BigEndian.Uint64(format) > fileFormat:
			return fmt.Errorf("file format %d: %w", binary.BigEndian.Uint64(format), session.ErrNewerFormat)
		}
		return foldUsers(tx)
	})
}

// foldUsers puts the entries of earlier versions, which wrote names as the directory does, under
// the names by which they are looked for.
func foldUsers(tx *bbolt.Tx) error {
	users := tx.Bucket(bucketUsers)
	var old [][]byte
	c := users.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if user := nameOf(k); session.FoldName(user) != user {
			old = append(old, bytes.Clone(k))
		}
	}
	for _, k := range old {
		if err := users.Delete(k); err != nil {
			return err
		}
		if err := users.Put(userKey(nameOf(k), session.ID(k[len(nameOf(k))+1:])), nil); err != nil {
			return err
		}
	}
	return nil
}

// nameOf is the name in a key of the users.
func nameOf(k []byte) string {
	name, _, _ := bytes.Cut(k, []byte{0})
	return string(name)
}

// Close waits for what is being written and gives the folder free.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { close(s.closing) })
	s.writer.Wait()
	if s.follow != nil {
		s.follow.Close()
	}
	return s.db.Close()
}

// Create implements [session.Store].
func (s *Store) Create(ctx context.Context, r session.Record, limit int) (displaced []session.ID, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		displaced = nil
		if tx.Bucket(bucketSessions).Get(r.ID[:]) != nil {
			return session.ErrExists
		}
		if limit > 0 {
			others, err := ofUser(tx, r.User)
			if err != nil {
				return err
			}
			for len(others) >= limit {
				if err := s.endRecord(tx, others[0], session.ReplacedBy(r)); err != nil {
					return err
				}
				displaced = append(displaced, others[0].ID)
				others = others[1:]
			}
		}
		if err := putRecord(tx, r); err != nil {
			return err
		}
		if err := tx.Bucket(bucketUsers).Put(userKey(r.User, r.ID), nil); err != nil {
			return err
		}
		at := number(uint64(r.CreatedAt.UnixMilli()))
		if err := tx.Bucket(bucketKnown).Put(knownKey(r.User, r.Address), at); err != nil {
			return err
		}
		return s.appendEvent(tx, session.SignInEvent(r))
	})
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	return displaced, nil
}

// Get implements [session.Store].
func (s *Store) Get(ctx context.Context, id session.ID) (r session.Record, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		r, err = getRecord(tx, id)
		return err
	})
	if err != nil {
		return session.Record{}, fmt.Errorf("get session: %w", err)
	}
	return r, nil
}

// change runs f on a live session and stores what it made of it.
func (s *Store) change(ctx context.Context, id session.ID, f func(*session.Record) error) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil {
			return err
		}
		if r.End != nil {
			return session.ErrEnded
		}
		if err := f(&r); err != nil {
			return err
		}
		return putRecord(tx, r)
	})
}

// Save implements [session.Store].
func (s *Store) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	err := s.change(ctx, id, func(r *session.Record) error {
		if r.Version != version {
			return session.ErrConflict
		}
		r.Version, r.Values = version+1, values
		return nil
	})
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// Leave implements [session.Store].
func (s *Store) Leave(ctx context.Context, id session.ID, news session.TabTimes) (known session.TabTimes, err error) {
	err = s.change(ctx, id, func(r *session.Record) error {
		r.Leave(news)
		known = r.Tabs
		return nil
	})
	if err != nil {
		return session.TabTimes{}, fmt.Errorf("note tabs of session: %w", err)
	}
	return known, nil
}

// SetRules implements [session.Store].
func (s *Store) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	err := s.change(ctx, id, func(r *session.Record) error {
		if r.Revision != revision {
			return session.ErrConflict
		}
		r.Groups, r.Former, r.Policy, r.Revision = rules.Groups, rules.Former, rules.Policy, revision+1
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("set session's rules: %w", err)
	}
	return revision + 1, nil
}

// touchesPerTransaction bounds how long a sign-in waits behind a batch of activities.
const touchesPerTransaction = 1000

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, acts []session.Activity) (unknown []session.ID, err error) {
	acts = slices.Clone(acts)
	slices.SortFunc(acts, func(a, b session.Activity) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for batch := range slices.Chunk(acts, touchesPerTransaction) {
		var missing []session.ID
		err := s.update(ctx, func(tx *bbolt.Tx) error {
			missing = nil
			for _, a := range batch {
				err := touch(tx, a)
				if errors.Is(err, session.ErrNotFound) {
					missing = append(missing, a.ID)
				} else if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("touch sessions: %w", err)
		}
		unknown = append(unknown, missing...)
	}
	return unknown, nil
}

// touch reads and writes eight bytes each where it can: it is what heartbeats come to.
func touch(tx *bbolt.Tx, a session.Activity) error {
	data := tx.Bucket(bucketSessions).Get(a.ID[:])
	if data == nil {
		return session.ErrNotFound
	}
	r, ended, err := decodeTiming(data)
	if err != nil || ended {
		return err
	}
	activity := tx.Bucket(bucketActivity)
	takeActivity(&r, activity.Get(a.ID[:]))
	if end, _ := r.Policy.EndsAt(r); !a.At.After(r.LastActiveAt) || !a.At.Before(end) {
		return nil
	}
	return activity.Put(a.ID[:], number(uint64(a.At.UnixMilli())))
}

// End implements [session.Store].
func (s *Store) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (first bool, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		first = false
		r, err := getRecord(tx, id)
		if err != nil || r.End != nil {
			return err
		}
		if !ifDueBy.IsZero() {
			if due, _ := r.Policy.EndsAt(r); due.After(ifDueBy) {
				return session.ErrNotDue
			}
		}
		first = true
		return s.endRecord(tx, r, why)
	})
	if err != nil {
		return false, fmt.Errorf("end session: %w", err)
	}
	return first, nil
}

// Live implements [session.Store]. It reads in steps, so that no long transaction holds back the
// file's free pages.
func (s *Store) Live(ctx context.Context) iter.Seq2[session.Record, error] {
	const step = 1000
	return func(yield func(session.Record, error) bool) {
		var last []byte
		for {
			var page []session.Record
			err := s.view(ctx, func(tx *bbolt.Tx) error {
				c := tx.Bucket(bucketSessions).Cursor()
				k, v := c.Seek(last)
				if last != nil && bytes.Equal(k, last) {
					k, v = c.Next()
				}
				for seen := 0; k != nil && seen < step; seen++ {
					r, err := decodeRecord(tx, session.ID(k), v)
					if err != nil {
						return err
					}
					if r.End == nil {
						page = append(page, r)
					}
					last = bytes.Clone(k)
					k, v = c.Next()
				}
				if k == nil {
					last = nil
				}
				return nil
			})
			if err != nil {
				yield(session.Record{}, fmt.Errorf("list sessions: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if last == nil {
				return
			}
		}
	}
}

// OfUser implements [session.Store].
func (s *Store) OfUser(ctx context.Context, user string) (rs []session.Record, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		rs, err = ofUser(tx, user)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	return rs, nil
}

// Indexed is how many entries the index of a user's sessions has. storetest asks.
func (s *Store) Indexed(ctx context.Context, user string) (n int, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		prefix := append([]byte(session.FoldName(user)), 0)
		c := tx.Bucket(bucketUsers).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			n++
		}
		return nil
	})
	return n, err
}

// Secret implements [session.Store].
func (s *Store) Secret(ctx context.Context, name string) (secret []byte, err error) {
	key := []byte("secret/" + name)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if secret = bytes.Clone(meta.Get(key)); secret != nil {
			return nil
		}
		secret = make([]byte, 32)
		rand.Read(secret)
		return meta.Put(key, secret)
	})
	if err != nil {
		return nil, fmt.Errorf("read server secret: %w", err)
	}
	return secret, nil
}

// writtenFor is how long a transaction proves that the disk takes writes.
const writtenFor = 30 * time.Second

// pingSize is what Ping writes: about as much as a sign-in or an end does, which goes into several
// buckets.
const pingSize = 32 << 10

// Ping writes, unless something else just was: a file that can be read but not be written, as on a
// full disk, is of no use.
func (s *Store) Ping(ctx context.Context) error {
	now := time.Now()
	if since := now.Sub(time.UnixMilli(s.wrote.Load())); since >= 0 && since < writtenFor {
		return ctx.Err()
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put([]byte("ping"), make([]byte, pingSize))
	})
}

// Reset implements [session.Store].
func (s *Store) Reset(ctx context.Context) error {
	s.failures.reset()
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if bytes.Equal(name, bucketMeta) {
				continue
			}
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reset store: %w", err)
	}
	return nil
}

// endRecord makes a tombstone of a live session.
func (s *Store) endRecord(tx *bbolt.Tx, r session.Record, why session.End) error {
	r.End, r.Values = &why, nil
	if err := putRecord(tx, r); err != nil {
		return err
	}
	if err := tx.Bucket(bucketUsers).Delete(userKey(r.User, r.ID)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketActivity).Delete(r.ID[:]); err != nil {
		return err
	}
	if err := tx.Bucket(bucketEnded).Put(append(number(uint64(why.At.UnixMilli())), r.ID[:]...), nil); err != nil {
		return err
	}
	return s.appendEvent(tx, session.EndEvent(r, why))
}

func ofUser(tx *bbolt.Tx, user string) ([]session.Record, error) {
	var rs []session.Record
	prefix := append([]byte(session.FoldName(user)), 0)
	c := tx.Bucket(bucketUsers).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		r, err := getRecord(tx, session.ID(k[len(prefix):]))
		if errors.Is(err, session.ErrNotFound) || err == nil && r.End != nil {
			continue // an earlier version ended it, which looked for its entry under another name
		}
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b session.Record) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return rs, nil
}
