// Package redis keeps sessions in Redis (7 and its compatible kin: a single server, Sentinel or
// Cluster), so that several nodes share them. It has session.Store and session.SharedStore.
//
// Each session's keys lie in one of 256 hash slots, chosen by its ID, together with the list of the
// live sessions and the outbox of audit lines of that slot. Whatever changes a session is one
// script on that slot. Redis's clock decides what is due; the expiry of keys is housekeeping only.
// What ends a session is acknowledged once every replica has it that is in step with the master.
//
// The package knows records, revocations and audit lines, and texts that nodes leave for each other
// without reading them. It knows no tab and no hub. Three rules of package session stand again in
// its Lua: Policy.EndsAt (due, in scripts.go), Record.Leave (leaveScript, in sessions.go) and
// Revocation.Cancel (cancelScript, in revocations.go).
//
// [Open] starts one goroutine, which relays audit lines from the outboxes to the trail, and where
// somebody wants to see the lines a second one. [Store.Close] ends both. The connections and their
// goroutines belong to the client library, and go with Close as well.
package redis
