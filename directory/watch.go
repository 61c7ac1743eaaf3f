package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Changes in the directory are noticed by RFC 4533 content synchronisation (refreshAndPersist) if
// the server offers it, else by asking again and again about those who are signed in. Either way
// the question about a person is that of their sign-in: would they still get in, and with which
// groups? Nothing follows from a directory that is out of reach or shows too little; see
// comparison. When it is back, everybody who is signed in is checked.

// WatchMode says how changes are noticed.
type WatchMode string

// The modes.
const (
	WatchAuto     WatchMode = "auto" // syncrepl where it is offered, else poll
	WatchSyncrepl WatchMode = "syncrepl"
	WatchPoll     WatchMode = "poll"
	WatchOff      WatchMode = "off"
)

// Validate refuses any other value than those of the constants.
func (m WatchMode) Validate() error {
	switch m {
	case WatchAuto, WatchSyncrepl, WatchPoll, WatchOff:
		return nil
	}
	return errors.New("must be syncrepl, poll, auto or off")
}

// Key tells accounts apart. Sessions with equal keys stand and fall together. Two people may have
// signed in by one name, if it passed from one to the other, and one person may have signed in
// before and after a change of their password: these are different accounts.
type Key struct {
	Login           string // the name of the sign-in, as it was typed or canonical: the directory is asked for it again
	User            string // canonical name
	DN              string
	Identity        string // empty where the directory did not say, as is Password
	PasswordChanged string // when it was last changed, as the directory wrote it
}

// Account is somebody who is signed in.
type Account struct {
	Key
	Groups []string
}

// Subscriber is told what the directory says about the accounts that are signed in. A [Watcher]
// calls it, from several goroutines at once. If Allowed or Denied fails, the watcher checks the
// account again after a while, and reports again.
type Subscriber interface {
	// Accounts lists who is signed in now, each key once.
	Accounts() []Account
	// Allowed says that the directory would still let the account in, as e.
	Allowed(ctx context.Context, a Account, e Entry) error
	// Denied says that the directory would refuse the account now, or that its name belongs to
	// somebody else. why says more than the cause, in English.
	Denied(ctx context.Context, a Account, cause Cause, why string) error
	// Unreachable says that the directory cannot be asked, or shows too little to conclude
	// anything. It is called once, until the directory has been back.
	Unreachable(ctx context.Context, err error)
}

// Watcher notices changes in the directory that concern those who are signed in. See [Watcher.Run].
type Watcher struct {
	directory  *Directory
	mode       WatchMode
	pollEvery  time.Duration // of polling
	subscriber Subscriber
	log        *slog.Logger

	lastChange atomic.Int64 // when something last changed or may have changed, Unix ns; 0 for never
	rechecks   chan Account // accounts whose sign-in a change may have overtaken

	mu          sync.Mutex
	unreachable bool
	cookies     map[string][]byte  // by base: the state of the synchronisation
	listed      int                // how many were signed in when last asked
	known       map[Key]*knowledge // what was learned of accounts since their first check
}

// NewWatcher returns a watcher that does nothing until it runs. pollEvery must be positive.
func NewWatcher(d *Directory, mode WatchMode, every time.Duration, who Subscriber, log *slog.Logger) *Watcher {
	return &Watcher{
		directory:  d,
		mode:       mode,
		pollEvery:  every,
		subscriber: who,
		log:        log,
		rechecks:   make(chan Account, 1000),
		cookies:    make(map[string][]byte),
		known:      make(map[Key]*knowledge),
	}
}

// oidSync is the control of RFC 4533 §2.2.
const oidSync = ldap.ControlTypeSyncRequest

