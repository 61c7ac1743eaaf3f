package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Forced logouts, as an admin asks for them. Each is one durable revocation. From the moment it is
// written the sessions in its scope are over, or will be after its grace, whatever becomes of the
// messages that tell of it. The ends of the single sessions, with their audit lines, are written
// behind it. How revocations get here that others have written is in revocations.go.

// LogoutRequest asks for a forced logout.
type LogoutRequest struct {
	session.Scope
	Except  string // session.ID.Ref of a session that is spared
	Actor   string
	Message string        // plain text for the people it ends
	Grace   time.Duration // they are warned for so long before
	Block   time.Duration // new sign-ins are refused for so long after
}

// LogoutState is how far a forced logout has come.
type LogoutState string

// The states of a forced logout.
const (
	LogoutPending   LogoutState = "pending" // in its grace
	LogoutEffective LogoutState = "effective"
	LogoutCancelled LogoutState = "cancelled" // before it took effect
)

// ForcedLogout tells how a forced logout stands.
type ForcedLogout struct {
	session.Revocation
	State       LogoutState
	Open        int // tabs in scope that are yet to be told
	Acked       int
	Unconfirmed int
	Gone        int
	Tabs        []TabOutcome // those that were told, the first of each node
}

// TabOutcome is what became of one tab, as it stands in a [ForcedLogout].
type TabOutcome = revocation.TabOutcome

// Outcome says what became of a tab at a forced logout.
type Outcome = revocation.Outcome

// The outcomes of a tab.
const (
	OutcomeAcked       = revocation.Acked       // its page has said that it is blank
	OutcomeUnconfirmed = revocation.Unconfirmed // told, but nothing was heard from the page (yet)
	OutcomeGone        = revocation.Gone        // the page was closed or left before it could say so
)

// newPublicID draws the public name of something an administrator did.
func newPublicID() string { return strings.ToLower(rand.Text()[:20]) }

// maxLogouts bounds the forced logouts that are kept. Beyond it, only everyone can be signed out:
// that can always be said.
const maxLogouts = 50_000

// ErrTooManyLogouts is returned where so many forced logouts are remembered that no more can be.
var ErrTooManyLogouts = errors.New("too many forced logouts in a day: " +
	"sign out a group or everyone instead of one after the other")

// ForceLogout ends sessions, durably, at once or after a grace. It returns once the revocation is
// stored and every session that it ends is marked: from then on (after the grace) no request of
// theirs is served. Their tabs are told in the background. Sessions and Tabs of the result count
// what it ends.
//
// The error is session.ErrNotFound where the scope is a session that does not live, and
// ErrTooManyLogouts where there is no room. Any other error comes from the store; the revocation
// may have been stored all the same.
func (h *Hub) ForceLogout(ctx context.Context, q LogoutRequest) (ForcedLogout, error) {
	if err := h.MayForceLogout(ctx, q.Scope); err != nil {
		return ForcedLogout{}, err
	}
	now := session.Millis(h.clock.Now())
	f := session.Revocation{
		Number:      h.revocations.Highest(),
		ID:          newPublicID(),
		Scope:       q.Scope,
		Except:      q.Except,
		Actor:       q.Actor,
		Message:     q.Message,
		At:          now,
		EffectiveAt: now.Add(q.Grace),
	}
	if q.Block > 0 {
		f.BlockUntil = f.EffectiveAt.Add(q.Block)
	}
	f.Sessions, f.Tabs = h.Count(q.Scope, q.Except)
	registered := h.registered.Load()
	list := make(chan []*liveSession, 1)
	h.goTracked(func() { list <- h.withTabs(q.Scope) })            // takes about as long as the store
	f, err := h.store.AddRevocation(context.WithoutCancel(ctx), f) // whoever asked and hung up has asked all the same
	if err != nil {
		return ForcedLogout{}, err
	}
	h.cluster.TellRevocation(f)
	f.Sessions, f.Tabs = h.enforce(f, <-list, registered)
	h.log.Info("forced logout",
		"scope", f.Scope.String(), "actor", f.Actor, "sessions", f.Sessions, "tabs", f.Tabs, "grace", q.Grace)
	return ForcedLogout{Revocation: f, State: stateOf(&f, now)}, nil
}

