// Package revocation is what a node knows of forced logouts: the revocations that may still matter,
// and what became of the tabs that each of them ended.
//
// A [Register] holds the revocations, each as an [Entry], and finds those of a session, of a
// sign-in or of a group without looking at the others. The [Outcomes] of an entry collect what
// became of its tabs, here and on other nodes. Nodes tell each other of that by [OutcomeReport].
//
// The package knows no session in memory, no tab and no connection. It never calls a store or
// another node, and what its callers do with a revocation is up to them. It starts no goroutine and
// sets no timer. Whatever depends on the time takes it from its caller.
//
// # Locks
//
// The register's lock comes before those of users and sessions: the hub takes theirs inside
// [Register.View]. So nobody may call a method of the register while holding one of them. The lock
// of Outcomes comes last, and may be taken while holding any other.
package revocation
