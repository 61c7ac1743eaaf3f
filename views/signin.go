package views

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"

	"curfew/directory"
	"curfew/front"
	"curfew/locale"
	"curfew/session"
	"curfew/session/gorilla"
)

// signedInMark tells the sign-in page that it has just let somebody in. A browser that comes back
// with it but without the session's cookie has dropped that one: WebKit does on plain http, where
// it refuses Secure cookies.
const signedInMark = front.SignedInMark

type loginPage struct {
	layout
	Next          string
	Username      string
	Problem       string // what was wrong with the last attempt
	Wrong         bool   // so was what was entered, as far as can be told
	WaitS         int    // so many seconds from now another attempt makes sense
	Ended         string // why the last session ended
	Said          string // what an administrator has written about that, or about the problem
	Help          string // where help is
	IsPassword    bool   // the problem is that the password has to be changed, which help may tell of
	CookieDropped bool
	Window        bool // of a waiting page: see signInWindow
	SignedIn      bool // in that window: there is nothing left to do
}

var loginTemplate = parse("login.html")

func (loginPage) template() *template.Template { return loginTemplate }

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) error {
	next := s.safeNext(r.URL.Query().Get("next"))
	inWindow := r.URL.Query().Get("window") != ""
	_, err := s.visit(r)
	switch {
	case err == nil && inWindow:
		return s.signedInWindow(w, r)
	case err == nil:
		redirect(w, next, http.StatusSeeOther)
		return nil
	case !isSessionError(err):
		return err
	}
	p := s.newLoginPage(r, next)
	p.Window = inWindow
	var over overError
	errors.As(err, &over)
	if end := s.told(over); end != nil {
		p.Ended, p.Said = endText(*end).in(p.Locale), end.AdminText()
		if p.Said != "" {
			p.Ended = reasonText(end.Reason).in(p.Locale)
		}
	}
	if _, err := r.Cookie(signedInMark); err == nil {
		http.SetCookie(w, s.mark(-1))
		if _, err := r.Cookie(gorilla.CookieName); err != nil {
			p.CookieDropped = true
		}
	}
	return s.renderLogin(w, http.StatusOK, p)
}

func (s *Server) newLoginPage(r *http.Request, next string) loginPage {
	p := s.hub.Policies().Global
	page := loginPage{layout: s.layout(r, "login.title"), Next: next, Help: s.site.HelpURL}
	page.IdleTime, page.Once = page.InWords(p.ExpireAfter), rand.Text()
	return page
}

// signedInWindow answers the window that a waiting page has opened, once somebody has signed in in
// this browser. It closes itself, or says that it can be closed.
func (s *Server) signedInWindow(w http.ResponseWriter, r *http.Request) error {
	p := s.newLoginPage(r, "")
	p.Window, p.SignedIn = true, true
	return s.renderLogin(w, http.StatusOK, p)
}

func (s *Server) renderLogin(w http.ResponseWriter, status int, p loginPage) error {
	w.Header().Set("Content-Security-Policy", signInPolicy)
	return s.render(w, status, p)
}

func (s *Server) mark(maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:     signedInMark,
		Value:    "1",
		Path:     s.base + "/",
		MaxAge:   maxAge,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// Limits of what is typed into the sign-in form, in bytes.
const (
	maxUsername = 256
	maxPassword = 1024
)

// login signs somebody in. It says neither by words nor by its time whether a name exists.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	a := &attempt{
		typed:    strings.TrimSpace(r.PostForm.Get("username")),
		password: r.PostForm.Get("password"),
		address:  s.proxies.Address(r),
		next:     s.safeNext(r.PostForm.Get("next")),
		inWindow: r.PostForm.Get("window") != "",
		isScript: wantsJSON(r),
	}
	if len(a.typed) > maxUsername || len(a.password) > maxPassword || strings.ContainsFunc(a.typed, unicode.IsControl) {
		a.typed = ""
		s.listeners.Refused(RefusedCredentials)
		return s.loginAgain(w, r, a, http.StatusUnauthorized, wrongPassword)
	}
	began := time.Now()
	// Read before the directory is asked: see session.Record.SeenRevocation.
	seen, err := s.hub.LastRevocation(r.Context())
	if err != nil {
		return storeError{err}
	}
	entry, err := s.authenticate(r.Context(), a)
	if a.leave != nil {
		defer a.leave()
	}
	if err != nil || a.refused.wait > 0 {
		return s.loginFailed(w, r, a, err)
	}
	if revocation, blocked := s.hub.Blocked(entry.User, entry.Groups); blocked {
		return s.loginBlocked(w, r, a, entry.User, revocation)
	}
	token, err := s.signIn(w, r, a, entry, seen, began)
	if err != nil {
		return changeError{err}
	}
	s.log.Info("signed in", "user", entry.User, "address", a.address, "session", token.ID(), "request", requestID(r))
	if s.public.Scheme == "http" {
		http.SetCookie(w, s.mark(60))
	}
	switch {
	case a.isScript:
		writeJSON(w, http.StatusOK, signedIn{a.next})
	case a.inWindow:
		return s.signedInWindow(w, r)
	default:
		redirect(w, a.next, http.StatusSeeOther)
	}
	return nil
}

