package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session/redis/redistest"
)

// Several nodes over one Redis: real processes, a real server.

// startNodes starts nodes named a, b, … and returns an administrator of each.
func startNodes(t *testing.T, server *redistest.Server, n int, args ...string) []*asking {
	t.Helper()
	var nodes []*asking
	for i := range n {
		name := string(rune('a' + i))
		_, _, admin := startAPI(t, append([]string{"--redis-url", server.URL(), "--node-name", name}, args...)...)
		nodes = append(nodes, admin)
	}
	for _, a := range nodes {
		a.eventually("all nodes know each other", func() bool {
			_, text := a.do("/metrics", nil, "Authorization", a.header.Get("Authorization"))
			return strings.Contains(text, fmt.Sprintf("curfew_nodes %d\n", n))
		})
	}
	return nodes
}

func (a *asking) presenceOf(user string) map[string]any {
	for _, item := range items(a.call("GET", "/presence?user="+user, "", 200)) {
		return item.(map[string]any)
	}
	return nil
}

func TestNodesWarnWithdrawAndEndTogether(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	cookie, _ := a.session("ada")
	here, there := a.openTab(cookie), b.openTab(cookie)
	b.advance(9 * time.Minute)
	here.wants("warn")
	there.wants("warn")
	there.Send(`{"type":"activity","idle_ms":0}`)
	here.wants("active")
	there.wants("active")
	a.advance(9 * time.Minute)
	here.wants("warn")
	here.Send(`{"type":"confirm"}`)
	there.wants("active")
	a.advance(8 * time.Minute)
	here.Send(`{"type":"activity","idle_ms":0}`) // in memory of one node only, when the clock moves on
	a.eventually("the act has arrived", func() bool { return strings.Count(a.timeline(), `"what":"activity"`) > 0 })
	b.advance(5 * time.Minute)
	for _, p := range nodes {
		if code, answer := p.status(cookie); code != 200 {
			t.Errorf("an active session was ended: %d %v", code, answer)
		}
	}
	b.advance(5 * time.Minute)
	here.wantsEnd("idle")
	there.wantsEnd("idle")
	for _, p := range nodes {
		if code, answer := p.status(cookie); code != 401 || answer["reason"] != "idle" {
			t.Errorf("after the end: %d %v", code, answer)
		}
	}
	if n := len(items(a.call("GET", "/audit?event=session-end", "", 200))); n != 1 {
		t.Errorf("%d session-end lines, want 1", n)
	}
	cookie, ref := a.session("ada")
	other, _ := a.session("ada")
	here = a.openTab(cookie)
	b.testing("age", `{"ref":"`+ref+`","by_ms":540000}`)
	here.wants("warn")
	b.testing("age", `{"ref":"`+ref+`","by_ms":60000}`)
	here.wantsEnd("idle")
	b.testing("age", `{"ref":"`+ref+`","by_ms":3600000}`)
	for _, p := range nodes {
		code, answer := p.status(cookie)
		if keep, _ := answer["keep_ms"].(float64); code != 401 || keep < 179*60e3 || keep > 180*60e3 {
			t.Errorf("an hour after the end of an aged session: %d %v, want 3 hours of keep_ms", code, answer)
		}
		if code, answer := p.status(other); code != 200 || answer["warn_in_ms"].(float64) < 500e3 {
			t.Errorf("another session: %d %v, want it untouched", code, answer)
		}
	}
}

// metric is the sum of a metric over nodes, whose name is as it stands in /metrics.
func metric(nodes []*asking, name string) (sum float64) {
	for _, a := range nodes {
		_, text := a.do("/metrics", nil, "Authorization", a.header.Get("Authorization"))
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
				if err != nil {
					a.t.Fatal(err)
				}
				sum += n
			}
		}
	}
	return sum
}

