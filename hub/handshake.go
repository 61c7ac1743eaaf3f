package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"curfew/session"
)

// Reasons to refuse a handshake. All are found before the upgrade.
var (
	ErrOrigin      = errors.New("origin may not open the socket")
	ErrSubprotocol = fmt.Errorf("subprotocol %s is not offered", Subprotocol)
	ErrClosing     = errors.New("server is restarting")
	ErrRefused     = errors.New("sockets are refused for testing")
)

// Accept lets a tab in. The caller answers the errors ErrOrigin (403), ErrSubprotocol (400), ErrClosing (503) and those of
// [Hub.Check]; for all others the answer is written. Accept returns at once: the hub owns the connection from then on.
//
// The Origin is compared exactly, scheme, host and port, because the cookie comes along whoever opens the socket
// (RFC 6455 §10.2).
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, id session.ID, address string) error {
	if origin := r.Header.Get("Origin"); !h.origins[origin] || len(r.Header.Values("Origin")) > 1 {
		h.refuseOrigin(r.Context(), origin, address)
		return ErrOrigin
	}
	if !slices.ContainsFunc(r.Header.Values("Sec-WebSocket-Protocol"), func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(p string) bool { return strings.TrimSpace(p) == Subprotocol })
	}) {
		return ErrSubprotocol
	}
	if h.faults.is(FaultRefuse) {
		return ErrRefused
	}
	if h.isClosing() {
		return ErrClosing
	}
	status, err := h.Check(r.Context(), id)
	if err != nil {
		return err
	}
	s := h.adopt(r.Context(), status.Record)
	room := h.places.take(s)
	if !h.accept(w, r, s, room) && room {
		h.places.leave(s)
	}
	return nil
}

// accept upgrades the connection. It reports whether the hub serves the tab from now on; else nothing is left of it.
func (h *Hub) accept(w http.ResponseWriter, r *http.Request, s *live, room bool) (served bool) {
	hijack := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(hijack, r, &websocket.AcceptOptions{
		Subprotocols:       []string{Subprotocol},
		InsecureSkipVerify: true, // the origin was judged before, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		if hijack.conn != nil {
			hijack.conn.Close()
		}
		return false // answered by the library
	}
	ws.SetReadLimit(maxMessage + 16) // the tab judges the size itself
	t := &tab{id: newTabID(), session: s, ws: ws, conn: hijack.conn, phone: isPhone(r.UserAgent())}
	switch {
	case h.faults.is(FaultDrop):
		ws.CloseNow()
	case !room:
		if h.places.tells(time.Now()) {
			h.log.Warn("too many tabs", "session", s.id, "user", s.user)
		}
		t.turnAway(StatusFull, "too many tabs")
	case !h.mayServe():
		t.turnAway(StatusRestart, "server restarting")
	default:
		go h.serve(t)
		return true
	}
	return false
}

// mayServe counts a goroutine that serves a tab, unless the hub is shutting down.
func (h *Hub) mayServe() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closing {
		h.running.Add(1)
	}
	return !h.closing
}

// turnAway closes a connection that is not served. The peer has a second to answer.
func (t *tab) turnAway(code websocket.StatusCode, reason string) {
	t.conn.SetDeadline(time.Now().Add(time.Second))
	t.ws.Close(code, reason)
	t.ws.CloseNow()
}

// isPhone says by a User-Agent that a browser runs on a phone or a tablet.
func isPhone(agent string) bool {
	return strings.Contains(agent, "Android") || strings.Contains(agent, "iPhone") || strings.Contains(agent, "iPad") || strings.Contains(agent, "Mobile")
}

func (h *Hub) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

