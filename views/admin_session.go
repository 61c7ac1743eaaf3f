package views

import (
	"html/template"
	"net/http"

	"curfew/hub"
)

// The page of one session, for administrators.

type sessionPage struct {
	layout
	Session sessionJSON
	Device  string
	Row     consoleRow
}

var sessionTemplate = parse("session.html")

func (sessionPage) template() *template.Template { return sessionTemplate }

func (s *Server) consoleSession(w http.ResponseWriter, r *http.Request) error {
	found := s.hub.Sessions(hub.Filter{Ref: r.PathValue("ref")})
	if len(found) != 1 {
		return newProblem(http.StatusNotFound, "not-found", "error.sessionOver")
	}
	p := sessionPage{
		layout:  s.sessionLayout(r, "session.title"),
		Session: oneSession(found[0]),
		Row:     rowOf(s.locale(r), found[0], s.clock.Now()),
	}
	return s.render(w, http.StatusOK, p)
}
