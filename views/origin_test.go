package views

import (
	"net/url"
	"strings"
	"testing"
)

func TestAddressesThatBrowsersWriteOtherwiseAreNoOrigins(t *testing.T) {
	for _, host := range []string{
		"127.1", "127.0.0.1.", "0x7f.0.0.1", "0x7f.1", "2130706433", "0x7f000001", "0X7F000001", "0177.0.0.1",
		"127.0.0.01", "127.0.0.256", "1.2.3.4.5", "127.0.0.0x1", "127.0.0.0x",
		"example.1", "example.09", "app.0x1.", "１２７.1", "127。1",
	} {
		if u, err := ParseOrigin("http://" + host); err == nil ||
			!strings.Contains(err.Error(), "as http://127.0.0.1") {
			t.Errorf("%s: %v, %v, want an error that says how it is written", host, u, err)
		}
	}
	for _, name := range []string{"1.example", "0x.example", "127.1a", "0x7g", "x0x7f", "1-2"} {
		if _, err := ParseOrigin("http://" + name); err != nil {
			t.Errorf("%s: %v, want a name", name, err)
		}
	}
}

func TestOriginsAreWrittenAsBrowsersSendThem(t *testing.T) {
	for _, tt := range []struct{ written, sent string }{
		{"https://app.example", "https://app.example"},
		{"https://app.example/", "https://app.example"},
		{"https://APP.Example", "https://app.example"},
		{"HTTPS://app.example", "https://app.example"},
		{"https://app.example:443", "https://app.example"},
		{"https://app.example:0443", "https://app.example"},
		{"https://app.example:80", "https://app.example:80"},
		{"http://app.example:80/", "http://app.example"},
		{"http://app.example:443", "http://app.example:443"},
		{"https://app.example:", "https://app.example"},
		{"https://app.example:8443", "https://app.example:8443"},
		{"https://app.example.", "https://app.example."}, // another host than the one without, to browsers too
		{"https://bücher.example", "https://xn--bcher-kva.example"},
		{"https://BÜCHER.example:443", "https://xn--bcher-kva.example"},
		{"https://bu\u0308cher.example", "https://xn--bcher-kva.example"},
		{"https://b%C3%BCcher.example", "https://xn--bcher-kva.example"},
		{"https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example"},
		{"https://straße.example", "https://xn--strae-oqa.example"},
		{"https://my_app.bücher.example", "https://my_app.xn--bcher-kva.example"},
		{"https://例え。テスト", "https://xn--r8jz45g.xn--zckzah"},
		{"https://r3---sn.example", "https://r3---sn.example"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"http://[0:0:0:0:0:0:0:1]", "http://[::1]"},
		{"http://[::FFFF:0:1]", "http://[::ffff:0:1]"},
	} {
		u, err := ParseOrigin(tt.written)
		if err != nil {
			t.Errorf("%s: %v", tt.written, err)
			continue
		}
		if got := u.String(); got != tt.sent {
			t.Errorf("%s is sent as %s, want %s", tt.written, got, tt.sent)
		}
		if got := Origin(u); got != tt.sent {
			t.Errorf("origin of %s = %s, want it unchanged", u, got)
		}
	}
	for _, bad := range []string{
		"", "app.example", "//app.example", "ftp://app.example", "https://", "https://:443", "https://a@app.example",
		"https://app.example/x", "https://app.example?x",
		"https://app.example#x", "https://app example", "https://app.example:0", "https://app.example:65536",
		"https://app.example:x", "https://[::1%25eth0]", "https://app%2fx.example",
		"https://xn--a.example", "https://a\u200b\u2060\ufffd.example", "null",
	} {
		if u, err := ParseOrigin(bad); err == nil {
			t.Errorf("%q is taken for %s", bad, u)
		}
	}
	if got := Origin(&url.URL{Path: "/x"}); got != "" {
		t.Errorf("origin of a path = %q", got)
	}
}
