package views

import (
	"encoding/json"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

// handle is what the pages of the browser's session ask by.
func (b *browser) handle() string {
	b.t.Helper()
	_, status := b.status()
	handle, _ := status["handle"].(string)
	if handle == "" {
		b.t.Fatalf("status = %v, want a handle", status)
	}
	return handle
}

// again signs a user in in a browser that may have a session.
func (b *browser) again(user string) {
	b.t.Helper()
	a := b.post("/login", url.Values{"username": {user}, "password": {"pw"}})
	a.wants(b.t, "the sign-in of "+user, 303)
	b.take(a)
}

func (b *browser) signOut() {
	b.t.Helper()
	b.post("/logout", url.Values{}).wants(b.t, "signing out", 303, "/login")
}

// asks is what a page is told of its own session.
func (b *browser) asks(handle string) (code int, told map[string]any) {
	b.t.Helper()
	a := b.get("/session/status?handle="+url.QueryEscape(handle), scripted...)
	if err := json.Unmarshal([]byte(a.text), &told); err != nil {
		b.t.Fatalf("status: %s, %v", a, err)
	}
	return a.StatusCode, told
}

// wantsOver wants a page of a browser without a session told how its own has ended.
func (b *browser) wantsOver(what, handle string, reason session.Reason, keep time.Duration) {
	b.t.Helper()
	code, told := b.asks(handle)
	if code != 401 || told["reason"] != string(reason) || told["keep_ms"] != float64(keep.Milliseconds()) ||
		told["who"] == nil || told["rights"] == nil || told["location"] != "/login" {
		b.t.Errorf("%s: %d %v, want the end %s and %s to wait", what, code, told, reason, keep)
	}
}

// wantsUnknown wants a page of a browser without a session told no reason.
func (b *browser) wantsUnknown(what, handle string) {
	b.t.Helper()
	code, told := b.asks(handle)
	if code != 401 || told["error"] != "no-session" || told["reason"] != nil || told["keep_ms"] != nil {
		b.t.Errorf("%s: %d %v, want no session, and no reason", what, code, told)
	}
}

// wantsOwnEnd wants a page told that user is signed in, and how its own session has ended.
func (b *browser) wantsOwnEnd(what, user, handle string, reason session.Reason, ago time.Duration, revoked bool) {
	b.t.Helper()
	code, told := b.asks(handle)
	end := dig(told, "ended")
	if is, _ := end["reason"].(string); code != 200 || told["user"] != user || is != string(reason) ||
		end["ago_ms"] != float64(ago.Milliseconds()) || end["revoked"] != revoked {
		b.t.Errorf("%s: %d %v, want %s signed in, and the own end %s, %s ago, revoked: %v", what, code, told, user,
			reason, ago, revoked)
	}
}

// keepPage is how long pages of the site wait; idle is its idle timeout.
const (
	keepPage = 4 * time.Hour
	idle     = 10 * time.Minute
)

func TestAPageIsToldOfItsOwnSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada, grace, stranger := s.signIn("ada"), s.signIn("grace"), &browser{site: s}
		first := ada.handle()
		for what, handle := range map[string]string{"its own": first, "one that lives elsewhere": grace.handle()} {
			code, told := ada.asks(handle)
			if code != 200 || told["user"] != "ada" || told["ended"] != nil || told["handle"] != first ||
				told["keep_ms"] != float64(keepPage.Milliseconds()) {
				t.Errorf("asked about %s: %d %v, want ada's session, and no end", what, code, told)
			}
		}
		ada.wantsOwnEnd("one that nobody knows", "ada", "forged", "", session.TombstoneFor, false)
		stranger.wantsUnknown("a stranger, about one that nobody knows", "forged")
		stranger.wantsUnknown("a browser without a cookie, about one that lives elsewhere", first)

		time.Sleep(idle)
		synctest.Wait()
		ada.wantsOver("at its end", first, session.ReasonIdle, keepPage)
		time.Sleep(time.Hour)
		ada.wantsOver("an hour later", first, session.ReasonIdle, keepPage-time.Hour)
		stranger.wantsOver("without a cookie", first, session.ReasonIdle, keepPage-time.Hour)
		ada.again("ada")
		second := ada.handle()
		ada.wantsOwnEnd("signed in again", "ada", first, session.ReasonIdle, time.Hour, false)
		time.Sleep(idle + time.Minute)
		ada.wantsOver("ended again, the page of the first", first, session.ReasonIdle,
			keepPage-time.Hour-idle-time.Minute)
		ada.wantsOver("ended again, the page of the second", second, session.ReasonIdle, keepPage-time.Minute)
		time.Sleep(keepPage)
		ada.wantsOver("after all waiting", second, session.ReasonIdle, 0)
		time.Sleep(session.TombstoneFor)
		ada.wantsUnknown("after a day", second)
		ada.again("ada")
		ada.wantsOwnEnd("signed in after a day", "ada", first, "", session.TombstoneFor, false)
	})
}

func TestAPageIsToldWhoElseHasTheBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada := s.signIn("ada")
		first := ada.handle()
		time.Sleep(time.Second)
		ada.again("ada")
		second := ada.handle()
		time.Sleep(time.Second)
		ada.wantsOwnEnd("replaced by its own user", "ada", first, session.ReasonReplaced, time.Second, false)
		(&browser{site: s}).wantsOver("replaced by its own user, without a cookie", first, session.ReasonReplaced,
			keepPage-time.Second)
		ada.again("grace")
		ada.wantsOwnEnd("replaced by somebody else", "grace", second, session.ReasonReplaced, 0, false)
		(&browser{site: s}).wantsOver("replaced by somebody else, without a cookie", second, session.ReasonReplaced, 0)
		ada.again("ada")
		last := ada.handle()
		ada.signOut()
		ada.wantsOver("signed out", last, session.ReasonLogout, 0)
	})
}

func TestALimitOfSessionsKeepsNoPageOfAnotherDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		one := session.Profiles()[0].Policy
		one.MaxSessions = 1
		if _, err := s.hub.Reload(t.Context(), session.Policies{Global: one}); err != nil {
			t.Fatal(err)
		}
		here := s.signIn("ada")
		first := here.handle()
		there := s.signIn("ada")
		here.wantsOver("replaced on another device", first, session.ReasonReplaced, 0)
		second := there.handle()
		there.again("ada")
		there.wantsOwnEnd("replaced in its browser", "ada", second, session.ReasonReplaced, 0, false)
		(&browser{site: s}).wantsOver("replaced in its browser, without a cookie", second, session.ReasonReplaced,
			keepPage)
	})
}

func TestAForcedLogoutTakesPagesAwayThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		admin := s.program(ScopeAdmin)
		waits, lives := s.signIn("ada"), s.signIn("ada")
		first, second := waits.handle(), lives.handle()
		time.Sleep(idle - time.Minute)
		lives.post("/session/extend", url.Values{}, scripted...).wants(t, "staying signed in", 200)
		time.Sleep(2 * time.Minute)
		admin.api("POST", "/logouts", `{"user":"ada","grace_ms":30000}`, 200)
		waits.wantsOver("while the grace runs", first, session.ReasonIdle, keepPage-time.Minute)
		time.Sleep(time.Minute)
		waits.wantsOver("covered while it waited", first, session.ReasonIdle, 0)
		lives.wantsOver("covered while it lived", second, session.ReasonAdmin, 0)
		waits.again("ada")
		waits.wantsOwnEnd("signed in again", "ada", first, session.ReasonIdle, 2*time.Minute, true)
		waits.wantsOwnEnd("the one that was ended", "ada", second, session.ReasonAdmin, 30*time.Second, true)
	})
}

func TestASignOutTakesPagesOfEarlierSessionsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada, elsewhere := s.signIn("ada"), s.signIn("ada")
		chain, other := []string{ada.handle()}, elsewhere.handle()
		for _, user := range []string{"ada", "ada", "grace", "ada"} {
			time.Sleep(idle + time.Second)
			ada.again(user)
			if user == "ada" {
				chain = append(chain, ada.handle())
			}
		}
		time.Sleep(idle + time.Second)
		ada.wantsOver("before anybody signs out", chain[0], session.ReasonIdle,
			keepPage-4*(idle+time.Second)-time.Second)
		ada.again("ada")
		ada.signOut()
		for i, handle := range chain {
			_, told := ada.asks(handle)
			if told["reason"] != "idle" || told["keep_ms"] != 0.0 {
				t.Errorf("page %d of the browser after the sign-out: %v, want that it waits no longer", i, told)
			}
		}
		_, told := ada.asks(other)
		if told["keep_ms"] == 0.0 {
			t.Errorf("the page of another browser: %v, want that it waits on", told)
		}
		ada.again("ada")
		ada.wantsOwnEnd("signed in once more", "ada", chain[0], session.ReasonIdle, 4*idle+5*time.Second, false)
	})
}

func TestWhatBecomesOfALaterSessionCountsNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		admin := s.program(ScopeAdmin)
		ada := s.signIn("ada")
		first := ada.handle()
		time.Sleep(idle + time.Minute)
		ada.again("grace")
		ada.signOut() // of somebody else
		ada.wantsOver("after a sign-out of somebody else", first, session.ReasonIdle, keepPage-time.Minute)
		ada.again("ada")
		admin.api("POST", "/logouts", `{"session":"`+ada.ref()+`"}`, 200)
		ada.wantsOver("after a forced logout of the later one", first, session.ReasonIdle, keepPage-time.Minute)
	})
}

func TestAPageIsToldNothingWhileTheStoreIsAway(t *testing.T) {
	s := startSite(t, "")
	ada, ended := s.signIn("ada"), s.signIn("ada")
	gone := ended.handle()
	ended.signOut()
	s.store.away.Store(true)
	for what, b := range map[string]*browser{"signed in": ada, "signed out": ended, "a stranger": {site: s}} {
		b.get("/session/status?handle="+gone, scripted...).wants(t, what, 503)
	}
	(&browser{site: s}).wantsUnknown("a forged handle, for which nobody need be asked", "forged")
}
