package views

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"curfew/locale"
	"curfew/session"
)

// What an action did is told by the page that it leads to, once: a cookie brings it there. It holds
// the key of a text and its values, sealed for one session, so that nobody else can put words into
// a page, and what one session did is not told to the next.

// toastCookie bears what an action did to the next page.
const toastCookie = "__Host-curfew-told"

const (
	toastMaxAge = 30   // seconds
	maxToast    = 2048 // bytes of a cookie's value; what is longer is not told
)

// told is what a toast says.
type told struct {
	Key  string      `json:"key"`
	Data locale.Data `json:"data,omitempty"`
}

// toast has the page that the answer to r leads to say the text of a key, with values by their
// names: pairs of a name and a value, which is a text or a whole number. Handlers call it before
// they redirect.
func (s *Server) toast(w http.ResponseWriter, r *http.Request, key string, pairs ...any) {
	s.keepToast(w, visitOf(r).token.ID(), told{key, locale.Pairs(pairs...)}, toastMaxAge)
}

// keepToast has the next page of a session that comes within so many seconds say t.
func (s *Server) keepToast(w http.ResponseWriter, id session.ID, t told, maxAge int) {
	content, err := json.Marshal(t)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	mac := s.toastMAC(id, content)
	if value := base64.RawURLEncoding.EncodeToString(append(mac, content...)); len(value) <= maxToast {
		http.SetCookie(w, newToastCookie(value, maxAge))
	}
}

func newToastCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:     toastCookie,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   true,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// toastOf is what r brings to be told to the session of that ID, in a language.
func (s *Server) toastOf(r *http.Request, id session.ID, l *locale.Locale) string {
	t, ok := s.readToast(r, id)
	if !ok || passwordUnits[t.Key] != "" && !s.hub.MayTellOfPassword(id) {
		return ""
	}
	said, err := l.Say(t.Key, t.Data)
	if err != nil {
		return "" // of another version
	}
	return strings.TrimSpace(said)
}

// readToast reads what r brings to be told to the session of that ID. What is not sealed for that
// session is nothing.
func (s *Server) readToast(r *http.Request, id session.ID) (t told, ok bool) {
	c, err := r.Cookie(toastCookie)
	if err != nil {
		return told{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(sealed) < sha256.Size {
		return told{}, false
	}
	mac, content := sealed[:sha256.Size], sealed[sha256.Size:]
	if !hmac.Equal(mac, s.toastMAC(id, content)) {
		return told{}, false
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber() // whole numbers stay such
	if err := d.Decode(&t); err != nil {
		return told{}, false
	}
	for name, value := range t.Data {
		if number, ok := value.(json.Number); ok {
			n, _ := number.Int64()
			t.Data[name] = int(n)
		}
	}
	return t, true
}

func (s *Server) toastMAC(id session.ID, content []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("toast\x00"))
	mac.Write(id[:])
	mac.Write(content)
	return mac.Sum(nil)
}
