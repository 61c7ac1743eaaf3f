package cluster

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// FuzzMessages applies any bytes as a message of another node. No lock is held while the hub is
// told. What a node understands of a message, it understands again once it has written it itself;
// and a message of its own, or of a later version, tells it nothing.
func FuzzMessages(f *testing.F) {
	ada, seeds := messageSeeds(f)
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Add([]byte(`{"v":9,"node":"b/1","n":1,"events":[{"kind":"departs"}]}`))
	f.Add([]byte(`{"v":1,"node":"b/1","n":9223372036854775807,"events":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		told := func(data []byte) []string {
			m, local, store := startMember(t)
			local.SignedIn(ada)
			store.records = []session.Record{ada}
			local.takeTold()
			m.apply(data)
			list := local.takeTold()
			slices.Sort(list) // maps have no order
			return list
		}
		var msg message
		if err := json.Unmarshal(data, &msg); err != nil {
			if got := told(data); len(got) > 0 && msg.Version <= messageVersion {
				t.Errorf("%q is not understood, and told as %q", data, got)
			}
			return
		}
		written, err := json.Marshal(msg)
		if err != nil {
			t.Fatalf("%q is understood and cannot be written: %v", data, err)
		}
		if got, want := told(written), told(data); !slices.Equal(got, want) {
			t.Errorf("%q is told as %q, and written anew as %q", data, want, got)
		}
		m, local, _ := startMember(t)
		msg.Node = m.self
		own, err := json.Marshal(msg)
		if m.apply(own); err != nil || len(local.takeTold()) > 0 {
			t.Errorf("%s of this node itself is applied, %v", own, err)
		}
		msg.Version, msg.Node = messageVersion+1, "b/1"
		later, err := json.Marshal(msg)
		if m.apply(later); err != nil || len(local.takeTold()) > 0 {
			t.Errorf("%s of a later version is applied, %v", later, err)
		}
	})
}

// messageSeeds are messages with events of every kind about a session, and one that nobody knows.
func messageSeeds(f *testing.F) (ada session.Record, seeds [][]byte) {
	ada = record("ada")
	ada.ID = session.ID{1}
	data, err := ada.Encode()
	if err != nil {
		f.Fatal(err)
	}
	end := session.End{Reason: session.ReasonLogout, At: time.UnixMilli(7).UTC()}
	for _, events := range [][]event{
		{{Kind: eventSignedIn, ID: &ada.ID, Record: data}, {Kind: eventEnded, ID: &ada.ID, End: &end}},
		{{Kind: eventActed, Acts: map[session.ID]int64{ada.ID: 7}}, {Kind: eventLeft, ID: &ada.ID, At: 3}},
		{{Kind: eventLeft, ID: &ada.ID, Times: &tabTimes{1, 2, 3}}, {Kind: eventRules, ID: &ada.ID}},
		{{Kind: eventTabs, Tabs: map[session.ID]string{ada.ID: `{"tabs":1}`, {2}: `{"tabs":-1}`, {3}: ""}}},
		{{Kind: eventRevocation, Revocation: &session.Revocation{ID: "r"}}, {Kind: eventNotice,
			Notice: &Notice{ID: "n"}}},
		{{Kind: eventDeparts}, {Kind: eventFlush, Call: "c"}, {Kind: eventDone, Call: "c"}, {Kind: "unknown"}},
		{{Kind: eventAdvance}, {Kind: eventAge}, {Kind: eventReset}, {Kind: eventOutcomes}, {Kind: eventPing}},
	} {
		seed, err := json.Marshal(message{Version: messageVersion, Node: "b/1", Number: 1, Events: events})
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	return ada, seeds
}
