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

// Forced logouts, as administrators ask for them. Each is one revocation. Once it is stored, the
// sessions in its scope are over, at once or after its grace, whether or not any message about it
// arrives. The end of each single session, with its audit line, is stored afterwards.
// revocations.go applies revocations that other nodes have stored.

// LogoutRequest asks for a forced logout; see [Hub.ForceLogout].
type LogoutRequest struct {
	session.Scope
	Except  string // session.ID.Ref of a session that is spared
	Actor   string
	Message string        // plain text for the users whose sessions it ends
	Grace   time.Duration // for how long they are warned before
	Block   time.Duration // for how long new sign-ins in the scope are refused afterwards
	Strange int           // refs that were given beside Scope.Refs, and that no session can have
}

// LogoutState is how far a forced logout has come.
type LogoutState string

// The states of a forced logout.
const (
	LogoutPending   LogoutState = "pending" // in its grace
	LogoutEffective LogoutState = "effective"
	LogoutCancelled LogoutState = "cancelled" // before it took effect
)

// ForcedLogout is how a forced logout stands: its revocation, and what became of the tabs.
type ForcedLogout struct {
	session.Revocation
	State       LogoutState
	Open        int // tabs in scope that are yet to be told
	Acked       int // tabs by their outcome; see Outcome
	Unconfirmed int
	Gone        int
	Tabs        []TabOutcome // tabs that were told, the first of each node
}

// TabOutcome is what became of one tab, in a [ForcedLogout].
type TabOutcome = revocation.TabOutcome

// Outcome says what became of a tab at a forced logout.
type Outcome = revocation.Outcome

// The outcomes of a tab.
const (
	OutcomeAcked       = revocation.Acked       // its page has said that it is blank
	OutcomeUnconfirmed = revocation.Unconfirmed // it was told, and its page has not answered yet
	OutcomeGone        = revocation.Gone        // the page was closed or left before it could say so
)

// newPublicID draws a random ID for something that an administrator did.
func newPublicID() string { return strings.ToLower(rand.Text()[:20]) }

// maxLogouts bounds the forced logouts that are kept, and maxListed the sessions that all of them
// list. Beyond either, only a logout of everyone is accepted.
const (
	maxLogouts = 50_000
	maxListed  = 500_000
)

// ErrTooManyLogouts is the error of [Hub.ForceLogout] where maxLogouts or maxListed are kept.
var ErrTooManyLogouts = errors.New("too many forced logouts in a day: " +
	"sign out a group or everyone instead of one after the other")

// ForceLogout ends sessions, durably, at once or after a grace, and takes away the pages that wait
// of sessions in scope that had ended. It returns once the revocation is stored and every session
// that it ends is marked: from then on (after the grace) no request of theirs is served, and no
// waiting page comes back. However many sessions the scope lists, they are one revocation: either
// all of them are over or none is. Tabs are told in the background. Sessions, Tabs, Waiting and
// Skipped of the result count what it ends.
//
// The error is session.ErrNotFound where the scope is a session that neither lives nor has pages
// that wait, and ErrTooManyLogouts where there is no room. Any other error comes from the store;
// the revocation may have been stored all the same.
func (h *Hub) ForceLogout(ctx context.Context, q LogoutRequest) (ForcedLogout, error) {
	ctx = context.WithoutCancel(ctx) // a caller that has hung up has asked all the same
	impact, err := h.startImpact(ctx, q)
	if err != nil {
		return ForcedLogout{}, err
	}
	now := session.Millis(h.clock.Now())
	r := session.Revocation{
		Number:      h.revocations.Highest(),
		ID:          newPublicID(),
		Scope:       q.Scope,
		Except:      q.Except,
		Actor:       q.Actor,
		Message:     q.Message,
		At:          now,
		Request:     session.RequestOf(ctx),
		EffectiveAt: now.Add(q.Grace),
		Sessions:    impact.sessions,
		Tabs:        impact.tabs,
		Waiting:     impact.waitingSoon(),
		Skipped:     impact.skipped,
	}
	if q.Block > 0 {
		r.BlockUntil = r.EffectiveAt.Add(q.Block)
	}
	registered := h.registered.Load()
	list := make(chan []*liveSession, 1)
	h.goTracked(func() { list <- h.withTabs(q.Scope) }) // takes about as long as the store
	r, err = h.store.AddRevocation(ctx, r)
	if err != nil {
		h.meter.Unconfirmed()
		return ForcedLogout{}, err
	}
	h.cluster.TellRevocation(r)
	r.Sessions, r.Tabs = h.enforce(r, <-list, registered)
	if r.Waiting, err = impact.waiting(); err != nil {
		r.Waiting = session.NotCounted // they are over all the same
		h.log.Error("pages that wait not counted", "scope", r.Scope.String(), "error", err)
	}
	h.revocations.NoteWaiting(r.ID, r.Waiting)
	h.log.Info("forced logout",
		"scope", r.Scope.String(), "actor", r.Actor, "sessions", r.Sessions, "tabs", r.Tabs, "waiting", r.Waiting,
		"grace", q.Grace, "request", r.Request)
	return ForcedLogout{Revocation: r, State: stateOf(&r, now)}, nil
}

