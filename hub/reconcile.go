package hub

import (
	"context"
	"errors"
	"slices"

	"curfew/session"
)

// What the directory says of those who are signed in. The hub knows no directory: a watcher tells
// it what has changed, and the hub decides what that means for each session.

// Account is a user whom the directory has let in, as it described them at their sign-in. The
// watcher of the directory checks each account once, for all sessions of it. Two people may have
// signed in by one name that passed from one to the other, and one person may have signed in before
// and after a change of their password: these are different accounts.
type Account struct {
	Login           string // the name as it was typed; the directory is asked by it again
	User            string // the canonical name
	DN              string // where the directory keeps the user
	Identity        string // an ID that no other user ever gets; empty where the directory does not tell
	PasswordChanged string // when, as the directory writes it; empty where it does not tell
}

// AccountOf returns the account of a session. DN is empty if no directory has let its user in.
func AccountOf(r *session.Record) Account {
	return Account{
		Login:           r.Login,
		User:            r.User,
		DN:              r.DN,
		Identity:        r.Identity,
		PasswordChanged: r.PasswordChanged,
	}
}

// Accounts lists the accounts with live sessions, and for each the groups that any of these has.
// Sessions that no directory has let in are left out.
func (h *Hub) Accounts() map[Account][]string {
	accounts := make(map[Account][]string)
	for _, s := range h.allSessions() {
		r := s.record.Load()
		if r.DN == "" || s.isOver() {
			continue
		}
		a := AccountOf(r)
		groups := accounts[a]
		for _, g := range r.Groups {
			if !session.HasName(groups, g.Name) {
				groups = append(groups, g.Name)
			}
		}
		accounts[a] = groups
	}
	return accounts
}

// Standing is what the directory says of an account now.
type Standing struct {
	Denied bool     // the directory would refuse the account
	Cause  string   // why, in one word of the directory's
	Why    string   // the same in English, for the audit trail
	Groups []string // of the user, where it would let them in
}

// Reconcile makes the sessions of an account agree with the directory. Sessions of a denied account
// end for the reason directory; others get the groups of now. A session that ends meanwhile is no
// error. Any error means that something could not be stored, and that the watcher must call again.
func (h *Hub) Reconcile(ctx context.Context, a Account, now Standing) error {
	var errs []error
	for _, s := range h.sessionsOf(a.User) {
		r := s.record.Load()
		if r.DN == "" || AccountOf(r) != a || s.isOver() {
			continue
		}
		err := h.reconcile(ctx, r, now)
		if err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrEnded) {
			h.log.Error("what the directory says is not stored", "session", r.ID, "error", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// reconcile is Reconcile for one session.
func (h *Hub) reconcile(ctx context.Context, r *session.Record, now Standing) error {
	if now.Denied {
		h.log.Info("ended by the directory", "user", r.User, "session", r.ID, "cause", now.Why)
		_, err := h.End(ctx, r.ID, session.End{
			Reason: session.ReasonDirectory,
			At:     session.Millis(h.clock.Now()),
			Cause:  now.Cause,
			Detail: now.Why,
		})
		return err
	}
	before := r.GroupNames()
	if sameNames(before, now.Groups) {
		return nil
	}
	h.log.Info("groups changed in the directory",
		"user", r.User, "session", r.ID, "before", before, "now", now.Groups)
	return h.setGroups(ctx, r.ID, now.Groups)
}

// sameNames reports whether two lists hold the same names, in any order and spelling.
func sameNames(a, b []string) bool {
	missingFrom := func(list []string) func(string) bool {
		return func(name string) bool { return !session.HasName(list, name) }
	}
	return !slices.ContainsFunc(a, missingFrom(b)) && !slices.ContainsFunc(b, missingFrom(a))
}

// DirectoryLost writes an audit line that the directory is out of reach. No session ends by that.
func (h *Hub) DirectoryLost(ctx context.Context, err error) {
	h.log.Error("the directory is out of reach: its changes are not noticed until it is back", "error", err)
	e := session.Event{At: session.Millis(h.clock.Now()), Kind: session.EventDirectoryLost, Detail: err.Error()}
	if err := h.store.Append(ctx, e); err != nil {
		h.log.Error("audit line not stored", "error", err)
	}
}