// MayForceLogout returns the error that [Hub.ForceLogout] would return before it stores anything.
// A dry run calls it instead.
func (h *Hub) MayForceLogout(ctx context.Context, scope session.Scope) error {
	if scope.Session != "" {
		if sessions, _ := h.Count(scope, ""); sessions == 0 {
			if err := h.findInStore(ctx, scope.Session); err != nil {
				return err
			}
		}
	}
	if !scope.Everyone && h.revocations.Count() >= maxLogouts {
		return ErrTooManyLogouts
	}
	return nil
}

// enforce applies a new revocation: it marks every live session that it ends, and has their tabs
// told in the background. It returns how many sessions and tabs these are. Tabs of this node are
// told before the other sessions are looked at, which may be many times as many. list is what
// withTabs gave when so many sessions had been registered; it is made anew if more are.
func (h *Hub) enforce(f session.Revocation, list []*liveSession, registered int64) (sessions, tabs int) {
	l, isNew := h.revocations.Add(f)
	if !isNew {
		l.AwaitMarked()
		return f.Sessions, f.Tabs // a message came first
	}
	atOnce := f.InEffect(h.clock.Now())
	if h.registered.Load() > registered {
		list = h.withTabs(f.Scope)
	}
	here, tabs := h.mark(l, list, nil)
	told := make(chan struct{})
	tell := func(list []*liveSession) {
		if atOnce {
			h.tellEndOfAll(list, f.End())
			return
		}
		h.parallel(list, func(share []*liveSession) {
			for _, s := range share {
				h.tell(s, tellChanges)
			}
		})
	}
	h.goTracked(func() {
		defer close(told)
		tell(here)
	})
	var rest []*liveSession
	more := 0
	if f.User == "" && f.Session == "" { // else here is all
		rest, more = h.mark(l, h.sessionsIn(f.Scope), here)
	}
	l.SetMarked()
	h.revocations.Follow(f.Number) // from now on no request need wait for it
	h.goTracked(func() {
		<-told
		tell(rest)
		if atOnce {
			h.writeEnds(slices.Concat(here, rest), f.End())
		}
	})
	return len(here) + len(rest), tabs + more
}

