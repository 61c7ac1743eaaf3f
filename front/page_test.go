package front

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var someTag = Tag{
	Source:   "/.curfew/static/curfew.js",
	Socket:   "/.curfew/session/ws",
	Folder:   "https://app.example/.curfew/static/",
	Required: true,
}

func TestAPageGetsTheTag(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(w http.ResponseWriter, err error) { http.Error(w, err.Error(), http.StatusBadGateway) }
		servePage(w, r, someTag, refuse, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-abc'")
			io.WriteString(w, "<!doctype html><html><head><title>t</title><body>b")
		}))
	}))
	t.Cleanup(server.Close)
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	const tag = `<head><script type="module" nonce="abc" src="/.curfew/static/curfew.js" ` +
		`data-socket="/.curfew/session/ws" data-required=""></script><title>`
	if !strings.Contains(string(body), tag) {
		t.Errorf("got %s, want it to have %s", body, tag)
	}
	const policy = "default-src 'none'; script-src 'nonce-abc'; connect-src 'self'"
	if got := answer.Header.Get("Content-Security-Policy"); got != policy {
		t.Errorf("got the policy %q, want %q", got, policy)
	}
}
