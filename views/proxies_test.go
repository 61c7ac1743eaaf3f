package views

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"net/netip"
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

func TestAddressOfABrowserBehindProxies(t *testing.T) {
	p := NewProxies([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")})
	for _, row := range []struct{ why, peer, header, want string }{
		{"no header", "127.0.0.1:1", "", "127.0.0.1"},
		{"an address", "127.0.0.1:1", "203.0.113.5", "203.0.113.5"},
		{"with a port", "127.0.0.1:1", "203.0.113.5:51234", "203.0.113.5"},
		{"IPv6", "127.0.0.1:1", "2001:db8::1", "2001:db8::1"},
		{"IPv6 in brackets", "127.0.0.1:1", "[2001:db8::1]", "2001:db8::1"},
		{"IPv6 with a port", "127.0.0.1:1", "[2001:db8::1]:443", "2001:db8::1"},
		{"quoted", "127.0.0.1:1", `"[2001:db8::1]:443"`, "2001:db8::1"},
		{"IPv4 as IPv6", "127.0.0.1:1", "::ffff:203.0.113.5", "203.0.113.5"},
		{"a trusted proxy on the way", "127.0.0.1:1", "203.0.113.5:1, 10.0.0.7:443", "203.0.113.5"},
		{"what the browser made up stands before", "127.0.0.1:1", "192.0.2.1, 203.0.113.5:1", "203.0.113.5"},
		{"no address", "127.0.0.1:1", "203.0.113.5, unknown", "127.0.0.1"},
		{"no address, but nearly", "127.0.0.1:1", "[2001:db8::1", "2001:db8::1"},
		{"a peer that is not trusted", "198.51.100.1:1", "203.0.113.5", "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = row.peer
		r.Header.Set("X-Forwarded-For", row.header)
		if got := p.Address(r); got != row.want {
			t.Errorf("%s: %s from %s is %s, want %s", row.why, row.header, row.peer, got, row.want)
		}
	}
}
