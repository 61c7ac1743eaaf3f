// Package session holds the rules of Curfew: what a session is, when it warns, when and why it
// ends, and what a store must promise so that an ended session never comes back.
//
// The rules are functions of a [Record] and an instant: [Policy.At] and [Policy.EndsAt] decide
// deadlines, [Revocation.Ends] decides whom a forced logout ends. [Store] is what every store
// promises, [SharedStore] what several nodes need beside it; storetest checks both. Stores are
// sub-packages, so that whoever uses the rules links none of them.
//
// The package knows no socket, page, directory or database, and imports nothing of Curfew. Nothing
// here runs by itself, with two exceptions: a [TestClock] makes the calls that it was given, and an
// [EventDispatcher] has one goroutine, which ends with its Close.
package session
