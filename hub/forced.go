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

// Forced logouts. Each is one durable fact; from the moment it is written the sessions in its scope are over, or will be
// after its grace, whatever becomes of the messages that tell of it. The ends of the single sessions, with their audit
// lines, are written behind it.

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

// Logout tells how a forced logout stands.
type Logout struct {
	session.Fact
	State       LogoutState
	Open        int // tabs in scope that are yet to be told
	Acked       int
	Unconfirmed int
	Gone        int
	Tabs        []FateOfTab // those that were told, with limits; see maxFates
}

// maxFates is how many tabs a progress lists one by one.
const maxFates = 1000

// newPublicID draws the public name of something an administrator did.
func newPublicID() string { return strings.ToLower(rand.Text()[:20]) }

// maxLogouts bounds the forced logouts that are kept. Beyond it, only everyone can be signed out: that can always be said.
const maxLogouts = 50_000

// ErrTooManyLogouts is returned where so many forced logouts are remembered that no more can be.
var ErrTooManyLogouts = errors.New("too many forced logouts in a day: sign out a group or everyone instead of one after the other")

// Logout ends sessions, durably, at once or after a grace. It returns when the revocation is durable and no later request of
// a session in scope is served (after its grace); the tabs are told meanwhile. Sessions counts what it covers.
// session.ErrNotFound where the scope is a session that does not live; ErrTooManyLogouts.
func (h *Hub) Logout(ctx context.Context, q LogoutRequest) (Logout, error) {
	if err := h.MayLogOut(ctx, q.Scope); err != nil {
		return Logout{}, err
	}
	now := session.Millis(h.clock.Now())
	f := session.Fact{
		Number: h.forced.highest.Load(), ID: newPublicID(), Scope: q.Scope, Except: q.Except, Actor: q.Actor, Message: q.Message,
		At: now, EffectiveAt: now.Add(q.Grace),
	}
	if q.Block > 0 {
		f.BlockUntil = f.EffectiveAt.Add(q.Block)
	}
	f.Sessions, f.Tabs = h.Count(q.Scope, q.Except)
	admitted := h.admitted.Load()
	list := make(chan []*live, 1)
	h.spawn(func() { list <- h.withTabs(q.Scope) })          // takes about as long as the store
	f, err := h.store.AddFact(context.WithoutCancel(ctx), f) // whoever asked and hung up has asked all the same
	if err != nil {
		return Logout{}, err
	}
	told := f
	h.emit(event{Kind: eventFact, Fact: &told})
	f.Sessions, f.Tabs = h.enforce(f, <-list, admitted)
	h.log.Info("forced logout", "scope", f.Scope.String(), "actor", f.Actor, "sessions", f.Sessions, "tabs", f.Tabs, "grace", q.Grace)
	return Logout{Fact: f, State: stateOfFact(&f, now)}, nil
}

// MayLogOut refuses a logout of a session that does not live, and one that there is no room for: session.ErrNotFound,
// ErrTooManyLogouts. Any other error means that the store cannot be asked.
func (h *Hub) MayLogOut(ctx context.Context, scope session.Scope) error {
	if scope.Session != "" {
		if sessions, _ := h.Count(scope, ""); sessions == 0 {
			if err := h.findInStore(ctx, scope.Session); err != nil {
				return err
			}
		}
	}
	if !scope.Everyone && h.forced.count() >= maxLogouts {
		return ErrTooManyLogouts
	}
	return nil
}

// findInStore takes in the session of a ref, which another node may have signed in a moment ago. It reads all sessions: whoever asks
// meanwhile waits, and is answered by one look that begins after that. session.ErrNotFound.
func (h *Hub) findInStore(ctx context.Context, ref string) error {
	if h.nodes == nil {
		return session.ErrNotFound // nobody else signs anybody in
	}
	looks := &h.nodes.looks
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
			h.adopt(ctx, r)
		}
	}
	if len(h.refs.find(ref)) == 0 {
		return session.ErrNotFound
	}
	return nil
}

// looks are those of findInStore at all sessions.
type looks struct {
	begun atomic.Int64 // how many have begun

	mu   sync.Mutex // held during a look
	done int64      // which one is done; 0: it has failed
}

