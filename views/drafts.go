package views

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// What is typed into a page is kept in the browser, sealed by a key that only a live session of its
// user gets.

// draftKey is the key of a user's drafts.
type draftKey struct {
	ID  string `json:"id"`  // names the key, and tells nothing of it
	Key string `json:"key"` // 32 bytes, in base64url
}

// draftKey answers with the key of the session's user. A page may say by `who` whose key it wants:
// it gets no other, should somebody else have signed in meanwhile. What a service worker of an
// application makes of it, it cannot store: the Cache API takes no answer that has "Vary: *"
// (Service Workers, 5.4.5).
func (s *Server) draftKey(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	who := s.hub.Who(&v.status.Record)
	w.Header().Set("Vary", "*")
	if wanted := r.URL.Query().Get("who"); wanted != "" && wanted != who {
		return newProblem(http.StatusConflict, "other-user", "error.otherUser")
	}
	derive := func(purpose string) []byte {
		mac := hmac.New(sha256.New, s.secret)
		mac.Write([]byte("drafts of a user\x00" + purpose + "\x00" + who))
		return mac.Sum(nil)
	}
	encode := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, draftKey{ID: encode(derive("id")[:12]), Key: encode(derive("key"))})
	return nil
}

// fromPage refuses requests of pages of other origins, though they read only.
func (s *Server) fromPage(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.sameOrigin(r) {
			return errCrossSite
		}
		return h(w, r)
	}
}
