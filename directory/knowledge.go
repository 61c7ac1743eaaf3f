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

// knowledge is what a watcher has learned of one account. That of accounts that have signed out is
// dropped when everybody is listed next.
type knowledge struct {
	since time.Time

	// servers that allow the account as it is: that of the sign-in, and those that have said so
	// since
	agreed   map[int]bool
	identity string // what the sign-in could not read and a check has read since
	password string
	dn       string // where the entry was last seen; empty: nowhere

	absentSince  time.Time // since when the server says that the entry does not exist; zero: it does not say so
	deniedSince  time.Time // when it was first denied together with most others; zero: it is not
	tries        int       // checks since the last report
	retryAt      time.Time // when it is checked again; zero: with all others
	trouble      string    // why the check was inconclusive; empty: it was not
	troubleSince time.Time // since when it is inconclusive
}

// How long an account waits for the next check if one was inconclusive or could not be reported.
const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
)

// secondCheckMost bounds secondCheckAfter: how long after a first check a second one counts, if
// most of those who are signed in would be denied.
const secondCheckMost = 5 * time.Second

func (w *Watcher) secondCheckAfter() time.Duration { return min(secondCheckMost, w.pollEvery) }

// maxFailures is how many failed reports end a comparison: the store is out of reach then, and each
// report may take seconds.
const maxFailures = 8

func (w *Watcher) knowledgeLocked(k Key) *knowledge {
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

// noteOrigin notes which server has just signed a in.
func (w *Watcher) noteOrigin(a Account) {
	server, ok := w.directory.origins.of(a.Key)
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.knowledgeLocked(a.Key); ok {
		known.agreed[server] = true
	}
}

func (w *Watcher) agreed(k Key) map[int]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.knowledgeLocked(k).agreed)
}

// withLearned adds to a what could not be read at its sign-in and was read since. seen reports
// whether this process has seen its entry; a.DN is then where.
func (w *Watcher) withLearned(a Account) (learned Account, seen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowledgeLocked(a.Key)
	a.Identity, a.PasswordChanged, a.DN = cmp.Or(a.Identity, known.identity), cmp.Or(a.PasswordChanged, known.password),
		cmp.Or(known.dn, a.DN)
	return a, known.dn != ""
}

// signedIn lists the accounts that are signed in. It drops the knowledge of all others, except of
// sign-ins that may not be listed yet.
func (w *Watcher) signedIn() []Account {
	accounts := w.subscriber.Accounts()
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

// dueForRetry lists the accounts whose wait for a retry is over.
func (w *Watcher) dueForRetry() []Account {
	accounts := w.signedIn()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	isOver := func(known *knowledge) bool {
		return known != nil && !known.retryAt.IsZero() && !now.Before(known.retryAt)
	}
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
			known.retryAt = now.Add(retryFirst)
		}
	}
	return list
}

// retrySoonest is the shortest time between two retries.
const retrySoonest = 100 * time.Millisecond

// armRetry sets timer to the next retry, but not before rest is over, and never at once: a retry
// that is due and that no report settles would otherwise run in a loop.
func (w *Watcher) armRetry(timer *time.Timer, rest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := time.Time{}
	for _, known := range w.known {
		if !known.retryAt.IsZero() && (next.IsZero() || known.retryAt.Before(next)) {
			next = known.retryAt
		}
	}
	timer.Stop()
	if !next.IsZero() {
		timer.Reset(max(retrySoonest, rest, time.Until(next)))
	}
}

// troubleIsNewsFor is how long an inconclusive check of a few accounts counts as a loss of the
// directory. After that it does not, so that a later loss for all is reported again.
const troubleIsNewsFor = 15 * time.Minute

// troubledLocked counts the accounts whose last check was inconclusive, and reports whether that
// amounts to a loss of the directory.
func (w *Watcher) troubledLocked() (n int, lost bool) {
	recent := false
	for _, known := range w.known {
		if known.trouble != "" {
			n++
			recent = recent || time.Since(known.troubleSince) < troubleIsNewsFor
		}
	}
	return n, recent || 2*n > w.listed
}

// absentAfter is how long a server must say that an entry does not exist before that is believed
// although it shows nobody else in the same place.
func (w *Watcher) absentAfter() time.Duration { return min(10*time.Minute, 40*w.pollEvery) }

