package main

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAPanicIsLoggedWithItsStackAndAnAbortIsNot asks by both versions of HTTP, whose servers say it
// in their own words.
func TestAPanicIsLoggedWithItsStackAndAnAbortIsNot(t *testing.T) {
	log := &lockedBuffer{}
	site := httptest.NewUnstartedServer(nil)
	site.Config = newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic(errors.New("as it should not " + r.Proto))
	}), slog.New(slog.NewTextHandler(log, nil)))
	site.EnableHTTP2 = true
	site.StartTLS()
	defer site.Close()
	for _, protocol := range []string{"h2", "http/1.1"} {
		transport := site.Client().Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = protocol == "h2"
		transport.TLSClientConfig.NextProtos = []string{protocol}
		if protocol != "h2" {
			transport.TLSNextProto = make(map[string]func(string, *tls.Conn) http.RoundTripper)
		}
		for _, path := range []string{"/abort", "/"} {
			if response, err := (&http.Client{Transport: transport}).Get(site.URL + path); err == nil {
				response.Body.Close()
				t.Errorf("%s over %s is answered with %s", path, protocol, response.Status)
			}
		}
		transport.CloseIdleConnections()
	}
	site.Close() // what was served has been logged
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < 2 {
		t.Fatalf("the log: %q", lines)
	}
	for _, line := range lines {
		if !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "as it should not HTTP/") ||
			!strings.Contains(line, "serverlog_test.go") {
			t.Errorf("the log says %q", line)
		}
	}
}
