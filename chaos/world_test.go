//go:build chaos

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// visitor is a session of the model.
type visitor struct {
	user   string
	cookie string
	since  time.Time // when the sign-in was sent: a forced logout that is answered after that covers it

	mu      sync.Mutex
	tabs    map[*tab]*node
	acted   time.Time // the last act that was answered: when it was sent
	on      string    // the node that has answered it
	began   time.Time // when the last act may have come in at the latest, answered or not
	left    time.Time // when its tabs were closed; zero while one is open
	ended   time.Time // when its end was answered or seen; zero before
	how     string    // its end came to be known
	closing time.Time // when a command that ends it was sent, whatever came of it
}

// world is the crowd, the nodes and what is broken just now.
type world struct {
	t     *testing.T
	fail  func(format string, args ...any) // reports a violation
	nodes []*node

	receiver *receiver

	mu       sync.Mutex
	visitors []*visitor
	faults   []fault // all of them, in order
	injected map[string]int
	forcing  map[string]int       // user to how many forced logouts of theirs are not answered yet
	forced   map[string]time.Time // user to the time at which their last forced logout was answered

	steps      atomic.Int64
	violations atomic.Int64
}

// fault is something that is broken for a while.
type fault struct {
	kind
	on       string    // the node that it happens to; empty: none, or all
	from, to time.Time // to is zero while it lasts
}

// kind says what a fault may excuse.
type kind struct {
	hinders bool // nodes cannot judge or tell
	fails   bool // calls fail now and then: what depends on them takes longer
	loses   bool // what was written last, or was about to be, may be lost
	parts   bool // a node is cut off from the store: what it was about to write comes once it is over
	skews   bool // a clock is wrong
}

func (w *world) violate(format string, args ...any) {
	w.violations.Add(1)
	w.fail("%s: "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...)
}

// any reports whether a fault that is picked touched the time from one instant to another, or ended
// up to after before it.
func (w *world) any(from, to time.Time, after time.Duration, picks func(fault) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.faults, func(f fault) bool {
		return picks(f) && f.from.Before(to) && (f.to.IsZero() || f.to.Add(after).After(from))
	})
}

// calm reports whether no fault touched the time from one instant to another.
func (w *world) calm(from, to time.Time) bool {
	return !w.any(from, to, calmBound, func(fault) bool { return true })
}

// overdue reports whether what was to happen within a bound from an instant on should have happened
// by now. While a fault hinders it, nothing is overdue; after that it has as long as all has to be
// in order again.
func (w *world) overdue(from, now time.Time, bound time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	limit, more := from.Add(bound), time.Duration(0)
	for _, f := range w.faults {
		if f.from.After(limit) || !f.to.IsZero() && f.to.Add(calmBound).Before(from) {
			continue
		}
		if f.fails {
			more = failBound
		}
		if f.hinders {
			if f.to.IsZero() {
				return false
			}
			if until := f.to.Add(calmBound); until.After(limit) {
				limit = until
			}
		}
	}
	return now.After(limit.Add(more))
}

func (w *world) inject(name string, what kind, on string, begin, heal func(), hold time.Duration) {
	w.mu.Lock()
	i := len(w.faults)
	w.faults = append(w.faults, fault{kind: what, on: on, from: time.Now()})
	w.injected[name]++
	w.mu.Unlock()
	w.t.Logf("%s: fault: %s %s for %s", time.Now().Format("15:04:05.000"), name, on, hold)
	begin()
	time.Sleep(hold)
	heal()
	w.mu.Lock()
	w.faults[i].to = time.Now()
	w.mu.Unlock()
}

func (w *world) pick(r *rand.Rand) *node { return w.nodes[r.IntN(len(w.nodes))] }

func (w *world) someone(r *rand.Rand) *visitor {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.visitors) == 0 {
		return nil
	}
	return w.visitors[max(0, len(w.visitors)-1-r.IntN(min(60, len(w.visitors))))]
}