// DryRun returns what [Hub.ForceLogout] would return, without an ID, and does nothing. The errors
// are those that ForceLogout returns before it stores anything.
func (h *Hub) DryRun(ctx context.Context, q LogoutRequest) (session.Revocation, error) {
	impact, err := h.startImpact(ctx, q)
	if err != nil {
		return session.Revocation{}, err
	}
	now := session.Millis(h.clock.Now())
	r := session.Revocation{
		Scope:       q.Scope,
		Actor:       q.Actor,
		Message:     q.Message,
		At:          now,
		EffectiveAt: now.Add(q.Grace),
		Sessions:    impact.sessions,
		Tabs:        impact.tabs,
		Skipped:     impact.skipped,
	}
	r.Waiting, err = impact.waiting()
	return r, err
}

// enforce applies a new revocation: it marks every live session in scope, then notifies their tabs
// in the background. It returns how many sessions and tabs are affected. Sessions with tabs here
// come first; the others may be many times as many. list is what withTabs returned when so many
// sessions had been registered; enforce calls it again if there are more by now.
func (h *Hub) enforce(r session.Revocation, list []*liveSession, registered int64) (sessions, tabs int) {
	e, isNew := h.revocations.Add(r)
	if !isNew {
		e.AwaitMarked()
		return r.Sessions, r.Tabs // it was read from the store meanwhile, or another node has told of it
	}
	atOnce := r.InEffect(h.clock.Now())
	if h.registered.Load() > registered {
		list = h.withTabs(r.Scope)
	}
	here, tabs := h.mark(e, list, nil)
	toldHere := make(chan struct{})
	tell := func(list []*liveSession) {
		if atOnce {
			h.tellEndOfAll(list, r.End())
			return
		}
		h.parallel(list, func(chunk []*liveSession) {
			for _, s := range chunk {
				h.tell(s, tellChanges)
			}
		})
	}
	h.goTracked(func() {
		defer close(toldHere)
		tell(here)
	})
	var rest []*liveSession
	more := 0
	if r.User == "" && !r.OfSessions() { // or else withTabs has listed all
		rest, more = h.mark(e, h.sessionsIn(r.Scope), here)
	}
	e.SetMarked()
	h.revocations.Follow(r.Number) // from now on no request needs to read it
	h.goTracked(func() {
		<-toldHere
		tell(rest)
		if atOnce {
			h.writeEnds(e, slices.Concat(here, rest))
		}
	})
	return len(here) + len(rest), tabs + more
}

// mark notes e in those sessions of a list that no other forced logout ends before it. It returns
// the sessions that e ends, without known ones and those that another has ended already, and how
// many tabs they have.
func (h *Hub) mark(e *revocation.Entry, list, known []*liveSession) (ended []*liveSession, tabs int) {
	isKnown := make(map[*liveSession]bool, len(known))
	for _, s := range known {
		isKnown[s] = true
	}
	now := h.clock.Now()
	var mu sync.Mutex
	h.parallel(list, func(chunk []*liveSession) {
		var mine []*liveSession
		open := 0
		for _, s := range chunk {
			if isKnown[s] || !e.Ends(s.names.Load()) {
				continue
			}
			s.mu.Lock()
			first := s.revocation == nil || e.Before(s.revocation)
			if s.end == nil && (first || !s.forcedOutLocked(now)) {
				mine = append(mine, s)
				open += s.tabsLocked()
				if first {
					s.revocation = e
					s.warned.Store(true) // see act
				}
			}
			s.mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, mine...)
		tabs += open
	})
	return ended, tabs
}

// How long the ends of many sessions are not written for the sake of the tabs that are being told:
// at most ackWait, and as long as one of them answers within ackPause.
const (
	ackPause = 200 * time.Millisecond
	ackStep  = 25 * time.Millisecond // from one look to the next
)

// awaitAcks returns once the tabs that e has ended have answered, or no more of them do. It returns
// false if the hub closes.
func (h *Hub) awaitAcks(e *revocation.Entry) bool {
	before, quiet := -1, time.Duration(0)
	for range ackWait / ackStep {
		sum, _ := e.Outcomes.Total(0)
		open := sum.Unconfirmed()
		if quiet += ackStep; open != before {
			before, quiet = open, 0
		}
		if open == 0 || quiet >= ackPause {
			break
		}
		if !h.wait(ackStep) {
			return false
		}
	}
	return true
}

// Count counts the live sessions in a scope, and their tabs on all nodes. except is the ref of a
// session that is not counted; it may be empty. Sessions that a forced logout has ended do not
// count, though their ends may not be stored yet.
func (h *Hub) Count(scope session.Scope, except string) (sessions, tabs int) {
	sessions, tabs, _ = h.count(scope, isIn(scope, except))
	return sessions, tabs
}

// isIn returns a function that picks the sessions in a scope, but for the one whose ref is except.
func isIn(scope session.Scope, except string) func(*session.Names) bool {
	target := scope.Target()
	return func(n *session.Names) bool { return target.Matches(n) && (except == "" || except != n.Ref) }
}