// Run watches the directory until ctx ends. Whoever calls it waits for it; it leaves no goroutine
// behind.
func (w *Watcher) Run(ctx context.Context) {
	if w.mode == WatchOff {
		return
	}
	for failures := 0; ctx.Err() == nil; failures++ {
		offered := false
		if w.mode != WatchPoll {
			var err error
			if offered, err = w.offersSync(ctx); err != nil {
				w.setUnreachable(ctx, err)
				w.backOff(ctx, failures)
				continue
			}
		}
		if !offered {
			if w.mode == WatchSyncrepl {
				w.log.Error(
					"the directory does not offer syncrepl (RFC 4533) to the service account: it is polled instead")
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
		w.setUnreachable(ctx, err)
		if time.Since(began) > time.Minute {
			failures = 0
		}
		w.backOff(ctx, failures)
	}
}

// backOff waits before the next attempt: longer after each failure, 10 s at most, a random share of
// it.
func (w *Watcher) backOff(ctx context.Context, failures int) {
	d := min(10*time.Second, 100*time.Millisecond<<min(failures, 10))
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *Watcher) setUnreachable(ctx context.Context, err error) {
	w.mu.Lock()
	first := !w.unreachable
	w.unreachable = true
	w.mu.Unlock()
	if first && ctx.Err() == nil {
		w.subscriber.Unreachable(ctx, err)
	}
}

func (w *Watcher) setReachable() {
	w.mu.Lock()
	n, lost := w.troubledLocked()
	was := w.unreachable && !lost
	w.unreachable = w.unreachable && !was
	w.mu.Unlock()
	if was && n > 0 {
		w.log.Warn("of some nothing may be concluded for long: they stay signed in until their sessions end otherwise",
			"accounts", n)
	}
	if was {
		w.log.Info("the directory is back: everybody who is signed in was looked at")
	}
}

// Inconclusive counts the accounts that are signed in and of whom the directory says nothing that
// could be believed.
func (w *Watcher) Inconclusive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, _ := w.troubledLocked()
	return n
}

func (w *Watcher) offersSync(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := w.directory.service(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	root, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)", []string{"supportedControl"}, nil))
	if err != nil {
		return false, unavailable("read the directory's own entry", err)
	}
	return len(root.Entries) == 1 &&
		slices.Contains(root.Entries[0].GetEqualFoldAttributeValues("supportedControl"), oidSync), nil
}

// poll checks everybody who is signed in every pollEvery, and sooner those who are due for a retry.
func (w *Watcher) poll(ctx context.Context) {
	ticker := time.NewTicker(w.pollEvery)
	defer ticker.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	accounts := w.signedIn()
	for {
		rest := time.Duration(0)
		if err := w.compare(ctx, accounts); err != nil {
			w.setUnreachable(ctx, err)
			rest = min(retryMost, w.pollEvery) // nobody was checked, so all that was due still is
		} else {
			w.setReachable()
		}
		w.armRetry(due, rest)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			accounts = w.signedIn()
		case <-due.C:
			accounts = w.dueForRetry()
		}
	}
}

// Recheck checks an account that has just signed in, if a change may have overtaken it: since
// began, the start of the sign-in, the watcher heard of a change or checked everybody, without
// knowing the account yet. It never waits.
func (w *Watcher) Recheck(a Account, began time.Time) {
	if w.mode == WatchOff {
		return
	}
	w.noteOrigin(a)
	if heard := w.lastChange.Load(); heard == 0 || heard < began.UnixNano() {
		return
	}
	select {
	case w.rechecks <- a:
	default: // too many at once: the next check of everybody covers them
	}
}

// aliveEvery is how often the server of a persistent search is asked for a sign of life, which must
// come within requestTimeout.
const aliveEvery = 10 * time.Second

// errRefused says that the server refuses a persistent search.
var errRefused = errors.New("search refused")

// expiryEvery is how often everybody is checked although nothing has changed: an account may expire
// by time alone.
const expiryEvery = 2 * time.Minute

// sync follows the base of the users and that of the groups until a connection is lost.
func (w *Watcher) sync(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bases := w.directory.bases()
	changes := newBacklog()
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
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		var affected []Account
		w.armRetry(due, 0)
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-refreshed:
			if waiting--; waiting > 0 {
				continue
			}
			w.lastChange.Store(time.Now().UnixNano()) // a refresh does not say what changed
			affected = w.signedIn()
		case <-changes.ready:
			if list, all := changes.take(); waiting > 0 {
				continue // the check of everybody covers them
			} else if affected = w.signedIn(); !all {
				affected = affectedBy(list, affected)
			}
		case a := <-w.rechecks:
			affected = []Account{a}
		case <-due.C:
			affected = w.dueForRetry()
		case <-ticker.C:
			affected = w.signedIn()
		}
		if err := w.compare(ctx, affected); err != nil {
			return err
		}
		if waiting == 0 {
			w.setReachable()
		}
	}
}

// bases lists the subtrees to follow. If one lies within the other, the outer one is enough.
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

// follow holds one persistent search (RFC 4533 §3.4). It signals refreshed once the server has
// listed what was there before.
func (w *Watcher) follow(ctx context.Context, base string, changes *backlog, refreshed chan<- struct{}) error {
	conn, err := w.directory.service(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetTimeout(0) // a timeout would end the persistent search too
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { w.directory.closeWhenSilent(ctx, conn.Conn) })
	request := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"cn", "member", "uniqueMember", "memberUid"}, nil)
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
		w.lastChange.Store(time.Now().UnixNano())
		changes.add(newChange(response)) // never waits: a connection that nobody reads looks dead
	}
	if err := response.Err(); err != nil {
		var refusal *ldap.Error
		if errors.As(err, &refusal) && refusal.ResultCode < ldap.ErrorNetwork && !persisting {
			if cookie == nil { // not allowed, or more entries than its limit
				return fmt.Errorf("follow %s: %w: %w", base, errRefused, err)
			}
			w.setCookie(base, nil) // useless: a server that crashed calls it newer than itself
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

// readSync reads a control of RFC 4533: the new cookie, if there is one, and whether the refresh is
// done.
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

// closeWhenSilent closes a connection whose server does not answer: a peer that is cut off says
// nothing by itself.
func (d *Directory) closeWhenSilent(ctx context.Context, conn *ldap.Conn) {
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
		err := askForLife(conn)
		limit.Stop()
		d.hear(err)
		if err != nil {
			conn.Close()
			return
		}
	}
}
