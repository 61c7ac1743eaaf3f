package views

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestIgnoredForwardingHeadersAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		p := NewProxies(nil)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		for range 3 {
			for range 100 {
				p.notice(r, log)
			}
			time.Sleep(tellEvery)
		}
		if n := strings.Count(text.String(), "not trusted"); n != 3 || p.Ignored() != 300 {
			t.Errorf("300 headers within three minutes: %d lines, %d counted\n%s", n, p.Ignored(), &text)
		}
	})
}
