package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

// Messages between nodes, leases, and what a pulse tells.

// listener is a subscription of one node.
type listener struct {
	began chan struct{}
	heard chan string
	ended chan error // closed after the error of Subscribe
	stop  context.CancelFunc
}

// listen subscribes and waits until messages are received.
func listen(t *testing.T, n Node) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{make(chan struct{}, 10), make(chan string, 10_000), make(chan error, 1), cancel}
	go func() {
		defer close(l.ended)
		l.ended <- n.Subscribe(ctx, func() { l.began <- struct{}{} }, func(m []byte) { l.heard <- string(m) })
	}()
	t.Cleanup(func() {
		cancel()
		for range l.ended { // until Subscribe has returned
		}
	})
	select {
	case <-l.began:
	case err := <-l.ended:
		t.Fatalf("Subscribe: %v", err)
	case <-time.After(soon):
		t.Fatal("the subscription does not begin")
	}
	return l
}

// wants wants these messages next.
func (l *listener) wants(t *testing.T, who string, messages ...string) {
	t.Helper()
	for i, want := range messages {
		select {
		case got := <-l.heard:
			if got != want {
				t.Fatalf("%s: message %d is %.80q, want %.80q", who, i+1, got, want)
			}
		case <-time.After(soon):
			t.Fatalf("%s: message %d is not heard", who, i+1)
		}
	}
}