func TestEachEndIsCountedOnOneNode(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2, "--max-sessions", "2")
	a, b := nodes[0], nodes[1]
	for range 3 { // the first of each user is replaced
		a.session("ada")
		b.session("grace", "staff")
	}
	cookie, _ := a.session("linus")
	for _, p := range nodes {
		p.openTab(cookie)
	}
	b.session("dennis")
	for i := range 12 {
		nodes[i%2].session(fmt.Sprint("member", i), "staff")
	}
	b.call("POST", "/logouts", `{"group":"staff"}`, 200)
	a.eventually("the ends are stored", func() bool {
		return len(items(a.call("GET", "/audit?event=session-end&limit=100", "", 200))) == 16
	})
	b.advance(11 * time.Minute) // both nodes see that the others are due: two of ada, linus and dennis
	for name, want := range map[string]float64{
		`curfew_session_ends_total{reason="replaced"}`:           2,
		`curfew_session_ends_total{reason="admin"}`:              14,
		`curfew_session_ends_total{reason="idle"}`:               4,
		`curfew_audit_lines_total{event="session-end"}`:          20,
		`curfew_audit_lines_total{event="sign-in"}`:              20,
		`curfew_ended_tabs_total{outcome="unconfirmed"}`:         0,
		`curfew_ended_tabs_total{outcome="acked"}`:               2,
		`curfew_deadline_lateness_seconds_count{deadline="end"}`: 4,
	} {
		a.eventually(fmt.Sprintf("%s is %g", name, want), func() bool { return metric(nodes, name) == want })
	}
	lines := items(a.call("GET", "/audit?event=session-end&limit=100", "", 200))
	if n := metric(nodes, `curfew_audit_lines_total{event="session-end"}`); len(lines) != 20 || n != 20 {
		t.Errorf("%d lines, %g counted, want 20", len(lines), n)
	}
}

// outcomesOf counts the tabs in the answer about a forced logout, and those that have acknowledged
// it.
func outcomesOf(logout map[string]any) (tabs, acked int) {
	each := make(map[any]bool)
	for _, one := range logout["each_tab"].([]any) {
		tab := one.(map[string]any)
		each[tab["tab"]] = true
		if tab["fate"] == "acked" {
			acked++
		}
	}
	return len(each), acked
}

func TestForcedLogoutReachesAllNodes(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	cookie, _ := a.session("ada", "staff")
	other, _ := b.session("grace", "staff")
	bystander, _ := c.session("linus")
	tabs := []*openTab{a.openTab(cookie), b.openTab(cookie), c.openTab(other)}
	spared := b.openTab(bystander)
	a.eventually("the tabs of all nodes are counted", func() bool {
		return fmt.Sprint(a.presenceOf("ada")["tabs"]) == "2" && fmt.Sprint(a.presenceOf("grace")["tabs"]) == "1"
	})

	warned := a.call("POST", "/logouts", `{"group":"staff","grace_ms":60000,"message":"Backup"}`, 200)
	if warned["sessions"] != 2.0 || warned["tabs"] != 3.0 {
		t.Errorf("logout = %v, want 2 sessions and 3 tabs", warned)
	}
	for _, tab := range tabs {
		tab.wants("warn")
	}
	c.call("DELETE", "/logouts/"+warned["id"].(string), "", 200) // on another node
	for _, tab := range tabs {
		tab.wants("active")
	}
	forced := b.call("POST", "/logouts", `{"group":"staff","block_ms":60000}`, 200)
	for _, p := range nodes { // from the answer on, on any node
		for _, gone := range []string{cookie, other} {
			if code, answer := p.status(gone); code != 401 || answer["reason"] != "admin" {
				t.Errorf("status after the answer = %d %v", code, answer)
			}
		}
		if code, _ := p.status(bystander); code != 200 {
			t.Errorf("the bystander: %d", code)
		}
		if response, _ := p.login("grace", "grace-demo"); response.StatusCode != 403 {
			t.Errorf("sign-in of one who is blocked: %s", response.Status)
		}
	}
	for _, tab := range tabs {
		tab.wantsEnd("admin")
	}
	for _, p := range nodes {
		p.eventually("the progress adds up, tab by tab", func() bool {
			answer := p.call("GET", "/logouts/"+forced["id"].(string), "", 200)
			tabs, acked := outcomesOf(answer)
			return answer["acked"] == 3.0 && tabs == 3 && acked == 3
		})
	}
	a.call("POST", "/notices", `{"everyone":true,"message":"Hello"}`, 200)
	a.eventually("a notice arrives on another node", func() bool {
		return slices.ContainsFunc(spared.Received(), func(m hubtest.Received) bool {
			return m.Kind() == wire.KindNotice && m.Message["message"] == "Hello"
		})
	})
}

