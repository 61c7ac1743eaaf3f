package session

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

func TestAnEndIsStoredAsACodeAndPutIntoWordsWhenItIsRead(t *testing.T) {
	by := func(what string) map[string]string { return map[string]string{DataBy: what} }
	for _, tt := range []struct {
		name        string
		end         End
		text, admin string
	}{
		{"by time", End{Reason: ReasonIdle}, ReasonIdle.Message(), ""},
		{"by an administrator who wrote something", End{Reason: ReasonAdmin, Message: "Back at <noon>"},
			"Back at <noon>", "Back at <noon>"},
		{"by one who wrote nothing", End{Reason: ReasonAdmin}, "You were signed out by an administrator.", ""},
		{"by a newer sign-in", ReplacedBy(t.Context(), Record{Agent: firefox, Address: "192.0.2.1"}, ID{}),
			"You were signed out because of a newer sign-in: Firefox on Linux, 192.0.2.1.", ""},
		{"by one of an unknown browser", ReplacedBy(t.Context(), Record{Agent: "x", Address: "2001:db8::1"}, ID{}),
			"You were signed out because of a newer sign-in: an unknown browser, 2001:db8::1.", ""},
		{"by one in the same browser", End{Reason: ReasonReplaced, Data: map[string]string{
			"device": "curl", "browser": "curl", "address": "192.0.2.1", DataBy: ByBrowser,
		}}, "You were signed out because of a newer sign-in.", ""},
		{"by one of which nothing is known", End{Reason: ReasonReplaced},
			"You were signed out because of a newer sign-in.", ""},
		{"by the user", End{Reason: ReasonLogout}, "You have signed out.", ""},
		{"from the account page", End{Reason: ReasonLogout, Data: by(ByAccount)},
			"This session was ended from your account page, on another device or in another browser.", ""},
		{"by a reset", End{Reason: ReasonAdmin, Data: by(ByTesting)}, "The server was reset for testing.", ""},
		{"by a newer sign-in, as earlier versions kept it", End{Reason: ReasonReplaced, Message: "A newer one: curl."},
			"A newer one: curl.", ""},
		{"from the account page, as earlier versions kept it", End{Reason: ReasonLogout, Message: "Ended."},
			"Ended.", ""},
	} {
		if got := tt.end.Text(); got != tt.text {
			t.Errorf("%s: the text is %q, want %q", tt.name, got, tt.text)
		}
		if got := tt.end.AdminText(); got != tt.admin {
			t.Errorf("%s: the administrator's text is %q, want %q", tt.name, got, tt.admin)
		}
	}
}

func TestARecordOfAnEarlierVersionKeepsItsSentence(t *testing.T) {
	const sentence = "You were signed out because of a newer sign-in: Firefox on Linux, 192.0.2.1."
	r, err := Decode(ID{}, []byte(`{"v":1,"user":"ada","policy":{},"created_at":1,"last_active_at":1,"end":`+
		`{"reason":"replaced","at":"2026-01-02T03:04:05Z","actor":"ada","message":"`+sentence+`","continued":true}}`))
	if err != nil || r.End == nil || r.End.Text() != sentence || r.End.AdminText() != "" || !r.End.Continued {
		t.Errorf("Decode = %+v, %v, want that sentence, and none by an administrator", r.End, err)
	}
}

func TestWhereASignInCameFrom(t *testing.T) {
	for agent, want := range map[string]map[string]string{
		firefox:     {"device": "Firefox on Linux", "browser": "Firefox", "system": "Linux"},
		"curl/8":    {"device": "curl", "browser": "curl"},
		"X Windows": {"device": "a browser on Windows", "system": "Windows"},
		"":          {"device": "an unknown browser"},
	} {
		want["address"] = "192.0.2.1"
		if got := (&Record{Agent: agent, Address: "192.0.2.1"}).From(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", agent, got, want)
		}
	}
}

// What an index and a tombstone keep of an end must stay small: Redis has each several times.
func TestAnEndByANewerSignInTakesNoMoreSpaceThanItsSentence(t *testing.T) {
	end := ReplacedBy(t.Context(), Record{Agent: firefox, Address: "2001:db8:1234:5678:9abc:def0:1234:5678"}, ID{})
	data, err := json.Marshal(end.Data)
	if sentence := end.Text(); err != nil || len(data) > len(sentence)+40 {
		t.Errorf("%d bytes for %q, %v", len(data), sentence, err)
	}
}

func TestLinesOfAForcedLogoutHaveAllThatASentenceNeeds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := Revocation{
		ID:          "k3vq",
		Scope:       Scope{Group: "Finance"},
		Actor:       "ada",
		Message:     "Back at noon.",
		At:          at,
		EffectiveAt: at.Add(time.Minute),
		BlockUntil:  at.Add(time.Hour),
		Sessions:    12,
		Tabs:        30,
		Waiting:     2,
		Skipped:     1,
	}
	called := f
	called.CancelledAt = at.Add(time.Second)
	refs, _ := NewRefs([]string{NewToken().ID().Ref(), NewToken().ID().Ref()})
	lifted := f
	lifted.CancelledAt = at.Add(2 * time.Minute)
	for _, tt := range []struct {
		name string
		e    Event
		want map[string]string
	}{
		{"ordered", RevocationEvent(f), map[string]string{
			"act": "ordered", "logout": "k3vq", "scope": "group", "name": "Finance", "sessions": "12", "tabs": "30",
			"waiting": "2", "skipped": "1", "grace_ms": "60000", "block_until": "2026-01-02T04:04:05Z",
			"text": "Back at noon.",
		}},
		{"of everyone, without anything", RevocationEvent(Revocation{ID: "a", Scope: Scope{Everyone: true}}),
			map[string]string{"act": "ordered", "logout": "a", "scope": "everyone", "sessions": "0", "tabs": "0"}},
		{"of whom not all were counted",
			RevocationEvent(Revocation{ID: "a", Scope: Scope{User: "eve"}, Waiting: NotCounted}),
			map[string]string{"act": "ordered", "logout": "a", "scope": "user", "name": "eve", "sessions": "0",
				"tabs": "0", "waiting": "-1"}},
		{"called off", CancelEvent(t.Context(), called, "eve"),
			map[string]string{"act": "called-off", "logout": "k3vq", "scope": "group", "name": "Finance"}},
		{"whose block was lifted", CancelEvent(t.Context(), lifted, "eve"),
			map[string]string{"act": "block-lifted", "logout": "k3vq", "scope": "group", "name": "Finance"}},
		{"of a list of sessions", CancelEvent(t.Context(), Revocation{ID: "b", Scope: Scope{Refs: refs}}, "eve"),
			map[string]string{"act": "block-lifted", "logout": "b", "scope": "sessions", "name": "2"}},
	} {
		if !reflect.DeepEqual(tt.e.Data, tt.want) {
			t.Errorf("one %s: %v, want %v", tt.name, tt.e.Data, tt.want)
		}
	}
}
