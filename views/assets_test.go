package views

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"curfew/static"
)

// body reads an answer, and fails unless its length is what it says.
func body(t *testing.T, response *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := response.Header.Get("Content-Length"); want != strconv.Itoa(len(b)) {
		t.Errorf("%d bytes, Content-Length %q", len(b), want)
	}
	return b
}

func TestStaticFilesAreCompressedForWhoTakesThat(t *testing.T) {
	s := newSite(t, "http://localhost:8080", "/guard")
	for _, name := range static.Load().Names() {
		want, _ := static.Load().Get(name)
		for _, tt := range []struct {
			accept string
			zipped bool
		}{
			{"gzip, deflate, br, zstd", true},
			{"GZIP", true},
			{"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
			{"*", true},
			{"x-gzip", true},
			{"identity;q=0, gzip;q=0.001", true},
			{"", false},
			{"identity", false},
			{"br", false},
			{"gzip;q=0", false},
			{"gzip; q=0.000, *", false},
			{"*;q=0", false},
			{"gzip;q=0.5, identity", false},
			{"gzip;q=nonsense", false},
			{"notgzip", false},
		} {
			response := s.get("GET", "localhost:8080", "/guard/static/"+name, "Accept-Encoding", tt.accept)
			got, h := body(t, response), response.Header
			if coding := h.Get("Content-Encoding"); (coding == "gzip") != tt.zipped || !tt.zipped && coding != "" {
				t.Errorf("%s for %q: Content-Encoding %q", name, tt.accept, coding)
			}
			if tt.zipped {
				r, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatalf("%s for %q: %v", name, tt.accept, err)
				}
				if got, err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			}
			if response.StatusCode != 200 || !bytes.Equal(got, want.Body) {
				t.Errorf("%s for %q: %d, %d bytes, want %d", name, tt.accept, response.StatusCode,
					len(got), len(want.Body))
			}
			if h.Get("Vary") != "Accept-Encoding" || h.Get("Cache-Control") != "no-cache" ||
				h.Get("Content-Type") != want.Type {
				t.Errorf("%s for %q: %v", name, tt.accept, h)
			}
		}
	}
}

func TestStaticFilesAreAskedForAnewAndComeOnce(t *testing.T) {
	s := newSite(t, "http://localhost:8080", "")
	get := func(method string, header ...string) *http.Response {
		return s.get(method, "localhost:8080", "/static/curfew.js", header...)
	}
	plain := get("GET").Header.Get("ETag")
	zipped := get("GET", "Accept-Encoding", "gzip").Header.Get("ETag")
	if plain == zipped {
		t.Errorf("both forms have the tag %s", plain)
	}
	tests := []struct {
		name, encoding, match string
		want                  int
	}{
		{"the tag of this form", "gzip", zipped, 304},
		{"one that a proxy made weak", "gzip", "W/" + zipped, 304},
		{"one of several", "gzip", `"a", ` + zipped + `, "b"`, 304},
		{"any", "gzip", "*", 304},
		{"the tag of the other form", "gzip", plain, 200},
		{"the same, uncompressed", "", plain, 304},
		{"an old tag", "gzip", `"0123456789abcdef01234567-gzip"`, 200},
		{"no tag", "gzip", "", 200},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			response := get(method, "Accept-Encoding", tt.encoding, "If-None-Match", tt.match)
			h := response.Header
			if response.StatusCode != tt.want || h.Get("ETag") == "" || h.Get("Vary") == "" ||
				h.Get("Cache-Control") == "" {
				t.Errorf("%s, %s: %d %v, want %d", method, tt.name, response.StatusCode, h, tt.want)
			}
			if b, _ := io.ReadAll(response.Body); tt.want == 304 && len(b) > 0 {
				t.Errorf("%s, %s: a body of %d bytes", method, tt.name, len(b))
			}
		}
	}
	response := get("GET", "Range", "bytes=5-9", "Accept-Encoding", "gzip")
	if len(body(t, response)) < 1000 || response.StatusCode != 200 || response.Header.Get("Accept-Ranges") != "" {
		t.Errorf("a range: %s %v, want the whole", response.Status, response.Header)
	}
	if got := get("GET").Header.Get("SourceMap"); got != "curfew.js.map" {
		t.Errorf("SourceMap %q", got)
	}
}

// A page and a module of two versions never meet, whichever node answers.
func TestModulesOfAnotherVersionAreNotFound(t *testing.T) {
	s := newSite(t, "http://localhost:8080", "/guard")
	version := static.Load().Version
	for _, tt := range []struct {
		path    string
		status  int
		caching string
	}{
		{version + "/warning.js", 200, "public, max-age=31536000, immutable"},
		{version + "/warning.js?1", 200, "public, max-age=31536000, immutable"},
		{version + "/curfew.css", 200, "public, max-age=31536000, immutable"},
		{strings.Repeat("0", len(version)) + "/warning.js", 404, "no-store"},
		{version + "/nothing.js", 404, "no-store"},
		{version + "/curfew.js", 404, "no-store"},
		{version + "/", 404, "no-store"},
		{"warning.js", 200, "no-cache"},
	} {
		response := s.get("GET", "localhost:8080", "/guard/static/"+tt.path, "Sec-Fetch-Dest", "script")
		if got := response.Header.Get("Cache-Control"); response.StatusCode != tt.status || got != tt.caching {
			t.Errorf("%s: %d, Cache-Control %q, want %d, %q", tt.path, response.StatusCode, got, tt.status, tt.caching)
		}
	}
}