func publish(t *testing.T, n Node, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := n.Publish(t.Context(), []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func messageReachesAll(t *testing.T, nodes []Node) {
	publish(t, nodes[0], "before anybody listens: lost")
	var listeners []*listener
	for _, n := range nodes {
		listeners = append(listeners, listen(t, n))
	}
	for i, n := range nodes {
		message := fmt.Sprintf("from node %d", i)
		publish(t, n, message)
		for k, l := range listeners {
			l.wants(t, fmt.Sprintf("node %d", k), message)
		}
	}
}

func messagesInOrder(t *testing.T, nodes []Node) {
	self, other := listen(t, nodes[0]), listen(t, nodes[1])
	messages := []string{"", "\x00\r\n\xff", `{"v":1}`, strings.Repeat("long ", 50_000)}
	for i := range 300 {
		messages = append(messages, fmt.Sprint(i))
	}
	publish(t, nodes[0], messages...)
	self.wants(t, "the sender", messages...)
	other.wants(t, "the other node", messages...)
}

func subscriptionEnds(t *testing.T, nodes []Node) {
	stays, ends := listen(t, nodes[0]), listen(t, nodes[1])
	ends.stop()
	select {
	case err := <-ends.ended:
		if err == nil {
			t.Error("Subscribe = nil, want why it has ended")
		}
	case <-time.After(soon):
		t.Fatal("Subscribe does not return")
	}
	publish(t, nodes[1], "after the end")
	stays.wants(t, "who still listens", "after the end")
	if len(ends.heard) > 0 {
		t.Errorf("who does not listen has heard %q", <-ends.heard)
	}
	again := listen(t, nodes[1])
	publish(t, nodes[0], "once more")
	again.wants(t, "who listens again", "once more")
}

// pulse renews a lease and wants no error.
func pulse(t *testing.T, n Node, node string, after uint64) session.Heartbeat {
	t.Helper()
	p, err := n.Pulse(t.Context(), node, after)
	if err != nil {
		t.Fatalf("Pulse: %v", err)
	}
	return p
}

func wantNodes(t *testing.T, p session.Heartbeat, want ...string) {
	t.Helper()
	if got := slices.Sorted(slices.Values(p.Nodes)); !slices.Equal(got, want) {
		t.Errorf("nodes %q, want %q", got, want)
	}
}

func nodesSeeEachOther(t *testing.T, nodes []Node) {
	wantNodes(t, pulse(t, nodes[0], "one/1", 0), "one/1")
	wantNodes(t, pulse(t, nodes[1], "two/1", 0), "one/1", "two/1")
	wantNodes(t, pulse(t, nodes[2], "two/2", 0), "one/1", "two/1", "two/2") // another run of the same process
	began := time.Now()
	p := pulse(t, nodes[0], "one/1", 0)
	wantNodes(t, p, "one/1", "two/1", "two/2")
	if p.Lease <= 0 || p.Asked.Before(began) || p.Took < 0 || time.Since(p.Asked) < p.Took {
		t.Errorf("a lease of %s, asked for at %s, answered after %s", p.Lease, p.Asked, p.Took)
	}
	if again := pulse(t, nodes[1], "two/1", 0); again.Now.Before(p.Now) {
		t.Errorf("it is %s for one node, and then %s for another", p.Now, again.Now)
	}
}

// leaseRunsOut takes as long as a lease.
func leaseRunsOut(t *testing.T, nodes []Node) {
	last := pulse(t, nodes[1], "two/1", 0)
	until := last.Now.Add(last.Lease)
	eventually(t, last.Lease+soon, last.Lease/100, "the node that has stopped is not listed", func() bool {
		p := pulse(t, nodes[0], "one/1", 0)
		listed := slices.Contains(p.Nodes, "two/1")
		if !slices.Contains(p.Nodes, "one/1") {
			t.Fatalf("nodes %q, want the one that goes on among them", p.Nodes)
		}
		if listed && p.Now.After(until) || !listed && p.Now.Before(until) {
			t.Fatalf("listed = %v at %s, and its lease runs until %s", listed, p.Now, until)
		}
		return !listed
	})
	if p := pulse(t, nodes[1], "two/1", 0); !p.Fresh {
		t.Error("a node whose lease had run out is not told so")
	}
}

func removedNode(t *testing.T, nodes []Node) {
	ctx := t.Context()
	pulse(t, nodes[0], "one/1", 0)
	wantNodes(t, pulse(t, nodes[1], "two/1", 0), "one/1", "two/1")
	for _, node := range []string{"one/1", "two/1"} {
		tabs := map[session.ID]string{session.NewToken().ID(): "tabs"}
		if err := nodes[0].SetTabs(ctx, node, tabs, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := nodes[1].RemoveNode(ctx, "two/1"); err != nil {
		t.Fatal(err)
	}
	wantNodes(t, pulse(t, nodes[0], "one/1", 0), "one/1")
	for node, want := range map[string]int{"one/1": 1, "two/1": 0} {
		if tabs, err := nodes[0].Tabs(ctx, node); err != nil || len(tabs) != want {
			t.Errorf("%s has tabs of %d sessions, %v, want %d", node, len(tabs), err, want)
		}
	}
	if err := nodes[1].RemoveNode(ctx, "two/1"); err != nil {
		t.Errorf("RemoveNode once more = %v", err)
	}
}

func freshNode(t *testing.T, nodes []Node) {
	for i, want := range []bool{true, false, false} {
		if p := pulse(t, nodes[0], "one/1", 0); p.Fresh != want {
			t.Errorf("pulse %d: fresh = %v, want %v", i+1, p.Fresh, want)
		}
	}
	if err := nodes[0].RemoveNode(t.Context(), "one/1"); err != nil {
		t.Fatal(err)
	}
	if p := pulse(t, nodes[0], "one/1", 0); !p.Fresh {
		t.Error("a node that was removed is not fresh")
	}
}

// lastLine is the number of the newest line, once all that was done is in the trail.
func lastLine(t *testing.T, n Node) uint64 {
	t.Helper()
	events, err := n.Events(t.Context(), session.EventQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	last, err := n.LastLine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(events) == 0 && last != 0 || len(events) > 0 && events[0].Number != last {
		t.Fatalf("LastLine = %d, and the newest of %d lines is %+v", last, len(events), events)
	}
	return last
}

func pulseTellsLines(t *testing.T, nodes []Node) {
	one, two := nodes[0], nodes[1]
	if last := lastLine(t, two); last != 0 {
		t.Fatalf("the last line of an empty store has number %d", last)
	}
	if p := pulse(t, two, "two/1", 0); p.Last != 0 || p.More || len(p.Begun)+len(p.Ended) != 0 {
		t.Errorf("pulse over an empty store: %+v", p)
	}
	var begun []session.ID
	var numbers []uint64
	for range 3 {
		begun = append(begun, create(t, one, Record("ada")).ID)
		numbers = append(numbers, lastLine(t, one))
	}
	for _, id := range []session.ID{begun[2], begun[0]} {
		mustEnd(t, one, id, end(session.ReasonLogout, 0))
		numbers = append(numbers, lastLine(t, one))
	}
	if err := one.Append(t.Context(), session.Event{At: start, Kind: session.EventNotice}); err != nil {
		t.Fatal(err)
	}
	last := lastLine(t, two)
	for _, row := range []struct {
		what         string
		after        uint64
		begun, ended []session.ID
	}{
		{"after the beginning", 0, begun, []session.ID{begun[2], begun[0]}},
		{"after the first sign-in", numbers[0], begun[1:], []session.ID{begun[2], begun[0]}},
		{"after all sign-ins", numbers[2], nil, []session.ID{begun[2], begun[0]}},
		{"after the last end", numbers[4], nil, nil},
		{"after the last line", last, nil, nil},
	} {
		p := pulse(t, two, "two/1", row.after)
		if !slices.Equal(p.Begun, row.begun) || !slices.Equal(p.Ended, row.ended) || p.Last != last || p.More {
			t.Errorf("%s: begun %v, ended %v, up to %d (more %v), want %v and %v up to %d", row.what, p.Begun, p.Ended,
				p.Last, p.More, row.begun, row.ended, last)
		}
	}
}

func pulseTellsAll(t *testing.T, nodes []Node) {
	const sessions, notices = 300, 2000
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			for i := range sessions / len(nodes) {
				r := create(t, n, Record("ada"))
				if i%3 == 0 {
					mustEnd(t, n, r.ID, end(session.ReasonLogout, 0))
				}
			}
			for range notices / len(nodes) {
				if err := n.Append(t.Context(), session.Event{At: start, Kind: session.EventNotice}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	last := lastLine(t, nodes[0])
	if last != sessions+sessions/3+notices {
		t.Fatalf("the last line has number %d, want a line for each of %d sign-ins, %d ends and %d notices", last,
			sessions, sessions/3, notices)
	}
	begun, ended := make(map[session.ID]bool), make(map[session.ID]bool)
	for after := uint64(0); ; {
		p := pulse(t, nodes[1], "two/1", after)
		for _, id := range p.Begun {
			if begun[id] || ended[id] {
				t.Fatal("a sign-in is told twice, or after the end")
			}
			begun[id] = true
		}
		for _, id := range p.Ended {
			if ended[id] || !begun[id] {
				t.Fatal("an end is told twice, or before the sign-in")
			}
			ended[id] = true
		}
		if p.Last < after || p.Last > last || p.More && p.Last == after || !p.More && p.Last != last {
			t.Fatalf("after line %d of %d: up to %d, more %v", after, last, p.Last, p.More)
		}
		if after = p.Last; !p.More {
			break
		}
	}
	if len(begun) != sessions || len(ended) != sessions/3 {
		t.Errorf("%d sign-ins and %d ends are told, want %d and %d", len(begun), len(ended), sessions, sessions/3)
	}
}

func pulseTellsRevocations(t *testing.T, nodes []Node) {
	wants := func(what string) {
		t.Helper()
		last, err := nodes[0].LastRevocation(t.Context())
		if p := pulse(t, nodes[1], "two/1", 0); err != nil || p.LastRevocation != last {
			t.Errorf("%s: the pulse says %d, want %d, %v", what, p.LastRevocation, last, err)
		}
	}
	wants("before any")
	before := addRevocation(t, nodes[0], graced("x", time.Hour, 0)).Number
	wants("added")
	if _, err := nodes[0].CancelRevocation(t.Context(), "x", time.Now(), "root"); err != nil {
		t.Fatal(err)
	}
	wants("cancelled")
	if p := pulse(t, nodes[1], "two/1", 0); p.LastRevocation <= before {
		t.Errorf("cancelled, the number is still %d: no node would look", p.LastRevocation)
	}
}

func epoch(t *testing.T, nodes []Node) {
	name := nodes[0].Epoch(t.Context())
	if name == "" {
		t.Error("the epoch has no name")
	}
	for range 3 {
		create(t, nodes[0], Record("ada"))
		for i, n := range nodes {
			if got := n.Epoch(t.Context()); got != name {
				t.Errorf("node %d is in the epoch %q, want %q", i, got, name)
			}
			if p := pulse(t, n, fmt.Sprintf("node%d/1", i), 0); p.Epoch != name {
				t.Errorf("the pulse of node %d says %q, want %q", i, p.Epoch, name)
			}
		}
	}
}
