// Package storetest checks that a store keeps its promises. [Run] checks session.Store, and
// [RunShared] what session.SharedStore adds for several nodes. A new store is tested by one call of
// each:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) session.Store { return open(t) })
//	}
//
// Each case gets a fresh store and is named by the rule that it checks. [DueRows] says when a
// session ends, in rows that hold for the policy and for every store.
//
// The package knows the interfaces of session and no store. What only one store can do, such as
// losing what it had acknowledged, is tested beside that store. Its goroutines end with their case.
package storetest
