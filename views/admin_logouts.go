package views

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/session"
)

// Forced logouts from the console: what is asked for is counted and shown first, then confirmed,
// then followed.

// typeToConfirmAbove is above how many users a forced logout must be confirmed by typing their
// number.
const typeToConfirmAbove = 50

// logoutForm is what the console's form asks for.
type logoutForm struct {
	scopes     []session.Scope // several for a selection of sessions
	Refs       []string
	User       string
	Group      string
	Everyone   bool
	Message    string
	GraceS     string // seconds, as typed
	BlockS     string
	ExceptSelf bool
	requests   []hub.LogoutRequest
}

// maxSelection is how many sessions may be selected at once.
const maxSelection = 200

func (s *Server) readLogoutForm(w http.ResponseWriter, r *http.Request) (logoutForm, error) {
	if err := parseForm(w, r); err != nil {
		return logoutForm{}, err
	}
	f := r.PostForm
	form := logoutForm{
		User:       f.Get("user"),
		Group:      f.Get("group"),
		Message:    strings.ReplaceAll(f.Get("message"), "\r\n", "\n"),
		GraceS:     f.Get("grace_s"),
		BlockS:     f.Get("block_s"),
		ExceptSelf: f.Get("except_self") != "",
	}
	switch f.Get("scope") {
	case "selection":
		form.Refs, form.User, form.Group = f["ref"], "", ""
		if len(form.Refs) > maxSelection {
			return form, unprocessable("Select %d sessions at most, or a group or everyone.", maxSelection)
		}
		for _, ref := range form.Refs {
			form.scopes = append(form.scopes, session.Scope{Session: ref})
		}
	case "user":
		form.scopes, form.Group = []session.Scope{{User: form.User}}, ""
	case "group":
		form.scopes, form.User = []session.Scope{{Group: form.Group}}, ""
	case "everyone":
		form.scopes, form.User, form.Group, form.Everyone = []session.Scope{{Everyone: true}}, "", "", true
	}
	if len(form.scopes) == 0 || form.scopes[0].Validate() != nil {
		return form, unprocessable("Choose whom to sign out: select sessions, or name a user or a group, or choose " +
			"everyone.")
	}
	grace, err := inMilliseconds("grace", form.GraceS)
	if err != nil {
		return form, err
	}
	block, err := inMilliseconds("block", form.BlockS)
	if err != nil {
		return form, err
	}
	who := caller{visitOf(r).status.Record.User, visitOf(r).token.ID().Ref()}
	for _, scope := range form.scopes {
		q, err := logoutRequest{
			scopeJSON:  scopeJSON{scope.User, scope.Group, scope.Session, scope.Everyone},
			Message:    form.Message,
			GraceMS:    grace,
			BlockMS:    block,
			ExceptSelf: form.ExceptSelf,
		}.check(who)
		if err != nil {
			return form, err
		}
		form.requests = append(form.requests, q)
	}
	return form, nil
}

// inMilliseconds reads a field of seconds, which may be empty.
func inMilliseconds(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, unprocessable("The %s must be a number of seconds, 0 or more.", name)
	}
	return n * 1000, nil
}

// impact is how much a forced logout would end.
type impact struct{ Users, Sessions, Tabs int }

func (s *Server) impact(form logoutForm) (n impact) {
	users := make(map[string]bool)
	targets := make([]session.Target, len(form.requests))
	for i, q := range form.requests {
		targets[i] = q.Scope.Target()
	}
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		for i, q := range form.requests {
			if targets[i].Matches(one.Names) && (q.Except == "" || q.Except != one.Names.Ref) {
				users[one.Names.User] = true
				n.Sessions++
				n.Tabs += one.Tabs
				break
			}
		}
	}
	n.Users = len(users)
	return n
}

type confirmPage struct {
	layout
	Form    logoutForm
	Impact  impact
	Whom    string
	Scope   string // as the form names it
	Grace   string
	Block   string
	Typed   bool // the number of users must be typed
	Problem string
}

var confirmTemplate = parse("confirm.html")

func (confirmPage) template() *template.Template { return confirmTemplate }

func (s *Server) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	form, err := s.readLogoutForm(w, r)
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, s.confirmPage(r, form, s.impact(form), ""))
}

