package hub

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// tab is one open browser tab. [Hub.Accept] creates it, and serve reads its messages in the tab's
// one goroutine, which Shutdown waits for. The handler that accepted it has returned: a waiting
// handler costs 13 KB a tab.
type tab struct {
	socket.Conn

	// set once
	id      string
	session *liveSession
	pageTold

	lastSeq atomic.Int64 // number of the newest message queued
	acked   atomic.Int64 // highest number acknowledged

	slot, place int32 // guarded by tickWheel.mu

	// guarded by session.mu
	index       int                 // its place in session.tabs
	expireSeq   int64               // number of the expire message; 0 before it
	outcome     *revocation.ToldTab // its outcome, if a forced logout has ended the session
	deferClose  *atomic.Bool        // while true, the close frame waits; see endNews
	watching    []string            // names of the users whose presence it is told
	openedAt    int64               // Unix ms
	hiddenSince int64               // Unix ms; 0 while shown; set by the reading goroutine alone
	tickSeq     int64               // number of the oldest tick that is not answered, or else of the newest
	tickedAt    instant             // when that was sent
	push        push                // a warning or an end that is not acknowledged
	vanished    bool                // it was closed because its peer is not there any more

	// used by the reading goroutine alone
	closeCause closeCause
}

// pageTold is what the handshake of a tab told of its page.
type pageTold struct {
	phone bool   // by its User-Agent
	path  string // see pathOf
	// The page has no rights of administrators, whoever is signed in; see Endpoint.
	withoutAdmins bool
}

// serve reads the tab's messages until its socket closes, and then removes the tab. Its stack has 4
// KB, and would keep 8 KB for as long as the tab is open: what needs more than that is done aside.
func (h *Hub) serve(t *tab) {
	defer h.running.Done()
	defer h.remove(t)
	for {
		in, err := t.Read()
		if h.faults.stalled() {
			h.faults.wait()
		}
		switch {
		case err == nil:
			h.handle(t, in)
		case errors.Is(err, socket.ErrBreach):
			parallel.Aside(func() { h.close(t, wire.StatusBreach, socket.ErrBreach.Error()) })
			// until the page answers the close frame, or its time for that is over
		default:
			h.readFailed(t, err)
			return
		}
	}
}

// readFailed ends the reading of t after an error that is no breach.
func (h *Hub) readFailed(t *tab, err error) {
	switch {
	case errors.Is(err, socket.ErrFlood):
		h.close(t, wire.StatusBreach, socket.ErrFlood.Error())
		t.closeCause = causeLost
		t.Drain()
	case errors.Is(err, socket.ErrTooBig):
		h.close(t, wire.StatusTooBig, socket.ErrTooBig.Error())
		t.closeCause = causeLost
		t.Drain()
	default:
		t.readCloseCause(err, h.clock.Now())
	}
}

// handle does what a message of the page asks for.
func (h *Hub) handle(t *tab, in wire.Incoming) {
	fresh := in.Kind == wire.KindAck && in.Seq > t.acked.Load() && in.Seq <= t.lastSeq.Load()
	if fresh {
		t.Forgive()
	}
	h.note(t.session, "input", string(in.Kind))
	switch in.Kind {
	case wire.KindActivity:
		h.heartbeat(t.session, in.Idle)
	case wire.KindVisibility:
		t.session.mu.Lock()
		switch {
		case !in.Hidden:
			t.hiddenSince = 0
		case t.hiddenSince == 0:
			t.hiddenSince = h.clock.Now().UnixMilli()
		}
		t.session.mu.Unlock()
		h.index.touch(t.session)
		h.cluster.TabsChanged(t.session.id)
	case wire.KindAck:
		if fresh {
			t.acked.Store(in.Seq)
			if t.session.unconfirmedTabs.Load() {
				h.index.touch(t.session)
			}
		}
		h.acknowledged(t, fresh)
	default:
		h.handleAside(t, in)
	}
}

// handleAside does what messages ask for that come seldom.
func (h *Hub) handleAside(t *tab, in wire.Incoming) {
	parallel.Aside(func() {
		switch in.Kind {
		case wire.KindConfirm:
			h.confirm(t)
		case wire.KindSync:
			h.answer(t)
		case wire.KindWatch:
			h.watch(t, in.Users)
		}
	})
}

// confirm extends the session, and answers the page in any case, so that its button does not hang.
func (h *Hub) confirm(t *tab) {
	before := t.lastSeq.Load()
	if err := h.act(h.ctx, t.session, 0, true); err == nil && t.lastSeq.Load() == before {
		h.answer(t)
	}
}

