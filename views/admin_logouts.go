package views

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// Forced logouts and notices from the console: what the form asks for is counted and shown first,
// with whom it concerns and what follows, then confirmed. logoutform.go has the form, and
// admin_progress.go what comes of it.

// reviewPath is where the form goes to be counted and shown. Forms of older versions go to
// /admin/confirm, and a node of such a version would understand this one's times as none: here it
// answers 404.
const reviewPath = "/admin/review"

const (
	// typeToConfirmAbove is above how many users a forced logout must be confirmed by typing their
	// number, and a notice at all.
	typeToConfirmAbove = 50
	// namedPeople is how many of them are named.
	namedPeople = 10
)

// impact is how much an order would end, or how many a notice would reach.
type impact struct {
	Users    int
	Sessions int
	Tabs     int
	Waiting  int      // sessions that have ended and whose pages wait
	Named    []string // the first people, in order
	IsOwn    bool     // the administrator's own session is among them
}

func (n impact) isEmpty() bool { return n.Sessions == 0 && n.Waiting == 0 }

// More is how many people are not named.
func (n impact) More() int { return n.Users - len(n.Named) }

// countWait is how long a confirmation waits for the number of pages that wait.
const countWait = 2 * time.Second

// weighWaiting counts the sessions that have ended and whose pages wait, which asks the store. No
// order about sessions that live waits for it.
func (s *Server) weighWaiting(ctx context.Context, o *order) error {
	dry, err := s.hub.DryRun(ctx, o.request)
	switch {
	case errors.Is(err, session.ErrNotFound): // a single session that is over
	case errors.Is(err, hub.ErrTooManyLogouts):
		return refused(err)
	case err != nil && o.impact.Sessions == 0 && o.request.Block == 0:
		return refused(err) // nothing else is asked for
	case err != nil:
		s.log.Warn("pages that wait not counted", "scope", o.request.Scope.String(), "error", err)
	default:
		o.impact.Waiting = dry.Waiting
	}
	return nil
}

// askToConfirm shows o, with how many pages wait unless that takes too long. trouble is as for
// confirmPage.
func (s *Server) askToConfirm(w http.ResponseWriter, r *http.Request, status int, o order, trouble text) error {
	if o.impact.Sessions > 0 { // or else they have been counted
		ctx, cancel := context.WithTimeout(r.Context(), countWait)
		defer cancel()
		if err := s.weighWaiting(ctx, &o); err != nil {
			return err
		}
	}
	return s.render(w, status, s.confirmPage(r, o, trouble))
}

// weigh counts the sessions that live and that o concerns, and spells its name as those do who have
// it.
func (s *Server) weigh(o *order) {
	q := &o.request
	target := q.Scope.Target()
	var list []hub.Session
	for _, one := range s.hub.Sessions(hub.Filter{User: q.User}) {
		if target.Matches(one.Names) && (q.Except == "" || q.Except != one.Names.Ref) {
			list = append(list, one)
			o.impact.IsOwn = o.impact.IsOwn || one.Record.User == q.Actor
		}
	}
	users, totals := hub.Users(list)
	o.impact.Users, o.impact.Sessions, o.impact.Tabs = totals.Users, totals.Sessions, totals.Tabs
	names := make(map[string]string)
	for _, one := range list {
		names[one.Record.User] = one.Record.Name
		o.spell(one.Record)
	}
	for _, u := range users[:min(len(users), namedPeople)] {
		o.impact.Named = append(o.impact.Named, personOf(u.User, names[u.User]))
	}
}

// spell writes the name in the form as it is in the directory.
func (o *order) spell(r *session.Record) {
	switch o.form.Scope {
	case "user":
		o.form.User, o.request.User = r.User, r.User
	case "group":
		for _, name := range r.GroupNames() {
			if session.SameName(name, o.request.Group) {
				o.form.Group, o.request.Group = name, name
			}
		}
	}
}

// personOf is how people are named: by their name, and by that of their account where it is
// another.
func personOf(user, name string) string {
	if name == "" || name == user {
		return user
	}
	return name + " (" + user + ")"
}

type confirmPage struct {
	layout
	Form     logoutForm
	Impact   impact
	IsNotice bool
	Then     []piece // when they are signed out
	Blocked  []piece // until when sign-ins are refused; empty for not at all
	GraceS   int     // the grace in seconds, for nodes of an older version
	BlockS   int     // the block, likewise
	Typed    bool    // the number of users must be typed
	Number   string  // it
	Problem  string
}

var confirmTemplate = parse("confirm.html")

func (confirmPage) template() *template.Template { return confirmTemplate }

func (s *Server) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	o, wrong, err := s.understandLogout(r, readLogoutForm(r.PostForm))
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return s.refuseForm(w, r, o, wrong)
	}
	return s.askToConfirm(w, r, http.StatusOK, o, text{})
}

