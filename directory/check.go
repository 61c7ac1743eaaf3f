package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// outcome is what a check of one account concludes.
type outcome int

const (
	allowed      outcome = iota // a sign-in would succeed, as entry
	denied                      // a sign-in would fail
	inconclusive                // the directory shows too little
)

// verdict is the result of a check of one account on one server.
type verdict struct {
	account Account
	server  int
	outcome outcome
	entry   Entry
	cause   Cause // of a denial
	why     string
	// absent says that a denial rests on the server's word alone that the entry does not exist. See
	// serverView.saysAbsent.
	absent bool

	wouldShow func(*serverView) (bool, error) // if something was missing: whether a view would show it
}

// with returns v with another outcome and the reason for it.
func (v verdict) with(o outcome, format string, args ...any) verdict {
	v.outcome, v.why = o, fmt.Sprintf(format, args...)
	return v
}

// deny returns v as a denial, and the reason for it.
func (v verdict) deny(c Cause, format string, args ...any) verdict {
	v.cause = c
	return v.with(denied, format, args...)
}

// check asks a server about one account the way a sign-in would, without the password. seen says
// that the entry was at a.DN when this process last saw it. check returns an error if the server
// fails to answer.
func (d *Directory) check(on *serverView, a Account, seen bool) (verdict, error) {
	v := verdict{account: a, server: on.server}
	found, err := d.findAccount(on.Conn, a)
	switch {
	case errors.Is(err, errNobody):
		return d.checkMissing(on, v, seen)
	case errors.Is(err, errSeveral):
		return v.deny(CauseAmbiguous, "the name is that of several entries now"), nil
	case err != nil:
		return v, err
	}
	v.entry = d.entry(found)
	v.entry.User = a.User
	names := found.GetEqualFoldAttributeValues(d.config.UserAttribute)
	if isDifferentEntry(a.Identity, identities(found)) || len(names) > 0 && !containsName(names, a.User) {
		return v.deny(CauseOtherEntry, "the name belongs to another entry now"), nil
	}
	if why := lockedBy(found, time.Now()); why != "" {
		return v.deny(CauseLocked, "%s: %s", why, ErrLocked), nil
	}
	if changedSince(a.PasswordChanged, passwordChanges(found)) {
		return v.deny(CausePasswordChanged, "the password was changed"), nil
	}
	if _, written := passwordTime(a.PasswordChanged); written == counted && mustChange(found) {
		return v.deny(CausePasswordExpired, "the password must be changed (pwdLastSet)"), nil
	}
	return d.checkGroups(on, v, found)
}

// checkMissing concludes what follows if the name leads to no entry.
func (d *Directory) checkMissing(on *serverView, v verdict, seen bool) (verdict, error) {
	others, err := on.showsPeople(d, v.account.DN)
	if err != nil || others {
		v.wouldShow = func(on *serverView) (bool, error) { return on.showsPeople(d, v.account.DN) }
		return v.deny(CauseGone, "no longer in the directory"), err
	}
	if seen {
		if v.absent, err = on.saysAbsent(d, v.account.DN); err != nil || v.absent {
			return v.deny(CauseGone, "no longer in the directory, with their place"), err
		}
	}
	return v.with(inconclusive, "nobody else is seen where %q was", v.account.DN), nil
}

// checkTwice repeats a check that found something missing, if the server still shows others of the
// kind. What the server shows may have changed between the first check and the evidence, and the
// evidence may be older than the check.
func (d *Directory) checkTwice(on *serverView, v verdict, a Account, seen bool) (verdict, error) {
	shown, err := v.wouldShow(&serverView{link: on.link})
	if err != nil || !shown {
		return v.with(inconclusive, "the server shows it no more"), err
	}
	return d.check(&serverView{link: on.link}, a, seen)
}

// checkGroups completes a verdict by the person's groups. A group that is missing counts as left
// only if the server shows groups.
func (d *Directory) checkGroups(on *serverView, v verdict, found *ldap.Entry) (verdict, error) {
	var err error
	if v.entry.Groups, err = d.groups(on.Conn, found, v.account.User); err != nil {
		return v, err
	}
	if slices.ContainsFunc(v.account.Groups, func(g string) bool { return !containsName(v.entry.Groups, g) }) {
		seen, err := on.showsGroups(d, found)
		if err != nil {
			return v, err
		}
		if !seen {
			return v.with(inconclusive, "no group is seen below %q", d.config.GroupBaseDN), nil
		}
		v.wouldShow = func(on *serverView) (bool, error) { return on.showsGroups(d, found) }
	}
	if !d.isAllowed(v.entry.Groups) {
		return v.deny(CauseNotAllowed, "%s", ErrNotAllowed), nil
	}
	return v, nil
}

// findAccount finds an account's entry by the name of its sign-in. If that was the canonical name,
// a filter for other names does not find it; then the entry itself is read, and counts if it is
// still a user's.
func (d *Directory) findAccount(conn *ldap.Conn, a Account) (*ldap.Entry, error) {
	found, err := d.find(conn, a.Login)
	filter, ok := wildcard(d.config.UserFilter)
	if !errors.Is(err, errNobody) || !ok || !sameName(a.Login, a.User) || a.DN == "" {
		return found, err
	}
	result, searchErr := conn.Search(ldap.NewSearchRequest(a.DN, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, filter, d.attributes(), nil))
	switch {
	case ldap.IsErrorWithCode(searchErr, ldap.LDAPResultNoSuchObject) || searchErr == nil && len(result.Entries) == 0:
		return nil, err
	case searchErr != nil:
		return nil, unavailable("read entry", searchErr)
	case isDifferentEntry(a.Identity, identities(result.Entries[0])):
		return nil, err
	}
	return result.Entries[0], nil
}

// wildcard turns a filter for one name into one for any name. ok is false if the filter cannot be
// turned so.
func wildcard(filter string) (string, bool) {
	filter = strings.NewReplacer(UsernamePlaceholder, "*", DNPlaceholder, "*").Replace(filter)
	_, err := ldap.CompileFilter(filter)
	return filter, err == nil && !strings.Contains(filter, ":=") // a matching rule takes * for a value
}