// enforce does what follows from a new fact, and counts the sessions that it covers, and their tabs. Tabs are told meanwhile:
// those of this node before the other sessions are looked at, which may be many times as many. list is what withTabs gave when
// so many sessions had been admitted; it is made anew if more are.
func (h *Hub) enforce(f session.Fact, list []*live, admitted int64) (sessions, tabs int) {
	l, isNew, newer := h.takeIn(f, admitted)
	if !isNew {
		<-l.covered
		return f.Sessions, f.Tabs // a message came first
	}
	atOnce := f.InEffect(h.clock.Now())
	if newer {
		list = h.withTabs(f.Scope)
	}
	here, tabs := h.cover(l, list, nil)
	told := make(chan struct{})
	tell := func(list []*live) {
		if atOnce {
			h.tellEndOfAll(list, f.End())
			return
		}
		h.eachShare(list, func(share []*live) {
			for _, s := range share {
				h.tell(s, tellNews)
			}
		})
	}
	h.spawn(func() {
		defer close(told)
		tell(here)
	})
	var rest []*live
	more := 0
	if f.User == "" && f.Session == "" { // else here is all
		rest, more = h.cover(l, h.liveIn(f.Scope), here)
	}
	close(l.covered)
	h.forced.follow(f.Number) // from now on no request need wait for it
	h.spawn(func() {
		<-told
		tell(rest)
		if atOnce {
			h.writeEnds(slices.Concat(here, rest), f.End())
		}
	})
	return len(here) + len(rest), tabs + more
}

// takeIn makes f one of the forced logouts that are known. newer: sessions were admitted that were not when admitted was read.
func (h *Hub) takeIn(f session.Fact, admitted int64) (l *logout, isNew, newer bool) {
	l = h.newLogout(f)
	h.forced.mu.Lock()
	defer h.forced.mu.Unlock()
	if known := h.forced.byID[f.ID]; known != nil {
		return known, false, false
	}
	h.forced.addLocked(l)
	return l, true, h.admitted.Load() > admitted
}

// spawn runs f in a goroutine that Shutdown waits for; during Shutdown it runs f itself.
func (h *Hub) spawn(f func()) {
	h.mu.Lock()
	closing := h.closing
	if !closing {
		h.running.Go(f)
	}
	h.mu.Unlock()
	if closing {
		f()
	}
}

