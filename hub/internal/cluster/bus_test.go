package cluster

import (
	"encoding/json"
	"testing"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

func TestWhatWaitsToBePublishedIsBounded(t *testing.T) {
	m, _, to := startMember(t)
	for range 60_000 { // while a publication hangs
		m.emit(event{Kind: eventPing})
	}
	if n := len(m.bus.queue); n != 50_000 {
		t.Errorf("%d events wait, want 50,000 at most", n)
	}
	m.send(t.Context())
	if n := to.messages[0].Number; n != 2 {
		t.Errorf("the first message has number %d, want one left out, so that others notice", n)
	}
	m.emit(event{Kind: eventPing})
	before := to.messages[len(to.messages)-1].Number
	m.send(t.Context())
	if n := to.messages[len(to.messages)-1].Number; n != before+1 {
		t.Errorf("the message after %d has number %d", before, n)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	tabs := func(n int) event {
		e := event{Kind: eventTabs, Tabs: make(map[session.ID]string)}
		for i := range n {
			e.Tabs[session.ID{byte(i), byte(i >> 8)}] = ""
		}
		return e
	}
	acts := event{Kind: eventActed, Acts: make(map[session.ID]int64)}
	for i := range 1000 {
		acts.Acts[session.ID{byte(i), byte(i >> 8)}] = 1
	}
	outcomes := event{
		Kind:     eventOutcomes,
		Outcomes: &revocation.OutcomeReport{Tabs: make([]revocation.TabOutcome, 150)},
	}
	ping := event{Kind: eventPing}
	tests := []struct {
		name  string
		queue []event
		first int // events of the first message
	}{
		{"one", []event{ping}, 1},
		{"two that fit", []event{tabs(98), tabs(100)}, 2},
		{"two of which the second does not fit", []event{tabs(99), tabs(100)}, 1},
		{"one that is too long alone", []event{tabs(500), ping}, 1},
		{"acts weigh a fifth", []event{acts, ping}, 1},
		{"outcomes weigh their tabs", []event{outcomes, tabs(48), ping}, 2},
	}
	for _, tt := range tests {
		events, rest := firstMessage(tt.queue)
		if len(events) != tt.first || len(events)+len(rest) != len(tt.queue) {
			t.Errorf("%s: %d events and %d left, want %d of %d", tt.name, len(events), len(rest), tt.first,
				len(tt.queue))
		}
	}
}

// Nodes of two versions talk to each other: the names in a message are those of its version 1.
func TestMessageToTheLetter(t *testing.T) {
	m, _, to := startMember(t)
	id := session.ID{1}
	name, err := id.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	m.TellTabTimes(id, session.TabTimes{
		OpenedAt: time.UnixMilli(1),
		AskedAt:  time.UnixMilli(2),
		ClosedAt: time.UnixMilli(60_000),
	})
	m.TellActed([]session.Activity{{ID: id, At: time.UnixMilli(5)}})
	m.TellRules(id)
	m.send(t.Context())
	want := `{"v":1,"node":"` + m.self + `","name":"a","n":1,"events":[` +
		`{"kind":"left","id":"` + string(name) + `","at":60000,"times":{"opened":1,"asked":2,"closed":60000}},` +
		`{"kind":"acted","acts":{"` + string(name) + `":5}},` +
		`{"kind":"rules","id":"` + string(name) + `"}]}`
	if got := string(to.raw[0]); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	report, err := json.Marshal(TabReport{
		Instance: "a/x",
		Node:     "a",
		Tabs:     2,
		Hidden:   1,
		Opened:   7,
		List:     []Tab{{ID: "t", Node: "a", OpenedAt: time.UnixMilli(7).UTC()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want = `{"node":"a","tabs":2,"hidden":1,"opened":7,` +
		`"list":[{"tab":"t","node":"a","opened_at":"1970-01-01T00:00:00.007Z"}]}`
	if string(report) != want {
		t.Errorf("got %s\nwant %s", report, want)
	}
}

func TestANodeThatDoesNotHearItselfSubscribesAnew(t *testing.T) {
	b := newBus()
	cut := false
	b.unsubscribe = func() { cut = true }
	if b.breakSilence(); cut {
		t.Error("it subscribes anew at once")
	}
	b.silentSince = time.Now().Add(-silentAfter - time.Second)
	b.receivedOwn()
	if b.breakSilence(); cut {
		t.Error("it subscribes anew though it has just heard itself")
	}
	b.silentSince = time.Now().Add(-silentAfter - time.Second)
	if b.breakSilence(); !cut {
		t.Error("it stays silent")
	}
}