// mark notes l in those sessions of a list that it ends before any other forced logout does. It
// returns all that it ends at all, without the known ones and those that another has ended already,
// and how many tabs these have.
func (h *Hub) mark(l *revocation.Entry, list, known []*liveSession) (covered []*liveSession, tabs int) {
	isKnown := make(map[*liveSession]bool, len(known))
	for _, s := range known {
		isKnown[s] = true
	}
	now := h.clock.Now()
	var mu sync.Mutex
	h.parallel(list, func(share []*liveSession) {
		var mine []*liveSession
		open := 0
		for _, s := range share {
			if isKnown[s] || !l.Ends(s.names.Load()) {
				continue
			}
			s.mu.Lock()
			first := s.revocation == nil || l.Before(s.revocation)
			if s.end == nil && (first || !s.forcedOutLocked(now)) {
				mine = append(mine, s)
				open += s.tabsLocked()
				if first {
					s.revocation = l
					s.warned.Store(true) // see act
				}
			}
			s.mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		covered = append(covered, mine...)
		tabs += open
	})
	return covered, tabs
}

// Count counts the live sessions in a scope, and their tabs. Those that a forced logout has ended
// do not count, though their ends may not all be written yet.
func (h *Hub) Count(scope session.Scope, except string) (sessions, tabs int) {
	target := scope.Target()
	return h.count(scope, func(n *session.Names) bool { return target.Matches(n) && (except == "" || except != n.Ref) })
}

func (h *Hub) count(scope session.Scope, picks func(*session.Names) bool) (sessions, tabs int) {
	now := h.clock.Now()
	var mu sync.Mutex
	h.parallel(h.sessionsIn(scope), func(share []*liveSession) {
		n, open := 0, 0
		for _, s := range share {
			if !picks(s.names.Load()) {
				continue
			}
			s.mu.Lock()
			if s.end == nil && !s.forcedOutLocked(now) {
				n++
				open += s.tabsLocked()
			}
			s.mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		sessions, tabs = sessions+n, tabs+open
	})
	return sessions, tabs
}

func stateOf(f *session.Revocation, now time.Time) LogoutState {
	switch {
	case f.Cancelled():
		return LogoutCancelled
	case f.InEffect(now):
		return LogoutEffective
	}
	return LogoutPending
}

// ForcedLogout tells how the forced logout with that ID stands. The error is session.ErrNotFound
// where there is none, or none any more: most are forgotten after [session.RevocationKeptFor].
func (h *Hub) ForcedLogout(id string) (ForcedLogout, error) {
	l := h.revocations.Find(id)
	if l == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	return h.reportOf(l, revocation.MaxListed), nil
}

// reportOf tells how l stands, and lists so many tabs.
func (h *Hub) reportOf(l *revocation.Entry, list int) ForcedLogout {
	now := h.clock.Now()
	l.TakeEffect(now)
	out := ForcedLogout{Revocation: l.Revocation, State: stateOf(l.Judged(), now)}
	if out.State == LogoutPending {
		out.Sessions, out.Open = h.count(l.Revocation.Scope, l.Ends)
	}
	sum, each := l.Outcomes.Total(list)
	out.Acked, out.Gone, out.Unconfirmed, out.Tabs = sum.Acked, sum.Gone, sum.Unconfirmed(), each
	if sum.All > 0 {
		out.Revocation.Tabs = sum.All + out.Open
	}
	return out
}

// ForcedLogouts lists the forced logouts that may still matter and for which picks is true, newest
// first and most of them at most. before is the number below which the list begins; 0 begins with
// the newest. Their Tabs are not listed.
func (h *Hub) ForcedLogouts(before int64, most int, picks func(*session.Revocation) bool) []ForcedLogout {
	var picked []*revocation.Entry
	for _, l := range slices.Backward(h.revocations.List()) {
		if len(picked) == most {
			break
		}
		if (before == 0 || l.Revocation.Number < before) && picks(&l.Revocation) {
			picked = append(picked, l)
		}
	}
	list := make([]ForcedLogout, len(picked))
	for i, l := range picked {
		list[i] = h.reportOf(l, 0)
	}
	return list
}

// CancelForcedLogout cancels what is left of the grace and the block of a forced logout. The store
// decides whether it has taken effect; until then it ends nobody here. The error is
// session.ErrNotFound, or session.ErrTooLate where nothing is left to cancel.
func (h *Hub) CancelForcedLogout(ctx context.Context, id, actor string) (ForcedLogout, error) {
	l := h.revocations.Find(id)
	if l == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	at := session.Millis(h.clock.Now())
	if l.BeginCancel(at) && at.Before(l.Revocation.EffectiveAt) {
		at = l.Revocation.EffectiveAt // it was seen to take effect, and the clock was set back
	}
	defer l.EndCancel()
	f, err := h.store.CancelRevocation(context.WithoutCancel(ctx), id, at, actor)
	if err != nil {
		return ForcedLogout{}, err
	}
	h.cluster.TellRevocation(f)
	h.applyCancellation(f)
	return h.ForcedLogout(id)
}

// Blocked returns the forced logout that refuses a sign-in of a member of these groups now; ok is
// false where none does. A block for everyone spares admins.
func (h *Hub) Blocked(user string, groups []string) (f session.Revocation, ok bool) {
	return h.revocations.Blocking(user, groups, h.admins, h.clock.Now())
}

// awaitEffect returns when it is certain whether the forced logout that ends s first has taken
// effect.
func (h *Hub) awaitEffect(s *liveSession) {
	for {
		s.mu.Lock()
		l := s.revocation
		s.mu.Unlock()
		if l == nil {
			return
		}
		wait := l.TakeEffect(h.clock.Now())
		if wait == nil {
			return
		}
		<-wait // a call of the store has its limit
	}
}
