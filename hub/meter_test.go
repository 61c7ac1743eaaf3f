package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

// recorder is a Meter that remembers what it is told.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (m *recorder) add(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, fmt.Sprintf(format, args...))
}

func (m *recorder) Acknowledged(kind wire.Kind, after time.Duration) {
	m.add("%s acked after %s", kind, after)
}
func (m *recorder) Late(what Deadline, by time.Duration) { m.add("%s late by %s", what, by) }
func (m *recorder) ToldOfEnd(o Outcome)                  { m.add("told of an end: %s", o) }
func (m *recorder) TurnedAway()                          { m.add("turned away") }
func (m *recorder) Unconfirmed()                         { m.add("not confirmed") }

// wants compares all that was told with what is wanted, whatever the order, and forgets it.
func (m *recorder) wants(t *testing.T, what string, want ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.lines)
	slices.Sort(want)
	if !slices.Equal(m.lines, want) {
		t.Errorf("%s: %q, want %q", what, m.lines, want)
	}
	m.lines = nil
}

// startMeasured starts a hub over what wrap makes of its store, and what it measures.
func startMeasured(t *testing.T, p session.Policy, wrap func(session.Store) session.Store) (*rig, *recorder) {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &recorder{}
	return startHubWith(t, wrap(store), Options{
		Store:    wrap(store),
		Policies: session.Policies{Global: p},
		Node:     "node-1",
		Meter:    m,
		MaxTabs:  3,
	}), m
}

func asItIs(s session.Store) session.Store { return s }

// openFrozen opens a tab whose browser reads, and whose page acknowledges nothing.
func (u *user) openFrozen() {
	u.t.Helper()
	c, _, err := u.dial()
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { c.CloseNow() })
	go func() {
		for {
			if _, _, err := c.Read(context.Background()); err != nil {
				return
			}
		}
	}()
}

func TestMeterOfPushesAndEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.WarnAfter, p.ExpireAfter = 9*time.Second, 12*time.Second // before the first tick
		hub, m := startMeasured(t, p, asItIs)
		ada := hub.signIn("ada")
		leaves, stays := ada.openTab(), ada.openTab()
		ada.openFrozen()
		ada.openFrozen() // one too many
		synctest.Wait()
		m.wants(t, "a tab too many", "turned away")
		for _, tab := range []*page{leaves, stays} {
			warning := tab.NextWithin(10*time.Second, wire.KindWarn)
			pass(time.Second)
			tab.Ack(warning)
			tab.Ack(warning) // which is no news
		}
		synctest.Wait()
		m.wants(t, "warnings, one acked after the other", "warning late by 0s", "warning late by 0s",
			"warn acked after 1s", "warn acked after 2s") // woken a second before, too, should the deadline have moved
		stays.WantsEnd(session.ReasonIdle, 12*time.Second)
		leaves.Leave("")
		pass(5 * time.Second)
		synctest.Wait()
		m.wants(t, "ends", "end late by 0s", "expire acked after 0s",
			"told of an end: acked", "told of an end: gone", "told of an end: unconfirmed")
	})
}

func TestMeterOfDeadlinesThatWereMissed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, m := startMeasured(t, standard, asItIs)
		hub.signInAt("ada", time.Now().Add(-time.Hour)) // as after an hour without the server
		synctest.Wait()
		m.wants(t, "an end", "end late by 50m0s")
	})
}

func TestMeterOfTicks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, m := startMeasured(t, standard, asItIs)
		tab := hub.signIn("ada").openTab()
		tab.Send(`{"type":"ack","seq":1}`) // hello, which no page acknowledges
		pass(tickEvery + time.Second)
		synctest.Wait()
		m.wants(t, "a tick", "tick acked after 0s")
	})
}

// deaf is a store that acknowledges no forced logout.
type deaf struct{ session.Store }

func (deaf) AddRevocation(context.Context, session.Revocation) (session.Revocation, error) {
	return session.Revocation{}, errors.New("no answer")
}

func TestMeterOfForcedLogoutsThatAreNotConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, m := startMeasured(t, standard, func(s session.Store) session.Store { return deaf{s} })
		if _, err := hub.ForceLogout(t.Context(), LogoutRequest{Scope: everyone}); err == nil {
			t.Fatal("it was confirmed")
		}
		m.wants(t, "a forced logout", "not confirmed")
		if _, err := hub.CancelForcedLogout(t.Context(), "nosuch", "root"); !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		m.wants(t, "a cancellation of none")
	})
}

func TestTabStates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, _ := startMeasured(t, standard, asItIs)
		ada := hub.signIn("ada")
		ada.openTab()
		ada.openTab().Send(`{"type":"visibility","hidden":true}`)
		hub.signIn("grace").openFrozen()
		pass(tickEvery + answerWait + time.Second)
		synctest.Wait()
		if got, want := hub.TabStates(), (TabStates{Shown: 1, Hidden: 1, Unconfirmed: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A tab has 9 KB, and its struct has stayed within 384 bytes, a size that the runtime allots.
func TestATabIsNotLargerForBeingMeasured(t *testing.T) {
	if size := unsafe.Sizeof(tab{}); size > 384 {
		t.Errorf("a tab has %d bytes, want 384 at most: 416 are allotted for it", size)
	}
}

// Nothing is allotted for what is measured at an ack.
func TestMeasuringAnAckCostsNoMemory(t *testing.T) {
	hub := startHub(t, standard)
	s := newLiveSession(session.Record{ID: session.NewToken().ID(), Policy: standard}, hub.shards[0])
	one := &tab{session: s}
	seq := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		one.lastSeq.Store(seq)
		one.pushedLocked()
		one.acked.Store(seq)
		hub.acknowledged(one, true)
	}); n != 0 {
		t.Errorf("%g allocations at an ack, want none", n)
	}
}