// confirmPage shows o. trouble is why it was not carried out; empty if nobody has confirmed it yet.
func (s *Server) confirmPage(r *http.Request, o order, trouble text) confirmPage {
	p := confirmPage{
		layout:  s.sessionLayout(r, "confirm.title"),
		Form:    o.form,
		Impact:  o.impact,
		Typed:   o.impact.Users > typeToConfirmAbove,
		Number:  strconv.Itoa(o.impact.Users),
		GraceS:  wholeSeconds(o.request.Grace),
		BlockS:  wholeSeconds(o.request.Block),
		Problem: trouble.in(s.locale(r)),
	}
	l := p.Locale
	p.Title = ofScope("confirm.of", o.request.Scope, o.impact.Sessions).in(l)
	q := &o.request
	out := instantIn(o.now.Add(q.Grace), o.now, o.zone)
	out.Moves = !o.form.Grace.IsAt()
	if p.Then = timed(l, "confirm.later", out); q.Grace == 0 {
		p.Then = []piece{{Text: text{key: "confirm.atOnce"}.in(l)}}
	}
	until := instantIn(o.now.Add(q.Grace+q.Block), o.now, o.zone)
	until.Moves = !o.form.Block.IsAt()
	if q.Block > 0 {
		p.Blocked = timed(l, "confirm.blocked", until)
	}
	p.Form.Grace.Fixed, p.Form.Block.Fixed = "", ""
	if o.form.Grace.IsAt() {
		p.Form.Grace.Fixed = out.At
	}
	if o.form.Block.IsAt() {
		p.Form.Block.Fixed = until.At
	}
	return p
}

// ofScope is the text about a scope: that of area and its kind. n is how many sessions it lists.
func ofScope(area string, scope session.Scope, n int) text {
	switch {
	case scope.User != "":
		return text{key: area + "User", data: locale.Data{"Name": scope.User}}
	case scope.Group != "":
		return text{key: area + "Group", data: locale.Data{"Name": scope.Group}}
	case scope.Everyone:
		return text{key: area + "Everyone"}
	}
	return text{key: area + "Sessions", data: locale.Data{"Count": n}}
}

func (s *Server) forceLogout(w http.ResponseWriter, r *http.Request) error {
	o, wrong, err := s.understandLogout(r, readLogoutForm(r.PostForm))
	if err != nil {
		return err
	}
	if len(wrong) > 0 {
		return s.refuseForm(w, r, o, wrong)
	}
	typed := strings.TrimSpace(r.PostForm.Get("typed"))
	if n := o.impact.Users; n > typeToConfirmAbove && typed != strconv.Itoa(n) {
		trouble := text{}
		if typed != "" {
			trouble = text{key: "confirm.mistyped", data: locale.Data{"Typed": cut(typed, 20), "Count": n}}
		}
		return s.askToConfirm(w, r, http.StatusUnprocessableEntity, o, trouble)
	}
	l, err := s.hub.ForceLogout(r.Context(), o.request)
	if errors.Is(err, session.ErrNotFound) { // it has ended since it was counted
		return s.refuseForm(w, r, o, faults{"scope": text{key: "logoutForm.nobodyLeft"}})
	}
	if err != nil {
		return refused(err)
	}
	if a, ok := w.(*recorded); ok {
		a.logouts = append(a.logouts, l.ID)
	}
	redirect(w, s.base+"/admin/logouts/"+l.ID, http.StatusSeeOther)
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

func (s *Server) cancelLogout(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	l, err := s.hub.CancelForcedLogout(r.Context(), id, visitOf(r).status.Record.User)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errNoPage
	case err != nil:
		return refused(err)
	}
	key := "progress.liftedNow"
	if l.State == hub.LogoutCancelled {
		key = "progress.calledOffNow"
	}
	s.toast(w, r, key)
	redirect(w, s.base+"/admin/logouts/"+id, http.StatusSeeOther)
	return nil
}

// sendNotice tells people something, from the same form. Where that reaches many, a person confirms
// it. It goes to open tabs, so pages that wait are not counted.
func (s *Server) sendNotice(w http.ResponseWriter, r *http.Request) error {
	form := readLogoutForm(r.PostForm)
	asked := form
	asked.Grace, asked.Block, asked.ExceptSelf = moment{}, moment{}, false
	o, wrong := s.understand(r, asked)
	if len(wrong) == 0 && o.impact.Sessions == 0 {
		s.nobodyFound(r.Context(), &o, wrong)
	}
	form.User, form.Group = o.form.User, o.form.Group
	o.form = form
	if strings.TrimSpace(form.Message) == "" {
		wrong.add("message", text{key: "notice.noMessage"})
	}
	if len(wrong) > 0 {
		return s.refuseForm(w, r, o, wrong)
	}
	if o.impact.Users > typeToConfirmAbove && r.PostForm.Get("confirmed") == "" && isNavigation(r) {
		p := s.confirmPage(r, o, text{})
		p.IsNotice, p.Typed = true, false
		p.Title = ofScope("notice.of", o.request.Scope, o.impact.Sessions).in(p.Locale)
		return s.render(w, http.StatusOK, p)
	}
	sent, err := s.hub.Notify(r.Context(), o.request.Scope, o.request.Actor, form.Message)
	switch {
	case errors.Is(err, session.ErrNotFound):
		return s.refuseForm(w, r, o, faults{o.field(): text{key: "notice.nobody"}})
	case err != nil:
		return changeError{err}
	}
	s.toast(w, r, "notice.sent", "Count", sent.Tabs, "People", o.impact.Users)
	redirect(w, s.base+"/admin", http.StatusSeeOther)
	return nil
}

// field is that at which it is said that nobody is meant.
func (o *order) field() string {
	if o.form.name() != nil {
		return o.form.Scope
	}
	return "scope"
}
