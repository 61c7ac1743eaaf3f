package views

import (
	"net/http"
	"strconv"
	"time"

	"curfew/hub"
	"curfew/session"
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

// statusAnswer tells a page how its session stands.
type statusAnswer struct {
	User       string    `json:"user"`
	Name       string    `json:"name"`
	State      hub.State `json:"state"`
	WarnInMS   int64     `json:"warn_in_ms"`
	ExpireInMS int64     `json:"expire_in_ms"`
	Who        string    `json:"who"`    // see hub.Hub.Who
	Rights     string    `json:"rights"` // see hub.Hub.Rights
	Handle     string    `json:"handle"` // see hub.Hub.Handle
	CSRF       string    `json:"csrf"`
	KeepMS     int64     `json:"keep_ms"`         // how long the page waits after an end by time
	Own        *ownEnd   `json:"ended,omitempty"` // of the session that the page asks about, where it is another one
	// What the socket's hello tells, for pages that can have none.
	HeartbeatMS int64            `json:"heartbeat_ms"`
	ExtendOn    session.ExtendOn `json:"extend_on"`
	Reason      session.Reason   `json:"reason,omitempty"`  // of the warning that stands
	Message     string           `json:"message,omitempty"` // of the warning that stands
	Text        string           `json:"text,omitempty"`    // of the warning, by an administrator
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
	a := s.answer(v.token.ID(), v.status)
	if handle != "" && handle != a.Handle {
		if a.Own, err = s.ownEnd(r, handle); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, a)
	return nil
}

func (s *Server) answer(id session.ID, st hub.Status) statusAnswer {
	a := statusAnswer{
		User:        st.Record.User,
		Name:        st.Record.Name,
		State:       st.State,
		WarnInMS:    st.WarnIn.Milliseconds(),
		ExpireInMS:  st.ExpireIn.Milliseconds(),
		Who:         s.hub.Who(&st.Record),
		Rights:      s.hub.Rights(&st.Record),
		Handle:      s.hub.Handle(id),
		CSRF:        s.csrf(id),
		KeepMS:      st.Record.Policy.KeepPage.Milliseconds(),
		HeartbeatMS: st.Record.Policy.HeartbeatEvery().Milliseconds(),
		ExtendOn:    st.Record.Policy.ExtendOn,
	}
	a.Reason, a.Message, a.Text = st.Warning, st.Message, st.Text
	return a
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
	writeJSON(w, http.StatusOK, s.answer(id, status))
	return nil
}
