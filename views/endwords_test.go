package views

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"curfew/front"
	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

const curl = "curl/8.0"

// wantsWords wants an answer to have this English sentence, and beside it what a page needs to put
// it into another language.
func wantsWords(t *testing.T, what string, fields map[string]any, sentence, text string, data map[string]any) {
	t.Helper()
	is, _ := fields["message"].(string)
	got, _ := fields["text"].(string)
	if is != sentence || got != text || !reflect.DeepEqual(dig(fields, "data"), data) {
		t.Errorf("%s: %v, want the message %q, the text %q and the data %v", what, fields, sentence, text, data)
	}
}

func TestStatusTellsTheAdministratorsTextBesideTheSentence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		for _, text := range []string{"Back at noon", ""} {
			grace := s.signIn("grace")
			_, calm := grace.status()
			wantsWords(t, "before the warning", calm, "", "", nil)
			warning, sentence := session.ReasonAdmin.Warning(), session.ReasonAdmin.Message()
			if text != "" {
				warning, sentence = text, text
			}
			_, err := s.hub.ForceLogout(t.Context(), hub.LogoutRequest{
				Scope:   session.Scope{User: "grace"},
				Actor:   "ada",
				Message: text,
				Grace:   time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, warned := grace.status()
			wantsWords(t, "while it is warned", warned, warning, text, nil)
			time.Sleep(time.Minute)
			code, over := grace.status()
			if code != 401 {
				t.Fatalf("after the grace: %d", code)
			}
			wantsWords(t, "after the end", over, sentence, text, nil)
		}
	})
}

func TestStatusTellsTheDataOfAnEnd(t *testing.T) {
	s := startSite(t, "")
	ada, other := s.signIn("ada"), s.signIn("ada")
	ada.post("/account", url.Values{"others": {"all"}}).wants(t, "ending all others", 303)
	_, ended := other.status()
	wantsWords(t, "a session that was ended from the account page", ended,
		"This session was ended from your account page, on another device or in another browser.", "",
		map[string]any{"by": "account"})

	first := &browser{site: s, cookie: ada.cookie}
	handle := ada.handle()
	again := ada.post("/login", url.Values{"username": {"ada"}, "password": {"pw"}}, "User-Agent", curl)
	again.wants(t, "signing in again", 303)
	from := map[string]any{"device": "curl", "browser": "curl", "address": "192.0.2.1", "by": "browser"}
	_, ended = first.status()
	wantsWords(t, "one that was replaced", ended,
		"You were signed out because of a newer sign-in.", "", from)
	ada.take(again)
	_, told := ada.asks(handle)
	if own := dig(told, "ended"); own["reason"] != "replaced" || !reflect.DeepEqual(dig(own, "data"), from) {
		t.Errorf("asked about the one before: %v, want it replaced from %v", told, from)
	}
	wantsWords(t, "the one that lives", told, "", "", nil)

	ada.signOut()
	_, ended = ada.status()
	wantsWords(t, "after a sign-out", ended, "You have signed out.", "", nil)
}

// lineOf is the only audit line of a kind with that name, as the API tells it.
func (b *browser) lineOf(kind session.EventKind, user string) map[string]any {
	b.t.Helper()
	list := items(b.api("GET", "/audit?event="+string(kind)+"&user="+user, "", 200))
	if len(list) != 1 {
		b.t.Fatalf("%s of %s: %v, want one line", kind, user, list)
	}
	return list[0].(map[string]any)
}

func TestAuditLinesHaveTheDataOfTheirDetail(t *testing.T) {
	s, reader, admin := startAPI(t)
	stranger := &browser{site: s}
	stranger.post("/login", url.Values{"username": {"nobody"}, "password": {"x"}}).wants(t, "a wrong password", 401)
	admin.api("POST", "/logouts", `{"group":"staff","message":"Back at noon","block_ms":60000}`, 200)
	blocked := stranger.post("/login", url.Values{"username": {"grace"}, "password": {"pw"}})
	blocked.wants(t, "one who is blocked", 403, "Back at noon")
	for user, want := range map[string]map[string]any{
		"nobody": {"cause": "wrong-password"},
		"grace":  {"cause": "blocked", "scope": "group", "name": "staff"},
	} {
		line := reader.lineOf(session.EventSignInFailed, user)
		if !reflect.DeepEqual(dig(line, "data"), want) || line["detail"] == nil {
			t.Errorf("%s: %v, want the data %v beside a detail", user, line, want)
		}
	}
	line := reader.lineOf(session.EventLogout, "")
	if data := dig(line, "data"); data["act"] != "ordered" || data["text"] != "Back at noon" || data["logout"] == nil ||
		data["name"] != "staff" {
		t.Errorf("the forced logout: %v", line)
	}
	ada := s.session("ada", "admins")
	ada.get("/admin/audit?event=sign-in-failed&format=json").wants(t, "the lines", 200,
		`"data":{"cause":"wrong-password"}`)
	ada.get("/admin/audit?event=sign-in-failed&format=csv").wants(t, "the file, which is English", 200,
		",reason,detail,continues,request_id\n", "sign-ins are refused by the forced logout of group staff,,"+
			blocked.Header.Get(front.RequestID)+"\n")
}

// A page in English and the API say the same.
func TestThePageWordsAnEndAsItsEnglishSentence(t *testing.T) {
	english, _ := locale.Of("en")
	end := func(reason session.Reason, data ...string) session.End {
		e := session.End{Reason: reason, Data: make(map[string]string)}
		for i := 0; i < len(data); i += 2 {
			e.Data[data[i]] = data[i+1]
		}
		return e
	}
	list := []session.End{
		{Reason: session.ReasonAdmin, Message: "Back at noon"},
		{Reason: session.ReasonReplaced, Message: "A sentence of an earlier version."},
		end(session.ReasonLogout, session.DataBy, session.ByAccount),
		end(session.ReasonReplaced, "device", "curl", "browser", "curl", "address", "::1", "by", session.ByBrowser),
	}
	for _, r := range []session.Reason{session.ReasonIdle, session.ReasonLifetime, session.ReasonLogout,
		session.ReasonAdmin, session.ReasonDirectory, session.ReasonBrowserClosed, session.ReasonReplaced,
		session.ReasonPolicy} {
		list = append(list, session.End{Reason: r})
	}
	for _, agent := range []string{"Firefox/140.0 (Linux)", "curl/8", "Windows", ""} {
		from := session.Record{Agent: agent, Address: "192.0.2.1"}
		list = append(list, session.ReplacedBy(t.Context(), from, session.ID{}))
	}
	for _, e := range list {
		if got := endText(e).in(english); got != e.Text() {
			t.Errorf("%+v: %q, want %q", e, got, e.Text())
		}
	}
}

func TestTheWordsOfAnEndTakeNoPlaceWhereThereAreNone(t *testing.T) {
	data, err := json.Marshal(wordsOf(&session.End{Reason: session.ReasonIdle}))
	if err != nil || string(data) != "{}" {
		t.Errorf("got %s, %v", data, err)
	}
}
