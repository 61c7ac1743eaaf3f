package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// Reasons to refuse a handshake, all before the upgrade.
var (
	ErrOrigin      = errors.New("origin may not open the socket")
	ErrSubprotocol = fmt.Errorf("subprotocol %s is not offered", wire.Subprotocol)
	ErrClosing     = errors.New("server is restarting")
	ErrRefused     = errors.New("sockets are refused for testing")
)

// Endpoint says what the caller of [Hub.Accept] knows of a handshake: one process may serve sockets
// at several addresses, each with pages of its own.
type Endpoint struct {
	Origin  string // of the pages that belong to the endpoint, beside [Options.Origins]; may be empty
	Peer    string // address of the peer, for the audit trail
	Request string // ID of the request, likewise; see session.IsRequestID
	// WithoutAdmins means that scripts of others run in pages of this endpoint: such a page has no
	// more rights there with an administrator's session than with anybody else's.
	WithoutAdmins bool
	// Password is what the page's sign-in has to say of the password's end; nil for nothing. See
	// [Hub.MayTellOfPassword].
	Password *PasswordNotice
}

// Accept checks the handshake of a tab of a session, upgrades the connection and has the tab
// served. The caller answers errors: ErrOrigin (403), ErrSubprotocol (400), ErrClosing (503),
// ErrRefused and those of [Hub.Check]. After nil the answer is written and the hub owns the
// connection, or has closed it; the caller's handler returns.
//
// The Origin is compared exactly, with scheme, host and port, because a browser sends the cookie
// whichever page opens the socket (RFC 6455 §10.2).
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, id session.ID, at Endpoint) error {
	origins := r.Header.Values("Origin")
	if len(origins) != 1 || origins[0] == "" || origins[0] != at.Origin && !h.origins[origins[0]] {
		h.refuseOrigin(r.Context(), r.Header.Get("Origin"), at)
		return ErrOrigin
	}
	if !slices.ContainsFunc(r.Header.Values("Sec-WebSocket-Protocol"), func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(p string) bool {
			return strings.TrimSpace(p) == wire.Subprotocol
		})
	}) {
		return ErrSubprotocol
	}
	if h.faults.is(FaultRefuse) {
		return ErrRefused
	}
	if h.isClosing() {
		return ErrClosing
	}
	c, err := h.check(r.Context(), id)
	if err != nil {
		return err
	}
	s := c.live
	room := h.tabLimits.take(s)
	told := pageTold{isPhone(r.UserAgent()), pathOf(r.URL.Query().Get("path")), at.WithoutAdmins}
	t := &tab{id: newTabID(), session: s, pageTold: told}
	h.accept(w, r, t, room, at.Password)
	return nil
}

// accept upgrades the connection, and has the tab served or turns it away. room says that it was
// counted; one that is not served counts no more.
func (h *Hub) accept(w http.ResponseWriter, r *http.Request, t *tab, room bool, n *PasswordNotice) {
	served := false
	defer func() { // a panic ends here, too
		if room && !served {
			h.tabLimits.leave(t.session)
		}
	}()
	answer, err := socket.Accept(w, r, &t.Conn)
	if err != nil {
		return // it is answered
	}
	switch {
	case h.faults.is(FaultDrop):
		t.Drop(answer)
	case !room:
		h.meter.TurnedAway()
		if h.tabLimits.tells(time.Now()) {
			h.log.Warn("too many tabs", "session", t.session.id, "user", t.session.record.Load().User)
		}
		t.TurnAway(answer, wire.StatusFull, "too many tabs")
	case !h.begin():
		t.TurnAway(answer, wire.StatusRestart, "server restarting")
	default:
		served = true // remove counts it no more
		h.open(t, n, answer)
	}
}

// maxPath is how many characters the path of a page may have: each tab keeps it.
const maxPath = 2048

// pathOf is the path of a page as its script tells it, without query and fragment; empty where what
// it tells is none. Administrators read it, and nothing is decided by it.
func pathOf(told string) string {
	path, _, _ := strings.Cut(told, "?")
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) || utf8.RuneCountInString(path) > maxPath ||
		strings.ContainsFunc(path, unicode.IsControl) {
		return ""
	}
	return strings.Clone(path) // the rest of the request need not live as long
}

// refuseOrigin writes an audit line, once a second at most, so that such requests cannot fill the
// audit trail.
func (h *Hub) refuseOrigin(ctx context.Context, origin string, at Endpoint) {
	now := h.clock.Now()
	if !h.refusedOrigins.isNews(now) {
		return
	}
	if !session.IsRequestID(at.Request) {
		at.Request = ""
	}
	h.log.Warn("origin refused", "origin", origin, "address", at.Peer, "request", at.Request)
	e := session.Event{
		At:      session.Millis(now),
		Kind:    session.EventOriginRefused,
		Address: at.Peer,
		Detail:  origin[:min(len(origin), 200)],
		Request: at.Request,
	}
	if err := h.store.Append(context.WithoutCancel(ctx), e); err != nil {
		h.log.Error("audit line not stored", "error", err)
	}
}

// refusedOrigins is when a refused origin was last written into the audit trail.
type refusedOrigins struct {
	mu     sync.Mutex
	toldAt time.Time
}

// isNews reports whether a refusal of now is to be written, and notes that it is.
func (r *refusedOrigins) isNews(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := now.Sub(r.toldAt); since >= 0 && since < time.Second {
		return false
	}
	r.toldAt = now
	return true
}
