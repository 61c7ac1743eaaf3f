package views

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/directory"
	"curfew/locale"
	"curfew/session"
)

// plain is a sentence without its links.
func (s sentence) plain() string {
	var b strings.Builder
	for _, p := range s {
		b.WriteString(p.Text)
	}
	return b.String()
}

// toldLine is a line, and its sentences: what else there is to say follows the first, and at last
// the English detail.
type toldLine struct {
	event session.Event
	want  string
}

func ofSignIns() []toldLine {
	failed := func(user string, cause directory.Cause) session.Event {
		data := map[string]string{"cause": string(cause)}
		return session.Event{Kind: session.EventSignInFailed, User: user, Data: data, Detail: "in English"}
	}
	old := session.Event{Kind: session.EventSignInFailed, User: "ada", Detail: "old words"}
	refused := old
	refused.Reason = session.ReasonAdmin
	return []toldLine{
		{session.Event{Kind: session.EventSignIn, User: "ada"}, "ada signed in."},
		{session.Event{Kind: session.EventSignIn, User: "ada", Continues: "r"},
			"ada signed in again in the same browser."},
		{failed("ada", directory.CauseWrongPassword), "ada could not sign in: the password was wrong."},
		{failed("", directory.CauseUnknown), "somebody could not sign in: nobody has that name."},
		{failed("ada", directory.CausePasswordExpired), "ada could not sign in: the password has expired."},
		{failed("ada", session.CauseBlocked), "ada could not sign in: a forced logout still refuses new sign-ins."},
		{failed("ada", "tea"), "ada could not sign in. / in English"},
		{refused, "ada could not sign in: a forced logout still refuses new sign-ins. / old words"},
		{old, "ada could not sign in. / old words"},
	}
}

func ofEnds() []toldLine {
	type data = map[string]string
	end := func(reason session.Reason, actor string, data map[string]string) session.Event {
		e := session.Event{Kind: session.EventSessionEnd, User: "ada", Actor: actor, Reason: reason, Data: data}
		if reason == "tea" || data == nil && reason == session.ReasonDirectory {
			e.Detail = "words"
		}
		return e
	}
	return []toldLine{
		{end(session.ReasonIdle, "", nil), "ada was signed out: there was no activity for a while."},
		{end(session.ReasonLogout, "ada", nil), "ada signed out."},
		{end(session.ReasonLogout, "ada", data{"by": "account"}), "ada ended this session from the account page."},
		{end(session.ReasonLogout, "", data{"cause": "sign-in-failed"}), "A sign-in of ada could not be completed."},
		{end(session.ReasonAdmin, "root", nil), "root signed ada out."},
		{end(session.ReasonAdmin, "", nil), "ada was signed out by an administrator."},
		{end(session.ReasonAdmin, "", data{"by": "testing"}),
			"ada was signed out: the server was reset for testing."},
		{end(session.ReasonAdmin, "", data{"cause": "lost"}), "The session of ada was lost by the session store."},
		{end(session.ReasonDirectory, "", data{"cause": "password-changed"}),
			"ada was signed out: the password was changed."},
		{end(session.ReasonDirectory, "", nil),
			"ada was signed out: the account has changed in the directory. / words"},
		{end(session.ReasonReplaced, "Ada", data{"device": "x", "browser": "Edge", "address": "::1"}),
			"ada was signed out by a newer sign-in: Edge, ::1."},
		{end(session.ReasonReplaced, "ada", data{"device": "x", "by": "browser"}),
			"ada signed in anew in the same browser, which ended this session."},
		{end(session.ReasonReplaced, "grace", data{"device": "x", "by": "browser"}),
			"ada was signed out: grace signed in in the same browser."},
		{end("tea", "", nil), "The session of ada ended. / words"},
	}
}

