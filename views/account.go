package views

import (
	"html/template"
	"net/http"
	"slices"

	"curfew/hub"
	"curfew/session"
)

// The account page: a person's own sessions.

type accountPage struct {
	layout
	This   *ownSession
	Others []ownSession // newest first
}

var accountTemplate = parse("account.html")

func (accountPage) template() *template.Template { return accountTemplate }

type ownSession struct {
	Ref        string
	Device     string
	Address    string
	SignedIn   string
	LastActive string
	State      badge
	Tabs       int
}

func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	v := visitOf(r)
	p := accountPage{layout: s.sessionLayout(r, "account.title")}
	now := s.clock.Now()
	list := s.hub.Sessions(hub.Filter{User: v.status.Record.User})
	slices.SortFunc(list, func(a, b hub.Session) int { return b.Record.CreatedAt.Compare(a.Record.CreatedAt) })
	for _, one := range list {
		own := ownSession{
			Ref:        one.Record.ID.Ref(),
			Device:     capital(deviceText(one.Record.From()).in(p.Locale)),
			Address:    one.Record.Address,
			SignedIn:   p.Ago(now.Sub(one.Record.CreatedAt)),
			LastActive: p.Ago(now.Sub(one.LastActiveAt)),
			State:      badgeOf(p.Locale, one.State),
			Tabs:       one.Tabs,
		}
		if one.Record.ID == v.token.ID() {
			p.This = &own
		} else {
			p.Others = append(p.Others, own)
		}
	}
	return s.render(w, http.StatusOK, p)
}

// endOwn ends one of the person's own sessions, by its ref, or all others.
func (s *Server) endOwn(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	v := visitOf(r)
	user, ref, others := v.status.Record.User, r.PostForm.Get("ref"), r.PostForm.Get("others") != ""
	if (ref == "") != others {
		return errBadForm
	}
	ended := 0
	var last *session.Record
	for _, one := range s.hub.Sessions(hub.Filter{User: user}) {
		id := one.Record.ID
		if others && id == v.token.ID() || !others && id.Ref() != ref {
			continue
		}
		end := session.End{
			Reason: session.ReasonLogout,
			At:     session.Millis(s.clock.Now()),
			Actor:  user,
			Detail: "from the account page",
		}
		if id != v.token.ID() {
			end.Data = map[string]string{session.DataBy: session.ByAccount}
		}
		first, err := s.hub.End(r.Context(), id, end)
		switch {
		case err != nil && !isSessionError(err):
			return changeError{err}
		case !first:
			continue // it has ended meanwhile
		}
		ended++
		last = one.Record
		s.log.Info("ended from the account page", "user", user, "session", id, "request", requestID(r))
		if id == v.token.ID() {
			redirect(w, s.base+"/login", http.StatusSeeOther)
			return nil
		}
	}
	switch {
	case ended == 0:
		return errNoSuchSession
	case others:
		s.toast(w, r, "account.endedOthers", "Count", ended)
	default:
		s.toast(w, r, "account.ended", "Device", deviceText(last.From()).in(s.locale(r)))
	}
	redirect(w, s.base+"/account", http.StatusSeeOther)
	return nil
}

// leavesOthers says that the user has signed in elsewhere since all other sessions were ended.
func (s *Server) leavesOthers(r *http.Request, _ *recorded) (bool, error) {
	if r.PostForm.Get("others") == "" {
		return false, nil // the end of one session is for good
	}
	v := visitOf(r)
	return slices.ContainsFunc(s.hub.Sessions(hub.Filter{User: v.status.Record.User}), func(one hub.Session) bool {
		return one.Record.ID != v.token.ID()
	}), nil
}

var errNoSuchSession = newProblem(http.StatusNotFound, "not-found", "error.noSessionOfYours")
