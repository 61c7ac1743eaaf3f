package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"curfew/session"
)

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

// foldUsers moves index entries of earlier versions, which wrote names as the directory does, to
// the folded names by which they are looked up.
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

// nameOf is the user's name in a key of bucketUsers.
func nameOf(k []byte) string {
	name, _, _ := bytes.Cut(k, []byte{0})
	return string(name)
}
