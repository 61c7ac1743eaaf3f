package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Changes in the directory, noticed by RFC 4533 content synchronisation (refreshAndPersist) where the server offers it, else
// by asking anew for those who are signed in. Either way the question about a person is the one of his sign-in: would he
// still be let in, and with which groups. A directory that is out of reach answers nothing, and nothing follows from that;
// when it is back, everybody who is signed in is looked at again.

// WatchMode says how changes are noticed.
type WatchMode string

// The modes.
const (
	WatchAuto     WatchMode = "auto" // syncrepl where it is offered, else poll
	WatchSyncrepl WatchMode = "syncrepl"
	WatchPoll     WatchMode = "poll"
	WatchOff      WatchMode = "off"
)

// Validate refuses what is none of the modes.
func (m WatchMode) Validate() error {
	switch m {
	case WatchAuto, WatchSyncrepl, WatchPoll, WatchOff:
		return nil
	}
	return errors.New("must be syncrepl, poll, auto or off")
}

// Account is somebody who is signed in, by the name that he typed.
type Account struct {
	Login    string
	User     string
	DN       string
	Identity string
	Groups   []string
}

// SignedIn is who is signed in. It is asked by a [Watcher] and told what the directory says.
type SignedIn interface {
	Accounts() []Account
	// Found says that the directory would still let the account in, as e.
	Found(ctx context.Context, a Account, e Entry)
	// Barred says that it would not.
	Barred(ctx context.Context, a Account, why string)
	// Lost says that the directory is out of reach; once, until it has been back.
	Lost(ctx context.Context, err error)
}

// Watcher follows a directory for those who are signed in. See [Watcher.Run].
type Watcher struct {
	directory *Directory
	mode      WatchMode
	every     time.Duration // of polling
	signedIn  SignedIn
	log       *slog.Logger

	heard atomic.Int64 // when it was last heard that something has, or may have, changed, Unix ns; 0 for never
	again chan Account // sign-ins that a change may have overtaken

	mu      sync.Mutex
	lost    bool
	cookies map[string][]byte // by base: where the synchronisation stands
}

// NewWatcher makes a watcher that does nothing until it runs. every must be more than 0.
func NewWatcher(d *Directory, mode WatchMode, every time.Duration, who SignedIn, log *slog.Logger) *Watcher {
	return &Watcher{directory: d, mode: mode, every: every, signedIn: who, log: log, again: make(chan Account, 1000), cookies: make(map[string][]byte)}
}

// oidSync is the control of RFC 4533 §2.2.
const oidSync = ldap.ControlTypeSyncRequest

// Run follows the directory until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	if w.mode == WatchOff {
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		offered := false
		if w.mode != WatchPoll {
			var err error
			if offered, err = w.offersSync(ctx); err != nil {
				w.setLost(ctx, err)
				w.rest(ctx, failures)
				continue
			}
		}
		if !offered {
			if w.mode == WatchSyncrepl {
				w.log.Error("the directory does not offer syncrepl (RFC 4533) to the service account: it is polled instead")
			}
			w.poll(ctx)
			return
		}
		began := time.Now()
		err := w.sync(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRefused) {
			w.log.Warn("the directory refuses to be followed by syncrepl: it is polled instead", "error", err)
			w.poll(ctx)
			return
		}
		w.setLost(ctx, err)
		if time.Since(began) > time.Minute {
			failures = 0
		}
		w.rest(ctx, failures)
	}
}

// rest waits longer after each failure, 10 s at most, a random share of it.
func (w *Watcher) rest(ctx context.Context, failures int) {
	d := min(10*time.Second, 100*time.Millisecond<<min(failures, 10))
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *Watcher) setLost(ctx context.Context, err error) {
	w.mu.Lock()
	first := !w.lost
	w.lost = true
	w.mu.Unlock()
	if first && ctx.Err() == nil {
		w.signedIn.Lost(ctx, err)
	}
}

func (w *Watcher) setBack() {
	w.mu.Lock()
	was := w.lost
	w.lost = false
	w.mu.Unlock()
	if was {
		w.log.Info("the directory is back: everybody who is signed in was looked at")
	}
}

func (w *Watcher) offersSync(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := w.directory.service(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	root, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, int(requestTimeout.Seconds()), false,
		"(objectClass=*)", []string{"supportedControl"}, nil))
	if err != nil {
		return false, unavailable("read the directory's own entry", err)
	}
	return len(root.Entries) == 1 && slices.Contains(root.Entries[0].GetEqualFoldAttributeValues("supportedControl"), oidSync), nil
}

