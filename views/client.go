package views

import (
	"net/http"
	"strconv"
	"time"

	"curfew/session/gorilla"
)

// What the browser client asks for, and pages without it.

func (s *Server) clientRoutes() {
	s.mux.Handle("GET /session/ws", s.page(s.socket))
	s.mux.Handle("GET /session/echo", s.page(s.echo))
	s.mux.Handle("GET /session/status", s.page(s.status))
	s.mux.Handle("GET /session/draft-key", s.page(s.fromPage(s.observeSession(s.draftKey))))
	s.mux.Handle("POST /session/extend", s.page(s.requireSession(s.protected(s.extend))))
	s.mux.Handle("POST /session/activity", s.page(s.requireSession(s.protected(s.activity))))
}

func (s *Server) socket(w http.ResponseWriter, r *http.Request) error {
	token, _ := gorilla.Token(r) // without one the hub finds no session, after it has judged the origin
	at := s.endpoint(r)
	at.Password = s.passwordNotice(w, r, token.ID())
	err := s.hub.Accept(w, r, token.ID(), at)
	if err != nil {
		w.Header().Del("Set-Cookie") // nobody was told: another page may be
	}
	if err == nil || isSessionError(err) || problemFor(err) != errInternal {
		return err
	}
	return storeError{err}
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	v, err := s.check(r)
	handle := ""
	if r.URL.RawQuery != "" {
		handle = r.URL.Query().Get("handle")
	}
	if err != nil {
		if handle == "" || !isSessionError(err) {
			return err
		}
		return s.ownEndOf(r, handle)
	}
	a := s.answer(&v.status)
	if handle != "" && handle != a.Handle {
		if a.Own, err = s.ownEnd(r, handle); err != nil {
			return err
		}
	}
	a.write(w)
	return nil
}

func (s *Server) extend(w http.ResponseWriter, r *http.Request) error { return s.act(w, r, 0, true) }

func (s *Server) activity(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	idle := int64(0)
	if text := r.PostForm.Get("idle_ms"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 0 || ms > (100*365*24*time.Hour).Milliseconds() {
			return errBadForm
		}
		idle = ms
	}
	return s.act(w, r, time.Duration(idle)*time.Millisecond, false)
}

func (s *Server) act(w http.ResponseWriter, r *http.Request, idle time.Duration, confirm bool) error {
	id := visitOf(r).token.ID()
	if err := s.hub.Act(r.Context(), id, idle, confirm); err != nil {
		return s.sessionError(err)
	}
	if isNavigation(r) {
		if confirm {
			s.toast(w, r, "bar.stayed")
		}
		redirect(w, s.cameFrom(r), http.StatusSeeOther)
		return nil
	}
	status, err := s.hub.Check(r.Context(), id)
	if err != nil {
		return s.sessionError(err)
	}
	a := s.answer(&status)
	a.write(w)
	return nil
}
