package views

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"curfew/locale"
	"curfew/static"
)

// languageCookie keeps the language that a person has chosen with ?lang=, for a year. Scripts may
// read it: the browser client speaks the same one.
const languageCookie = "__Host-curfew-lang"

const languageMaxAge = 365 * 24 * 60 * 60 // seconds

// locale is the language in which the answer to r speaks: the one that is named in its address,
// else the one chosen before, else the one that the browser asks for.
func (s *Server) locale(r *http.Request) *locale.Locale {
	if l, ok := s.site.Languages.Named(r.URL.Query().Get("lang")); ok {
		return l
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if l, ok := s.site.Languages.Named(c.Value); ok {
			return l
		}
	}
	return s.site.Languages.Accepted(r.Header.Get("Accept-Language"))
}

// keepLanguage keeps the language that is named in the address of a page, if it is offered. The
// script asks for its words by what the browser prefers, which nobody has chosen here.
func (s *Server) keepLanguage(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery == "" {
		return // as of most requests
	}
	l, ok := s.site.Languages.Named(r.URL.Query().Get("lang"))
	if !ok || strings.HasSuffix(r.URL.Path, "/words.json") {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name:     languageCookie,
		Value:    l.Name,
		Path:     "/",
		MaxAge:   languageMaxAge,
		Secure:   true,
		SameSite: http.SameSiteLaxMode,
	})
}

// text is a text that is not said in any language yet.
type text struct {
	key  string
	data locale.Data
	// said is what stands for it in all languages, where there is no key: what an administrator has
	// written, or English of which only programs hear.
	said string
}

// english is a text of which only programs hear.
func english(said string) text { return text{said: said} }

// in says the text in a language, and texts in its data, too. A key that there is not stands for
// itself: the tests find it.
func (t text) in(l *locale.Locale) string {
	if t.key == "" {
		return t.said
	}
	data := maps.Clone(t.data)
	for name, v := range data {
		if inner, ok := v.(text); ok {
			data[name] = inner.in(l)
		}
	}
	said, err := l.Say(t.key, data)
	if err != nil {
		return t.key
	}
	return said
}

// Words are the texts of a page's script, by their keys, which begin with one of these prefixes.
// English stands in for what the language does not have.
func (c layout) Words(prefixes ...string) (map[string]any, error) {
	words := make(map[string]any)
	for _, l := range []*locale.Locale{locale.English(), c.Locale} {
		if err := json.Unmarshal(l.Part(prefixes...), &words); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// wordsMaxAge is how long a browser may keep the words of its languages. They belong to a version
// of the browser client, but the languages that are offered may change with a restart.
const wordsMaxAge = "private, max-age=3600"

// wordsJSON is what the browser client says, in one language.
type wordsJSON struct {
	Lang  string          `json:"lang"`
	Dir   string          `json:"dir"`
	Words json.RawMessage `json:"words"` // see locale.Locale.Part
}

// words answers the browser client, which asks for languages in the order in which its person
// prefers them: the tag's, the chosen one, those of the browser.
func (s *Server) words(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("version") != static.Load().Version {
		return errNoPage
	}
	l := s.site.Languages.Preferred(strings.Split(r.URL.Query().Get("lang"), ","))
	w.Header().Set("Cache-Control", wordsMaxAge)
	writeJSON(w, http.StatusOK, wordsJSON{l.Name, l.Dir, l.Part(static.Words...)})
	return nil
}
