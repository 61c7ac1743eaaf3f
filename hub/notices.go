package hub

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// Notices: messages of administrators to users, and what users are told of their own account. A
// notice ends no session.

// noticeFor is for how long after a notice newly opened tabs are told it, too.
const noticeFor = time.Minute

// keptNoticeFor is how long the store keeps a notice for nodes that do not listen now.
const keptNoticeFor = 2 * noticeFor

// Bounds of the notices that newly opened tabs are told.
const (
	maxNotices = 10_000 // kept in all; the oldest are dropped first
	maxLate    = 20     // for one tab: the newest
)

// sentNotice is a notice to the tabs of the sessions in a scope, but those of one session.
type sentNotice struct {
	id, message string
	kind        wire.NoticeKind   // empty: the message is an administrator's
	data        map[string]string // of the kind
	scope       session.Scope
	target      session.Target // of the scope
	except      session.ID
	at          time.Time
}

func (n *sentNotice) onWire(seq int64) any {
	return wire.Notice{
		Type:    wire.KindNotice,
		Seq:     seq,
		ID:      n.id,
		Message: n.message,
		Kind:    n.kind,
		Data:    n.data,
	}
}

func (n *sentNotice) toNodes() cluster.Notice {
	return cluster.Notice{
		ID:      n.id,
		Message: n.message,
		Kind:    string(n.kind),
		Data:    n.data,
		Scope:   n.scope,
		Except:  n.except,
		At:      session.Millis(n.at),
	}
}

func (n *sentNotice) isFor(s *liveSession) bool {
	// a notice for everyone needs no look at the names
	return n.except != s.id && (n.scope.Everyone || n.target.Matches(s.names.Load()))
}

// notices are the notices of the last minute, by scope. Opening a tab costs nothing for those in
// other scopes.
type notices struct {
	mu      sync.Mutex
	queue   []*sentNotice // in the order in which they came
	ids     map[string]struct{}
	byScope map[session.Scope][]*sentNotice // the same by folded scope
}

func (ns *notices) add(n *sentNotice) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.ids == nil {
		ns.ids, ns.byScope = make(map[string]struct{}), make(map[session.Scope][]*sentNotice)
	}
	for len(ns.queue) > 0 && (len(ns.queue) >= maxNotices || n.at.Sub(ns.queue[0].at) > noticeFor) {
		ns.forgetOldestLocked()
	}
	ns.queue = append(ns.queue, n)
	for scope := range n.target.Scope().Each() {
		ns.byScope[scope] = append(ns.byScope[scope], n)
	}
	ns.ids[n.id] = struct{}{}
}

func (ns *notices) forgetOldestLocked() {
	oldest := ns.queue[0]
	ns.queue[0] = nil
	ns.queue = ns.queue[1:]
	delete(ns.ids, oldest.id)
	for scope := range oldest.target.Scope().Each() {
		if left := ns.byScope[scope][1:]; len(left) > 0 {
			ns.byScope[scope] = left
		} else {
			delete(ns.byScope, scope)
		}
	}
}

// recent lists the notices that a tab of s opened now is told: the newest maxLate, oldest first.
func (ns *notices) recent(now time.Time, s *liveSession) (list []*sentNotice) {
	ns.mu.Lock()
	none := len(ns.queue) == 0
	ns.mu.Unlock()
	if none {
		return nil
	}
	names := s.names.Load()
	scopes := []session.Scope{everyone, {User: names.User}, {Session: names.Ref}}
	for _, g := range names.Groups {
		scopes = append(scopes, session.Scope{Group: g.Name})
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for _, scope := range scopes {
		found := 0
		for _, n := range slices.Backward(ns.byScope[scope]) {
			if found == maxLate {
				break
			}
			if now.Sub(n.at) <= noticeFor && n.isFor(s) {
				list = append(list, n)
				found++
			}
		}
	}
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *sentNotice) int { return a.at.Compare(b.at) })
	return list[max(0, len(list)-maxLate):]
}

// knows reports whether a notice was sent on this node.
func (ns *notices) knows(id string) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	_, known := ns.ids[id]
	return known
}

func (ns *notices) reset() {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.queue, ns.ids, ns.byScope = nil, nil, nil
}

// Notice is the result of [Hub.Notify]: whom a notice has reached.
type Notice struct {
	ID       string // tabs are told it, too
	Sessions int
	Tabs     int
}

