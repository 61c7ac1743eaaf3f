package views

import (
	"errors"
	"html/template"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/sessions"

	"curfew/session"
)

// The sample application: a staff directory, and a note that its user keeps in the session.

// maxPeople is how many people the staff directory shows.
const maxPeople = 200

const noteValue = "note"

type homePage struct {
	layout
	Note       string
	Problem    string // why the note was not saved
	MayWatch   bool   // the presence of others
	People     []person
	PeopleAway bool
}

var homeTemplate = parse("home.html")

func (homePage) template() *template.Template { return homeTemplate }

type person struct{ User, Name, Title, Email, Phone string }

// sampleHome serves the sample application's home page with h, where there is no application in its
// place.
func (s *Server) sampleHome(h handler) handler {
	guarded := s.requireSession(h)
	return func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case !s.guard.exists && !s.isConsole:
			return guarded(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			return s.noRoute(r)
		}
		redirect(w, s.home, http.StatusSeeOther)
		return nil
	}
}

// values are the session's values of the application.
func (s *Server) values(r *http.Request) (*sessions.Session, error) { return s.sessions.Get(r, "home") }

func (s *Server) staffDirectory(w http.ResponseWriter, r *http.Request) error {
	values, err := s.values(r)
	if err != nil {
		return s.sessionError(err)
	}
	note, _ := values.Values[noteValue].(string)
	return s.renderHome(w, r, http.StatusOK, note, text{})
}

// renderHome shows the home page with a note, and what is wrong with that.
func (s *Server) renderHome(w http.ResponseWriter, r *http.Request, status int, note string, problem text) error {
	p := homePage{layout: s.sessionLayout(r, "home.title"), Note: note}
	p.Problem = problem.in(p.Locale)
	p.MayWatch = s.hub.MayWatch(visitOf(r).status.Record.GroupNames(), !s.isForAdmins())
	people, err := s.people.People(r.Context(), maxPeople)
	if err != nil {
		s.log.Warn("staff directory not read", "error", err)
		p.PeopleAway = true
	}
	for _, e := range people {
		p.People = append(p.People, person{e.User, e.Name, e.Title, e.Email, e.Phone})
	}
	return s.render(w, status, p)
}

// noteProblem answers a note that was not saved: the page that it was typed into says why, and has
// it still.
func (s *Server) noteProblem(w http.ResponseWriter, r *http.Request, note string, p *problem) error {
	if !isNavigation(r) {
		return p
	}
	return s.renderHome(w, r, p.status, note, p.text)
}

// maxNote is the longest note in characters.
const maxNote = 4000

func (s *Server) saveNote(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	values, err := s.values(r)
	if err != nil {
		return s.sessionError(err)
	}
	note := strings.ReplaceAll(r.PostForm.Get("note"), "\r\n", "\n")
	if n := utf8.RuneCountInString(note); n > maxNote {
		return s.noteProblem(w, r, note,
			newProblem(http.StatusUnprocessableEntity, "invalid", "home.noteTooLong", "Count", n, "Most", maxNote))
	}
	values.Values[noteValue] = note
	switch err := values.Save(r, w); {
	case errors.Is(err, session.ErrConflict):
		if now, err := s.sessions.New(r, "home"); err == nil && now.Values[noteValue] == note {
			break // a double click: the first has saved the same
		}
		return s.noteProblem(w, r, note, newProblem(http.StatusConflict, "conflict", "error.noteConflict"))
	case isSessionError(err):
		return err
	case err != nil:
		return changeError{err}
	}
	s.toast(w, r, "home.saved")
	redirect(w, s.base+"/", http.StatusSeeOther)
	return nil
}
