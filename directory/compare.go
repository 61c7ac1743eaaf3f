package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// A comparison asks the directory about people who are signed in. Absence is no evidence: an entry,
// a group or an attribute may not be found because it is gone, because the service account may not
// read it any more, or because the server that answers lags behind or holds less than the one that
// signed the person in. So whoever would be barred, or be in other groups, is so only where
//
//   - the server shows that it would show what is missing: others' entries in the same place, other
//     groups;
//   - it is the server that signed the person in, or one that has agreed about them since, or that
//     one says the same;
//   - it is not most of those who were looked at, or a second look a while later finds the same.
//
// All else is trouble of the directory: nobody is ended, and it is asked again.

// outcome is what a look at one account has found.
type outcome int

const (
	letIn    outcome = iota // they would be let in, as Entry says
	departed                // they would not
	unseen                  // nothing may be concluded
)

// verdict is a look at one account.
type verdict struct {
	account Account
	server  int
	outcome outcome
	entry   Entry
	why     string
	// all that speaks for a departure is that the server says that their entry is not there; see
	// view.saysGone
	gone bool

	shown func(*view) (bool, error) // where something was missing: whether a view would show it
}

func (v verdict) is(o outcome, format string, args ...any) verdict {
	v.outcome, v.why = o, fmt.Sprintf(format, args...)
	return v
}

// view is a server as one comparison sees it, with what it has been found to show.
type view struct {
	*link
	err error // why it cannot be looked at

	mu     sync.Mutex
	exact  *bool           // whether it is a server that tells what is not there from what it does not show
	own    *string         // the folded DN of the service account's own entry; empty: it is not known
	people map[string]bool // by the folded DN of their place: whether anybody else is seen there
	groups *bool           // whether any group is
}

// requestRefetch asks a server about one account, as a sign-in would; seen says that their entry was at
// a.DN when this process last saw it. The error is that of a server that cannot answer.
func (d *Directory) lookAt(on *view, a Account, seen bool) (verdict, error) {
	v := verdict{account: a, server: on.server}
	found, err := d.findAgain(on.Conn, a)
	switch {
	case errors.Is(err, errNobody):
		return d.lookAtPlace(on, v, seen)
	case errors.Is(err, errSeveral):
		return v.is(departed, "the name is that of several entries now"), nil
	case err != nil:
		return v, err
	}
	v.entry = d.entry(found)
	v.entry.User = a.User
	names := found.GetEqualFoldAttributeValues(d.config.UserAttribute)
	if isOther(a.Identity, identities(found)) || len(names) > 0 && !containsName(names, a.User) {
		return v.is(departed, "the name belongs to another entry now"), nil
	}
	if why := lockedBy(found, time.Now()); why != "" {
		return v.is(departed, "%s: %s", why, ErrLocked), nil
	}
	if passwordMoved(a.Password, passwordChanges(found)) {
		return v.is(departed, "the password was changed"), nil
	}
	if _, written := passwordTime(a.Password); written == counted && mustChange(found) {
		return v.is(departed, "the password must be changed (pwdLastSet)"), nil
	}
	return d.lookAtGroups(on, v, found)
}

// lookAtPlace says what follows for somebody whose name leads to nobody.
func (d *Directory) lookAtPlace(on *view, v verdict, seen bool) (verdict, error) {
	others, err := on.showsPeople(d, v.account.DN)
	if err != nil || others {
		v.shown = func(on *view) (bool, error) { return on.showsPeople(d, v.account.DN) }
		return v.is(departed, "no longer in the directory"), err
	}
	if seen {
		if v.gone, err = on.saysGone(d, v.account.DN); err != nil || v.gone {
			return v.is(departed, "no longer in the directory, with their place"), err
		}
	}
	return v.is(unseen, "nobody else is seen where %q was", v.account.DN), nil
}

// lookAgain looks a second time at somebody of whom something was missing, between two looks at
// what the server shows: what it shows may have changed between the first look and the evidence,
// and the evidence may have been older.
func (d *Directory) lookAgain(on *view, v verdict, a Account, seen bool) (verdict, error) {
	shown, err := v.shown(&view{link: on.link})
	if err != nil || !shown {
		return v.is(unseen, "the server shows it no more"), err
	}
	return d.lookAt(&view{link: on.link}, a, seen)
}

