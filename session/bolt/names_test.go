package bolt

import (
	"bytes"
	"testing"

	"go.etcd.io/bbolt"

	"curfew/session"
	"curfew/session/storetest"
)

// An earlier version kept the sessions of a user under the name as the directory writes it.
func TestSessionsOfAnEarlierVersionAreFoundByAnySpelling(t *testing.T) {
	folder := t.TempDir()
	s, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	r := storetest.Record("Ada")
	if _, err := s.Create(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	gone := storetest.Record("Ada")
	err = s.db.Update(func(tx *bbolt.Tx) error {
		users := tx.Bucket(bucketUsers)
		if err := users.Delete(userKey("Ada", r.ID)); err != nil {
			return err
		}
		for _, id := range []session.ID{r.ID, gone.ID} { // the second one was ended and forgotten by that version
			if err := users.Put(append([]byte("Ada\x00"), id[:]...), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(folder); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if rs, err := s.OfUser(t.Context(), "ada"); err != nil || len(rs) != 1 || rs[0].ID != r.ID {
		t.Errorf("OfUser = %+v, %v, want the one that lives", rs, err)
	}
	displaced, err := s.Create(t.Context(), storetest.Record("ADA"), 1)
	if err != nil || len(displaced) != 1 || displaced[0] != r.ID {
		t.Errorf("a sign-in with a limit of one displaces %v, %v, want the one before", displaced, err)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketUsers).ForEach(func(k, _ []byte) error {
			if bytes.HasPrefix(k, []byte("Ada\x00")) {
				t.Errorf("an entry of the earlier version is left: %q", k)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
