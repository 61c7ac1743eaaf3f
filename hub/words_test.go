package hub

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis/redistest"
)

// wantsWords wants a message of the hub to have this English sentence, and beside it what pages
// need to put it into another language.
func wantsWords(t *testing.T, what string, m hubtest.Message, sentence, text string, data map[string]any) {
	t.Helper()
	got, _ := m["text"].(string)
	is, _ := m["data"].(map[string]any)
	if m["message"] != sentence || got != text || !reflect.DeepEqual(is, data) {
		t.Errorf("%s: %v, want the message %q, the text %q and the data %v", what, m, sentence, text, data)
	}
}

func TestTheAdministratorsTextStandsAloneBesideTheSentence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		for _, text := range []string{"Back at noon", ""} {
			warning, sentence := session.ReasonAdmin.Warning(), session.ReasonAdmin.Message()
			if text != "" {
				warning, sentence = text, text
			}
			ada := hub.signIn("ada")
			tab := ada.openTab()
			hub.logout(LogoutRequest{Scope: ada.scope(), Actor: "root", Message: text, Grace: time.Minute})
			wantsWords(t, "the warning", tab.Next(wire.KindWarn), warning, text, nil)
			status, err := hub.Check(t.Context(), ada.token.ID())
			if err != nil || status.Message != warning || status.Text != text {
				t.Errorf("Check = %+v, %v, want the message %q and the text %q", status, err, warning, text)
			}
			wantsWords(t, "the end", tab.WantsEnd(session.ReasonAdmin, time.Minute), sentence, text, nil)
		}
	})
}

func TestWhatHappensByTimeHasNoTextOfAnAdministrator(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		wantsWords(t, "the warning", tab.Wants(wire.KindWarn, standard.WarnAfter), session.ReasonIdle.Warning(), "",
			nil)
		wantsWords(t, "the end", tab.WantsEnd(session.ReasonIdle, standard.ExpireAfter), session.ReasonIdle.Message(),
			"", nil)
	})
}

// fromUnknown is where a sign-in of the rig came from, as a page is told.
func fromUnknown(address string) map[string]any {
	return map[string]any{"device": "an unknown browser", "address": address}
}

func TestADisplacedSessionIsToldFromWhereItsUserHasSignedIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.MaxSessions = 1
		hub := startHub(t, p)
		tab := hub.signIn("ada").openTab()
		hub.signIn("ada")
		wantsWords(t, "the end", tab.WantsEnd(session.ReasonReplaced, 0),
			"You were signed out because of a newer sign-in: an unknown browser, 192.0.2.1.", "",
			fromUnknown("192.0.2.1"))
	})
}

const toldOfSignIn = "Your account has just signed in elsewhere: Firefox on Linux, 192.0.2.7. If that was not " +
	"you, end that session on your account page and change your password."

// wantsSignInNotice wants the notice of a sign-in with Firefox on Linux.
func wantsSignInNotice(t *testing.T, what string, m hubtest.Message) {
	t.Helper()
	wantsWords(t, what, m, toldOfSignIn, "", map[string]any{
		"device":  "Firefox on Linux",
		"browser": "Firefox",
		"system":  "Linux",
		"address": "192.0.2.7",
	})
	if m["kind"] != "sign-in" {
		t.Errorf("%s: %v, want the kind sign-in", what, m)
	}
}

func TestNoticeOfASignInTellsWhatItIsAboutOnAllNodes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	here, there := startNode(t, server, "here", standard, nil), startNode(t, server, "there", standard, nil)
	ada := here.signIn("ada")
	elsewhere := here.signIn("ada")
	one, two := ada.openTab(), ada.on(there).openTab()
	r, err := here.store.Get(t.Context(), elsewhere.token.ID())
	if err != nil {
		t.Fatal(err)
	}
	r.Agent, r.Address = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "192.0.2.7"
	here.TellOfSignIn(t.Context(), r)
	wantsSignInNotice(t, "a tab of this node", one.Next(wire.KindNotice))
	wantsSignInNotice(t, "a tab of another node", two.Next(wire.KindNotice))
	wantsSignInNotice(t, "a tab that opens later", ada.on(there).openTab().Next(wire.KindNotice))

	if _, err := here.Notify(t.Context(), session.Scope{User: "ada"}, "root", "The printer is back."); err != nil {
		t.Fatal(err)
	}
	m := two.Next(wire.KindNotice)
	wantsWords(t, "an administrator's", m, "The printer is back.", "", nil)
	if _, has := m["kind"]; has {
		t.Errorf("an administrator's notice: %v, want no kind", m)
	}
}

func TestEventsOfTheHubHaveTheirData(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		ada.openTab()
		if _, err := hub.Notify(t.Context(), session.Scope{User: "ada"}, "root", "Hello"); err != nil {
			t.Fatal(err)
		}
		r := *hub.lookup(ada.token.ID()).record.Load()
		r.DN = "uid=ada"
		grace := r
		grace.ID, grace.User, grace.DN = session.NewToken().ID(), "grace", "uid=grace"
		if err := hub.Create(t.Context(), grace); err != nil {
			t.Fatal(err)
		}
		denied := Standing{Denied: true, Cause: "gone", Why: "no longer in the directory"}
		if err := hub.Reconcile(t.Context(), AccountOf(&grace), denied); err != nil {
			t.Fatal(err)
		}
		status, err := hub.Check(t.Context(), grace.ID)
		if !errors.Is(err, session.ErrEnded) || status.Record.End.Data != nil {
			t.Errorf("Check = %+v, %v, want ErrEnded, and the cause for the trail alone", status.Record.End, err)
		}
		for kind, want := range map[session.EventKind]session.Event{
			session.EventNotice: {
				Detail: "user ada (sessions: 1, tabs: 1): Hello",
				Data: map[string]string{
					"scope":    "user",
					"name":     "ada",
					"sessions": "1",
					"tabs":     "1",
					"text":     "Hello",
				},
			},
			session.EventSessionEnd: {
				Detail: "no longer in the directory",
				Data:   map[string]string{"cause": "gone"},
			},
		} {
			lines, err := hub.store.Events(t.Context(), session.EventQuery{Limit: 10, Kind: kind})
			if err != nil || len(lines) != 1 || lines[0].Detail != want.Detail ||
				!reflect.DeepEqual(lines[0].Data, want.Data) {
				t.Errorf("%s: %+v, %v, want %q and %v", kind, lines, err, want.Detail, want.Data)
			}
		}
	})
}