func ofAdministrators() []toldLine {
	type data = map[string]string
	line := func(kind session.EventKind, data map[string]string) session.Event {
		e := session.Event{Kind: kind, Actor: "root", Data: data}
		if data == nil {
			e.Detail = "old words"
		}
		return e
	}
	return []toldLine{
		{line(session.EventLogout, data{"act": "ordered", "scope": "user", "name": "grace", "sessions": "2",
			"tabs": "1", "waiting": "1", "grace_ms": "300000", "block_until": "2026-11-24T08:00:00Z", "text": "x\ny"}),
			"root signed grace out. / 2 sessions, 1 open tab / 1 waiting page was taken away as well. / " +
				"Announced 5 minutes before. / New sign-ins refused until 2026-11-24 08:00:00 UTC."},
		{line(session.EventLogout, data{"act": "ordered", "scope": "sessions", "name": "428", "sessions": "1",
			"tabs": "0", "waiting": "-1", "skipped": "2"}),
			"root signed 428 selected sessions out. / 1 session, 0 open tabs / " +
				"2 of the selected sessions were over already."},
		{line(session.EventLogout, data{"act": "called-off", "scope": "everyone"}),
			"root called off the forced logout of everyone."},
		{line(session.EventLogout, data{"act": "block-lifted", "scope": "group", "name": "staff"}),
			"root let the group staff sign in again."},
		{line(session.EventLogout, nil), "root ordered or called off a forced logout. / old words"},
		{line(session.EventNotice, data{"scope": "everyone", "sessions": "1", "tabs": "2", "text": "x"}),
			"root sent everyone a message. / 1 session, 2 open tabs"},
		{line(session.EventNotice, nil), "root sent a message. / old words"},
	}
}

func ofTheServer() []toldLine {
	return []toldLine{
		{session.Event{Kind: session.EventPolicy, Data: map[string]string{"sessions": "1"}},
			"The rules for sessions were changed. / 1 session has new rules."},
		{session.Event{Kind: session.EventPolicy, Detail: "old words"},
			"The rules for sessions were changed. / old words"},
		{session.Event{Kind: session.EventOriginRefused, Detail: "https://evil.example"},
			"A page of https://evil.example tried to open a connection and was refused."},
		{session.Event{Kind: session.EventDirectoryLost, Detail: "dial tcp"},
			"The user directory could not be reached. / dial tcp"},
		{session.Event{Kind: "tea", Detail: "later"}, "An event of a later version: tea. / later"},
	}
}

func TestTheTrailIsToldInSentences(t *testing.T) {
	for _, tt := range slices.Concat(ofSignIns(), ofEnds(), ofAdministrators(), ofTheServer()) {
		line := teller{locale.English(), ""}.tell(tt.event)
		got := []string{line.Sentence.plain()}
		for _, s := range line.More {
			got = append(got, s.plain())
		}
		if line.Detail != "" {
			got = append(got, line.Detail)
		}
		if got := strings.Join(got, " / "); got != tt.want || line.Said != tt.event.Data["text"] {
			t.Errorf("%+v:\n got %s\nwant %s", tt.event, got, tt.want)
		}
	}
}

