// Package bolt is the embedded session store: one file, durable, for one process.
//
// A sign-in and an end are on disk, with their audit line in the same transaction, before they are
// acknowledged. Changes that wait at the same time share one transaction (see commit.go), so that
// many sign-ins at once cost few flushes of the disk. Failed sign-ins are counted in memory only.
//
// The package knows records, revocations and audit lines. It judges a session only where a method
// of session.Store says so, and then by the functions of package session. It knows no tab and no
// other store.
//
// [Open] starts one goroutine, which writes. [Store.Close] ends it.
package bolt
