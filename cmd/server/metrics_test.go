package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"curfew/internal/freeport"
)

func TestMetricsAreForAdmins(t *testing.T) {
	t.Parallel()
	p := start(t, "--metrics-listen", "")
	response, body := p.do("/metrics", nil, "Cookie", p.signIn("ada"))
	if response.StatusCode != 200 || !strings.Contains(body, "curfew_sessions 1") {
		t.Errorf("an admin: %s %s", response.Status, body)
	}
	if response, _ := p.do("/metrics", nil, "Cookie", p.signIn("grace")); response.StatusCode != 403 {
		t.Errorf("another: %s, want 403", response.Status)
	}
}

func TestOnlyTheMetricsAddressHasProfiles(t *testing.T) {
	t.Parallel()
	metrics := freeport.Reserve(t)
	p := start(t, "--metrics-listen", fmt.Sprintf("127.0.0.1:%d", metrics))
	admin := p.signIn("ada")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
		if response, _ := p.do(path, nil, "Cookie", admin); response.StatusCode != 404 {
			t.Errorf("%s at the main address: %s, want 404", path, response.Status)
		}
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", metrics, path))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("%s at the address of the metrics: %s, want 200", path, response.Status)
		}
	}
}

func TestEveryAnswerOfTheMetricsAddressIsNeitherSniffedNorStored(t *testing.T) {
	h := metricsRoutes(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "curfew_tabs 0")
	}))
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/metrics", 200}, {"GET", "/", 404}, {"POST", "/metrics", 405}, {"GET", "//metrics", 307},
		{"GET", "/debug/pprof/", 200}, {"GET", "/debug/pprof/heap", 200}, {"GET", "/debug/pprof/symbol", 200},
		{"GET", "/debug/pprof/cmdline", 404}, {"POST", "/debug/pprof/heap", 405}, {"GET", "/debug/vars", 404},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, "http://node"+tt.path, nil))
		if w.Code != tt.status || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
			w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d with %v, want %d, nosniff and no-store", tt.method, tt.path, w.Code, w.Header(),
				tt.status)
		}
	}
}