// step does one thing that people, pages or administrators do.
func (w *world) step(r *rand.Rand) {
	w.steps.Add(1)
	n := w.pick(r)
	v := w.someone(r)
	switch what := r.IntN(100); {
	case what < 12 || v == nil:
		user := fmt.Sprint("user", r.IntN(20))
		sent := time.Now()
		if cookie, ok := n.signIn(user); ok {
			w.mu.Lock()
			w.visitors = append(w.visitors, &visitor{
				user:   user,
				cookie: cookie,
				since:  sent,
				tabs:   make(map[*tab]*node),
				began:  time.Now(),
				acted:  sent,
				on:     n.name,
			})
			w.mu.Unlock()
		}
	case what < 35:
		w.open(v, n)
	case what < 60:
		w.look(v, n)
	case what < 85:
		w.act(v, n)
	case what < 90:
		w.leave(v, r.IntN(2) == 0)
	case what < 95:
		w.signOut(v, n)
	default:
		w.forceLogout(v, n)
	}
}

func (w *world) open(v *visitor, n *node) {
	sent := time.Now()
	t, err := n.open(v.cookie)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended.IsZero() && v.ended.Before(sent) {
		w.violate("%s on node %s: a socket was opened %s after the end (%s)", v.user, n.name, sent.Sub(v.ended), v.how)
	}
	v.tabs[t], v.left = n, time.Time{}
}

// look asks how the session stands, and judges the answer.
func (w *world) look(v *visitor, n *node) (csrf string) {
	sent := time.Now()
	status, answer, err := n.ask("GET", "/session/status", v.cookie, "")
	if err != nil {
		return ""
	}
	switch status {
	case 200:
		v.mu.Lock()
		defer v.mu.Unlock()
		w.judgeAlive(v, n.name, sent)
		return answer["csrf"].(string)
	case 401:
		w.sawEnd(v, fmt.Sprint(answer["reason"]), "answered by node "+n.name)
	case 503: // nobody can say
		if w.calm(sent.Add(-time.Second), time.Now()) {
			w.violate("node %s: 503 though nothing is broken", n.name)
		}
	default:
		w.violate("node %s: status %d", n.name, status)
	}
	return ""
}

// judgeAlive wants who was answered as signed in to be so, whatever is broken: who cannot judge
// answers 503.
func (w *world) judgeAlive(v *visitor, on string, sent time.Time) {
	if !v.ended.IsZero() && v.ended.Before(sent) {
		w.violate("%s on node %s: an ended session answers again, %s after its end (%s)", v.user, on, sent.Sub(v.ended),
			v.how)
	}
	if sent.After(v.began.Add(expireAfter + lateBound + skewBound)) {
		w.violate("%s on node %s: alive %s after its last act", v.user, on, sent.Sub(v.began))
	}
}

// sawEnd judges an end that was seen.
func (w *world) sawEnd(v *visitor, reason, where string) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended.IsZero() {
		return
	}
	v.ended, v.how = now, reason+", "+where
	switch reason {
	case "idle":
		w.judgeIdle(v, now)
	case "browser-closed":
		w.judgeClosed(v, now)
	case "logout":
		if v.closing.IsZero() {
			w.violate("%s: ended (%s) though nobody asked for it", v.user, reason)
		}
	case "admin":
		w.mu.Lock()
		answered, asked := w.forced[v.user], w.forcing[v.user] > 0
		w.mu.Unlock()
		if v.since.After(answered) && !asked && v.closing.IsZero() {
			w.violate("%s: ended (%s) though nobody asked for it", v.user, reason)
		}
	default:
		w.violate("%s: ended for the reason %q", v.user, reason)
	}
}

// judgeIdle wants an idle end when the time is up. What was acknowledged counts, whatever fault has
// come, but for those that lose what was written last: a node that has died takes along the acts of
// its last moments, and of a node that is cut off the others hear them once it is back.
func (w *world) judgeIdle(v *visitor, now time.Time) {
	wrong := clockBound
	if w.any(v.acted, now, calmBound, func(f fault) bool { return f.skews }) {
		wrong = skewBound
	}
	lost := w.any(v.acted, v.acted.Add(writeBound), 0, func(f fault) bool {
		late := f.parts && (f.to.IsZero() || now.Before(f.to.Add(calmBound)))
		return (f.loses || late) && (f.on == "" || f.on == v.on)
	})
	if due := v.acted.Add(expireAfter - wrong); now.Before(due) && !lost {
		w.violate("%s: ended (idle) %s early", v.user, due.Sub(now))
	}
}

