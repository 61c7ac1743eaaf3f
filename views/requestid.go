package views

import (
	"crypto/rand"
	"net/http"
	"strings"

	"curfew/front"
)

// Each request has an ID, by which what a person saw, the log of Curfew and that of the application
// are put together. It stands in the header of the request from the start, where all that answers
// finds it, the application too, and in the header of the answer.

// maxRequestID is how long an ID of a proxy may be.
const maxRequestID = 128

// identify gives a request its ID: that of a trusted proxy where it is clean, else a new one. A
// second call changes nothing.
func (s *shared) identify(w http.ResponseWriter, r *http.Request) {
	if len(w.Header()[front.RequestID]) > 0 {
		return
	}
	id := r.Header[front.RequestID]
	if len(id) != 1 || !isCleanRequestID(id[0]) || !s.proxies.trusts(peer(r)) {
		id = []string{strings.ToLower(rand.Text()[:20])}
		r.Header[front.RequestID] = id
	}
	w.Header()[front.RequestID] = id
}

// requestID is the ID of a request.
func requestID(r *http.Request) string { return r.Header.Get(front.RequestID) }

const requestIDCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/=+"

// isCleanRequestID reports whether an ID means the same in a log, in JSON, in HTML and in a header.
func isCleanRequestID(id string) bool {
	return id != "" && len(id) <= maxRequestID && strings.Trim(id, requestIDCharacters) == ""
}
