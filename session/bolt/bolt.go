package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	bucketWaiting     = []byte("waiting")  // Record.KeepUntil, ID: folded user
	bucketAudit       = []byte("audit")    // number: session.Event
	bucketKnown       = []byte("known")    // login, NUL, network: last sign-in
	bucketRevocations = []byte("facts")    // number: revocations
	bucketReceivers   = []byte("outbox")   // name of a receiver: where it stands; see outbox.go

	buckets = [][]byte{bucketMeta, bucketSessions, bucketActivity, bucketUsers, bucketEnded, bucketWaiting, bucketAudit,
		bucketKnown, bucketRevocations, bucketReceivers}
)

// Store is a [session.Store] in a file. [Open] makes one. Its methods may be called concurrently;
// SetClock and OnEvent come before all others.
type Store struct {
	db     *bbolt.DB
	folder string
	clock  session.Clock // see SetClock

	// used by commitLoop alone
	events  []session.Event // audit lines of the transaction under way
	highest time.Time       // latest date of all audit lines; see auditLine

	onEvent func(session.Event) // nil: see OnEvent
	commits commitQueue
	writer  sync.WaitGroup
	wrote   atomic.Int64 // when a transaction was last written, Unix ms; 0 if the last one was not

	// Failed sign-ins of the last minutes. They live in memory: a restart forgets a minute of them
	// at most.
	failures failures
}

var _ session.Store = (*Store)(nil)

// Open opens the store in a folder, which it creates if needed, and locks it. If another process
// has locked it, the error names the folder and that process. [Store.Close] ends what Open starts.
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
		db:     db,
		folder: folder,
		clock:  session.RealClock{},
	}
	s.commits.init()
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

// Close waits until what is being written is written, and unlocks the folder. Later calls of other
// methods fail.
func (s *Store) Close() error {
	s.commits.close()
	s.writer.Wait()
	return s.db.Close()
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