func TestClosedBrowserCountsTabsOnAllNodes(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	cookie, ref := a.session("ada")
	one, two := a.openTab(cookie), b.openTab(cookie)
	tabs := func(n string) {
		t.Helper()
		for _, p := range nodes {
			p.eventually("both nodes count "+n, func() bool {
				return fmt.Sprint(p.call("GET", "/sessions/"+ref, "", 200)["tabs"]) == n
			})
		}
	}
	tabs("2")
	if list := a.call("GET", "/sessions/"+ref, "", 200)["open_tabs"].([]any); len(list) != 2 ||
		list[0].(map[string]any)["node"] == list[1].(map[string]any)["node"] {
		t.Errorf("open tabs = %v, want one on each node", list)
	}
	one.Leave("close")
	tabs("1")
	a.advance(time.Minute)
	if code, _ := a.status(cookie); code != 200 {
		t.Fatalf("ended though a tab is open on the other node: %d", code)
	}
	one = a.openTab(cookie)
	tabs("2")
	go one.Leave("close") // both at once: each node still sees the other's
	two.Leave("close")
	tabs("0")
	for _, p := range nodes {
		p.eventually("the session is to end", func() bool {
			at, err := time.Parse(time.RFC3339, p.call("GET", "/sessions/"+ref, "", 200)["expires_at"].(string))
			return err == nil && at.Before(time.Now().Add(time.Minute+21*time.Second))
		})
	}
	b.advance(21 * time.Second)
	if code, answer := a.status(cookie); code != 401 || answer["reason"] != "browser-closed" {
		t.Errorf("after the grace: %d %v", code, answer)
	}
}

func TestRedisAwaySignsNobodyOut(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	nodes := startNodes(t, server, 2)
	a, b := nodes[0], nodes[1]
	cookie, _ := a.session("ada")
	goes, _ := a.session("grace")
	here, there, leaves := a.openTab(cookie), b.openTab(cookie), b.openTab(goes)
	server.Signal(syscall.SIGSTOP)
	for _, p := range nodes {
		response, _ := p.do("/session/status", nil, "Cookie", cookie)
		if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || len(response.Cookies()) > 0 {
			t.Errorf("status while redis hangs: %s %v", response.Status, response.Header)
		}
		if response, _ := p.login("linus", "linus-demo"); response.StatusCode != 503 {
			t.Errorf("sign-in while redis hangs: %s", response.Status)
		}
		p.eventually("it says that it is not ready", func() bool {
			response, _ := p.do("/readyz", nil)
			return response.StatusCode == 503 && response.Header.Get("Retry-After") != ""
		})
	}
	if answer := a.call("POST", "/logouts", `{"user":"grace"}`, 503); answer["error"] != "not-confirmed" {
		t.Errorf("forced logout while redis hangs: %v", answer)
	}
	here.Send(`{"type":"activity","idle_ms":0}`)
	server.Signal(syscall.SIGCONT)
	began := time.Now()
	a.eventually("redis is back", func() bool { code, _ := a.status(cookie); return code == 200 })
	a.call("POST", "/logouts", `{"user":"grace"}`, 200)
	leaves.wantsEnd("admin")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("converged after %s, want 5 s", took)
	}
	server.Kill()
	response, _ := a.do("/session/status", nil, "Cookie", cookie)
	if response.StatusCode != 503 {
		t.Errorf("status while redis is dead: %s", response.Status)
	}
	server.Run()
	began = time.Now()
	var answer map[string]any
	b.eventually("redis is back", func() bool {
		var code int
		code, answer = b.status(cookie)
		return code == 200
	})
	response, _ = b.do("/logout", url.Values{"csrf": {answer["csrf"].(string)}}, "Cookie", cookie)
	if response.StatusCode != 303 {
		t.Fatalf("sign-out: %s", response.Status)
	}
	here.wantsEnd("logout")
	there.wantsEnd("logout")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("converged after %s, want 5 s", took)
	}
}

