package page

import (
	"net/http"
	"testing"
)

func TestIsPageRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want    bool
		method  string
		headers []string
	}{
		{true, "GET", []string{"Sec-Fetch-Mode", "navigate"}},
		{true, "POST", []string{"Sec-Fetch-Mode", "navigate", "Accept", "*/*"}},
		{true, "GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "X-Requested-With", "x"}},
		{false, "GET", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}},
		{false, "GET", []string{"Sec-Fetch-Site", "same-origin", "Accept", "text/html"}},
		{true, "GET", []string{"Accept", "text/html"}},
		{true, "GET", []string{"Accept", "application/xhtml+xml,Text/HTML;q=0.9"}},
		{true, "HEAD", []string{"Accept", "text/html"}},
		{false, "POST", []string{"Accept", "text/html"}},
		{false, "GET", []string{"Accept", "*/*"}},
		{false, "GET", []string{"Accept", "text/html;q=0"}},
		{false, "GET", nil},
		{false, "GET", []string{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}},
		{false, "GET", []string{"Accept", "text/html", "HX-Request", "true"}},
		{false, "GET", []string{"Accept", "text/html", "X-PJAX", "true"}},
		{false, "GET", []string{"Accept", "text/html", "Turbo-Frame", "messages"}},
	} {
		r := &http.Request{Method: c.method, Header: make(http.Header)}
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
		if got := IsAskedBy(r); got != c.want {
			t.Errorf("%s with %q: got %v, want %v", c.method, c.headers, got, c.want)
		}
	}
}

func TestIsPage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want    bool
		status  int
		headers []string
	}{
		{true, 200, []string{"Content-Type", "text/html"}},
		{true, 200, []string{"Content-Type", "Text/HTML ; charset=utf-8"}},
		{true, 200, []string{"Content-Type", "application/xhtml+xml"}},
		{true, 404, []string{"Content-Type", "text/html"}},
		{true, 500, []string{"Content-Type", "text/html"}},
		{true, 302, []string{"Content-Type", "text/html"}},
		{false, 200, nil},
		{false, 200, []string{"Content-Type", "text/htmlx"}},
		{false, 200, []string{"Content-Type", "application/json"}},
		{false, 200, []string{"Content-Type", "text/html", "Content-Type", "text/plain"}},
		{false, 204, []string{"Content-Type", "text/html"}},
		{false, 205, []string{"Content-Type", "text/html"}},
		{false, 206, []string{"Content-Type", "text/html"}},
		{false, 304, []string{"Content-Type", "text/html"}},
		{false, 200, []string{"Content-Type", "text/html", "Content-Disposition", "Attachment"}},
		{false, 200, []string{"Content-Type", "text/html", "Content-Disposition", " attachment; filename=a.html"}},
		{false, 200, []string{"Content-Type", "text/html", "Content-Disposition", "form-data"}},
		{true, 200, []string{"Content-Type", "text/html", "Content-Disposition", "inline; filename=a.html"}},
		{true, 200, []string{"Content-Type", "text/html", "Content-Disposition", "filename=a.html"}},
		{true, 200, []string{"Content-Type", "text/html", "Content-Disposition", ""}},
	} {
		h := make(http.Header)
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], c.headers[i+1])
		}
		if got := isPage(c.status, h); got != c.want {
			t.Errorf("%d with %q: got %v, want %v", c.status, c.headers, got, c.want)
		}
	}
}

func TestPreparePageRequest(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Accept-Encoding":     {"gzip, deflate, br, zstd"},
		"Range":               {"bytes=0-"},
		"If-Range":            {"x"},
		"If-Match":            {"x"},
		"If-None-Match":       {"x"},
		"If-Modified-Since":   {"x"},
		"If-Unmodified-Since": {"x"},
		"Accept":              {"text/html"},
	}
	prepare(h)
	if len(h) != 2 || h.Get("Accept-Encoding") != "gzip, deflate, br" || h.Get("Accept") != "text/html" {
		t.Errorf("got %v", h)
	}
	if prepare(h); h.Get("Accept-Encoding") != "gzip, deflate, br" {
		t.Errorf("got %v at the second time", h)
	}
	none := http.Header{}
	if prepare(none); len(none) != 0 {
		t.Errorf("nothing becomes %v", none)
	}
}

func TestTagIsASCIIAndEscaped(t *testing.T) {
	t.Parallel()
	tag := Tag{
		Source:   "/~a/static/curfew.js",
		Socket:   "/~a/session/ws",
		Forms:    `form[name="<é&'">] > \31`,
		Required: true,
	}
	const want = `<script type="module" nonce="n" src="/&#126;a/static/curfew.js" data-socket="/&#126;a/session/ws" ` +
		`data-required="" data-keep="form[name=&#34;&#60;&#233;&#38;&#39;&#34;&#62;] &#62; &#92;31"></script>`
	if got := tag.element("n", false); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Chromium runs no modules of XML documents, but imports them there.
	const xhtml = `<script xmlns="http://www.w3.org/1999/xhtml" type="module" nonce="n" src="/s/curfew.js" ` +
		`data-socket="/ws"></script>` +
		`<script xmlns="http://www.w3.org/1999/xhtml" defer="" nonce="n" src="/s/xhtml.js"></script>`
	if got := (Tag{Source: "/s/curfew.js", Socket: "/ws"}).element("n", true); got != xhtml {
		t.Errorf("got  %s\nwant %s", got, xhtml)
	}
}