// signIn begins the session of somebody whom the directory lets in, and sets its cookies.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, a *attempt, entry directory.Entry, seen int64,
	began time.Time) (session.Token, error) {
	record := session.Record{
		User:            entry.User,
		Name:            entry.Name,
		Email:           entry.Email,
		DN:              entry.DN,
		Identity:        entry.Identity,
		PasswordChanged: entry.PasswordChanged,
		Login:           a.typed,
		Address:         a.address,
		Agent:           cut(r.UserAgent(), 300),
		Policy:          s.hub.Policies().For(entry.Groups),
		SeenRevocation:  seen,
	}
	for _, g := range entry.Groups {
		record.Groups = append(record.Groups, session.Group{Name: g, SeenRevocation: seen})
	}
	token, err := s.sessions.SignIn(w, r, record)
	if err != nil {
		return token, err
	}
	record.ID = token.ID()
	s.greet(w, r, &record)
	s.hub.TellOfSignIn(r.Context(), record)
	if warning := entry.PasswordWarning; warning != nil {
		s.keepToast(w, record.ID, passwordToast(*warning), passwordWarningFor)
	}
	s.listeners.SignedIn(record, began)
	return token, nil
}

// signedIn tells a script that it has signed somebody in, and where that leads.
type signedIn struct {
	Location string `json:"location"`
}

// loginAgain shows the sign-in page again, with what was typed but for the password. A script is
// told what was wrong.
func (s *Server) loginAgain(w http.ResponseWriter, r *http.Request, a *attempt, status int, problem text) error {
	if a.isScript {
		writeJSON(w, status, failure{
			Error:    cmp.Or(refusalCodes[directory.CauseOf(a.why)], loginFailures[status]),
			Message:  cmp.Or(a.said, problem.in(locale.English())),
			endWords: endWords{Text: a.said},
			Said:     problem.in(s.locale(r)),
			Help:     s.helpFor(a.why),
		})
		return nil
	}
	p := s.newLoginPage(r, a.next)
	p.Window = a.inWindow
	p.Username, p.Problem, p.Said = a.typed, problem.in(p.Locale), a.said
	p.Wrong = status == http.StatusUnauthorized
	p.IsPassword = isAboutPassword(a.why)
	if a.refused.wait > 0 {
		p.WaitS = seconds(a.refused.wait)
		p.Problem = text{key: "login.wait", data: locale.Data{"Count": p.WaitS}}.in(p.Locale)
	}
	return s.renderLogin(w, status, p)
}

// loginFailures names for programs why nobody was signed in.
var loginFailures = map[int]string{
	http.StatusUnauthorized:       "credentials",
	http.StatusForbidden:          "refused",
	http.StatusTooManyRequests:    "throttled",
	http.StatusServiceUnavailable: "unavailable",
}

// refusalCodes are more exact names for what only somebody with the right password is told.
var refusalCodes = map[directory.Cause]string{
	directory.CauseLocked:             "locked",
	directory.CauseNotAllowed:         "not-allowed",
	directory.CausePasswordExpired:    "password-expired",
	directory.CausePasswordMustChange: "password-must-change",
}

