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

// Changes in the directory, noticed by RFC 4533 content synchronisation (refreshAndPersist) where
// the server offers it, else by asking anew for those who are signed in. Either way the question
// about a person is the one of their sign-in: would they still be let in, and with which groups. A
// directory that is out of reach, or shows too little, answers nothing, and nothing follows from
// that: see comparison. When it is back, everybody who is signed in is looked at again.

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

// Key tells accounts apart. Sessions that agree in it stand and fall together: two people may have
// signed in by one name that was given from one to the other, and one person may have done so
// before and after a change of the password.
type Key struct {
	Login    string // the name of the sign-in, as it was typed or canonical: the directory is asked for it again
	User     string // canonical name
	DN       string
	Identity string // empty where the directory did not say, as is Password
	Password string // when it was last changed, as the directory wrote it
}

// Account is somebody who is signed in.
type Account struct {
	Key
	Groups []string
}

// SignedIn is who is signed in. It is asked by a [Watcher] and told what the directory says. What
// it cannot carry out it returns as an error: it is told the same again after a while.
type SignedIn interface {
	Accounts() []Account
	// Found says that the directory would still let the account in, as e.
	Found(ctx context.Context, a Account, e Entry) error
	// Barred says that it would not, or that the account is another one now.
	Barred(ctx context.Context, a Account, why string) error
	// Lost says that the directory is out of reach or shows too little; once, until it has been
	// back.
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
	cookies map[string][]byte  // by base: where the synchronisation stands
	listed  int                // how many were signed in when it was last asked
	known   map[Key]*knowledge // what was learned of accounts since they were first looked at
}

// NewWatcher makes a watcher that does nothing until it runs. every must be more than 0.
func NewWatcher(d *Directory, mode WatchMode, every time.Duration, who SignedIn, log *slog.Logger) *Watcher {
	return &Watcher{
		directory: d, mode: mode, every: every, signedIn: who, log: log, again: make(chan Account, 1000),
		cookies: make(map[string][]byte), known: make(map[Key]*knowledge),
	}
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
	n, lost := w.troubledLocked()
	was := w.lost && !lost
	w.lost = w.lost && !was
	w.mu.Unlock()
	if was && n > 0 {
		w.log.Warn("of some nothing may be concluded for long: they stay signed in until their sessions end otherwise",
			"accounts", n)
	}
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
	root, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)", []string{"supportedControl"}, nil))
	if err != nil {
		return false, unavailable("read the directory's own entry", err)
	}
	return len(root.Entries) == 1 &&
		slices.Contains(root.Entries[0].GetEqualFoldAttributeValues("supportedControl"), oidSync), nil
}

// poll asks for everybody who is signed in, again and again.
func (w *Watcher) poll(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	accounts := w.all()
	for {
		rest := time.Duration(0)
		if err := w.compare(ctx, accounts); err != nil {
			w.setLost(ctx, err)
			rest = min(retryMost, w.every) // nobody was looked at, so their waits are over still
		} else {
			w.setBack()
		}
		w.arm(due, rest)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			accounts = w.all()
		case <-due.C:
			accounts = w.due()
		}
	}
}

// Recheck looks again at somebody who has just signed in, where a change was heard of since their
// sign-in began, or all were looked at: either may have been before they were known.
func (w *Watcher) Recheck(a Account, began time.Time) {
	if w.mode == WatchOff {
		return
	}
	w.noteOrigin(a)
	if heard := w.heard.Load(); heard == 0 || heard < began.UnixNano() {
		return
	}
	select {
	case w.again <- a:
	default: // so many at once: the next full comparison finds them
	}
}

// aliveEvery is how often a persistent search's connection is asked for a sign of life, which must
// come within requestTimeout.
const aliveEvery = 10 * time.Second

// errRefused says that the server will not be followed.
var errRefused = errors.New("search refused")

// expiryEvery is how often all are looked at although nothing has changed: an account may expire by
// time alone.
const expiryEvery = 2 * time.Minute

// sync follows the users' and the groups' base until a connection is lost.
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
		w.arm(due, 0)
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
			affected = w.all()
		case <-changes.some:
			if list, all := changes.take(); waiting > 0 {
				continue // the full comparison sees them
			} else if affected = w.all(); !all {
				affected = affectedBy(list, affected)
			}
		case a := <-w.again:
			affected = []Account{a}
		case <-due.C:
			affected = w.due()
		case <-ticker.C:
			affected = w.all()
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

// follow holds one persistent search. refreshed is told when what was there before it has been
// passed.
func (w *Watcher) follow(ctx context.Context, base string, changes *backlog, refreshed chan<- struct{}) error {
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
	wg.Go(func() { keepAlive(ctx, conn.Conn) })
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
		w.heard.Store(time.Now().UnixNano())
		changes.add(newChange(response)) // never waits: a connection that is not read from looks dead
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

// readSync reads a control of RFC 4533: the new cookie, if it has one, and whether the refresh is
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

// keepAlive closes a connection that does not answer: a peer that is cut off says nothing by
// itself.
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
		_, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
			"(objectClass=*)", []string{"1.1"}, nil))
		limit.Stop()
		if err != nil {
			conn.Close()
			return
		}
	}
}
