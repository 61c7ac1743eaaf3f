// Package gorilla lets any net/http application use Curfew's sessions through
// github.com/gorilla/sessions.
//
// The cookie carries an opaque ID and nothing else; the values are kept in the session's record. A
// session begins with [Store.SignIn], which gives the browser a new ID, and ends with
// [Store.SignOut] or a Save with a negative MaxAge. [Store.Save] changes only a live session: a
// slow request that saves after the end is refused and revives nothing.
//
// The package knows cookies, requests and values. Whoever keeps the sessions stands behind
// [Sessions]; deadlines, tabs and the directory are theirs. It starts no goroutine.
package gorilla
