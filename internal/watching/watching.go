// Package watching carries what a directory's watcher finds to the hub, which decides what that
// means for each session. Neither of the two knows the other.
package watching

import (
	"context"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
)

// For returns the subscriber by which a watcher reaches h.
func For(h *hub.Hub) directory.Subscriber { return subscriber{h} }

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
func (s subscriber) Denied(ctx context.Context, a directory.Account, cause directory.Cause, why string) error {
	return s.hub.Reconcile(ctx, hub.Account(a.Key), hub.Standing{Denied: true, Cause: string(cause), Why: why})
}

// Unreachable implements [directory.Subscriber].
func (s subscriber) Unreachable(ctx context.Context, err error) { s.hub.DirectoryLost(ctx, err) }

// AfterSignIn returns what views.Listeners.SignedIn is told to: w looks again at somebody whom a
// change in the directory may have overtaken at their sign-in.
func AfterSignIn(w *directory.Watcher) func(r session.Record, began time.Time) {
	return func(r session.Record, began time.Time) {
		account := directory.Account{Key: directory.Key(hub.AccountOf(&r)), Groups: r.GroupNames()}
		w.Recheck(account, began)
	}
}