// lookAtGroups completes a verdict by the person's groups. One that is missing counts as left only
// where the server shows groups.
func (d *Directory) lookAtGroups(on *view, v verdict, found *ldap.Entry) (verdict, error) {
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
			return v.is(unseen, "no group is seen below %q", d.config.GroupBaseDN), nil
		}
		v.shown = func(on *view) (bool, error) { return on.showsGroups(d, found) }
	}
	if !d.isAllowed(v.entry.Groups) {
		return v.is(departed, "%s", ErrNotAllowed), nil
	}
	return v, nil
}

// findAgain finds an account's entry by the name of its sign-in. Where that was the canonical name,
// a filter that knows other names only does not find it: the entry itself is asked whether it still
// is a user's.
func (d *Directory) findAgain(conn *ldap.Conn, a Account) (*ldap.Entry, error) {
	found, err := d.find(conn, a.Login)
	filter, ok := anyone(d.config.UserFilter)
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
	case isOther(a.Identity, identities(result.Entries[0])):
		return nil, err
	}
	return result.Entries[0], nil
}

// anyone is a filter that finds whoever filter finds for any name, where it can be told so.
func anyone(filter string) (string, bool) {
	filter = strings.NewReplacer(UsernamePlaceholder, "*", DNPlaceholder, "*").Replace(filter)
	_, err := ldap.CompileFilter(filter)
	return filter, err == nil && !strings.Contains(filter, ":=") // a matching rule takes * for a value
}

// showsPeople reports whether the server shows any person but the service account in the place
// where dn is or was; where it does not, an entry there may be hidden as well as gone.
func (v *view) showsPeople(d *Directory, dn string) (bool, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) < 2 {
		return false, nil
	}
	parsed.RDNs = parsed.RDNs[1:]
	place := parsed.String()
	v.mu.Lock()
	defer v.mu.Unlock()
	if seen, ok := v.people[foldDN(place)]; ok {
		return seen, nil
	}
	seen, err := v.showsOtherLocked(d, place, d.anybody())
	if err == nil && !seen {
		seen, err = v.isEmpty(place)
	}
	if err != nil {
		return false, err
	}
	if v.people == nil {
		v.people = make(map[string]bool)
	}
	v.people[foldDN(place)] = seen
	return seen, nil
}

// anybody is a filter that finds people.
func (d *Directory) anybody() string {
	if filter, ok := anyone(d.config.UserFilter); ok {
		return filter
	}
	return "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))"
}

// saysGone reports whether the server says that there is no entry at dn, by naming the nearest one
// above it (RFC 4511 §4.1.9), and shows other people below that. OpenLDAP names it only where there
// is none at dn, and nothing where there is one that it hides; others name it in either case, or
// never, so that they are not asked.
func (v *view) saysGone(d *Directory, dn string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if exact, err := v.isExactLocked(); err != nil || !exact {
		return false, err
	}
	_, err := v.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)", []string{"1.1"}, nil))
	var answer *ldap.Error
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || !errors.As(err, &answer) {
		if err != nil {
			err = unavailable("look at "+dn, err)
		}
		return false, err
	}
	here, err1 := ldap.ParseDN(dn)
	above, err2 := ldap.ParseDN(answer.MatchedDN)
	if err1 != nil || err2 != nil || len(above.RDNs) == 0 || !above.AncestorOfFold(here) {
		return false, nil
	}
	return v.showsOtherLocked(d, answer.MatchedDN, d.anybody())
}

func (v *view) isExactLocked() (bool, error) {
	if v.exact == nil {
		dns, err := v.some("", ldap.ScopeBaseObject, "(objectClass=OpenLDAProotDSE)", 1)
		if err != nil {
			return false, err
		}
		exact := len(dns) > 0
		v.exact = &exact
	}
	return *v.exact, nil
}

// showsGroups reports whether the server shows anybody's membership of a group, in the way that the
// person's groups are found.
func (v *view) showsGroups(d *Directory, found *ldap.Entry) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.groups != nil {
		return *v.groups, nil
	}
	var seen bool
	var err error
	if d.config.GroupFilter == "" {
		if seen, err = v.shows(d.config.GroupBaseDN, "(objectClass=*)", false); err == nil && seen &&
			len(found.GetEqualFoldAttributeValues("memberOf")) == 0 {
			seen, err = v.showsOtherLocked(d, d.config.BaseDN, "(memberOf=*)")
		}
	} else {
		filter, ok := anyone(d.config.GroupFilter)
		if !ok {
			filter = "(|(member=*)(uniqueMember=*)(memberUid=*))"
		}
		seen, err = v.shows(d.config.GroupBaseDN, filter, true)
		if err == nil && !seen {
			seen, err = v.isEmpty(d.config.GroupBaseDN)
		}
	}
	if err != nil {
		return false, err
	}
	v.groups = &seen
	return seen, nil
}

