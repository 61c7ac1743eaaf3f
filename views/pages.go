package views

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"curfew/static"
)

//go:embed pages
var pageFiles embed.FS

// chrome is what all pages share.
type chrome struct {
	Title   string
	Base    string
	Testing bool

	// of a signed-in page
	User     string
	Name     string
	CSRF     string
	Once     string // of the forms of this page, see once
	IdleTime string
	IsAdmin  bool
	Here     string // the page, in the navigation
}

func (s *Server) chrome(title string) chrome {
	return chrome{Title: title, Base: s.base, Testing: s.testing}
}

// signedInChrome is chrome for a page of the session of r.
func (s *Server) signedInChrome(r *http.Request, title string) chrome {
	v := visitOf(r)
	c := s.chrome(title)
	c.User, c.Name, c.CSRF = v.status.Record.User, v.status.Record.Name, s.csrf(v.token.ID())
	c.Once = rand.Text()
	c.IdleTime = inWords(v.status.Record.Policy.ExpireAfter)
	c.IsAdmin = s.hub.IsAdmin(v.status.Record.GroupNames())
	c.Here = map[string]string{"/": "home", "/account": "account", "/admin": "admin", "/admin/audit": "audit"}[r.URL.Path]
	return c
}

type loginPage struct {
	chrome
	Next          string
	Username      string
	Problem       string // what was wrong with the last attempt
	Ended         string // why the last session ended
	CookieDropped bool
}

type homePage struct {
	chrome
	Note       string
	MayWatch   bool // the presence of others
	People     []person
	PeopleAway bool
}

type person struct{ User, Name, Title, Email, Phone string }

type errorPage struct {
	chrome
	Status  int
	Message string
}

var (
	loginTemplate = parse("login.html")
	homeTemplate  = parse("home.html")
	errorTemplate = parse("error.html")

	accountTemplate  = parse("account.html")
	consoleTemplate  = parse("console.html")
	confirmTemplate  = parse("confirm.html")
	progressTemplate = parse("progress.html")
	sessionTemplate  = parse("session.html")
	auditTemplate    = parse("audit.html")
)

func parse(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name))
}

// render writes a page, whole or not at all.
func (s *Server) render(w http.ResponseWriter, status int, page any) error {
	var t *template.Template
	switch page.(type) {
	case loginPage:
		t = loginTemplate
	case homePage:
		t = homeTemplate
	case errorPage:
		t = errorTemplate
	case accountPage:
		t = accountTemplate
	case consolePage:
		t = consoleTemplate
	case confirmPage:
		t = confirmTemplate
	case progressPage:
		t = progressTemplate
	case sessionPage:
		t = sessionTemplate
	case auditPage:
		t = auditTemplate
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", page); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

// staticFiles serves the browser's files. They may be kept, but are asked for anew each time.
func staticFiles() handler {
	type file struct {
		data       []byte
		etag, kind string
	}
	files := make(map[string]file)
	entries, err := fs.ReadDir(static.Files, ".")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		data, err := static.Files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		files[e.Name()] = file{data, `"` + hex.EncodeToString(sum[:12]) + `"`, mime.TypeByExtension(path.Ext(e.Name()))}
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		f, ok := files[r.PathValue("name")]
		if !ok {
			return errNoPage
		}
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", f.kind)
		h.Set("ETag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		w.Write(f.data)
		return nil
	}
}
