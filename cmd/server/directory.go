package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"curfew/directory"
	"curfew/directory/demo"
	"curfew/hub"
	"curfew/session"
)

// openDirectory opens the directory of the settings, or the one for demonstrations where they name
// none. stop ends the latter.
func openDirectory(cfg *config) (people *directory.Directory, stop func(), err error) {
	settings, stop := cfg.directory.ldap, func() {}
	if cfg.demo() {
		server, err := demo.Start()
		if err != nil {
			return nil, nil, err
		}
		stop = server.Stop
		settings = server.Config()
		settings.Required = cfg.directory.ldap.Required
	}
	if people, err = directory.New(settings); err != nil {
		stop()
		return nil, nil, err
	}
	return people, stop, nil
}

// signedIn is who is signed in, for the directory's watcher: it carries what the directory says to
// the hub.
type signedIn struct {
	hub   *hub.Hub
	trail session.Store
	clock session.Clock
	log   *slog.Logger
}

// Accounts lists whom the directory has let in, once for each key. Other sessions are left out.
func (s signedIn) Accounts() []directory.Account {
	var list []directory.Account
	at := make(map[directory.Key]int)
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		r := *one.Record
		if r.DN == "" {
			continue
		}
		a := accountOf(r)
		i, ok := at[a.Key]
		if !ok {
			at[a.Key] = len(list)
			list = append(list, a)
			continue
		}
		for _, g := range a.Groups {
			if !slices.ContainsFunc(list[i].Groups, func(other string) bool { return session.SameName(g, other) }) {
				list[i].Groups = append(list[i].Groups, g)
			}
		}
	}
	return list
}

func accountOf(r session.Record) directory.Account {
	key := directory.Key{
		Login:           r.Login,
		User:            r.User,
		DN:              r.DN,
		Identity:        r.Identity,
		PasswordChanged: r.PasswordChanged,
	}
	return directory.Account{Key: key, Groups: r.GroupNames()}
}

// each calls f for each session of an account, and joins what went wrong.
func (s signedIn) each(a directory.Account, f func(session.Record) error) error {
	var errs []error
	for _, one := range s.hub.Sessions(hub.Filter{User: a.User}) {
		if r := *one.Record; r.DN != "" && accountOf(r).Key == a.Key {
			if err := f(r); err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrEnded) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Allowed gives an account's sessions the groups that the directory says.
func (s signedIn) Allowed(ctx context.Context, a directory.Account, e directory.Entry) error {
	return s.each(a, func(r session.Record) error {
		if sameNames(e.Groups, r.GroupNames()) {
			return nil
		}
		s.log.Info("groups changed in the directory",
			"user", r.User, "session", r.ID, "before", r.GroupNames(), "now", e.Groups)
		err := s.hub.SetGroups(ctx, r.ID, e.Groups)
		if err != nil {
			s.log.Error("groups not stored", "session", r.ID, "error", err)
		}
		return err
	})
}

func sameNames(a, b []string) bool {
	missing := func(from []string) func(string) bool {
		return func(n string) bool {
			return !slices.ContainsFunc(from, func(other string) bool { return session.SameName(n, other) })
		}
	}
	return !slices.ContainsFunc(a, missing(b)) && !slices.ContainsFunc(b, missing(a))
}

// Denied ends the sessions of somebody whom the directory would not let in any more.
func (s signedIn) Denied(ctx context.Context, a directory.Account, why string) error {
	return s.each(a, func(r session.Record) error {
		s.log.Info("ended by the directory", "user", r.User, "session", r.ID, "cause", why)
		end := session.End{Reason: session.ReasonDirectory, At: session.Millis(s.clock.Now()), Detail: why}
		_, err := s.hub.End(ctx, r.ID, end)
		if err != nil {
			s.log.Error("end not stored", "session", r.ID, "error", err)
		}
		return err
	})
}

// Unreachable writes that the directory is out of reach. Nobody is ended by that.
func (s signedIn) Unreachable(ctx context.Context, err error) {
	s.log.Error("the directory is out of reach: its changes are not noticed until it is back", "error", err)
	e := session.Event{At: session.Millis(s.clock.Now()), Kind: session.EventDirectoryLost, Detail: err.Error()}
	if err := s.trail.Append(ctx, e); err != nil {
		s.log.Error("audit line not stored", "error", err)
	}
}

// justSignedIn has the watcher look again at somebody whom a change may have overtaken at their
// sign-in.
func justSignedIn(w *directory.Watcher) func(session.Record, time.Time) {
	return func(r session.Record, began time.Time) { w.Recheck(accountOf(r), began) }
}