// poll asks for everybody who is signed in, again and again.
func (w *Watcher) poll(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		if err := w.compare(ctx, w.signedIn.Accounts()); err != nil {
			w.setLost(ctx, err)
		} else {
			w.setBack()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// workers is how many accounts are asked for at once, on one connection.
const workers = 8

// compare looks at accounts as a sign-in would. It stops at the first sign that the directory cannot answer.
func (w *Watcher) compare(ctx context.Context, accounts []Account) error {
	if len(accounts) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := w.directory.service(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	queue := make(chan Account)
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range min(workers, len(accounts)) {
		wg.Go(func() {
			for a := range queue {
				if err := w.look(ctx, conn, a); err != nil {
					failed <- err
					cancel()
					return
				}
			}
		})
	}
feed:
	for _, a := range accounts {
		select {
		case queue <- a:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// look asks for one account. The error is ErrUnavailable, always.
func (w *Watcher) look(ctx context.Context, conn *ldap.Conn, a Account) error {
	entry, err := w.directory.lookup(conn, a.Login)
	switch {
	case err == nil:
		w.signedIn.Found(ctx, a, entry)
	case isBarred(err):
		w.signedIn.Barred(ctx, a, err.Error())
	default:
		return err
	}
	return nil
}

var errGone = errors.New("no longer in the directory")

func isBarred(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, ErrLocked) || errors.Is(err, ErrNotAllowed)
}

// lookup finds a user as a sign-in does, without a password. Where nobody is found it makes sure that the directory shows
// anything at all: a service account that has lost its rights must not sign everybody out.
func (d *Directory) lookup(conn *ldap.Conn, login string) (Entry, error) {
	found, err := d.find(conn, login)
	if errors.Is(err, ErrBadCredentials) {
		if _, baseErr := conn.Search(ldap.NewSearchRequest(d.config.BaseDN, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
			int(requestTimeout.Seconds()), false, "(objectClass=*)", []string{"1.1"}, nil)); baseErr != nil {
			return Entry{}, unavailable("read the base", baseErr)
		}
		return Entry{}, errGone
	}
	if err != nil {
		return Entry{}, err
	}
	return d.judge(conn, found)
}

// Recheck looks again at somebody who has just signed in, where a change was heard of since his sign-in began, or all were
// looked at: either may have been before he was known.
func (w *Watcher) Recheck(a Account, began time.Time) {
	if heard := w.heard.Load(); heard == 0 || heard < began.UnixNano() {
		return
	}
	select {
	case w.again <- a:
	default: // so many at once: the next full comparison finds them
	}
}

// aliveEvery is how often a persistent search's connection is asked for a sign of life, which must come within requestTimeout.
const aliveEvery = 10 * time.Second

// errRefused says that the server will not be followed.
var errRefused = errors.New("search refused")

// expiryEvery is how often all are looked at although nothing has changed: an account may expire by time alone.
const expiryEvery = 2 * time.Minute

// sync follows the users' and the groups' base until a connection is lost.
func (w *Watcher) sync(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bases := w.directory.bases()
	changes := make(chan change, 64)
	refreshed := make(chan struct{}, len(bases))
	failed := make(chan error, len(bases))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, base := range bases {
		wg.Go(func() { failed <- w.follow(ctx, base, changes, refreshed) })
	}
	waiting := len(bases)
	ticker := time.NewTicker(expiryEvery)
	defer ticker.Stop()
	for {
		var affected []Account
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-refreshed:
			if waiting--; waiting > 0 {
				continue
			}
			w.heard.Store(time.Now().UnixNano()) // a refresh does not say what has changed
			affected = w.signedIn.Accounts()
		case c := <-changes:
			if waiting > 0 {
				continue // the full comparison sees it
			}
			affected = affectedBy(waitingWith(c, changes), w.signedIn.Accounts())
		case a := <-w.again:
			affected = []Account{a}
		case <-ticker.C:
			affected = w.signedIn.Accounts()
		}
		if err := w.compare(ctx, affected); err != nil {
			return err
		}
		if waiting == 0 {
			w.setBack()
		}
	}
}

// bases are the subtrees to follow; one within the other is followed once.
func (d *Directory) bases() []string {
	users, err1 := ldap.ParseDN(d.config.BaseDN)
	groups, err2 := ldap.ParseDN(d.config.GroupBaseDN)
	switch {
	case err1 != nil || err2 != nil || users.EqualFold(groups) || users.AncestorOfFold(groups):
		return []string{d.config.BaseDN}
	case groups.AncestorOfFold(users):
		return []string{d.config.GroupBaseDN}
	}
	return []string{d.config.BaseDN, d.config.GroupBaseDN}
}

// follow holds one persistent search. refreshed is told when what was there before it has been passed.
func (w *Watcher) follow(ctx context.Context, base string, changes chan<- change, refreshed chan<- struct{}) error {
	conn, err := w.directory.service(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetTimeout(0) // it would end the persistent search, too
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { keepAlive(ctx, conn) })
	request := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)",
		[]string{"cn", "member", "uniqueMember", "memberUid"}, nil)
	cookie := w.cookie(base)
	response := conn.Syncrepl(ctx, request, 64, ldap.SyncRequestModeRefreshAndPersist, cookie, false)
	persisting := false
	for response.Next() {
		for _, control := range response.Controls() {
			newer, done := readSync(control)
			if len(newer) > 0 {
				w.setCookie(base, newer)
			}
			if done && !persisting {
				persisting = true
				refreshed <- struct{}{}
			}
		}
		if !persisting || response.Entry() == nil {
			continue
		}
		w.heard.Store(time.Now().UnixNano())
		select {
		case changes <- newChange(response):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := response.Err(); err != nil {
		var refusal *ldap.Error
		if errors.As(err, &refusal) && refusal.ResultCode < ldap.ErrorNetwork && !persisting {
			if cookie == nil { // not allowed, or more entries than its limit
				return fmt.Errorf("follow %s: %w: %w", base, errRefused, err)
			}
			w.setCookie(base, nil) // of no use: a server that has crashed calls it newer than itself
		}
		return unavailable("follow "+base, err)
	}
	return fmt.Errorf("follow %s: the search has ended: %w", base, ErrUnavailable)
}

func (w *Watcher) cookie(base string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cookies[base]
}

func (w *Watcher) setCookie(base string, cookie []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cookies[base] = cookie
}

// readSync reads a control of RFC 4533: the new cookie, if it has one, and whether the refresh is done.
func readSync(control ldap.Control) (cookie []byte, done bool) {
	switch c := control.(type) {
	case *ldap.ControlSyncState:
		return c.Cookie, false
	case *ldap.ControlSyncInfo:
		switch {
		case c.NewCookie != nil:
			return c.NewCookie.Cookie, false
		case c.RefreshDelete != nil:
			return c.RefreshDelete.Cookie, c.RefreshDelete.RefreshDone
		case c.RefreshPresent != nil:
			return c.RefreshPresent.Cookie, c.RefreshPresent.RefreshDone
		case c.SyncIdSet != nil:
			return c.SyncIdSet.Cookie, false
		}
	}
	return nil, false
}

// keepAlive closes a connection that does not answer: a peer that is cut off says nothing by itself.
func keepAlive(ctx context.Context, conn *ldap.Conn) {
	ticker := time.NewTicker(aliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			conn.Close()
			return
		case <-ticker.C:
		}
		limit := time.AfterFunc(requestTimeout, func() { conn.Close() })
		_, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
		limit.Stop()
		if err != nil {
			conn.Close()
			return
		}
	}
}

// change is an entry that was added, changed or deleted.
type change struct {
	dn       string
	name     string // the value of its RDN: a group's name
	identity string
	members  map[string]bool // lower-case DNs and names, where it is a group
}

func newChange(r ldap.Response) change {
	e := r.Entry()
	c := change{dn: e.DN, members: make(map[string]bool)}
	if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		c.name = dn.RDNs[0].Attributes[0].Value
	}
	for _, control := range r.Controls() {
		if state, ok := control.(*ldap.ControlSyncState); ok {
			c.identity = state.EntryUUID.String()
		}
	}
	for _, name := range []string{"member", "uniqueMember", "memberUid"} {
		for _, v := range e.GetEqualFoldAttributeValues(name) {
			c.members[strings.ToLower(v)] = true
		}
	}
	return c
}

// waitingWith is c and all that waits behind it: a burst of changes, as of failed binds, is looked at once.
func waitingWith(c change, changes <-chan change) []change {
	batch := []change{c}
	for {
		select {
		case c := <-changes:
			batch = append(batch, c)
		default:
			return batch
		}
	}
}

// affectedBy are the accounts that changes may be about.
func affectedBy(changes []change, accounts []Account) []Account {
	return slices.DeleteFunc(accounts, func(a Account) bool {
		return !slices.ContainsFunc(changes, func(c change) bool { return c.affects(a) })
	})
}

// affects reports whether the change may be about a. A change in a group names the group's entry only: those are affected who
// were in it, and those who are now.
func (c change) affects(a Account) bool {
	return a.Identity != "" && a.Identity == c.identity || strings.EqualFold(a.DN, c.dn) || slices.Contains(a.Groups, c.name) ||
		c.members[strings.ToLower(a.DN)] || c.members[strings.ToLower(a.User)]
}
