package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis/redistest"
	"curfew/views"
)

// holds says that the program has the file open.
func (p *process) holds(file string) bool {
	folder := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil && to == file {
			return true
		}
	}
	return false
}

func TestHangupReloadsPoliciesOntoLiveSessions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policies:\n  - group: kiosk\n    expire-after: 30m\n    warn-after: 20m\n")
	p := start(t, "--config", file)
	cookie := p.signIn("linus")
	if _, answer := p.status(cookie); answer["warn_in_ms"].(float64) < 19*60_000 {
		t.Fatalf("the group's policy does not hold: %v", answer)
	}
	page := p.openTab(cookie)
	write("policies:\n  - group: kiosk\n    expire-after: 2m\n    warn-after: 1m\n    extend-on: confirm\n" +
		"    keep-page: 0\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	if m := page.Next(wire.KindActive); m["extend_on"] != "confirm" || m["expire_in_ms"].(float64) > 120_000 {
		t.Errorf("active = %v", m)
	}
	if _, answer := p.status(cookie); answer["keep_ms"] != 0.0 {
		t.Errorf("status = %v, want that its pages do not wait any more", answer)
	}
	p.eventually("the trail says what has changed", func() bool { // it goes to the log as well
		return strings.Contains(p.log.String(), "group kiosk keep-page 4h0m0s became 0s")
	})
	write("policies:\n  - group: kiosk\n    expire-after: soon\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.eventually("the fault is logged", func() bool {
		return strings.Contains(p.log.String(), "settings not reloaded")
	})
	if _, answer := p.status(cookie); answer["expire_in_ms"].(float64) > 120_000 {
		t.Errorf("a faulty file changed something: %v", answer)
	}
}

func TestHangupWhileTheServerStartsIsAReload(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := os.OpenFile(file, os.O_RDWR, 0) // does not wait for a reader, as opening for writing alone does
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, folder: t.TempDir(), log: &lockedBuffer{}, args: []string{"--config", file}}
	p.launch()
	t.Cleanup(p.kill)
	p.eventually("it reads its settings", func() bool { return p.holds(file) })
	p.cmd.Process.Signal(syscall.SIGHUP)
	if _, err := settings.WriteString("expire-after: 20m\n"); err != nil {
		t.Fatal(err)
	}
	settings.Close()
	p.waitUntilReady()
	p.eventually("it reads its settings again", func() bool {
		f, err := os.OpenFile(file, os.O_WRONLY|syscall.O_NONBLOCK, 0) // refused while nobody reads
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.WriteString("expire-after: 30m\n")
		return err == nil
	})
	p.eventually("the settings are applied", func() bool {
		return strings.Contains(p.log.String(), "settings reloaded")
	})
	if _, answer := p.status(p.signIn("ada")); answer["expire_in_ms"].(float64) < 29*60_000 {
		t.Errorf("status = %v, want half an hour", answer)
	}
}

func TestReloadKillsTokensThoughTheStoreIsAwayAndAppliesPoliciesOnceItIsBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	folder := t.TempDir()
	settings, tokens := filepath.Join(folder, "curfew.yaml"), filepath.Join(folder, "tokens")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret, line, err := views.NewAPIToken("leaked", views.ScopeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	write(tokens, line)
	write(settings, "warn-after: 9m\n")
	p := start(t, "--redis-url", server.URL(), "--config", settings, "--api-tokens-file", tokens)
	cookie := p.signIn("ada")
	code := func() int {
		response, _ := p.do("/api/v1/presence", nil, "Authorization", "Bearer "+secret)
		return response.StatusCode
	}
	if got := code(); got != http.StatusOK {
		t.Fatalf("with the token: %d", got)
	}
	server.Signal(syscall.SIGSTOP)
	write(tokens, "")
	write(settings, "warn-after: 4m\nexpire-after: 5m\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.eventually("the token is no more", func() bool { return code() == http.StatusUnauthorized })
	p.eventually("the policies were tried", func() bool {
		return strings.Contains(p.log.String(), "tried until it works")
	})
	write(settings, "warn-after: soon\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.eventually("the fault is logged", func() bool { return strings.Contains(p.log.String(), "they have mistakes") })
	server.Signal(syscall.SIGCONT)
	p.eventually("the policies are applied", func() bool {
		response, body := p.do("/session/status", nil, "Cookie", cookie)
		return response.StatusCode == http.StatusOK && strings.Contains(p.log.String(), "settings reloaded") &&
			strings.Contains(body, `"expire_in_ms":2`)
	})
}

func TestWhatAReloadHasChangedIsToldAsDataToo(t *testing.T) {
	before := session.Policies{Global: session.Profiles()[0].Policy}
	after := before
	after.Global.MaxSessions = 3
	kiosk := before.Global
	before.Groups = []session.GroupPolicy{{Group: "kiosk", Policy: kiosk}}
	what, data := policyChanges(before, after)
	if !strings.HasPrefix(what, "global max-sessions 0 became 3, group kiosk close-grace 20s was removed, ") {
		t.Errorf("the line begins %q", what)
	}
	for name, want := range map[string]string{
		"was global max-sessions":     "0",
		"now global max-sessions":     "3",
		"was group kiosk close-grace": "20s",
		"now group kiosk close-grace": "",
		"was global warn-after":       "",
	} {
		if data[name] != want {
			t.Errorf("%s: %q, want %q", name, data[name], want)
		}
	}
	_, data = policyChanges(after, before)
	if data["now group kiosk close-grace"] != "20s" || data["was group kiosk close-grace"] != "" {
		t.Errorf("what was added: %v", data)
	}
	if what, data := policyChanges(after, after); what != "" || len(data) != 0 {
		t.Errorf("where nothing has changed: %q, %v", what, data)
	}
}