// shows reports whether at least one entry is seen at base or, where below is set, anywhere from
// there down.
func (v *view) shows(base, filter string, below bool) (bool, error) {
	scope := ldap.ScopeBaseObject
	if below {
		scope = ldap.ScopeWholeSubtree
	}
	dns, err := v.some(base, scope, filter, 1)
	return len(dns) > 0, err
}

// some are the DNs of at most so many entries that are seen at base, or below it.
func (v *view) some(base string, scope int, filter string, most int) ([]string, error) {
	result, err := v.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, most,
		int(requestTimeout.Seconds()), false, filter, []string{"1.1"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, unavailable("look at "+base, err)
	case result == nil:
		return nil, nil
	}
	var dns []string
	for _, e := range result.Entries {
		dns = append(dns, e.DN)
	}
	return dns, nil
}

// showsOtherLocked reports whether an entry other than the service account's own is seen from base
// down. Many servers show an account itself, whatever else they hide: that is no evidence. Where it
// is not known which entry that is, one alone may be it.
func (v *view) showsOtherLocked(d *Directory, base, filter string) (bool, error) {
	dns, err := v.some(base, ldap.ScopeWholeSubtree, filter, 2)
	if err != nil || len(dns) != 1 || d.config.BindDN == "" {
		return len(dns) > 0, err
	}
	if v.own == nil {
		own := v.whoAmI(d.config.BindDN)
		v.own = &own
	}
	return *v.own != "" && foldDN(dns[0]) != *v.own, nil
}

// whoAmI is the folded DN of the service account's own entry: what it binds as, or, where that is
// another kind of name as Active Directory takes them, what the server says (RFC 4532). It is empty
// where the server does not say a DN.
func (v *view) whoAmI(bindDN string) string {
	if parsed, err := ldap.ParseDN(bindDN); err == nil && len(parsed.RDNs) > 0 {
		return foldDN(bindDN)
	}
	answer, err := v.WhoAmI(nil)
	if err != nil {
		return ""
	}
	dn, ok := strings.CutPrefix(answer.AuthzID, "dn:")
	if parsed, err := ldap.ParseDN(dn); !ok || err != nil || len(parsed.RDNs) == 0 {
		return ""
	}
	return foldDN(dn)
}

// isEmpty reports whether the server says that nothing is below base, also nothing that it would
// not show.
func (v *view) isEmpty(base string) (bool, error) {
	result, err := v.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)",
		[]string{"hasSubordinates", "numSubordinates", "msDS-Approx-Immed-Subordinates"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return false, nil
	case err != nil:
		return false, unavailable("look at "+base, err)
	case len(result.Entries) != 1:
		return false, nil
	}
	e := result.Entries[0]
	return strings.EqualFold(e.GetEqualFoldAttributeValue("hasSubordinates"), "false") ||
		e.GetEqualFoldAttributeValue("numSubordinates") == "0" ||
		e.GetEqualFoldAttributeValue("msDS-Approx-Immed-Subordinates") == "0", nil
}

// comparison is one look at many accounts.
type comparison struct {
	watcher *Watcher
	first   *view // the server that all are looked at on

	mu     sync.Mutex
	others map[int]*view
}

// workers is how many accounts are asked for at once, on one connection.
const workers = 8

// compare looks at accounts as a sign-in would, and tells what may be concluded. The error is that
// of a directory that cannot answer.
func (w *Watcher) compare(ctx context.Context, accounts []Account) error {
	if len(accounts) == 0 {
		return nil
	}
	conn, err := w.directory.service(ctx)
	if err != nil {
		return err
	}
	c := &comparison{watcher: w, first: &view{link: conn}, others: make(map[int]*view)}
	defer c.close()
	verdicts, err := c.lookAtAll(ctx, accounts)
	if err != nil {
		w.directory.leave(conn.server)
		return err
	}
	w.doubt(verdicts)
	inParallel(len(verdicts), func(i int) { verdicts[i] = c.confirm(ctx, verdicts[i]) })
	w.awaitGone(verdicts)
	return w.tell(ctx, conn.server, verdicts)
}

