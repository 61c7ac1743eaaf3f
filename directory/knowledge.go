package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"
)

// knowledge is what a watcher has learned of an account. Accounts that are signed in no more are
// forgotten at the next full look.
type knowledge struct {
	since time.Time

	// servers that have let the account in as it is: that of the sign-in, and those that have said
	// so since
	agreed   map[int]bool
	identity string // what the sign-in could not read and was read since
	password string
	dn       string // where their entry was last seen; empty: it was not

	gone      time.Time // since when the server has said that their entry is not there; zero: it does not
	suspected time.Time // when it was first barred together with most others; zero: it is not
	tries     int       // since it could last be told
	due       time.Time // when it is looked at again; zero: with all others
	trouble   string    // why nothing may be concluded; empty: the directory has answered
	troubled  time.Time // since when there is trouble
}

// Waits until an account is looked at again of which nothing could be concluded, or told.
const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
)

// secondLookAfter is how long after the first a second look at most of those who are signed in
// counts.
const secondLookAfter = 5 * time.Second

func (w *Watcher) secondLook() time.Duration { return min(secondLookAfter, w.every) }

// maxFailures is how many accounts that cannot be told are tried in one comparison: the store is
// out of reach, and each may take seconds.
const maxFailures = 8

func (w *Watcher) knowLocked(k Key) *knowledge {
	known := w.known[k]
	if known == nil {
		known = &knowledge{since: time.Now(), agreed: make(map[int]bool)}
		w.known[k] = known
		if server, ok := w.directory.origins.of(k); ok {
			known.agreed[server] = true
		}
	}
	return known
}

// noteOrigin remembers which server has just signed a in.
func (w *Watcher) noteOrigin(a Account) {
	server, ok := w.directory.origins.of(a.Key)
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.knowLocked(a.Key); ok {
		known.agreed[server] = true
	}
}

func (w *Watcher) agreed(k Key) map[int]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.knowLocked(k).agreed)
}

// withLearned is a with what its sign-in could not read, and where its entry was last seen, if this
// process has seen it.
func (w *Watcher) withLearned(a Account) (learned Account, seen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowLocked(a.Key)
	a.Identity, a.Password, a.DN = cmp.Or(a.Identity, known.identity), cmp.Or(a.Password, known.password),
		cmp.Or(known.dn, a.DN)
	return a, known.dn != ""
}

