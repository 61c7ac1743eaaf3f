package bolt

import (
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

func getRecord(tx *bbolt.Tx, id session.ID) (session.Record, error) {
	data := tx.Bucket(bucketSessions).Get(id[:])
	if data == nil {
		return session.Record{}, session.ErrNotFound
	}
	return decodeRecord(tx, id, data)
}

func decodeRecord(tx *bbolt.Tx, id session.ID, data []byte) (session.Record, error) {
	if len(data) < timingSize {
		return session.Record{}, errShort
	}
	r, err := session.Decode(id, data[timingSize:])
	if err != nil {
		return session.Record{}, err
	}
	takeActivity(&r, tx.Bucket(bucketActivity).Get(id[:]))
	return r, nil
}

// takeActivity takes over a newer activity than the record's.
func takeActivity(r *session.Record, at []byte) {
	if at == nil {
		return
	}
	if t := session.FromUnixMilli(int64(binary.BigEndian.Uint64(at))); t.After(r.LastActiveAt) {
		r.LastActiveAt = t
	}
}

func putRecord(tx *bbolt.Tx, r session.Record) error {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	return tx.Bucket(bucketSessions).Put(r.ID[:], append(timing(r), data...))
}

// timingSize is the size of what stands before a record: all that judges an activity, so that the
// record need not be decoded.
const timingSize = 7 * 8

var errShort = errors.New("stored session is cut short")

func timing(r session.Record) []byte {
	ended := uint64(0)
	if r.End != nil {
		ended = 1
	}
	b := make([]byte, 0, timingSize)
	for _, n := range []uint64{
		ended, uint64(session.UnixMilli(r.CreatedAt)), uint64(session.UnixMilli(r.LastActiveAt)),
		uint64(session.UnixMilli(r.LeftAt)), uint64(r.Policy.ExpireAfter), uint64(r.Policy.MaxLifetime),
		uint64(r.Policy.CloseGrace),
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func decodeTiming(data []byte) (r session.Record, ended bool, err error) {
	if len(data) < timingSize {
		return r, false, errShort
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(data[8*i:])) }
	r.CreatedAt, r.LastActiveAt, r.LeftAt = session.FromUnixMilli(at(1)), session.FromUnixMilli(at(2)),
		session.FromUnixMilli(at(3))
	r.Policy = session.Policy{
		ExpireAfter: time.Duration(at(4)),
		MaxLifetime: time.Duration(at(5)),
		CloseGrace:  time.Duration(at(6)),
	}
	return r, at(0) != 0, nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// userKey is unambiguous because no user name holds a NUL: the directory's names are checked at
// sign-in.
func userKey(user string, id session.ID) []byte {
	return append(append([]byte(session.FoldName(user)), 0), id[:]...)
}
