package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Forced logouts. Each is one durable revocation. From the moment it is written the sessions in its
// scope are over, or will be after its grace, whatever becomes of the messages that tell of it. The
// ends of the single sessions, with their audit lines, are written behind it.

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
	Tabs        []TabOutcome // those that were told, with limits; see maxOutcomes
}

// maxOutcomes is how many tabs a progress lists one by one.
const maxOutcomes = 1000

// newPublicID draws the public name of something an administrator did.
func newPublicID() string { return strings.ToLower(rand.Text()[:20]) }

// maxLogouts bounds the forced logouts that are kept. Beyond it, only everyone can be signed out:
// that can always be said.
const maxLogouts = 50_000

// ErrTooManyLogouts is returned where so many forced logouts are remembered that no more can be.
var ErrTooManyLogouts = errors.New("too many forced logouts in a day: sign out a group or everyone instead of one after the other")

// ForceLogout ends sessions, durably, at once or after a grace. It returns when the revocation is
// durable and no later request of a session in scope is served (after its grace); the tabs are told
// meanwhile. Sessions counts what it covers. session.ErrNotFound where the scope is a session that
// does not live; ErrTooManyLogouts.
func (h *Hub) ForceLogout(ctx context.Context, q LogoutRequest) (ForcedLogout, error) {
	if err := h.MayForceLogout(ctx, q.Scope); err != nil {
		return ForcedLogout{}, err
	}
	now := session.Millis(h.clock.Now())
	f := session.Revocation{
		Number: h.revocations.highest.Load(), ID: newPublicID(), Scope: q.Scope, Except: q.Except, Actor: q.Actor, Message: q.Message,
		At: now, EffectiveAt: now.Add(q.Grace),
	}
	if q.Block > 0 {
		f.BlockUntil = f.EffectiveAt.Add(q.Block)
	}
	f.Sessions, f.Tabs = h.Count(q.Scope, q.Except)
	admitted := h.registered.Load()
	list := make(chan []*liveSession, 1)
	h.goTracked(func() { list <- h.withTabs(q.Scope) })            // takes about as long as the store
	f, err := h.store.AddRevocation(context.WithoutCancel(ctx), f) // whoever asked and hung up has asked all the same
	if err != nil {
		return ForcedLogout{}, err
	}
	told := f
	h.emit(event{Kind: eventRevocation, Revocation: &told})
	f.Sessions, f.Tabs = h.enforce(f, <-list, admitted)
	h.log.Info("forced logout", "scope", f.Scope.String(), "actor", f.Actor, "sessions", f.Sessions, "tabs", f.Tabs, "grace", q.Grace)
	return ForcedLogout{Revocation: f, State: stateOf(&f, now)}, nil
}

// MayForceLogout refuses a logout of a session that does not live, and one that there is no room
// for: session.ErrNotFound, ErrTooManyLogouts. Any other error means that the store cannot be
// asked.
func (h *Hub) MayForceLogout(ctx context.Context, scope session.Scope) error {
	if scope.Session != "" {
		if sessions, _ := h.Count(scope, ""); sessions == 0 {
			if err := h.findInStore(ctx, scope.Session); err != nil {
				return err
			}
		}
	}
	if !scope.Everyone && h.revocations.count() >= maxLogouts {
		return ErrTooManyLogouts
	}
	return nil
}

// findInStore takes in the session of a ref, which another node may have signed in a moment ago. It
// reads all sessions: whoever asks meanwhile waits, and is answered by one look that begins after
// that. session.ErrNotFound.
func (h *Hub) findInStore(ctx context.Context, ref string) error {
	if h.nodes == nil {
		return session.ErrNotFound // nobody else signs anybody in
	}
	looks := &h.nodes.scan
	asked := looks.begun.Load()
	looks.mu.Lock()
	defer looks.mu.Unlock()
	if looks.done <= asked {
		looks.done = looks.begun.Add(1)
		for r, err := range h.store.Live(ctx) {
			if err != nil {
				looks.done = 0
				return err
			}
			h.ensureLive(ctx, r)
		}
	}
	if len(h.refs.find(ref)) == 0 {
		return session.ErrNotFound
	}
	return nil
}

// storeScan are those of findInStore at all sessions.
type storeScan struct {
	begun atomic.Int64 // how many have begun

	mu   sync.Mutex // held during a look
	done int64      // which one is done; 0: it has failed
}