// acknowledged closes the tab once its page has acknowledged the end. fresh says that an ack has
// just come.
func (h *Hub) acknowledged(t *tab, fresh bool) {
	s := t.session
	var answered answer
	s.mu.Lock()
	if fresh {
		answered = t.answeredLocked()
	}
	done := s.end != nil && t.expireSeq != 0 && t.acked.Load() >= t.expireSeq
	outcome, deferred := t.outcome, t.deferClose
	s.mu.Unlock()
	if answered.kind != "" {
		h.meter.Acknowledged(answered.kind, answered.after)
	}
	if done { // s.end is set once, and so may be read without the lock
		if outcome != nil {
			outcome.Record(revocation.Acked)
		}
		if deferred != nil && deferred.Load() {
			return // tellEndOfAll calls again
		}
		h.close(t, wire.StatusExpired, string(s.end.Reason))
	}
}

// hello is the first message of a tab, without what is told of the deadlines and the policy.
func (h *Hub) hello(t *tab) wire.Hello {
	r := t.session.record.Load()
	return wire.Hello{
		Type:   wire.KindHello,
		Tab:    t.id,
		User:   r.User,
		Who:    h.Who(r),
		Rights: h.Rights(r),
		Handle: h.Handle(t.session.id),
	}
}

// open adds t and starts the goroutine that reads it. A panic on the way leaves nothing of the tab
// and goes on to the HTTP server, which logs it.
func (h *Hub) open(t *tab, n *PasswordNotice, answer *socket.Answer) {
	added := false
	defer func() {
		if !added {
			defer h.running.Done()
			t.closeCause = causeLost
			h.remove(t)
		}
	}()
	h.add(t, n, answer)
	added = true
	go h.serve(t)
}

// add registers the tab, and writes the answer to its handshake with hello and what else the page
// must know. n is told to the page unless one was told before; it may be nil. remove undoes it.
//
// The handler of the handshake calls it, before the goroutine that reads the tab is started: what
// goes on here needs a deep stack, which that goroutine would keep.
func (h *Hub) add(t *tab, n *PasswordNotice, answer *socket.Answer) {
	s := t.session
	end := h.enter(t, h.hello(t), n)
	h.tabs.add(t)
	h.waves.tabOpened()
	if h.isClosing() { // Shutdown may have listed the tabs before this one was added
		h.close(t, wire.StatusRestart, "server restarting")
	}
	if end != nil {
		h.closeLater([]*tab{t}, *end)
	}
	h.note(s, "input", "tab opened")
	h.writers.Open(&t.Conn, answer) // with all that was queued, and before the store is called
	h.tabIsOpen(s)
	h.schedule(s)
	h.stateChanged(s)
	h.cluster.TabsChanged(s.id)
	h.verify(t)
}

// enter makes t a tab of its session, and queues its first messages. It returns the end of which t
// was told, or nil.
func (h *Hub) enter(t *tab, hello wire.Hello, n *PasswordNotice) *session.End {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	now := h.clock.Now()
	p := s.policy.Load()
	hello.HeartbeatMS, hello.ExtendOn = p.HeartbeatEvery().Milliseconds(), p.ExtendOn
	hello.KeepMS = p.KeepPage.Milliseconds()
	t.index, t.openedAt = len(s.tabs), now.UnixMilli()
	s.opened.Store(h.opened.Add(1))
	s.tabs = append(s.tabs, t)
	s.closed = false
	a := s.announcementLocked(p, now)
	stalled := h.faults.stalled()
	s.sendLocked(nil, t, stalled, func(seq int64) any {
		hello.Seq, hello.WarnInMS, hello.ExpireInMS = seq, wire.Millis(a.warn), wire.Millis(a.expire)
		return hello
	})
	switch {
	case s.end != nil:
		s.sendLocked(nil, t, stalled, h.expireMessage(*s.end, h.keepAfter(s, *s.end)))
		s.toldEndLocked(t)
	case a.reason != "":
		s.sendLocked(nil, t, stalled, a.onWire(p, false))
		t.pushedLocked()
	}
	if s.end == nil {
		for _, sent := range h.notices.recent(now, s) {
			s.sendLocked(nil, t, stalled, sent.onWire)
		}
		if n != nil && s.mayTellOfPasswordLocked() {
			s.sendLocked(nil, t, stalled, n.onWire)
		}
	}
	if len(s.tabs) == 1 {
		s.announcedEnd.Store(a.end.UnixMilli())
		s.warning, s.warnEnd = a.reason, momentOf(a.end)
	}
	return s.end
}

// verify makes sure that no end was missed between the handshake and the registration of t. Ends
// are noted in the session that the handshake has found, under its lock, and add looks for one
// under that lock, too. So the store is read only where memory is in doubt about the session, as
// it is where the handshake has brought the session into memory. If the store does not answer, the
// session is read again later, and the tab stays. If the store is known to be out of reach, the tab
// is closed: its page reconnects, and is refused before the upgrade or let in.
func (h *Hub) verify(t *tab) {
	if h.cluster.InReach() != nil {
		h.close(t, wire.StatusFull, "the store is out of reach")
		return
	}
	if !t.session.inDoubt() {
		return
	}
	switch r, err := h.store.Get(h.ctx, t.session.id); {
	case err == nil && r.End != nil:
		h.finish(t.session, *r.End)
	case h.cluster.InReach() != nil:
		h.close(t, wire.StatusFull, "the store is out of reach")
	case err != nil && !isUnknown(err):
		h.readAgain(t.session)
	}
}