// judgeClosed wants no tab open; one that was told of the end was. For a moment nodes may not know
// of a tab that has come on another.
func (w *world) judgeClosed(v *visitor, now time.Time) {
	for t, n := range v.tabs {
		told, gone, goneAt := t.state()
		open := now.Sub(t.opened)
		if gone {
			open = goneAt.Sub(t.opened)
		}
		if (!gone || told != "") && open > closeGrace+closeBound && v.left.Before(t.opened) &&
			w.calmSince(now.Add(-closeGrace-closeBound), now) {
			w.violate("%s: ended (browser-closed) though a tab is open on node %s for %s", v.user, n.name, open)
		}
	}
}

// calmSince reports whether no fault touched the time between two instants.
func (w *world) calmSince(from, to time.Time) bool {
	return !w.any(from, to, 0, func(fault) bool { return true })
}

func (w *world) act(v *visitor, n *node) {
	csrf := w.look(v, n)
	if csrf == "" {
		return
	}
	sent := time.Now()
	v.mu.Lock()
	v.began = sent
	v.mu.Unlock()
	status, _, err := n.ask("POST", "/session/extend", v.cookie, "csrf="+csrf)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began = time.Now() // the act counts from its arrival, also where its answer was lost
	if err != nil {
		v.began = v.began.Add(lateBound) // it may still be on its way
	}
	if err == nil && status/100 == 2 && v.ended.IsZero() {
		v.acted, v.on = sent, n.name
	}
}

// leave closes all tabs of a session, as a browser that is closed, or one of several.
func (w *world) leave(v *visitor, one bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for t := range v.tabs {
		go t.page.Leave("close")
		delete(v.tabs, t)
		if one && len(v.tabs) > 0 {
			return
		}
	}
	v.left = time.Now()
}

func (w *world) signOut(v *visitor, n *node) {
	csrf := w.look(v, n)
	if csrf == "" {
		return
	}
	v.mu.Lock()
	v.closing = time.Now()
	v.mu.Unlock()
	if status, _, err := n.ask("POST", "/logout", v.cookie, "csrf="+csrf); err == nil && status == 303 {
		w.endAnswered(v, "sign-out on node "+n.name)
	}
}

// endAnswered notes an end that was acknowledged, and watches its tabs close.
func (w *world) endAnswered(v *visitor, how string) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended.IsZero() {
		v.ended, v.how = now, how
	}
}

// forceLogout ends all sessions of the visitor's user, those included that begin before the answer.
// Once it is answered, also that it has failed, it must end no other.
func (w *world) forceLogout(v *visitor, n *node) {
	sent := time.Now()
	w.mu.Lock()
	w.forcing[v.user]++
	var sameUser []*visitor
	for _, other := range w.visitors {
		if other.user == v.user {
			sameUser = append(sameUser, other)
		}
	}
	w.mu.Unlock()
	w.eachVisitor(func(other *visitor) {
		if other.user == v.user {
			other.closing = sent
		}
	})
	status, _, err := n.ask("POST", "/api/v1/logouts", "", fmt.Sprintf(`{"user":%q}`, v.user))
	w.mu.Lock()
	w.forcing[v.user]--
	w.forced[v.user] = time.Now()
	w.mu.Unlock()
	if err == nil && status == 200 {
		for _, other := range sameUser {
			w.endAnswered(other, "forced logout on node "+n.name)
		}
	}
}

func (w *world) eachVisitor(f func(*visitor)) {
	w.mu.Lock()
	list := slices.Clone(w.visitors)
	w.mu.Unlock()
	for _, v := range list {
		v.mu.Lock()
		f(v)
		v.mu.Unlock()
	}
}

// watch looks for tabs of ended sessions that stay open, and for tabs that were told of an end.
func (w *world) watch() {
	now := time.Now()
	var told []func()
	went := make(map[*visitor][]*tab) // forgotten after what was told is judged
	w.eachVisitor(func(v *visitor) {
		for t := range v.tabs {
			reason, gone, _ := t.state()
			on := v.tabs[t].name
			if reason != "" {
				told = append(told, func() { w.sawEnd(v, reason, "told to a tab on node "+on) })
			}
			if gone {
				went[v] = append(went[v], t)
				continue
			}
			if !v.ended.IsZero() && w.overdue(v.ended, now, closeBound) {
				w.violate("%s: a tab on node %s is open %s after the end", v.user, v.tabs[t].name, now.Sub(v.ended))
				delete(v.tabs, t)
			}
		}
	})
	for _, f := range told {
		f()
	}
	for v, tabs := range went {
		v.mu.Lock()
		for _, t := range tabs {
			delete(v.tabs, t)
		}
		v.mu.Unlock()
	}
}
