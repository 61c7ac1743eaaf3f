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
	content, err := json.Marshal(told{key, locale.Pairs(pairs...)})
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	mac := s.toastMAC(visitOf(r).token.ID(), content)
	if value := base64.RawURLEncoding.EncodeToString(append(mac, content...)); len(value) <= maxToast {
		http.SetCookie(w, newToastCookie(value, toastMaxAge))
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

// toastOf is what r brings to be told to the session of that ID, in a language. What is not sealed
// for that session is nothing.
func (s *Server) toastOf(r *http.Request, id session.ID, l *locale.Locale) string {
	c, err := r.Cookie(toastCookie)
	if err != nil {
		return ""
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(sealed) < sha256.Size {
		return ""
	}
	mac, content := sealed[:sha256.Size], sealed[sha256.Size:]
	if !hmac.Equal(mac, s.toastMAC(id, content)) {
		return ""
	}
	var t told
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber() // whole numbers stay such
	if err := d.Decode(&t); err != nil {
		return ""
	}
	for name, value := range t.Data {
		if number, ok := value.(json.Number); ok {
			n, _ := number.Int64()
			t.Data[name] = int(n)
		}
	}
	said, err := l.Say(t.Key, t.Data)
	if err != nil {
		return "" // of another version
	}
	return strings.TrimSpace(said)
}

func (s *Server) toastMAC(id session.ID, content []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("toast\x00"))
	mac.Write(id[:])
	mac.Write(content)
	return mac.Sum(nil)
}
