package cluster

import (
	"reflect"
	"testing"
	"time"

	"curfew/session"
)

func signedIn(t *testing.T, r session.Record) event {
	t.Helper()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return event{Kind: eventSignedIn, ID: &r.ID, Record: data}
}

// Messages and pulses overtake each other: that of an end may come before that of the sign-in.
func TestASignInThatIsHeardOfAfterItsEndShowsNobody(t *testing.T) {
	m, local, _ := startMember(t)
	ada := record("ada")
	end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
	m.says(t, "b/1", 1, event{Kind: eventEnded, ID: &ada.ID, End: &end}, signedIn(t, ada))
	local.wantTold() // a session is shown whose end was heard of first
	if got := m.EndOf(ada.ID); got == nil || !reflect.DeepEqual(*got, end) {
		t.Errorf("EndOf = %+v, want the end that was heard of", got)
	}

	grace := record("grace")
	p := session.Heartbeat{Begun: []session.ID{grace.ID}, Ended: []session.ID{grace.ID}}
	if err := m.applyMissed(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m.says(t, "b/1", 2, signedIn(t, grace))
	local.wantTold() // a session is shown whose end was found in the store first
	if got := m.EndOf(grace.ID); got != nil {
		t.Errorf("an end of which nothing is known is told as %+v", *got)
	}

	linus := record("linus")
	m.says(t, "b/1", 3, signedIn(t, linus), signedIn(t, linus))
	local.wantTold("signed in linus")
	m.says(t, "b/1", 4, event{Kind: eventEnded, ID: &linus.ID, End: &end})
	local.wantTold("ended elsewhere: " + string(session.ReasonLogout) + ": " + string(session.ReasonLogout))
}

func TestWhatOtherNodesTell(t *testing.T) {
	m, local, store := startMember(t)
	ada := record("ada")
	local.SignedIn(ada)
	local.takeTold()
	store.records = []session.Record{ada}
	for _, tt := range []struct {
		name string
		e    event
		want []string
	}{
		{"an act", event{Kind: eventActed, Acts: map[session.ID]int64{ada.ID: 7}}, []string{"acted at 7"}},
		{"tab times", event{
			Kind:  eventLeft,
			ID:    &ada.ID,
			At:    3,
			Times: &tabTimes{1, 2, 3},
		}, []string{"tab times 1 2 3"}},
		{"tab times of an older version", event{Kind: eventLeft, ID: &ada.ID, At: 3}, []string{"left at 3"}},
		{"an older version: a tab is open again", event{Kind: eventLeft, ID: &ada.ID}, []string{"left at 0"}},
		{"rules", event{Kind: eventRules, ID: &ada.ID}, []string{"reconciled ada"}},
		{"rules of one that nobody knows", event{Kind: eventRules, ID: &session.ID{}}, nil},
		{"a forced logout", event{Kind: eventRevocation, Revocation: &session.Revocation{ID: "r"}},
			[]string{"revoked r"}},
		{"a forced logout without one", event{Kind: eventRevocation}, nil},
		{"to write what is not stored", event{Kind: eventFlush, Call: "c"}, []string{"flush"}},
		{"a leap, where there is no test clock", event{Kind: eventAdvance, Ahead: 5}, nil},
		{"an aged session, where there is no test clock", event{Kind: eventAge, ID: &ada.ID, At: 5}, nil},
		{"a reset, where there is no test clock", event{Kind: eventReset}, nil},
		{"an end without one", event{Kind: eventEnded, ID: &ada.ID}, nil},
		{"a sign-in of nobody", event{Kind: eventSignedIn}, nil},
	} {
		m.applyEvent("b/1", &tt.e)
		t.Log(tt.name)
		local.wantTold(tt.want...)
	}
	m.send(t.Context())
	var done []string
	for _, e := range store.messages[0].Events {
		if e.Kind == eventDone {
			done = append(done, e.Call)
		}
	}
	if len(done) != 4 || done[0] != "c" {
		t.Errorf("calls were answered %q, want four", done)
	}
}