// cover notes l in the sessions of a list that it ends first, and returns all of them that it covers and that are not known, and
// how many tabs they have.
func (h *Hub) cover(l *logout, list, known []*live) (covered []*live, tabs int) {
	isKnown := make(map[*live]bool, len(known))
	for _, s := range known {
		isKnown[s] = true
	}
	var mu sync.Mutex
	h.eachShare(list, func(share []*live) {
		var mine []*live
		open := 0
		for _, s := range share {
			if isKnown[s] || !l.fact.CoversNames(l.target, s.names.Load()) {
				continue
			}
			s.mu.Lock()
			if s.end == nil {
				mine = append(mine, s)
				open += s.tabsLocked()
				if s.forced == nil || l.fact.Before(&s.forced.fact) {
					s.forced = l
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

// manyEnds is how many ends may be written while tabs are still being told.
const manyEnds = 200

// tellEndOfAll tells all tabs of sessions that a fact has ended.
func (h *Hub) tellEndOfAll(list []*live, end session.End) {
	message := h.expireMessage(end)
	shared := h.share(message)
	var hold atomic.Bool // reading acks and closing would slow down telling the others
	hold.Store(true)
	var mu sync.Mutex
	var tabs []*tab
	h.eachShare(list, func(share []*live) {
		start, told := make([]*tab, 0, 2*len(share)), make([]*tab, 0, 2*len(share))
		ends := 0
		for _, s := range share {
			first := false
			if start, told, first = h.tellEndShared(start, told, s, &end, shared, message, &hold); first {
				ends++
			}
		}
		h.start(start)
		for _, s := range share {
			h.changed(s)
		}
		h.counts.ended(end.Reason, ends)
		mu.Lock()
		tabs = append(tabs, told...)
		mu.Unlock()
	})
	hold.Store(false)
	for _, t := range tabs {
		h.acknowledged(t)
	}
	h.closeLater(tabs, end)
}

// writeEnds writes the single ends of sessions that a fact has ended: all, or where several nodes share the store, this one's part.
func (h *Hub) writeEnds(list []*live, end session.End) {
	if len(list) > manyEnds && !h.rest(ackWait) {
		return // the fact stands: the next start writes them
	}
	if h.nodes != nil {
		list = h.nodes.share(list)
	}
	for chunk := range slices.Chunk(list, manyEnds) {
		var wg sync.WaitGroup
		for _, s := range chunk {
			wg.Go(func() { h.writeEnd(h.ctx, s, end) })
		}
		wg.Wait()
	}
}

// rest waits; false where the hub stops before.
func (h *Hub) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// writeEnd stores an end that follows from a fact, which needs no hurry and no condition.
func (h *Hub) writeEnd(ctx context.Context, s *live, end session.End) {
	if _, err := h.store.End(ctx, s.id, end, time.Time{}); err != nil && !isUnknown(err) {
		h.log.Error("end not stored", "session", s.id, "error", err)
		s.shard.wakeBy(s, h.clock.Now().Add(time.Second))
		return
	}
	h.tellEnded(s.id, end)
	h.forget(s)
}

// Count counts the live sessions in a scope, and their tabs.
func (h *Hub) Count(scope session.Scope, except string) (sessions, tabs int) {
	target := scope.Target()
	return h.count(scope, func(n *session.Names) bool { return target.Includes(n) && (except == "" || except != n.Ref) })
}

func (h *Hub) count(scope session.Scope, picks func(*session.Names) bool) (sessions, tabs int) {
	var mu sync.Mutex
	h.eachShare(h.liveIn(scope), func(share []*live) {
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

func stateOfFact(f *session.Fact, now time.Time) LogoutState {
	switch {
	case f.Void():
		return LogoutCancelled
	case f.InEffect(now):
		return LogoutEffective
	}
	return LogoutPending
}

// LogoutOf tells how a forced logout stands. session.ErrNotFound.
func (h *Hub) LogoutOf(id string) (Logout, error) {
	l := h.findLogout(id)
	if l == nil {
		return Logout{}, session.ErrNotFound
	}
	return h.logoutOf(l, maxFates), nil
}

// logoutOf lists so many tabs.
func (h *Hub) logoutOf(l *logout, list int) Logout {
	now := h.clock.Now()
	l.takeEffect(now)
	out := Logout{Fact: l.fact, State: stateOfFact(l.judged(), now)}
	if out.State == LogoutPending {
		out.Sessions, out.Open = h.count(l.fact.Scope, func(n *session.Names) bool { return l.fact.CoversNames(l.target, n) })
	}
	p := l.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.fateCounts
	out.Tabs = p.listLocked(list)
	for _, node := range slices.Sorted(maps.Keys(p.elsewhere)) {
		f := p.elsewhere[node]
		sum.add(f.fateCounts)
		out.Tabs = append(out.Tabs, f.Tabs[:min(len(f.Tabs), list-len(out.Tabs))]...)
	}
	out.Acked, out.Gone, out.Unconfirmed = sum.Acked, sum.Gone, sum.All-sum.Acked-sum.Gone
	if sum.All > 0 {
		out.Fact.Tabs = sum.All + out.Open
	}
	return out
}

// Logouts lists forced logouts that may still matter, newest first: those that picks picks, of lower numbers than before (0: of all),
// so many at most.
func (h *Hub) Logouts(before int64, most int, picks func(*session.Fact) bool) []Logout {
	var picked []*logout
	h.forced.mu.RLock()
	logouts := slices.Clone(h.forced.logouts)
	h.forced.mu.RUnlock()
	for _, l := range slices.Backward(logouts) {
		if len(picked) == most {
			break
		}
		if (before == 0 || l.fact.Number < before) && picks(&l.fact) {
			picked = append(picked, l)
		}
	}
	list := make([]Logout, len(picked))
	for i, l := range picked {
		list[i] = h.logoutOf(l, 0)
	}
	return list
}

// CancelLogout calls off what is left of the grace and the block of a forced logout. Whether it has taken effect, the store
// decides; meanwhile it ends nobody here. session.ErrNotFound, session.ErrTooLate.
func (h *Hub) CancelLogout(ctx context.Context, id, actor string) (Logout, error) {
	l := h.findLogout(id)
	if l == nil {
		return Logout{}, session.ErrNotFound
	}
	at := session.Millis(h.clock.Now())
	if l.beginCancel(at) && at.Before(l.fact.EffectiveAt) {
		at = l.fact.EffectiveAt // it was seen to take effect, and the clock was set back
	}
	defer l.endCancel()
	f, err := h.store.CancelFact(context.WithoutCancel(ctx), id, at, actor)
	if err != nil {
		return Logout{}, err
	}
	h.emit(event{Kind: eventFact, Fact: &f})
	h.callOff(f)
	return h.LogoutOf(id)
}

// callOff does what follows from a fact that was called off.
func (h *Hub) callOff(f session.Fact) {
	if l := h.findLogout(f.ID); l != nil {
		<-l.covered // else a session could be noted after the warnings are withdrawn
	}
	h.forced.mu.Lock()
	if l := h.forced.byID[f.ID]; l != nil {
		h.forced.replaceLocked(l, &logout{fact: f, target: l.target, progress: l.progress, effect: l.effect, covered: l.covered})
	}
	h.forced.mu.Unlock()
	if f.Void() {
		h.uncover(f.ID)
	}
}

// takeFact does what follows from a fact that another node has stored.
func (h *Hub) takeFact(f session.Fact) {
	switch known := h.findLogout(f.ID); {
	case known == nil:
		h.enforce(f, nil, -1)
	case known.fact.Cancelled.IsZero() && !f.Cancelled.IsZero():
		h.callOff(f)
	default:
		<-known.covered // by whoever has taken it in
	}
}

// LastFact is the number of the last fact that the store or this node knows: after a fail-over the store may have to be told
// again. A sign-in reads it before it asks the directory; see session.Record.SeenFact.
func (h *Hub) LastFact(ctx context.Context) (int64, error) {
	if err := h.inReach(); err != nil {
		return 0, err
	}
	last, err := h.store.LastFact(ctx)
	if err != nil {
		return 0, err
	}
	if h.nodes != nil {
		if err := h.syncFacts(ctx, last); err != nil {
			return 0, err
		}
		if !h.nodes.hasRestored(ctx) {
			return 0, errUnsettled
		}
		h.forced.mu.RLock()
		defer h.forced.mu.RUnlock()
		if n := len(h.forced.logouts); n > 0 {
			last = max(last, h.forced.logouts[n-1].fact.Number)
		}
	}
	return last, nil
}

// uncover withdraws the warnings of a forced logout that was called off.
func (h *Hub) uncover(id string) {
	for _, s := range h.allLive() {
		h.forced.mu.RLock()
		s.mu.Lock()
		mine := s.forced != nil && s.forced.fact.ID == id && !s.ending
		if mine {
			s.forced = h.forced.coveringLocked(s.record.Load())
		}
		s.mu.Unlock()
		h.forced.mu.RUnlock()
		if mine {
			h.tell(s, tellAnyway)
		}
	}
}

// Blocked is the forced logout that refuses a sign-in of a member of these groups now; ok is false where none does.
func (h *Hub) Blocked(user string, groups []string) (f session.Fact, ok bool) {
	r := session.Record{User: user}
	for _, name := range groups {
		r.Groups = append(r.Groups, session.Group{Name: name})
	}
	n := r.Names()
	now := h.clock.Now()
	h.forced.mu.RLock()
	defer h.forced.mu.RUnlock()
	for l := range h.forced.aboutLocked(&n) {
		if l.fact.Blocks(user, groups, h.admins, now) {
			return l.fact, true
		}
	}
	return session.Fact{}, false
}

// Prune has the store forget what is too old; see [session.Store].
func (h *Hub) Prune(ctx context.Context, auditKeep time.Duration) error {
	now := h.clock.Now()
	if err := h.store.Prune(ctx, now, auditKeep); err != nil {
		return err
	}
	h.forced.mu.RLock()
	for _, l := range h.forced.logouts {
		if now.Sub(l.fact.EffectiveAt) > fatesFor {
			l.progress.forgetTabs()
		}
	}
	h.forced.mu.RUnlock()
	return h.loadFacts(ctx)
}
