package views

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"curfew/locale"
	"curfew/session"
)

// A form is out of date where its token is that of an earlier session: its person has signed in
// anew since it was opened, and no script was there to renew it. Nothing is done then. The person
// is shown what would be done, and goes on by a form with what they entered and the token of now.
//
// That protects as the token does. The page does nothing by itself, and is shown only to a form
// that a page of this origin has sent, with a stamp that Curfew has given to this very user. So
// whoever could have a browser of theirs send such a form had to read a page of theirs before, and
// then needs a click of theirs on a page that says what it does. Whom a forced logout ends is
// counted and confirmed anew.

// againPage offers to go on with a form that was out of date.
type againPage struct {
	layout
	What   string   // will be done
	Texts  []string // that were entered
	Action string
	Fields []hiddenField
	Back   string
}

type hiddenField struct{ Name, Value string }

var againTemplate = parse("again.html")

func (againPage) template() *template.Template { return againTemplate }

// stamp marks a form as one that was made for a user, in whatever session of theirs.
func (s *Server) stamp(user string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("form\x00" + session.FoldName(user)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isOutdated reports whether err is about a form of the session's user that is out of date, and no
// worse. Here a browser has to say itself that a page of this origin sends the form.
func (s *Server) isOutdated(r *http.Request, user string, err error) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	isOurs := site == "same-origin" || site == "" && s.hasOrigin(r)
	return errors.Is(err, errNoToken) && r.Method == http.MethodPost && isNavigation(r) && isOurs &&
		r.Header.Get("X-CSRF-Token") == "" && hmac.Equal([]byte(r.PostForm.Get("stamp")), []byte(s.stamp(user)))
}

// forcedLogouts is where a confirmed order goes. One that is out of date is counted anew.
const forcedLogouts = "/admin/logouts"

// offerAgain answers a form that is out of date.
func (s *Server) offerAgain(w http.ResponseWriter, r *http.Request) error {
	p := againPage{layout: s.sessionLayout(r, "again.title"), Action: s.base + r.URL.Path}
	if r.URL.Path == forcedLogouts {
		p.Action = s.base + reviewPath
	}
	p.What = doneBy(r).in(p.Locale)
	p.Back = s.wayBack(r, p.App.URL)
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		switch name {
		case "csrf", "stamp", "once", "typed":
			continue // the page has its own, and what was typed confirms a number of before
		}
		for _, value := range r.PostForm[name] {
			p.Fields = append(p.Fields, hiddenField{name, value})
			if (name == "note" || name == "message") && strings.TrimSpace(value) != "" {
				p.Texts = append(p.Texts, value)
			}
		}
	}
	return s.render(w, http.StatusForbidden, p)
}

// doneBy is what a form does.
func doneBy(r *http.Request) text {
	does := "other"
	switch path := r.URL.Path; {
	case path == "/":
		does = "note"
	case path == "/logout":
		does = "signOut"
	case path == "/session/extend":
		does = "stay"
	case path == "/account" && r.PostForm.Get("others") != "":
		does = "endOthers"
	case path == "/account":
		does = "endOwn"
	case path == "/admin/confirm", path == reviewPath, path == forcedLogouts, path == forcedLogouts+"/new":
		does = "order"
	case path == "/admin/notices":
		does = "notice"
	case strings.HasPrefix(path, forcedLogouts+"/"):
		does = "logout"
	}
	return text{key: "again." + does, data: locale.Data{}}
}
