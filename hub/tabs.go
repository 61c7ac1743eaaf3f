package hub

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
)

// tab is one open browser tab. The handler that accepted it has returned (a waiting handler costs
// 13 KB a tab); the hub owns its one goroutine, which reads, and waits for it in Shutdown.
type tab struct {
	socket.Conn

	// set once
	id      string
	session *liveSession
	phone   bool // by its User-Agent

	lastSeq atomic.Int64 // of the newest message queued
	acked   atomic.Int64 // highest seq acknowledged

	slot, place int // guarded by tickWheel.mu

	// guarded by session.mu
	index       int                 // in session.tabs
	expireSeq   int64               // of the expire message; 0 before
	outcome     *revocation.ToldTab // where a forced logout has ended the session
	deferClose  *atomic.Bool        // while set, the close frame waits: others are still being told
	watching    []string            // users whose presence it is told
	openedAt    time.Time
	hiddenSince time.Time // zero while shown; set by the reading goroutine alone
	tickSeq     int64     // of the oldest tick that is not answered, or else the newest
	tickedAt    time.Time
	vanished    bool // it was ended because its peer is not there any more

	// used by the reading goroutine alone
	closeCause closeCause // how the page went
}

// serve reads the tab's messages until its socket closes, and undoes all that it registered.
func (h *Hub) serve(t *tab) {
	defer h.running.Done()
	defer h.add(t)()
	for {
		in, err := t.Read()
		if h.faults.stalled() {
			h.faults.wait()
		}
		switch {
		case errors.Is(err, socket.ErrBreach):
			h.close(t, wire.StatusBreach, socket.ErrBreach.Error())
			continue // until the page has closed, or its second is over
		case errors.Is(err, socket.ErrFlood):
			h.close(t, wire.StatusBreach, socket.ErrFlood.Error())
			t.closeCause = causeLost
			t.Drain()
			return
		case errors.Is(err, socket.ErrTooBig):
			h.close(t, wire.StatusTooBig, socket.ErrTooBig.Error())
			t.closeCause = causeLost
			t.Drain()
			return
		case err != nil:
			t.readCloseCause(err, h.clock.Now())
			return
		}
		h.handle(t, in)
	}
}

// handle does what a message asks for.
func (h *Hub) handle(t *tab, in wire.Incoming) {
	fresh := in.Kind == wire.KindAck && in.Seq > t.acked.Load() && in.Seq <= t.lastSeq.Load()
	if fresh {
		t.Forgive()
	}
	h.note(t.session, "input", string(in.Kind))
	switch in.Kind {
	case wire.KindActivity:
		h.act(h.ctx, t.session, in.Idle, false) // too late is no error: the end is on its way
	case wire.KindConfirm:
		h.confirm(t)
	case wire.KindSync:
		h.answer(t)
	case wire.KindWatch:
		h.watch(t, in.Users)
	case wire.KindVisibility:
		t.session.mu.Lock()
		switch {
		case !in.Hidden:
			t.hiddenSince = time.Time{}
		case t.hiddenSince.IsZero():
			t.hiddenSince = h.clock.Now()
		}
		t.session.mu.Unlock()
		h.cluster.TabsChanged(t.session.id)
	case wire.KindAck:
		if fresh {
			t.acked.Store(in.Seq)
		}
		h.acknowledged(t)
	}
}

// confirm extends, and answers at once.
func (h *Hub) confirm(t *tab) {
	before := t.lastSeq.Load()
	if err := h.act(h.ctx, t.session, 0, true); err == nil && t.lastSeq.Load() == before {
		h.answer(t)
	}
}

// acknowledged closes the tab once its page has acknowledged the end.
func (h *Hub) acknowledged(t *tab) {
	s := t.session
	s.mu.Lock()
	done := s.end != nil && t.expireSeq != 0 && t.acked.Load() >= t.expireSeq
	told, hold := t.outcome, t.deferClose
	s.mu.Unlock()
	if done { // end is set once
		if told != nil {
			told.Record(revocation.Acked)
		}
		if hold != nil && hold.Load() {
			return // tellEndOfAll comes back to it
		}
		h.close(t, wire.StatusExpired, string(s.end.Reason))
	}
}