// everyLine lists a line of each kind with each reason, cause, act and scope that there is.
func everyLine() (lines []session.Event) {
	line := func(kind session.EventKind, reason session.Reason, data map[string]string) {
		for _, actor := range []string{"", "root", "ada"} {
			lines = append(lines, session.Event{
				Kind:   kind,
				User:   "ada",
				Actor:  actor,
				Reason: reason,
				Data:   data,
				Detail: "in English",
			})
		}
	}
	reasons := []session.Reason{session.ReasonIdle, session.ReasonLifetime, session.ReasonLogout, session.ReasonAdmin,
		session.ReasonDirectory, session.ReasonBrowserClosed, session.ReasonReplaced, session.ReasonPolicy}
	causes := []string{"", session.CauseSignInFailed, session.CauseSignInSlow, session.CauseLost, session.CauseBlocked}
	for _, c := range []directory.Cause{directory.CauseWrongPassword, directory.CauseUnknown, directory.CauseAmbiguous,
		directory.CauseLocked, directory.CauseNotAllowed, directory.CauseOtherEntry, directory.CauseGone,
		directory.CausePasswordChanged, directory.CausePasswordExpired} {
		causes = append(causes, string(c))
	}
	scopes := []map[string]string{{"scope": "user", "name": "ada"}, {"scope": "group", "name": "a"},
		{"scope": "session"},
		{"scope": "sessions", "name": "1"}, {"scope": "sessions", "name": "5"}, {"scope": "everyone"}}
	for _, kind := range session.EventKinds() {
		line(kind, "", nil)
		for _, reason := range reasons {
			line(kind, reason, nil)
			for _, by := range []string{session.ByBrowser, session.ByAccount, session.ByTesting} {
				line(kind, reason, map[string]string{"by": by, "device": "x", "browser": "Edge", "address": "::1"})
			}
			for _, cause := range causes {
				line(kind, reason, map[string]string{"cause": cause})
			}
			line(kind, reason, map[string]string{"device": "x", "browser": "Edge", "address": "::1"})
		}
		for _, act := range []string{session.ActOrdered, session.ActCalledOff, session.ActBlockLifted} {
			for _, scope := range scopes {
				data := map[string]string{"act": act, "sessions": "1", "tabs": "2", "waiting": "1", "skipped": "1",
					"grace_ms": "1000", "block_until": time.Now().Format(time.RFC3339)}
				maps.Copy(data, scope)
				line(kind, "", data)
			}
		}
	}
	return lines
}

func TestNoLineOfTheTrailIsWithoutASentence(t *testing.T) {
	l, _ := locale.Of(locale.Pseudo)
	for _, e := range everyLine() {
		line := teller{l, ""}.tell(e)
		for _, s := range append(slices.Clone(line.More), line.Sentence) {
			said := s.plain()
			if !strings.HasPrefix(said, "⟦") || strings.Contains(said, "audit.") {
				t.Errorf("%+v: %q", e, said)
			}
		}
	}
}

func TestNoSentenceOfTheTrailIsWithoutALine(t *testing.T) {
	said := make(map[string]bool)
	for _, table := range []any{endSentences, causeSentences, failureSentences} {
		for _, key := range reflect.ValueOf(table).Seq2() {
			said[key.String()] = true
		}
	}
	for _, act := range append(slices.Collect(maps.Values(actSentences)), "audit.notice") {
		for _, suffix := range append(slices.Collect(maps.Values(scopeSuffixes)), "") {
			said[act+suffix] = true
		}
	}
	for key := range said {
		if key == "audit.calledOff" || key == "audit.lifted" {
			continue // there always is a scope
		}
		_, err := locale.English().Say(key, locale.Data{"User": "u", "Actor": "a", "Name": "n", "Count": 1})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNamesInSentencesAreLinks(t *testing.T) {
	got := teller{locale.English(), "/base"}.tell(session.Event{
		Kind:    session.EventLogout,
		Actor:   "root & co",
		Session: "r/1",
		Data:    map[string]string{"act": "ordered", "scope": "user", "name": "\x00A\x00", "logout": "l1"},
	})
	want := sentence{
		{Text: "root & co", IsName: true, Link: "/base/admin/audit?actor=root+%26+co"},
		{Text: " signed "},
		{Text: "\x00A\x00", IsName: true, Link: "/base/admin/audit?user=%00A%00"},
		{Text: " out."},
	}
	if !reflect.DeepEqual(got.Sentence, want) || got.Logout != "/base/admin/logouts/l1" ||
		got.Session != "/base/admin/sessions/r%2F1" {
		t.Errorf("got %+v", got)
	}
}

func TestTheSettingsThatAReloadHasChanged(t *testing.T) {
	got := settingsOf(map[string]string{
		"sessions":                    "3",
		"was global warn-after":       "9m0s",
		"now global warn-after":       "8m0s",
		"now group a b expire-after":  "1h0m0s",
		"was group kiosk close-grace": "20s",
	})
	want := []setting{
		{"", "warn-after", "9m0s", "8m0s"},
		{"a b", "expire-after", "", "1h0m0s"},
		{"kiosk", "close-grace", "20s", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