func newTabID() string {
	var b [9]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// refuseOrigin writes the audit line, once a second at most: whoever sends such requests could fill the trail with them.
func (h *Hub) refuseOrigin(ctx context.Context, origin, address string) {
	now := h.clock.Now()
	h.mu.Lock()
	quiet := now.Sub(h.refusedAt) >= 0 && now.Sub(h.refusedAt) < time.Second
	if !quiet {
		h.refusedAt = now
	}
	h.mu.Unlock()
	if quiet {
		return
	}
	h.log.Warn("origin refused", "origin", origin, "address", address)
	e := session.Event{At: session.Millis(now), Kind: session.EventOriginRefused, Address: address, Detail: origin[:min(len(origin), 200)]}
	if err := h.store.Append(context.WithoutCancel(ctx), e); err != nil {
		h.log.Error("audit line not stored", "error", err)
	}
}

// serve reads the tab's messages until its socket closes, and undoes all that it registered.
func (h *Hub) serve(t *tab) {
	defer h.running.Done()
	defer h.add(t)()
	for {
		in, err := t.read()
		if h.faults.stalled() {
			h.faults.wait()
		}
		switch {
		case errors.Is(err, errBreach):
			h.close(t, StatusBreach, errBreach.Error())
			continue // until the page has closed, or its second is over
		case errors.Is(err, errFlood):
			h.close(t, StatusBreach, errFlood.Error())
			t.drain()
			return
		case errors.Is(err, errTooBig):
			h.close(t, int(websocket.StatusMessageTooBig), errTooBig.Error())
			t.drain()
			return
		case err != nil:
			t.left(err, h.clock.Now())
			return
		}
		h.handle(t, in)
	}
}

// handle does what a message asks for.
func (h *Hub) handle(t *tab, in incoming) {
	fresh := in.kind == KindAck && in.seq > t.acked.Load() && in.seq <= t.lastSeq.Load()
	if fresh {
		t.conn.frames.forgive()
	}
	h.note(t.session, "input", string(in.kind))
	switch in.kind {
	case KindActivity:
		h.act(h.ctx, t.session, in.idle, false) // too late is no error: the end is on its way
	case KindConfirm:
		h.confirm(t)
	case KindSync:
		h.answer(t)
	case KindWatch:
		h.watch(t, in.users)
	case KindVisibility:
		t.session.mu.Lock()
		switch {
		case !in.hidden:
			t.hiddenSince = time.Time{}
		case t.hiddenSince.IsZero():
			t.hiddenSince = h.clock.Now()
		}
		t.session.mu.Unlock()
		h.tabsChanged(t.session)
	case KindAck:
		if fresh {
			t.acked.Store(in.seq)
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
	fate, hold := t.fate, t.hold
	s.mu.Unlock()
	if done { // end is set once
		if fate != nil {
			fate.came(FateAcked)
		}
		if hold != nil && hold.Load() {
			return // endAll comes back to it
		}
		h.close(t, StatusExpired, string(s.end.Reason))
	}
}

func (h *Hub) close(t *tab, code int, reason string) {
	if t.close(code, reason) {
		h.start([]*tab{t})
	}
}

// add registers the tab and greets it; what it returns undoes that. Only then the store is asked again, so that an end
// that came between the handshake and the registration is never missed.
func (h *Hub) add(t *tab) (remove func()) {
	s := t.session
	s.mu.Lock()
	now := h.clock.Now()
	p := s.policy.Load()
	t.index, t.openedAt = len(s.tabs), now
	s.opened.Store(h.opened.Add(1))
	s.tabs = append(s.tabs, t)
	s.closed = false
	st := s.standingLocked(p, now)
	stalled := h.faults.stalled()
	start := s.sendLocked(nil, t, stalled, func(seq int64) any {
		return hello{KindHello, seq, t.id, s.user, millis(st.warn), millis(st.expire), p.HeartbeatEvery().Milliseconds(), p.ExtendOn}
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
		s.told.Store(st.end.UnixMilli())
		s.warning, s.warnEnd = st.reason, st.end
	}
	end := s.end
	s.mu.Unlock()
	h.takeSlot(t)
	h.start(start)
	if end != nil {
		h.closeLater([]*tab{t}, *end)
	}
	h.back(s)
	h.schedule(s)
	h.changed(s)
	h.tabsChanged(s)
	h.verify(t)
	h.note(s, "input", "tab opened")
	return func() { h.remove(t) }
}

// verify asks the store again for the session of a tab that was just registered. Where it cannot be asked now, it is asked again: the tab
// stays, as others do. Where it is known to be out of reach, the tab is sent away: its browser comes back, to be refused before the
// upgrade or let in.
func (h *Hub) verify(t *tab) {
	r, err := h.store.Get(h.ctx, t.session.id)
	switch {
	case err == nil && r.End != nil:
		h.finish(t.session, *r.End)
	case h.inReach() != nil:
		h.close(t, StatusFull, "the store is out of reach")
	case err != nil && !isUnknown(err):
		h.readAgain(t.session)
	}
}
