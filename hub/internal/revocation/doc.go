// Package revocation holds the forced logouts that a node knows: their revocations, and what became
// of the tabs that each of them has ended.
//
// A [Register] holds the revocations, each as an [Entry], and finds those of a session, a sign-in
// or a group without looking at the others. The [Outcomes] of an entry collect what became of its
// tabs, on this node and on others. Nodes tell each other of these by [OutcomeReport].
//
// The package knows no live session, no tab and no connection, and calls no store and no other
// node. It starts no goroutine and sets no timer. Callers pass the time.
//
// # Locks
//
// The register's lock comes before those of users and sessions: the hub takes theirs inside
// [Register.View]. So a caller that holds one of them must not call a method of the register. The
// locks of an Entry and of its Outcomes come last, and may be taken while holding any other. Those
// of the register's news and lists are taken while holding that of Outcomes.
package revocation
