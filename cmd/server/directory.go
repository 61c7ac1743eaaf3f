package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
)

// signedIn is who is signed in, for the directory's watcher: it carries what the directory says to the hub.
type signedIn struct {
	hub   *hub.Hub
	trail session.Store
	clock session.Clock
	log   *slog.Logger
}

// Accounts lists each name that somebody has signed in by. Sessions that no directory has let in are left out.
func (s signedIn) Accounts() []directory.Account {
	var list []directory.Account
	seen := make(map[string]bool)
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		if r := one.Record; r.DN != "" && !seen[r.Login] {
			seen[r.Login] = true
			list = append(list, directory.Account{Login: r.Login, User: r.User, DN: r.DN, Identity: r.Identity, Groups: r.GroupNames()})
		}
	}
	return list
}

func (s signedIn) each(a directory.Account, f func(session.Record)) {
	for _, one := range s.hub.Sessions(hub.Filter{User: a.User}) {
		if one.Record.Login == a.Login && one.Record.DN != "" {
			f(*one.Record)
		}
	}
}

// Found compares what the directory says now with what it said at the sign-in.
func (s signedIn) Found(ctx context.Context, a directory.Account, e directory.Entry) {
	s.each(a, func(r session.Record) {
		switch {
		case e.Identity != r.Identity, e.User != r.User:
			s.end(ctx, r, "the name belongs to another entry now")
		case e.PasswordChanged != r.Password:
			s.end(ctx, r, "the password was changed")
		case !slices.Equal(e.Groups, r.GroupNames()):
			s.log.Info("groups changed in the directory", "user", r.User, "session", r.ID, "before", r.GroupNames(), "now", e.Groups)
			if err := s.hub.SetGroups(ctx, r.ID, e.Groups); err != nil {
				s.log.Error("groups not stored", "session", r.ID, "error", err)
			}
		}
	})
}

// Barred ends the sessions of somebody whom the directory would not let in any more.
func (s signedIn) Barred(ctx context.Context, a directory.Account, why string) {
	s.each(a, func(r session.Record) { s.end(ctx, r, why) })
}

func (s signedIn) end(ctx context.Context, r session.Record, why string) {
	s.log.Info("ended by the directory", "user", r.User, "session", r.ID, "cause", why)
	end := session.End{Reason: session.ReasonDirectory, At: session.Millis(s.clock.Now()), Detail: why}
	if _, err := s.hub.End(ctx, r.ID, end); err != nil {
		s.log.Error("end not stored", "session", r.ID, "error", err)
	}
}

// Lost writes that the directory is out of reach. Nobody is ended by that.
func (s signedIn) Lost(ctx context.Context, err error) {
	s.log.Error("the directory is out of reach: its changes are not noticed until it is back", "error", err)
	e := session.Event{At: session.Millis(s.clock.Now()), Kind: session.EventDirectoryLost, Detail: err.Error()}
	if err := s.trail.Append(ctx, e); err != nil {
		s.log.Error("audit line not stored", "error", err)
	}
}

// justSignedIn has the watcher look again at somebody whom a change may have overtaken at his sign-in.
func justSignedIn(w *directory.Watcher) func(session.Record, time.Time) {
	return func(r session.Record, began time.Time) {
		w.Recheck(directory.Account{Login: r.Login, User: r.User, DN: r.DN, Identity: r.Identity, Groups: r.GroupNames()}, began)
	}
}
