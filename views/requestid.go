package views

import (
	"crypto/rand"
	"net/http"
	"strings"

	"curfew/front"
	"curfew/session"
)

// Each request has an ID, by which what a person saw, the log of Curfew and that of the application
// are put together. It stands in the header of the request from the start, where all that answers
// finds it, the application too, and in the header of the answer.

// identify gives a request its ID, in both headers. One that the answer has already is kept where
// it is clean: it is of an earlier call, or of a program around Curfew that names requests itself.
// No client can write there. Otherwise it is that of a trusted proxy where it is clean, else a new
// one.
func (s *shared) identify(w http.ResponseWriter, r *http.Request) {
	id := w.Header()[front.RequestID]
	if !isOneRequestID(id) {
		id = r.Header[front.RequestID]
		if !isOneRequestID(id) || !s.proxies.trusts(peer(r)) {
			id = []string{strings.ToLower(rand.Text()[:20])}
		}
		w.Header()[front.RequestID] = id
	}
	r.Header[front.RequestID] = id
}

func isOneRequestID(values []string) bool { return len(values) == 1 && session.IsRequestID(values[0]) }

// requestID is the ID of a request.
func requestID(r *http.Request) string { return r.Header.Get(front.RequestID) }
