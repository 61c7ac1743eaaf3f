package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"curfew/hub/wire"
	"curfew/session/redis/redistest"
)

// Pages that wait, on two nodes: a page may ask another node than the one that it was open on, and
// its user may sign in at either.

// ownStatus is what a node tells a page about its own session, by its handle.
type ownStatus struct {
	code   int
	Reason string
	Who    string
	Rights string
	KeepMS int64 `json:"keep_ms"`
	Ended  *struct {
		Reason  string
		AgoMS   int64 `json:"ago_ms"`
		Revoked bool
	}
}

// ask asks as a page does. cookie is what its browser has by now.
func (p *process) ask(handle, cookie string) (a ownStatus) {
	p.t.Helper()
	response, body := p.do("/session/status?handle="+url.QueryEscape(handle), nil, "Cookie", cookie)
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		p.t.Fatalf("status by handle: %s %q", response.Status, body)
	}
	a.code = response.StatusCode
	return a
}

// handles is a page that is open, and what it was told first.
type handles struct {
	*openTab
	handle, who, rights string
}

func (p *process) openPage(cookie string) handles {
	p.t.Helper()
	tab := p.openTab(cookie)
	p.eventually("the page is greeted", func() bool { return len(tab.Received()) > 0 })
	hello := tab.Received()[0].Message
	text := func(name string) string { value, _ := hello[name].(string); return value }
	h := handles{tab, text("handle"), text("who"), text("rights")}
	if keep := hello["keep_ms"]; h.handle == "" || h.who == "" || h.rights == "" || keep != 4*3_600_000.0 {
		p.t.Errorf("hello %v", hello)
	}
	return h
}

// wantsKeep is told an end, and until when it may wait.
func (h handles) wantsKeep(reason string, waits bool) {
	h.process.t.Helper()
	h.wantsEnd(reason)
	list := h.Received()
	keep, _ := list[len(list)-1].Message["keep_ms"].(float64)
	if (keep > 0) != waits || keep > 4*3_600_000 {
		h.process.t.Errorf("after %s a page waits %v ms, want it to wait: %t", reason, keep, waits)
	}
}

func TestAWaitingPageMayAskAnyNode(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	first := a.signIn("ada")
	here, there := a.openPage(first), b.openPage(first)
	if here.handle != there.handle || here.who != there.who || here.rights != there.rights {
		t.Errorf("the nodes tell %v and %v", here, there)
	}
	b.advance(11 * time.Minute)
	for _, page := range []handles{here, there} {
		page.wantsKeep("idle", true)
	}
	a.advance(time.Hour)
	for _, p := range nodes {
		got := p.ask(here.handle, first)
		if got.code != 401 || got.Reason != "idle" || got.Who != here.who || got.Rights != here.rights ||
			got.KeepMS <= 0 || got.KeepMS > 3*3_600_000 {
			t.Errorf("an hour after the end: %+v", got)
		}
	}

	// A sign-in at one node is one for the pages of both.
	second := b.signIn("ada", "Cookie", first)
	for _, p := range nodes {
		got := p.ask(here.handle, second)
		if got.code != 200 || got.Who != here.who || got.Rights != here.rights || got.Ended == nil ||
			got.Ended.Reason != "idle" || got.Ended.Revoked ||
			got.Ended.AgoMS < 3_600_000 || got.Ended.AgoMS > 3_700_000 {
			t.Errorf("after a sign-in: %+v %+v", got, got.Ended)
		}
	}
	next := a.openPage(second)
	if next.handle == here.handle || next.who != here.who {
		t.Errorf("another session of the same person: %v after %v", next, here)
	}
	if got := b.ask(next.handle, second); got.code != 200 || got.Ended != nil {
		t.Errorf("of the session that there is: %+v", got)
	}

	// The same person signs in again, in this browser and in another one.
	third := b.signIn("ada", "Cookie", second)
	next.wantsKeep("replaced", true)
	if got := a.ask(next.handle, third); got.code != 200 || got.Ended == nil || got.Ended.Reason != "replaced" {
		t.Errorf("replaced by the same person: %+v", got)
	}
	foreign := a.openPage(third)
	b.signIn("grace", "Cookie", third)
	foreign.wantsKeep("replaced", false)
}

func TestASignOutAtOneNodeTakesAwayThePagesOfBoth(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	first := a.signIn("ada")
	page := b.openPage(first)
	a.advance(11 * time.Minute)
	page.wantsKeep("idle", true)
	second := b.signIn("ada", "Cookie", first)
	elsewhere := a.signIn("ada") // in another browser
	for _, cookie := range []string{elsewhere, second} {
		_, answer := a.status(cookie)
		response, _ := a.do("/logout", url.Values{"csrf": {answer["csrf"].(string)}}, "Cookie", cookie)
		if response.StatusCode != http.StatusSeeOther {
			t.Fatalf("sign-out: %s", response.Status)
		}
		for _, p := range nodes {
			got := p.ask(page.handle, cookie)
			if waits := cookie == elsewhere; got.code != 401 || got.Reason != "idle" || (got.KeepMS > 0) != waits {
				t.Errorf("after a sign-out, in another browser %t: %+v", waits, got)
			}
		}
	}
}

func TestAForcedLogoutAfterwardsCountsOnAllNodes(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	gone := a.signIn("ada")
	stays := a.signIn("grace")
	page, other := b.openPage(gone), a.openPage(stays)
	b.advance(11 * time.Minute)
	page.wantsKeep("idle", true)
	other.wantsKeep("idle", true)
	b.call("POST", "/logouts", `{"user":"ada","grace_ms":60000}`, 200)
	for _, p := range nodes { // its grace is not over
		if got := p.ask(page.handle, gone); got.KeepMS == 0 {
			t.Errorf("before the logout takes effect: %+v", got)
		}
	}
	a.advance(61 * time.Second)
	for _, p := range nodes {
		if got := p.ask(page.handle, gone); got.code != 401 || got.KeepMS != 0 {
			t.Errorf("after the logout: %+v", got)
		}
		if got := p.ask(other.handle, stays); got.code != 401 || got.KeepMS == 0 {
			t.Errorf("somebody else: %+v", got)
		}
	}
	again := a.signIn("ada", "Cookie", gone)
	for _, p := range nodes {
		if got := p.ask(page.handle, again); got.code != 200 || got.Ended == nil || !got.Ended.Revoked {
			t.Errorf("after a sign-in: %+v %+v", got, got.Ended)
		}
	}
	if other.last() != wire.KindExpire {
		t.Errorf("somebody else was told %s", other.last())
	}
}

// TestADraftIsOpenedOnAnyNode asks for keys of drafts.
func TestADraftIsOpenedOnAnyNode(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	keys := make(map[string]string) // by user
	for _, user := range []string{"ada", "grace", "ada"} {
		for i, p := range nodes {
			cookie := nodes[1-i].signIn(user)
			response, key := p.do("/session/draft-key", nil, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
			if known, ok := keys[user]; response.StatusCode != 200 || ok && key != known {
				t.Errorf("%s: %s %s, want %s", user, response.Status, key, known)
			}
			keys[user] = key
		}
	}
	if keys["ada"] == keys["grace"] {
		t.Error("two people have one key")
	}
}
