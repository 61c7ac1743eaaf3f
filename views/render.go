package views

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"time"

	"curfew/locale"
)

//go:embed pages
var pageFiles embed.FS

// layout is what all pages share, and layout.html shows. The type of a page embeds it.
type layout struct {
	Locale  *locale.Locale // the language of the page
	Title   string
	Site    string // its name
	Base    string
	App     link // what people are signed in for
	Testing bool

	// of a signed-in page
	User     string
	Name     string
	CSRF     string
	Stamp    string // of the forms of this user: see outdated.go
	Once     string // of the forms of this page, see once
	IdleTime string
	IsAdmin  bool
	Here     string // the page, in the navigation
	Toast    string // what the action did that has led here: see Server.toast
}

// T says the text of a key in the language of the page, with values by their names: pairs of a name
// and a value.
func (c layout) T(key string, pairs ...any) (string, error) {
	return c.Locale.Say(key, locale.Pairs(pairs...))
}

// InWords is a duration as people say it.
func (c layout) InWords(d time.Duration) string { return inWords(c.Locale, d) }

// Ago is how long ago something was, as people say it.
func (c layout) Ago(d time.Duration) string { return ago(c.Locale, d) }

// layout is that of the answer to r. The title is the key of a text.
func (s *Server) layout(r *http.Request, title string) layout {
	l := s.locale(r)
	return layout{
		Locale:  l,
		Title:   text{key: title}.in(l),
		Site:    l.Isolated(s.site.Name),
		Base:    s.base,
		App:     s.applicationLink(l),
		Testing: s.site.IsTesting,
	}
}

// sessionLayout is layout for a page of the session of r.
func (s *Server) sessionLayout(r *http.Request, title string) layout {
	v := visitOf(r)
	c := s.layout(r, title)
	c.User, c.Name, c.CSRF = v.status.Record.User, v.status.Record.Name, s.csrf(v.token.ID())
	c.Stamp = s.stamp(c.User)
	c.Once = rand.Text()
	c.IdleTime = c.InWords(v.status.Record.Policy.ExpireAfter)
	c.IsAdmin = s.hub.IsAdmin(v.status.Record.GroupNames())
	c.Toast = s.toastOf(r, v.token.ID(), c.Locale)
	c.Here = map[string]string{"/": "home", "/account": "account", "/admin": "admin",
		"/admin/audit": "audit"}[r.URL.Path]
	return c
}

// page is what a template shows. There is a type for each template, with the fields that it uses.
type page interface {
	template() *template.Template
	hasToast() bool // of layout
}

func (c layout) hasToast() bool { return c.Toast != "" }

// parse reads the template of a page, which defines "main", and "head" where the page has scripts.
func parse(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name))
}

// render writes a page, whole or not at all.
func (s *Server) render(w http.ResponseWriter, status int, p page) error {
	var b bytes.Buffer
	if err := p.template().ExecuteTemplate(&b, "layout.html", p); err != nil {
		return err
	}
	if p.hasToast() {
		http.SetCookie(w, newToastCookie("", -1)) // told
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}