func TestWithoutMessagesTheTabsOfAnEndedSessionCloseWithin2s(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	nodes := startNodes(t, server, 2)
	a, b := nodes[0], nodes[1]
	signedOut, _ := a.session("ada")
	forced, _ := a.session("grace")
	tabs := map[string]*openTab{"logout": b.openTab(signedOut), "admin": b.openTab(forced)}
	if answer, err := server.Command("ACL SETUSER default resetchannels"); err != nil ||
		!strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer, err)
	}
	a.eventually("commands work", func() bool { code, _ := a.status(signedOut); return code == 200 })
	b.eventually("commands work", func() bool { code, _ := b.status(signedOut); return code == 200 })
	_, answer := a.status(signedOut)
	began := time.Now()
	a.do("/logout", url.Values{"csrf": {answer["csrf"].(string)}}, "Cookie", signedOut)
	a.call("POST", "/logouts", `{"user":"grace"}`, 200)
	for reason, tab := range tabs {
		tab.wantsEnd(reason)
		closed, _ := tab.Closed()
		if took := closed.At.Sub(began); took > 2*time.Second {
			t.Errorf("the tab was closed after %s (%s), want 2 s", took, reason)
		}
	}
	late, _ := a.session("linus") // signed in while nobody hears of it
	b.eventually("the other node finds the sign-in", func() bool { return b.presenceOf("linus") != nil })
	if code, _ := b.status(late); code != 200 {
		t.Errorf("status on the other node: %d", code)
	}
}

func TestTabsOfADeadNodeVanishAndItsSessionsEndOnTime(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	cookie, ref := a.session("ada")
	a.openTab(cookie)
	b.eventually("the tab is seen", func() bool { return fmt.Sprint(b.presenceOf("ada")["tabs"]) == "1" })
	if node := b.call("GET", "/sessions/"+ref, "", 200)["node"]; node != "a" {
		t.Errorf("node = %v, want a", node)
	}
	died := time.Now()
	a.kill()
	limit := time.After(16 * time.Second)
	for fmt.Sprint(b.presenceOf("ada")["tabs"]) != "0" {
		select {
		case <-limit:
			t.Fatal("the dead node's tab is still counted after 16 s")
		case <-time.After(100 * time.Millisecond):
		}
	}
	if took := time.Since(died); took > 15*time.Second {
		t.Errorf("the tab vanished after %s, want 15 s", took)
	}
	if code, _ := b.status(cookie); code != 200 {
		t.Fatalf("a node's death has ended a session: %d", code)
	}
	b.advance(10 * time.Minute)
	if code, answer := b.status(cookie); code != 401 || answer["reason"] != "idle" {
		t.Errorf("at the deadline: %d %v", code, answer)
	}
}

func TestRollingRestartLeavesNoGapInPresence(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2)
	a, b := nodes[0], nodes[1]
	cookie, _ := a.session("ada")
	tab := a.openTab(cookie)
	b.eventually("the tab is seen", func() bool { return fmt.Sprint(b.presenceOf("ada")["tabs"]) == "1" })
	a.cmd.Process.Signal(syscall.SIGTERM)
	a.eventually("the tab is told to come back", func() bool {
		closed, _ := tab.Closed()
		return closed.Code == wire.StatusRestart
	})
	if err := a.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, a.log.String())
	}
	if state := b.presenceOf("ada")["state"]; state != "active" {
		t.Errorf("state while the tab is on its way = %v, want active", state)
	}
	b.openTab(cookie)
	b.eventually("the tab is seen", func() bool { return fmt.Sprint(b.presenceOf("ada")["tabs"]) == "1" })
	if state := b.presenceOf("ada")["state"]; state != "active" {
		t.Errorf("state = %v, want active", state)
	}
	a.run()
	a.eventually("the new run of the node sees the tab",
		func() bool { return fmt.Sprint(a.presenceOf("ada")["tabs"]) == "1" })
}