// all are the accounts that are signed in; others are forgotten, but for those of sign-ins that are
// not listed yet.
func (w *Watcher) all() []Account {
	accounts := w.signedIn.Accounts()
	listed := make(map[Key]bool, len(accounts))
	for _, a := range accounts {
		listed[a.Key] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = len(accounts)
	maps.DeleteFunc(w.known, func(k Key, known *knowledge) bool {
		return !listed[k] && time.Since(known.since) > originFor
	})
	return accounts
}

// due are the accounts whose wait is over.
func (w *Watcher) due() []Account {
	accounts := w.all()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	isOver := func(known *knowledge) bool { return known != nil && !known.due.IsZero() && !now.Before(known.due) }
	var list []Account
	listed := make(map[Key]bool, len(accounts))
	for _, a := range accounts {
		listed[a.Key] = true
		if isOver(w.known[a.Key]) {
			list = append(list, a)
		}
	}
	for k, known := range w.known {
		if !listed[k] && isOver(known) { // signed out meanwhile, or not listed yet
			known.due = now.Add(retryFirst)
		}
	}
	return list
}

// soonestAgain is the shortest time in which anybody is looked at again of themselves.
const soonestAgain = 100 * time.Millisecond

// arm sets a timer to when the next wait is over, though no sooner than after a rest, and never at
// once: a wait that is over and that nobody has settled would else be looked at without end.
func (w *Watcher) arm(timer *time.Timer, rest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := time.Time{}
	for _, known := range w.known {
		if !known.due.IsZero() && (next.IsZero() || known.due.Before(next)) {
			next = known.due
		}
	}
	timer.Stop()
	if !next.IsZero() {
		timer.Reset(max(soonestAgain, rest, time.Until(next)))
	}
}

// lastingTrouble is how long it counts as a loss of the directory that nothing may be concluded
// about a few of those who are signed in. After that it is taken for what it is, or a loss of all
// would not be told any more.
const lastingTrouble = 15 * time.Minute

// troubledLocked is how many there are of whom nothing may be concluded, and whether that is a loss
// of the directory.
func (w *Watcher) troubledLocked() (n int, lost bool) {
	recent := false
	for _, known := range w.known {
		if known.trouble != "" {
			n++
			recent = recent || time.Since(known.troubled) < lastingTrouble
		}
	}
	return n, recent || 2*n > w.listed
}

// goneAfter is how long a server has to say that an entry is not there before that is believed
// without others in its place.
func (w *Watcher) goneAfter() time.Duration { return min(10*time.Minute, 40*w.every) }

// awaitGone takes back what only the server's word speaks for, until it has stood for long:
// somebody may be loading the directory anew.
func (w *Watcher) awaitGone(verdicts []verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, after := time.Now(), w.goneAfter()
	for i, v := range verdicts {
		known := w.knowLocked(v.account.Key)
		switch {
		case !v.gone:
			known.gone = time.Time{}
			continue
		case known.gone.IsZero():
			known.gone = now
		}
		if v.outcome == departed && now.Sub(known.gone) < after {
			verdicts[i] = v.is(unseen, "%s; that is believed after %s", v.why, after)
		}
	}
}

// doubt takes back what is said of most of those looked at, and of more than one: that is trouble
// of the directory until a second look says the same.
func (w *Watcher) doubt(verdicts []verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, after := time.Now(), w.secondLook()
	var doubtful []int
	for i, v := range verdicts {
		known := w.knowLocked(v.account.Key)
		switch {
		case v.outcome == letIn:
			known.suspected = time.Time{}
		case v.outcome == departed && (known.suspected.IsZero() || now.Sub(known.suspected) < after):
			doubtful = append(doubtful, i)
		}
	}
	if len(doubtful) < 2 || 2*len(doubtful) <= len(verdicts) {
		return
	}
	for _, i := range doubtful {
		known := w.knowLocked(verdicts[i].account.Key)
		if known.suspected.IsZero() {
			known.suspected = now
		}
		verdicts[i] = verdicts[i].is(unseen, "so it is said of %d of %d who were looked at: %s", len(doubtful),
			len(verdicts), verdicts[i].why)
	}
}

// tell says what may be concluded, and puts back what may not or could not be carried out.
func (w *Watcher) tell(ctx context.Context, server int, verdicts []verdict) error {
	var failures, hidden atomic.Int32
	inParallel(len(verdicts), func(i int) {
		v := verdicts[i]
		var err error
		switch {
		case v.outcome == unseen:
			hidden.Add(1)
			w.putBack(v.account.Key, v.why)
			return
		case failures.Load() >= maxFailures:
			err = errors.New("not tried")
		case v.outcome == letIn:
			err = w.signedIn.Found(ctx, v.account, v.entry)
		default:
			err = w.signedIn.Barred(ctx, v.account, v.why)
		}
		if err != nil {
			failures.Add(1)
			w.putBack(v.account.Key, "")
			return
		}
		w.settle(v)
	})
	if n := failures.Load(); n > 0 && ctx.Err() == nil {
		w.log.Error("what the directory says could not be carried out: it is tried again", "accounts", n)
	}
	if 2*int(hidden.Load()) > len(verdicts) && w.areMany(len(verdicts)) {
		w.directory.leave(server)
	}
	w.mu.Lock()
	_, lost := w.troubledLocked()
	w.mu.Unlock()
	for _, v := range verdicts {
		if v.outcome == unseen && lost {
			w.setLost(ctx, fmt.Errorf("nothing is concluded about %d of %d who were looked at, as of %q: %s: %w",
				hidden.Load(), len(verdicts), v.account.User, v.why, ErrUnavailable))
			break
		}
	}
	return ctx.Err()
}

// areMany reports whether so many are at least half of those who are signed in. A look at fewer, as
// those who are looked at again are, says nothing about a server: it may hide or lack just them.
func (w *Watcher) areMany(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 2*n >= w.listed
}

// putBack has an account looked at again after a wait that grows.
func (w *Watcher) putBack(k Key, trouble string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowLocked(k)
	wait := min(retryMost, retryFirst<<min(known.tries, 10))
	if !known.suspected.IsZero() {
		wait = max(wait, w.secondLook())
	}
	known.tries++
	if trouble == "" {
		known.troubled = time.Time{}
	} else if known.trouble == "" {
		known.troubled = time.Now()
	}
	known.due, known.trouble = time.Now().Add(wait), trouble
}

// settle notes that an account was told of.
func (w *Watcher) settle(v verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowLocked(v.account.Key)
	known.tries, known.due, known.trouble = 0, time.Time{}, ""
	if v.outcome != letIn {
		return
	}
	if !sameNames(v.entry.Groups, v.account.Groups) {
		clear(known.agreed) // others may not have heard of it yet
	}
	known.agreed[v.server] = true
	known.dn = v.entry.DN
	known.identity = cmp.Or(known.identity, v.entry.Identity)
	known.password = cmp.Or(known.password, v.entry.PasswordChanged)
}
