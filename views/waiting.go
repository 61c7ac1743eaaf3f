package views

import (
	"net/http"

	"curfew/hub"
	"curfew/session"
)

// What a page is told that waits for its user to come back, and one that has slept: it asks by the
// handle of its own session, since the browser may have another one by then.

// ownEnd is how the session of a page has ended, while the browser has another one that lives.
type ownEnd struct {
	Reason  session.Reason `json:"reason,omitempty"`
	EndedMS int64          `json:"ago_ms"`  // how long ago
	Revoked bool           `json:"revoked"` // a forced logout covers it: the page never comes back
	endWords
}

// ownEnd returns nil for a session that lives.
func (s *Server) ownEnd(r *http.Request, handle string) (*ownEnd, error) {
	record, err := s.hub.OfHandle(r.Context(), handle)
	switch {
	case err == nil:
		return nil, nil
	case !isSessionError(err):
		return nil, storeError{err}
	case s.told(overError{err, record}) == nil:
		return &ownEnd{EndedMS: session.TombstoneFor.Milliseconds()}, nil // or longer ago
	}
	e, err := s.hub.Ended(r.Context(), &record)
	if err != nil {
		return nil, storeError{err}
	}
	return &ownEnd{
		Reason:   record.End.Reason,
		EndedMS:  e.Since.Milliseconds(),
		Revoked:  e.Revoked,
		endWords: wordsOf(record.End),
	}, nil
}

// ownEndOf is the error by which a page without a session is told how its own has ended.
func (s *Server) ownEndOf(r *http.Request, handle string) error {
	record, err := s.hub.OfHandle(r.Context(), handle)
	switch {
	case err == nil:
		return session.ErrNotFound // it lives, though not in this browser
	case isSessionError(err):
		return overError{err, record}
	}
	return storeError{err}
}

// ended tells how the session of over has ended, as the browser of r may know it; false for one
// that is unknown by now.
func (s *Server) ended(r *http.Request, over overError) (e hub.Ended, ok bool, err error) {
	if s.told(over) == nil {
		return e, false, nil
	}
	e, err = s.hub.Ended(r.Context(), &over.record)
	if err != nil {
		return e, false, storeError{err}
	}
	return e, true, nil
}
