package session

import (
	"cmp"
	"strings"
	"time"
)

// How long the pages of a session wait for their user to sign in again.

// Keep is how long pages of r wait once it ends, or from now on where it has ended. Only an end by
// time, or by a sign-in of the same user in the same browser, leaves pages that wait. What follows
// from forced logouts is no part of a record; the hub adds it.
func (r *Record) Keep(now time.Time) time.Duration {
	e := r.End
	switch {
	case e == nil:
		return r.Policy.KeepPage
	case e.KeepOver:
		return 0
	case e.Reason == ReasonIdle, e.Reason == ReasonLifetime, e.Reason == ReasonReplaced && e.Continued:
		return max(0, min(r.Policy.KeepPage, r.Policy.KeepPage-now.Sub(e.At)))
	}
	return 0
}

// Continued reports whether old is the session that the browser of r had before, of the same user:
// its pages go on with r.
func (r *Record) Continued(old ID) bool { return r.Continues && r.Before == old }

// KeepUntil is until when the pages of r, which has ended, wait; zero if they do not. Stores have
// an index by this, of which Redis's endScript is a copy.
func (r *Record) KeepUntil() time.Time {
	if keep := r.Keep(r.End.At); keep > 0 {
		return r.End.At.Add(keep)
	}
	return time.Time{}
}

// SameUser reports whether two sessions are of one user: of one name and one directory entry.
func SameUser(a, b *Record) bool {
	return FoldName(a.User) == FoldName(b.User) && entryOf(a) == entryOf(b)
}

// entryOf is the directory entry of a session's user, as marks compare it.
func entryOf(r *Record) string { return strings.ToLower(cmp.Or(r.Identity, r.DN)) }