// Notify sends a message to all tabs in a scope, and to tabs that are opened there within a minute.
// It writes an audit line first. The error is session.ErrNotFound where nobody in the scope is
// signed in: nothing is written then. After any other error some tabs may not be told.
func (h *Hub) Notify(ctx context.Context, scope session.Scope, actor, message string) (Notice, error) {
	n := &sentNotice{
		id:      newPublicID(),
		message: message,
		scope:   scope,
		target:  scope.Target(),
		at:      h.clock.Now(),
	}
	sessions, tabs := h.Count(scope, "")
	if sessions == 0 {
		return Notice{}, session.ErrNotFound
	}
	data := scope.Data()
	data[session.DataSessions], data[session.DataTabs] = strconv.Itoa(sessions), strconv.Itoa(tabs)
	data[session.DataText] = message
	e := session.Event{
		At:      session.Millis(n.at),
		Kind:    session.EventNotice,
		User:    scope.User,
		Actor:   actor,
		Session: scope.Session,
		Detail:  fmt.Sprintf("%s (sessions: %d, tabs: %d): %s", scope, sessions, tabs, message),
		Data:    data,
		Request: session.RequestOf(ctx),
	}
	if err := h.store.Append(context.WithoutCancel(ctx), e); err != nil {
		return Notice{}, err
	}
	if err := h.cluster.TellNotice(ctx, n.toNodes(), keptNoticeFor); err != nil {
		return Notice{}, err
	}
	h.send(n)
	return Notice{ID: n.id, Sessions: sessions, Tabs: tabs}, nil
}

// send queues a notice for all tabs of this node that it is for.
func (h *Hub) send(n *sentNotice) {
	h.notices.add(n)
	shared := h.encodeOnce(n.onWire)
	h.parallel(h.withTabs(n.scope), func(chunk []*liveSession) {
		start := make([]*socket.Conn, 0, 2*len(chunk))
		for _, s := range chunk {
			if !n.isFor(s) {
				continue
			}
			s.mu.Lock()
			if s.end == nil {
				start = s.broadcastSharedLocked(start, h.faults.stalled(), shared, n.onWire)
			}
			s.mu.Unlock()
		}
		h.writers.Start(start)
	})
}

// TellOfSignIn sends a notice of a new session to the other sessions of its user. The sign-in page
// calls it.
func (h *Hub) TellOfSignIn(ctx context.Context, r session.Record) {
	if len(h.sessionsOf(r.User)) < 2 {
		return
	}
	scope := session.Scope{User: r.User}
	n := &sentNotice{
		id:     newPublicID(),
		kind:   wire.NoticeSignIn,
		data:   r.From(),
		scope:  scope,
		target: scope.Target(),
		except: r.ID,
		at:     h.clock.Now(),
		message: fmt.Sprintf("Your account has just signed in elsewhere: %s, %s. If that was not you, end that "+
			"session on your account page and change your password.",
			session.Device(r.Agent), r.Address),
	}
	if err := h.cluster.TellNotice(context.WithoutCancel(ctx), n.toNodes(), keptNoticeFor); err != nil {
		h.log.Warn("other nodes may not have told of a sign-in", "error", err)
	}
	h.send(n)
}

// PasswordNotice tells a user that the password with which they have just signed in comes to its
// end. Nobody else is told, and they are told once.
type PasswordNotice struct {
	Message string            // in plain English
	Data    map[string]string // as [wire.NoticePassword] has it
}

func (n *PasswordNotice) onWire(seq int64) any {
	return wire.Notice{
		Type:    wire.KindNotice,
		Seq:     seq,
		ID:      newPublicID(),
		Message: n.Message,
		Kind:    wire.NoticePassword,
		Data:    n.Data,
	}
}

// MayTellOfPassword returns true to the first caller that brings a PasswordNotice of a session, on
// this node; a tab that brings one is a caller, too. After an end by time many pages of a browser
// come back at once, and bring the same.
func (h *Hub) MayTellOfPassword(id session.ID) bool {
	s := h.lookup(id)
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayTellOfPasswordLocked()
}

func (s *liveSession) mayTellOfPasswordLocked() bool {
	first := !s.toldOfPassword
	s.toldOfPassword = true
	return first
}