// leave has the next connection go to another server than this one, which cannot answer or shows
// too little.
func (d *Directory) leave(server int) {
	d.good.CompareAndSwap(int32(server), int32((server+1)%len(d.config.URLs)))
}

func (c *comparison) close() {
	c.first.Close()
	for _, v := range c.others {
		if v.err == nil {
			v.Close()
		}
	}
}

// lookAtAll stops at the first sign that the server cannot answer.
func (c *comparison) lookAtAll(ctx context.Context, accounts []Account) ([]verdict, error) {
	verdicts := make([]verdict, len(accounts))
	var once sync.Once
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inParallel(len(accounts), func(i int) {
		if ctx.Err() != nil {
			return
		}
		v, err := c.lookOn(c.first, accounts[i])
		if err != nil {
			once.Do(func() { failed = err; cancel() })
			return
		}
		verdicts[i] = v
	})
	if failed != nil {
		return nil, failed
	}
	return verdicts, ctx.Err()
}

// canAnswer reports whether err is the server's answer to one question, so that others may be
// answered all the same.
func (v *view) canAnswer(err error) bool {
	var answer *ldap.Error
	return !v.IsClosing() && errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork &&
		!ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultOperationsError)
}

// at is another server, connected to once in a comparison.
func (c *comparison) at(ctx context.Context, server int) *view {
	if server == c.first.server {
		return c.first
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.others[server]
	if v == nil {
		v = &view{}
		v.link, v.err = c.watcher.directory.serviceAt(ctx, server)
		c.others[server] = v
	}
	return v
}

// confirm asks the server that signed the person in, or all where that is not known, when another
// one says what would change something.
func (c *comparison) confirm(ctx context.Context, v verdict) verdict {
	d := c.watcher.directory
	agreed := c.watcher.agreed(v.account.Key)
	if v.outcome == unseen || len(d.config.URLs) == 1 || agreed[v.server] ||
		v.outcome == letIn && sameNames(v.entry.Groups, v.account.Groups) {
		return v
	}
	missing, why := false, v.why
	for server := range d.config.URLs {
		if server == v.server || len(agreed) > 0 && !agreed[server] {
			continue
		}
		second, err := c.lookElsewhere(ctx, server, v.account)
		switch {
		case err != nil || second.outcome == unseen:
			missing = true
		case len(agreed) > 0:
			d.good.CompareAndSwap(int32(v.server), int32(server)) // the other one lags, or shows less
			return second
		case second.outcome != v.outcome || v.outcome == letIn && !sameNames(second.entry.Groups, v.entry.Groups):
			return v.is(unseen, "the servers do not agree: %s", why)
		}
	}
	if missing {
		return v.is(unseen, "only another server than that of the sign-in says so: %s", why)
	}
	return v
}

func (c *comparison) lookElsewhere(ctx context.Context, server int, a Account) (verdict, error) {
	on := c.at(ctx, server)
	if on.err != nil {
		return verdict{}, on.err
	}
	return c.lookOn(on, a)
}

// lookOn looks at a on a server, by what is known of a now. The error is that of a server that
// cannot answer any question.
func (c *comparison) lookOn(on *view, a Account) (verdict, error) {
	learned, seen := c.watcher.withLearned(a)
	v, err := c.watcher.directory.lookAt(on, learned, seen)
	if err == nil && v.shown != nil {
		v, err = c.watcher.directory.lookAgain(on, v, learned, seen)
	}
	v.account, v.server = a, on.server
	if err != nil && on.canAnswer(err) {
		return v.is(unseen, "%s", err), nil
	}
	return v, err
}

func sameNames(a, b []string) bool {
	inOther := func(other []string) func(string) bool {
		return func(n string) bool { return !containsName(other, n) }
	}
	return !slices.ContainsFunc(a, inOther(b)) && !slices.ContainsFunc(b, inOther(a))
}

// inParallel calls f for each number below n, a few at once, and waits.
func inParallel(n int, f func(i int)) {
	queue := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range queue {
				f(i)
			}
		})
	}
	for i := range n {
		queue <- i
	}
	close(queue)
	wg.Wait()
}