// add registers the tab and greets it; what it returns undoes that. Only then the store is asked
// again, so that an end that came between the handshake and the registration is never missed.
func (h *Hub) add(t *tab) (remove func()) {
	s := t.session
	s.mu.Lock()
	now := h.clock.Now()
	p := s.policy.Load()
	t.index, t.openedAt = len(s.tabs), now
	s.opened.Store(h.opened.Add(1))
	s.tabs = append(s.tabs, t)
	s.closed = false
	st := s.announcementLocked(p, now)
	stalled := h.faults.stalled()
	start := s.sendLocked(nil, t, stalled, func(seq int64) any {
		return wire.Hello{
			Type:        wire.KindHello,
			Seq:         seq,
			Tab:         t.id,
			User:        s.user,
			WarnInMS:    wire.Millis(st.warn),
			ExpireInMS:  wire.Millis(st.expire),
			HeartbeatMS: p.HeartbeatEvery().Milliseconds(),
			ExtendOn:    p.ExtendOn,
		}
	})
	switch {
	case s.end != nil:
		start = s.sendLocked(start, t, stalled, h.expireMessage(*s.end))
		s.toldEndLocked(t)
	case st.reason != "":
		start = s.sendLocked(start, t, stalled, st.onWire(p, false))
	}
	if s.end == nil {
		for _, n := range h.notices.recent(now, s) {
			start = s.sendLocked(start, t, stalled, n.onWire)
		}
	}
	if len(s.tabs) == 1 {
		s.announcedEnd.Store(st.end.UnixMilli())
		s.warning, s.warnEnd = st.reason, st.end
	}
	end := s.end
	s.mu.Unlock()
	h.tabs.add(t)
	h.writers.Start(start)
	if h.isClosing() { // Shutdown may have listed the tabs before this one was there
		h.close(t, wire.StatusRestart, "server restarting")
	}
	if end != nil {
		h.closeLater([]*tab{t}, *end)
	}
	h.tabIsOpen(s)
	h.schedule(s)
	h.stateChanged(s)
	h.cluster.TabsChanged(s.id)
	h.verify(t)
	h.note(s, "input", "tab opened")
	return func() { h.remove(t) }
}

// verify asks the store again for the session of a tab that was just registered. Where it cannot be
// asked now, it is asked again: the tab stays, as others do. Where it is known to be out of reach,
// the tab is sent away: its browser comes back, to be refused before the upgrade or let in.
func (h *Hub) verify(t *tab) {
	r, err := h.store.Get(h.ctx, t.session.id)
	switch {
	case err == nil && r.End != nil:
		h.finish(t.session, *r.End)
	case h.cluster.InReach() != nil:
		h.close(t, wire.StatusFull, "the store is out of reach")
	case err != nil && !isUnknown(err):
		h.readAgain(t.session)
	}
}

// remove takes the tab away. If its session has no other and the page was closed, the close grace
// begins.
func (h *Hub) remove(t *tab) {
	t.CloseNow()
	h.unwatch(t)
	h.tabs.remove(t)
	h.tabLimits.leave(t.session)
	s := t.session
	s.mu.Lock()
	now := h.clock.Now() // read once: what follows may be noticed, and the clock be moved, before all is done
	last := len(s.tabs) - 1
	s.tabs[t.index] = s.tabs[last]
	s.tabs[t.index].index = t.index
	s.tabs[last] = nil
	s.tabs = s.tabs[:last]
	closed := t.closeCause == causeClosed
	var probes []*socket.Conn
	if closed {
		s.closedAt = time.Now()
		probes = s.probeLocked(h.faults.stalled())
	}
	if closed && s.navigatesLocked(now) {
		t.closeCause = causeNavigated
	}
	if t.vanished && s.closedAt.After(t.HeardAt()) { // another was closed when this one had gone already
		t.closeCause, closed = causeClosed, true
	}
	if last == 0 {
		s.awayAt = now
		if t.closeCause != causeClosed {
			s.awayAt = s.awayAt.Add(awayAfter)
		}
		s.closed = t.closeCause == causeClosed
	}
	told := t.outcome
	s.mu.Unlock()
	h.writers.Start(probes)
	h.note(s, "input", "tab left: "+string(t.closeCause))
	if told != nil && t.closeCause != causeLost && !t.vanished {
		told.Record(revocation.Gone)
	}
	h.stateChanged(s)
	h.cluster.TabsChanged(s.id)
	if closed {
		h.lastTabClosed(s, now)
	}
}

func (h *Hub) close(t *tab, code int, reason string) {
	if t.Close(code, reason) {
		h.writers.Start([]*socket.Conn{&t.Conn})
	}
}

// closeCause is how a tab went.
type closeCause string

const (
	causeLost      closeCause = "lost"     // the connection broke: nothing follows from it
	causeNavigated closeCause = "navigate" // a link, a form or a script led elsewhere
	causeClosed    closeCause = "closed"   // the tab or the browser was closed
)

// discardAfter is how long a tab must have been hidden for its going to look like one that the
// browser has discarded. A phone discards whatever is hidden, at any time.
const discardAfter = 5 * time.Minute

// readCloseCause reads from the error of the last read how the page went. A browser that is closed
// or killed says 1001, and so it does for a tab that it discards to save memory; that one had been
// hidden for minutes, or on a phone at all.
func (t *tab) readCloseCause(err error, now time.Time) {
	t.closeCause = causeLost
	code, reason, ok := socket.CloseOf(err)
	if !ok {
		return
	}
	discarded := !t.hiddenSince.IsZero() && (t.phone || now.Sub(t.hiddenSince) > discardAfter)
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

// isPhone says by a User-Agent that a browser runs on a phone or a tablet.
func isPhone(agent string) bool {
	return strings.Contains(agent, "Android") || strings.Contains(agent, "iPhone") || strings.Contains(agent, "iPad") ||
		strings.Contains(agent, "Mobile")
}

// startAll starts writers for the tabs for which queue reports that one is needed.
func (h *Hub) startAll(queue func(*tab) bool) {
	var start []*socket.Conn
	for _, t := range h.tabs.all() {
		if queue(t) {
			start = append(start, &t.Conn)
		}
	}
	h.writers.Start(start)
}
