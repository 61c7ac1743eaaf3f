package main

import (
	"context"
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

// subscriber carries what the directory's watcher finds to the hub, which decides what that means.
type subscriber struct{ hub *hub.Hub }

// Accounts implements [directory.Subscriber].
func (s subscriber) Accounts() (list []directory.Account) {
	for a, groups := range s.hub.Accounts() {
		list = append(list, directory.Account{Key: directory.Key(a), Groups: groups})
	}
	return list
}

// Allowed implements [directory.Subscriber].
func (s subscriber) Allowed(ctx context.Context, a directory.Account, e directory.Entry) error {
	return s.hub.Reconcile(ctx, hub.Account(a.Key), hub.Standing{Groups: e.Groups})
}

// Denied implements [directory.Subscriber].
func (s subscriber) Denied(ctx context.Context, a directory.Account, why string) error {
	return s.hub.Reconcile(ctx, hub.Account(a.Key), hub.Standing{Denied: true, Cause: why})
}

// Unreachable implements [directory.Subscriber].
func (s subscriber) Unreachable(ctx context.Context, err error) { s.hub.DirectoryLost(ctx, err) }

// recheckAfterSignIn has the watcher look again at somebody whom a change may have overtaken at
// their sign-in.
func recheckAfterSignIn(w *directory.Watcher) func(session.Record, time.Time) {
	return func(r session.Record, began time.Time) {
		account := directory.Account{Key: directory.Key(hub.AccountOf(&r)), Groups: r.GroupNames()}
		w.Recheck(account, began)
	}
}
