package views

import (
	"errors"
	"net/http"
	"strings"

	"curfew/session"
)

// What administrators tell people, for the API.

var errNobodyToTell = newProblem(http.StatusNotFound, "not-found", "error.nobodyToTell")

type noticeJSON struct {
	ID       string `json:"id"`
	Sessions int    `json:"sessions"`
	Tabs     int    `json:"tabs"`
}

func (s *Server) apiNotice(r *http.Request, who caller) (any, error) {
	var body struct {
		User     string `json:"user"`
		Group    string `json:"group"`
		Everyone bool   `json:"everyone"`
		Message  string `json:"message"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	scope, err := scopeJSON{User: body.User, Group: body.Group, Everyone: body.Everyone}.scope()
	if err != nil {
		return nil, unprocessable("exactly one of user, group and everyone must be given")
	}
	if strings.TrimSpace(body.Message) == "" {
		return nil, unprocessable("message: must be given")
	}
	if err := checkMessage(body.Message); err != nil {
		return nil, err
	}
	notice, err := s.hub.Notify(r.Context(), scope, who.name, body.Message)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return nil, errNobodyToTell
	case err != nil:
		return nil, changeError{err}
	}
	return noticeJSON{notice.ID, notice.Sessions, notice.Tabs}, nil
}