// enforce does what follows from a new revocation, and counts the sessions that it covers, and
// their tabs. Tabs are told meanwhile: those of this node before the other sessions are looked at,
// which may be many times as many. list is what withTabs gave when so many sessions had been
// admitted; it is made anew if more are.
func (h *Hub) enforce(f session.Revocation, list []*liveSession, admitted int64) (sessions, tabs int) {
	l, isNew, newer := h.addEntry(f, admitted)
	if !isNew {
		<-l.marked
		return f.Sessions, f.Tabs // a message came first
	}
	atOnce := f.InEffect(h.clock.Now())
	if newer {
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
	close(l.marked)
	h.revocations.follow(f.Number) // from now on no request need wait for it
	h.goTracked(func() {
		<-told
		tell(rest)
		if atOnce {
			h.writeEnds(slices.Concat(here, rest), f.End())
		}
	})
	return len(here) + len(rest), tabs + more
}

// addEntry makes f one of the forced logouts that are known. newer: sessions were admitted that
// were not when admitted was read.
func (h *Hub) addEntry(f session.Revocation, admitted int64) (l *entry, isNew, newer bool) {
	l = h.newEntry(f)
	h.revocations.mu.Lock()
	defer h.revocations.mu.Unlock()
	if known := h.revocations.byID[f.ID]; known != nil {
		return known, false, false
	}
	h.revocations.addLocked(l)
	return l, true, h.registered.Load() > admitted
}

// mark notes l in the sessions of a list that it ends first, and returns all of them that it covers
// and that are not known, and how many tabs they have.
func (h *Hub) mark(l *entry, list, known []*liveSession) (covered []*liveSession, tabs int) {
	isKnown := make(map[*liveSession]bool, len(known))
	for _, s := range known {
		isKnown[s] = true
	}
	var mu sync.Mutex
	h.parallel(list, func(share []*liveSession) {
		var mine []*liveSession
		open := 0
		for _, s := range share {
			if isKnown[s] || !l.revocation.EndsNames(l.target, s.names.Load()) {
				continue
			}
			s.mu.Lock()
			if s.end == nil {
				mine = append(mine, s)
				open += s.tabsLocked()
				if s.revocation == nil || l.revocation.Before(&s.revocation.revocation) {
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

// Count counts the live sessions in a scope, and their tabs.
func (h *Hub) Count(scope session.Scope, except string) (sessions, tabs int) {
	target := scope.Target()
	return h.count(scope, func(n *session.Names) bool { return target.Matches(n) && (except == "" || except != n.Ref) })
}

func (h *Hub) count(scope session.Scope, picks func(*session.Names) bool) (sessions, tabs int) {
	var mu sync.Mutex
	h.parallel(h.sessionsIn(scope), func(share []*liveSession) {
		n, open := 0, 0
		for _, s := range share {
			if !picks(s.names.Load()) {
				continue
			}
			s.mu.Lock()
			if s.end == nil {
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

// ForcedLogout tells how a forced logout stands. session.ErrNotFound.
func (h *Hub) ForcedLogout(id string) (ForcedLogout, error) {
	l := h.findEntry(id)
	if l == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	return h.reportOf(l, maxOutcomes), nil
}

// reportOf lists so many tabs.
func (h *Hub) reportOf(l *entry, list int) ForcedLogout {
	now := h.clock.Now()
	l.takeEffect(now)
	out := ForcedLogout{Revocation: l.revocation, State: stateOf(l.judged(), now)}
	if out.State == LogoutPending {
		out.Sessions, out.Open = h.count(l.revocation.Scope, func(n *session.Names) bool { return l.revocation.EndsNames(l.target, n) })
	}
	p := l.outcomes
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.outcomeCounts
	out.Tabs = p.listLocked(list)
	for _, node := range slices.Sorted(maps.Keys(p.elsewhere)) {
		f := p.elsewhere[node]
		sum.add(f.outcomeCounts)
		out.Tabs = append(out.Tabs, f.Tabs[:min(len(f.Tabs), list-len(out.Tabs))]...)
	}
	out.Acked, out.Gone, out.Unconfirmed = sum.Acked, sum.Gone, sum.All-sum.Acked-sum.Gone
	if sum.All > 0 {
		out.Revocation.Tabs = sum.All + out.Open
	}
	return out
}

// ForcedLogouts lists forced logouts that may still matter, newest first: those that picks picks,
// of lower numbers than before (0: of all), so many at most.
func (h *Hub) ForcedLogouts(before int64, most int, picks func(*session.Revocation) bool) []ForcedLogout {
	var picked []*entry
	h.revocations.mu.RLock()
	logouts := slices.Clone(h.revocations.entries)
	h.revocations.mu.RUnlock()
	for _, l := range slices.Backward(logouts) {
		if len(picked) == most {
			break
		}
		if (before == 0 || l.revocation.Number < before) && picks(&l.revocation) {
			picked = append(picked, l)
		}
	}
	list := make([]ForcedLogout, len(picked))
	for i, l := range picked {
		list[i] = h.reportOf(l, 0)
	}
	return list
}

// CancelForcedLogout calls off what is left of the grace and the block of a forced logout. Whether
// it has taken effect, the store decides; meanwhile it ends nobody here. session.ErrNotFound,
// session.ErrTooLate.
func (h *Hub) CancelForcedLogout(ctx context.Context, id, actor string) (ForcedLogout, error) {
	l := h.findEntry(id)
	if l == nil {
		return ForcedLogout{}, session.ErrNotFound
	}
	at := session.Millis(h.clock.Now())
	if l.beginCancel(at) && at.Before(l.revocation.EffectiveAt) {
		at = l.revocation.EffectiveAt // it was seen to take effect, and the clock was set back
	}
	defer l.endCancel()
	f, err := h.store.CancelRevocation(context.WithoutCancel(ctx), id, at, actor)
	if err != nil {
		return ForcedLogout{}, err
	}
	h.emit(event{Kind: eventRevocation, Revocation: &f})
	h.applyCancellation(f)
	return h.ForcedLogout(id)
}

// applyCancellation does what follows from a revocation that was called off.
func (h *Hub) applyCancellation(f session.Revocation) {
	if l := h.findEntry(f.ID); l != nil {
		<-l.marked // else a session could be noted after the warnings are withdrawn
	}
	h.revocations.mu.Lock()
	if l := h.revocations.byID[f.ID]; l != nil {
		h.revocations.replaceLocked(l, &entry{revocation: f, target: l.target, outcomes: l.outcomes, effect: l.effect, marked: l.marked})
	}
	h.revocations.mu.Unlock()
	if f.Cancelled() {
		h.liftWarning(f.ID)
	}
}

// applyRevocation does what follows from a revocation that another node has stored.
func (h *Hub) applyRevocation(f session.Revocation) {
	switch known := h.findEntry(f.ID); {
	case known == nil:
		h.enforce(f, nil, -1)
	case known.revocation.CancelledAt.IsZero() && !f.CancelledAt.IsZero():
		h.applyCancellation(f)
	default:
		<-known.marked // by whoever has taken it in
	}
}

// LastRevocation is the number of the last revocation that the store or this node knows: after a
// fail-over the store may have to be told again. A sign-in reads it before it asks the directory;
// see session.Record.SeenRevocation.
func (h *Hub) LastRevocation(ctx context.Context) (int64, error) {
	if err := h.inReach(); err != nil {
		return 0, err
	}
	last, err := h.store.LastRevocation(ctx)
	if err != nil {
		return 0, err
	}
	if h.nodes != nil {
		if err := h.syncRevocations(ctx, last); err != nil {
			return 0, err
		}
		if !h.nodes.hasRestored(ctx) {
			return 0, errRecovering
		}
		h.revocations.mu.RLock()
		defer h.revocations.mu.RUnlock()
		if n := len(h.revocations.entries); n > 0 {
			last = max(last, h.revocations.entries[n-1].revocation.Number)
		}
	}
	return last, nil
}

// liftWarning withdraws the warnings of a forced logout that was called off.
func (h *Hub) liftWarning(id string) {
	for _, s := range h.allSessions() {
		h.revocations.mu.RLock()
		s.mu.Lock()
		mine := s.revocation != nil && s.revocation.revocation.ID == id && !s.ending
		if mine {
			s.revocation = h.revocations.firstLocked(s.record.Load())
		}
		s.mu.Unlock()
		h.revocations.mu.RUnlock()
		if mine {
			h.tell(s, tellState)
		}
	}
}

// Blocked is the forced logout that refuses a sign-in of a member of these groups now; ok is false
// where none does.
func (h *Hub) Blocked(user string, groups []string) (f session.Revocation, ok bool) {
	r := session.Record{User: user}
	for _, name := range groups {
		r.Groups = append(r.Groups, session.Group{Name: name})
	}
	n := r.Names()
	now := h.clock.Now()
	h.revocations.mu.RLock()
	defer h.revocations.mu.RUnlock()
	for l := range h.revocations.aboutLocked(&n) {
		if l.revocation.Blocks(user, groups, h.admins, now) {
			return l.revocation, true
		}
	}
	return session.Revocation{}, false
}

// Prune has the store forget what is too old; see [session.Store].
func (h *Hub) Prune(ctx context.Context, auditKeep time.Duration) error {
	now := h.clock.Now()
	if err := h.store.Prune(ctx, now, auditKeep); err != nil {
		return err
	}
	h.revocations.mu.RLock()
	for _, l := range h.revocations.entries {
		if now.Sub(l.revocation.EffectiveAt) > outcomesFor {
			l.outcomes.forgetTabs()
		}
	}
	h.revocations.mu.RUnlock()
	return h.loadRevocations(ctx)
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
		wait := l.takeEffect(h.clock.Now())
		if wait == nil {
			return
		}
		<-wait // a call of the store has its limit
	}
}

func (h *Hub) findEntry(id string) *entry {
	h.revocations.mu.RLock()
	defer h.revocations.mu.RUnlock()
	return h.revocations.byID[id]
}

func (h *Hub) newEntry(f session.Revocation) *entry {
	l := &entry{revocation: f, target: f.Scope.Target(), outcomes: &outcomes{logout: f.ID}, effect: &effect{}, marked: make(chan struct{})}
	if h.nodes != nil {
		l.outcomes.register = &h.revocations
	}
	return l
}

// syncRevocations takes over what other nodes have stored, if the number of the last revocation is
// another than it was. Of many that need it at once, one reads.
func (h *Hub) syncRevocations(ctx context.Context, last int64) error {
	for h.revocations.last.Load() != last {
		h.revocations.reads.Lock()
		read, mine := h.revocations.reading, false
		if read == nil {
			read, mine = &revocationRead{done: make(chan struct{})}, true
			h.revocations.reading = read
		}
		h.revocations.reads.Unlock()
		if mine { // not by the caller's context alone: others wait, too
			read.last, read.err = h.readRevocations(context.WithoutCancel(ctx), false)
			h.revocations.reads.Lock()
			h.revocations.reading = nil
			h.revocations.reads.Unlock()
			close(read.done)
			return read.err
		}
		select {
		case <-read.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if read.err != nil || read.last >= last { // else it began before the revocation that this caller knows of
			return read.err
		}
	}
	return nil
}

// loadRevocations reads all revocations that may still matter, and keeps what is known of those
// that stay.
func (h *Hub) loadRevocations(ctx context.Context) error {
	_, err := h.readRevocations(ctx, true)
	return err
}

// readRevocations reads all revocations, or those that are not known, and returns the number of the
// store's last one.
func (h *Hub) readRevocations(ctx context.Context, all bool) (last int64, err error) {
	var revocations []session.Revocation
	if h.nodes != nil && !all {
		revocations, last, all, err = h.nodes.shared.RevocationsAfter(ctx, h.revocations.last.Load())
	} else if last, err = h.store.LastRevocation(ctx); err == nil {
		revocations, err = h.store.Revocations(ctx)
	}
	if err != nil {
		return 0, err
	}
	if all {
		h.forgetRevocations(last, revocations)
	}
	for _, f := range revocations {
		h.applyRevocation(f)
	}
	h.revocations.last.Store(last)
	h.revocations.raise(last)
	return last, nil
}

// forgetRevocations forgets the old logouts that are not among the revocations that the store
// keeps.
func (h *Hub) forgetRevocations(last int64, revocations []session.Revocation) {
	stored := make(map[string]bool, len(revocations))
	for _, f := range revocations {
		stored[f.ID] = true
	}
	now := h.clock.Now()
	h.revocations.mu.Lock()
	defer h.revocations.mu.Unlock()
	h.revocations.keepLocked(func(l *entry) bool {
		return stored[l.revocation.ID] || l.revocation.Number > last || now.Sub(l.revocation.At) <= session.RevocationKeptFor
	})
}

// revocationRead is one reading of revocations, which all wait for who need it.
type revocationRead struct {
	done chan struct{}
	last int64 // that the store had
	err  error
}