// loginFailed answers an attempt that was throttled, or that ended with an error of
// [Server.authenticate].
func (s *Server) loginFailed(w http.ResponseWriter, r *http.Request, a *attempt, err error) error {
	switch {
	case a.refused.wait > 0:
		s.listeners.Refused(RefusedThrottled)
		w.Header().Set("Retry-After", retryAfter(a.refused.wait))
		return s.loginAgain(w, r, a, http.StatusTooManyRequests,
			text{key: "login.throttled"})
	case errors.Is(err, errCrowded):
		s.listeners.Refused(RefusedCrowded)
		w.Header().Set("Retry-After", retryAfter(time.Second))
		return s.loginAgain(w, r, a, http.StatusServiceUnavailable,
			text{key: "login.crowded"})
	case errors.As(err, new(storeError)):
		return err
	case errors.Is(err, directory.ErrUnavailable), !isRefusal(err):
		s.log.Error("directory is out of reach", "request", requestID(r), "error", err)
		w.Header().Set("Retry-After", retryAfter(5*time.Second))
		return s.loginAgain(w, r, a, http.StatusServiceUnavailable,
			text{key: "login.directoryAway"})
	}
	s.log.Info("sign-in failed", "user", a.name, "address", a.address, "request", requestID(r), "cause", err)
	failure := session.Event{
		Detail: cut(err.Error(), 300),
		Data:   map[string]string{session.DataCause: string(directory.CauseOf(err))},
	}
	if err := s.writeFailure(r, a, failure); err != nil {
		return err // as for a right password that cannot be stored: the answer tells nobody which it was
	}
	s.listeners.Refused(refusalOf(err))
	a.why = err
	return s.loginAgain(w, r, a, http.StatusUnauthorized, refusal(err))
}

// loginBlocked answers an attempt with a right password while a forced logout refuses new sign-ins.
func (s *Server) loginBlocked(w http.ResponseWriter, r *http.Request, a *attempt, user string,
	by session.Revocation) error {
	failure := session.Event{
		Reason: session.ReasonAdmin,
		Detail: "sign-ins are refused by the forced logout of " + by.Scope.String(),
		Data:   by.Scope.Data(),
	}
	failure.Data[session.DataCause] = session.CauseBlocked
	if err := s.writeFailure(r, a, failure); err != nil {
		return err
	}
	s.log.Info("sign-in refused by a forced logout", "user", user, "address", a.address, "request", requestID(r))
	s.listeners.Refused(RefusedBlocked)
	a.said = by.Message
	return s.loginAgain(w, r, a, http.StatusForbidden, text{key: "login.refused"})
}

// writeFailure writes the audit line of a failed attempt. Without a reason it counts against the
// throttle.
func (s *Server) writeFailure(r *http.Request, a *attempt, e session.Event) error {
	e.At, e.Kind = session.Millis(s.clock.Now()), session.EventSignInFailed
	e.User, e.Address, e.Request = a.name, a.address, requestID(r)
	if err := s.trail.Append(context.WithoutCancel(r.Context()), e); err != nil {
		return changeError{err}
	}
	return nil
}

func isRefusal(err error) bool {
	return errors.Is(err, directory.ErrBadCredentials) || errors.Is(err, directory.ErrLocked) ||
		errors.Is(err, directory.ErrNotAllowed) || isAboutPassword(err)
}

var wrongPassword = text{key: "login.wrong"}

// refusal is what a person is told. Whether the name exists is not part of it.
func refusal(err error) text {
	switch {
	case errors.Is(err, directory.ErrLocked):
		return text{key: "login.locked"}
	case errors.Is(err, directory.ErrNotAllowed):
		return text{key: "login.notAllowed"}
	case errors.Is(err, directory.ErrPasswordExpired):
		return text{key: "login.passwordExpired"}
	case errors.Is(err, directory.ErrPasswordMustChange):
		return text{key: "login.passwordMustChange"}
	}
	return wrongPassword
}

// logoutPage is where an application's own link leads. No link may sign anybody out, since a page
// of another site could hold it.
type logoutPage struct {
	layout
	Back string
}

var logoutTemplate = parse("logout.html")

func (logoutPage) template() *template.Template { return logoutTemplate }

func (s *Server) logoutPage(w http.ResponseWriter, r *http.Request) error {
	c := s.sessionLayout(r, "logout.title")
	return s.render(w, http.StatusOK, logoutPage{c, s.wayBack(r, c.App.URL)})
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	v, err := s.check(r)
	switch {
	case err == nil:
		switch err := s.checkCrossSite(w, r, v.token.ID()); {
		case s.isOutdated(r, v.status.Record.User, err):
			return s.offerAgain(w, withVisit(r, v))
		case err != nil:
			return err
		}
		if err := s.sessions.SignOut(r); err != nil {
			return changeError{err}
		}
		s.log.Info("signed out", "user", v.status.Record.User, "session", v.token.ID(), "request", requestID(r))
	case !isSessionError(err):
		return err
	} // else nothing is left to do, and nothing to protect
	redirect(w, s.base+"/login", http.StatusSeeOther)
	return nil
}