// remove undoes add, as far as that has come. If the page was closed and its session has no other
// tab, the close grace begins.
func (h *Hub) remove(t *tab) {
	t.CloseNow()
	h.unwatch(t)
	h.tabs.remove(t)
	h.tabLimits.leave(t.session)
	s := t.session
	s.mu.Lock()
	now := h.clock.Now() // read once: the test clock may be moved before everything below is done
	last := s.dropLocked(t)
	closed := t.closeCause == causeClosed
	var probes []*socket.Conn
	if closed {
		s.closedAt = instantNow()
		probes = s.probeLocked(h.faults.stalled())
	}
	if closed && s.navigatesLocked(now) {
		t.closeCause = causeNavigated
	}
	// another was closed after this one had vanished
	if t.vanished && s.closedAt != 0 && s.closedAt > instantOf(t.ReadAt()) {
		t.closeCause, closed = causeClosed, true
	}
	if last {
		s.awayAt = momentOf(now)
		if t.closeCause != causeClosed {
			s.awayAt = momentOf(now.Add(awayAfter))
		}
		s.closed = t.closeCause == causeClosed
	}
	outcome, toldEnd, became := t.outcome, t.expireSeq != 0, t.outcomeLocked()
	s.mu.Unlock()
	if toldEnd {
		h.meter.ToldOfEnd(became)
	}
	h.writers.Start(probes)
	h.note(s, "input", "tab left: "+string(t.closeCause))
	if outcome != nil && became == OutcomeGone {
		outcome.Record(revocation.Gone)
	}
	h.stateChanged(s)
	h.cluster.TabsChanged(s.id)
	if closed {
		h.lastTabClosed(s, now)
	}
}

// dropLocked takes t out of the tabs of s, and returns whether it was the last.
func (s *liveSession) dropLocked(t *tab) (last bool) {
	n := len(s.tabs) - 1
	if t.index > n || s.tabs[t.index] != t {
		return false // it has not come so far
	}
	s.tabs[t.index] = s.tabs[n]
	s.tabs[t.index].index = t.index
	s.tabs[n] = nil
	s.tabs = s.tabs[:n]
	return n == 0
}

// close closes a tab, unless it is being closed already.
func (h *Hub) close(t *tab, code int, reason string) {
	if t.Close(code, reason) {
		h.writers.Start([]*socket.Conn{&t.Conn})
	}
}

// closeCause is why a tab was closed. The values stand in the timeline.
type closeCause string

const (
	causeLost      closeCause = "lost"     // the connection broke, which says nothing of the page
	causeNavigated closeCause = "navigate" // a link, a form or a script led elsewhere
	causeClosed    closeCause = "closed"   // the tab or the browser was closed
)

// discardAfter is how long a tab must have been hidden for the browser to discard it, to save
// memory. A phone discards a hidden tab at any time.
const discardAfter = 5 * time.Minute

// readCloseCause sets closeCause from the error of the last read. A browser that is closed or
// killed sends 1001. It does so for a tab that it discards, too, which is not closed by anybody:
// such a tab was hidden for discardAfter, or on a phone was hidden at all.
func (t *tab) readCloseCause(err error, now time.Time) {
	t.closeCause = causeLost
	code, reason, ok := socket.CloseOf(err)
	if !ok {
		return
	}
	discarded := t.hiddenSince != 0 && (t.phone || now.Sub(session.FromUnixMilli(t.hiddenSince)) > discardAfter)
	switch {
	case code == wire.StatusLeft && reason == wire.LeftNavigate:
		t.closeCause = causeNavigated
	case code == wire.StatusLeft, code == wire.StatusAway && !discarded:
		t.closeCause = causeClosed
	}
}

func newTabID() string {
	var b [9]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isPhone reports whether a User-Agent is that of a browser on a phone or a tablet.
func isPhone(agent string) bool {
	return strings.Contains(agent, "Android") || strings.Contains(agent, "iPhone") || strings.Contains(agent, "iPad") ||
		strings.Contains(agent, "Mobile")
}

// startAll calls queue for all tabs, and starts writers for those for which it returns true.
func (h *Hub) startAll(queue func(*tab) bool) {
	var start []*socket.Conn
	for _, t := range h.tabs.all() {
		if queue(t) {
			start = append(start, &t.Conn)
		}
	}
	h.writers.Start(start)
}