// count is Count with a condition beside the scope. It lists those whose tabs were told that they
// have ended, too: their ends may not be stored yet.
func (h *Hub) count(
	scope session.Scope,
	matches func(*session.Names) bool,
) (sessions, tabs int, ended []*liveSession) {
	now := h.clock.Now()
	var mu sync.Mutex
	h.parallel(h.sessionsIn(scope), func(chunk []*liveSession) {
		n, open := 0, 0
		var over []*liveSession
		for _, s := range chunk {
			if !matches(s.names.Load()) {
				continue
			}
			s.mu.Lock()
			switch {
			case s.end != nil:
				over = append(over, s)
			case !s.forcedOutLocked(now):
				n++
				open += s.tabsLocked()
			}
			s.mu.Unlock()
		}
		mu.Lock()
		defer mu.Unlock()
		sessions, tabs, ended = sessions+n, tabs+open, append(ended, over...)
	})
	return sessions, tabs, ended
}

func stateOf(r *session.Revocation, now time.Time) LogoutState {
	switch {
	case r.Cancelled():
		return LogoutCancelled
	case r.InEffect(now):
		return LogoutEffective
	}
	return LogoutPending
}

// ForcedLogout returns how the forced logout with that ID stands. The error is session.ErrNotFound
// where there is none, or none any more: most are forgotten after [session.RevocationKeptFor].
func (h *Hub) ForcedLogout(id string) (ForcedLogout, error) {
	e := h.revocations.Find(id)
	if e == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	return h.reportOf(e, revocation.MaxListed), nil
}

// reportOf returns how e stands, with so many of its tabs at most.
func (h *Hub) reportOf(e *revocation.Entry, list int) ForcedLogout {
	now := h.clock.Now()
	e.TakeEffect(now)
	out := ForcedLogout{Revocation: e.Revocation, State: stateOf(e.Judged(), now)}
	if out.State == LogoutPending {
		out.Sessions, out.Open, _ = h.count(e.Revocation.Scope, e.Ends)
	}
	out.Waiting = e.Waiting()
	sum, each := e.Outcomes.Total(list)
	out.Acked, out.Gone, out.Unconfirmed, out.Tabs = sum.Acked, sum.Gone, sum.Unconfirmed(), each
	if sum.All > 0 {
		out.Revocation.Tabs = sum.All + out.Open
	}
	return out
}

// ForcedLogouts lists the forced logouts that are kept and for which picks returns true, newest
// first. It lists most of them at most, and only numbers below before; 0 begins with the newest.
// Tabs is empty in each.
func (h *Hub) ForcedLogouts(before int64, most int, picks func(*session.Revocation) bool) []ForcedLogout {
	var picked []*revocation.Entry
	for _, e := range slices.Backward(h.revocations.List()) {
		if len(picked) == most {
			break
		}
		if (before == 0 || e.Revocation.Number < before) && picks(&e.Revocation) {
			picked = append(picked, e)
		}
	}
	list := make([]ForcedLogout, len(picked))
	for i, e := range picked {
		list[i] = h.reportOf(e, 0)
	}
	return list
}

// CancelForcedLogout cancels what is left of the grace and the block of a forced logout. The store
// decides whether it has taken effect; until the store answers, it ends no session here. The error
// is session.ErrNotFound, or session.ErrTooLate where nothing is left to cancel.
func (h *Hub) CancelForcedLogout(ctx context.Context, id, actor string) (ForcedLogout, error) {
	e := h.revocations.Find(id)
	if e == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	at := session.Millis(h.clock.Now())
	if e.BeginCancel(at) && at.Before(e.Revocation.EffectiveAt) {
		at = e.Revocation.EffectiveAt // it has taken effect here, and then the clock was set back
	}
	defer e.EndCancel()
	r, err := h.store.CancelRevocation(context.WithoutCancel(ctx), id, at, actor)
	if err != nil {
		if !isUnknown(err) && !errors.Is(err, session.ErrTooLate) {
			h.meter.Unconfirmed()
		}
		return ForcedLogout{}, err
	}
	h.cluster.TellRevocation(r)
	h.applyCancellation(r)
	return h.ForcedLogout(id)
}

// Blocked returns the forced logout that refuses a sign-in of a member of these groups now; ok is
// false where none does. A block for everyone spares admins.
func (h *Hub) Blocked(user string, groups []string) (r session.Revocation, ok bool) {
	return h.revocations.Blocking(user, groups, h.admins, h.clock.Now())
}

// undecided returns nil if it is decided whether the forced logout that ends s first has taken
// effect. While a cancellation is being stored, it is not: then the channel is closed once it is.
func (h *Hub) undecided(s *liveSession) <-chan struct{} {
	s.mu.Lock()
	e := s.revocation
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.TakeEffect(h.clock.Now())
}

// awaitEffect returns once it is decided whether the forced logout that ends s first has taken
// effect.
func (h *Hub) awaitEffect(s *liveSession) {
	for wait := h.undecided(s); wait != nil; wait = h.undecided(s) {
		<-wait // as long as a call of the store takes at most
	}
}