func (s *Server) confirmPage(r *http.Request, form logoutForm, n impact, trouble string) confirmPage {
	p := confirmPage{
		layout:  s.sessionLayout(r, "confirm.title"),
		Form:    form,
		Impact:  n,
		Typed:   n.Users > typeToConfirmAbove,
		Problem: trouble,
		Scope:   r.PostForm.Get("scope"),
	}
	p.Whom = form.scopes[0].String()
	if len(form.scopes) > 1 {
		p.Whom = fmt.Sprintf("%d selected sessions", len(form.scopes))
	}
	if d := form.requests[0].Grace; d > 0 {
		p.Grace = p.InWords(d)
	}
	if d := form.requests[0].Block; d > 0 {
		p.Block = p.InWords(d)
	}
	return p
}

func (s *Server) forceLogout(w http.ResponseWriter, r *http.Request) error {
	form, err := s.readLogoutForm(w, r)
	if err != nil {
		return err
	}
	n := s.impact(form)
	typed := strings.TrimSpace(r.PostForm.Get("typed"))
	if n.Users > typeToConfirmAbove && typed != strconv.Itoa(n.Users) {
		trouble := ""
		if typed != "" {
			trouble = fmt.Sprintf("You typed %q, and it is %d users now. Nobody was signed out.",
				cut(typed, 20), n.Users)
		}
		return s.render(w, http.StatusUnprocessableEntity, s.confirmPage(r, form, n, trouble))
	}
	last := ""
	for _, q := range form.requests {
		l, err := s.hub.ForceLogout(r.Context(), q)
		if errors.Is(err, session.ErrNotFound) {
			continue // it has ended since it was selected
		}
		if err != nil {
			return refused(err)
		}
		last = l.ID
		if a, ok := w.(*recorded); ok {
			a.logouts = append(a.logouts, l.ID)
		}
	}
	if last == "" {
		return errNotSignedIn
	}
	if len(form.requests) > 1 {
		redirect(w, s.base+"/admin", http.StatusSeeOther)
		return nil
	}
	redirect(w, s.base+"/admin/logouts/"+last, http.StatusSeeOther)
	return nil
}

// leavesSomebody says that one of the forced logouts of an answer was cancelled, or that somebody
// in its scope has signed in since.
func (s *Server) leavesSomebody(_ *http.Request, a *recorded) (bool, error) {
	for _, id := range a.logouts {
		l, err := s.hub.ForcedLogout(id)
		if err != nil || !l.CancelledAt.IsZero() {
			return true, nil
		}
		target := l.Scope.Target()
		for _, one := range s.hub.Sessions(hub.Filter{}) {
			if target.Matches(one.Names) && one.Names.Ref != l.Except && !l.EndsNames(target, one.Names) {
				return true, nil
			}
		}
	}
	return false, nil
}

type progressPage struct {
	layout
	Logout    progressJSON
	Whom      string
	CanCancel bool
	When      string
}

var progressTemplate = parse("progress.html")

func (progressPage) template() *template.Template { return progressTemplate }

func (s *Server) followLogout(w http.ResponseWriter, r *http.Request) error {
	l, err := s.hub.ForcedLogout(r.PathValue("id"))
	if err != nil {
		return errNoPage
	}
	p := progressPage{layout: s.sessionLayout(r, "progress.title"), Logout: wholeProgress(l), Whom: l.Scope.String()}
	now := s.clock.Now()
	p.CanCancel = l.CancelledAt.IsZero() && (now.Before(l.EffectiveAt) || now.Before(l.BlockUntil))
	if left := l.EffectiveAt.Sub(now); left > 0 {
		p.When = "in " + p.InWords(left.Round(time.Second))
	}
	return s.render(w, http.StatusOK, p)
}

func (s *Server) cancelLogout(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	_, err := s.hub.CancelForcedLogout(r.Context(), id, visitOf(r).status.Record.User)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errNoPage
	case err != nil:
		return refused(err)
	}
	redirect(w, s.base+"/admin/logouts/"+id, http.StatusSeeOther)
	return nil
}

// sendNotice tells people something, from the console's form.
func (s *Server) sendNotice(w http.ResponseWriter, r *http.Request) error {
	form, err := s.readLogoutForm(w, r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(form.Message) == "" {
		return unprocessable("A notice needs a message.")
	}
	told := false
	for _, scope := range form.scopes {
		switch _, err := s.hub.Notify(r.Context(), scope, visitOf(r).status.Record.User, form.Message); {
		case errors.Is(err, session.ErrNotFound):
			continue // it has ended since it was selected
		case err != nil:
			return changeError{err}
		}
		told = true
	}
	if !told {
		return errNobodyToTell
	}
	redirect(w, s.base+"/admin", http.StatusSeeOther)
	return nil
}