// awaitAbsence makes a denial inconclusive that rests on the word of the server alone, until the
// server has said so for absentAfter: somebody may be loading the directory anew.
func (w *Watcher) awaitAbsence(verdicts []verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, after := time.Now(), w.absentAfter()
	for i, v := range verdicts {
		known := w.knowledgeLocked(v.account.Key)
		switch {
		case !v.absent:
			known.absentSince = time.Time{}
			continue
		case known.absentSince.IsZero():
			known.absentSince = now
		}
		if v.outcome == denied && now.Sub(known.absentSince) < after {
			verdicts[i] = v.with(inconclusive, "%s; that is believed after %s", v.why, after)
		}
	}
}

// doubtMany makes denials inconclusive if they concern most of the accounts checked, and more than
// one: that is trouble of the directory until a second check says the same.
func (w *Watcher) doubtMany(verdicts []verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, after := time.Now(), w.secondCheckAfter()
	var doubtful []int
	for i, v := range verdicts {
		known := w.knowledgeLocked(v.account.Key)
		switch {
		case v.outcome == allowed:
			known.deniedSince = time.Time{}
		case v.outcome == denied && (known.deniedSince.IsZero() || now.Sub(known.deniedSince) < after):
			doubtful = append(doubtful, i)
		}
	}
	if len(doubtful) < 2 || 2*len(doubtful) <= len(verdicts) {
		return
	}
	for _, i := range doubtful {
		known := w.knowledgeLocked(verdicts[i].account.Key)
		if known.deniedSince.IsZero() {
			known.deniedSince = now
		}
		verdicts[i] = verdicts[i].with(inconclusive, "so it is said of %d of %d who were looked at: %s", len(doubtful),
			len(verdicts), verdicts[i].why)
	}
}

// report tells the subscriber what each check concludes, and schedules a retry for what is
// inconclusive or could not be reported. It returns an error only if ctx has ended.
func (w *Watcher) report(ctx context.Context, server int, verdicts []verdict) error {
	var failures, hidden atomic.Int32
	inParallel(len(verdicts), func(i int) {
		v := verdicts[i]
		var err error
		switch {
		case v.outcome == inconclusive:
			hidden.Add(1)
			w.retryLater(v.account.Key, v.why)
			return
		case failures.Load() >= maxFailures:
			err = errors.New("not tried")
		case v.outcome == allowed:
			err = w.subscriber.Allowed(ctx, v.account, v.entry)
		default:
			err = w.subscriber.Denied(ctx, v.account, v.cause, v.why)
		}
		if err != nil {
			failures.Add(1)
			w.retryLater(v.account.Key, "")
			return
		}
		w.noteReported(v)
	})
	if n := failures.Load(); n > 0 && ctx.Err() == nil {
		w.log.Error("what the directory says could not be carried out: it is tried again", "accounts", n)
	}
	if 2*int(hidden.Load()) > len(verdicts) && w.isMost(len(verdicts)) {
		w.directory.avoid(server)
	}
	w.mu.Lock()
	_, lost := w.troubledLocked()
	w.mu.Unlock()
	for _, v := range verdicts {
		if v.outcome == inconclusive && lost {
			w.setUnreachable(ctx, fmt.Errorf("nothing is concluded about %d of %d who were looked at, as of %q: %s: %w",
				hidden.Load(), len(verdicts), v.account.User, v.why, ErrUnavailable))
			break
		}
	}
	return ctx.Err()
}

// isMost reports whether n is at least half of those who are signed in. A check of fewer, such as a
// retry, says nothing about a server: it may hide or lack just these.
func (w *Watcher) isMost(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 2*n >= w.listed
}

// retryLater schedules another check of an account, after a wait that grows with each try. trouble
// says why the check was inconclusive; it is empty if the subscriber failed.
func (w *Watcher) retryLater(k Key, trouble string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowledgeLocked(k)
	wait := min(retryMost, retryFirst<<min(known.tries, 10))
	if !known.deniedSince.IsZero() {
		wait = max(wait, w.secondCheckAfter())
	}
	known.tries++
	if trouble == "" {
		known.troubleSince = time.Time{}
	} else if known.trouble == "" {
		known.troubleSince = time.Now()
	}
	known.retryAt, known.trouble = time.Now().Add(wait), trouble
}

// noteReported records that the subscriber has taken the report, and what the check has shown of
// the entry.
func (w *Watcher) noteReported(v verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.knowledgeLocked(v.account.Key)
	known.tries, known.retryAt, known.trouble = 0, time.Time{}, ""
	if v.outcome != allowed {
		return
	}
	if !sameGroups(v.entry.Groups, v.account.Groups) {
		clear(known.agreed) // other servers may not have the change yet
	}
	known.agreed[v.server] = true
	known.dn = v.entry.DN
	known.identity = cmp.Or(known.identity, v.entry.Identity)
	known.password = cmp.Or(known.password, v.entry.PasswordChanged)
}
