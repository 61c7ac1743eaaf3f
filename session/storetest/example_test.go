package storetest_test

import (
	"testing"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

// The test of a new store opens an empty one for each rule that every store keeps.
func ExampleRun() {
	_ = func(t *testing.T) { // TestStore, in the package of the store
		storetest.Run(t, func(t *testing.T) session.Store {
			store, err := bolt.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return store
		})
	}
}
