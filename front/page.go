package front

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// isPageRequest reports whether the answer to r, if it is a page, will be shown as one: r is a
// navigation. Browsers tell (Fetch Metadata §2.2); of one that does not, and of other programs, it
// is a GET that accepts pages and comes from no script that is known to mark its requests. HEAD
// counts as GET.
func isPageRequest(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Fetch-") {
			return false
		}
	}
	for _, name := range []string{"X-Requested-With", "Hx-Request", "X-Pjax", "Turbo-Frame"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && quality(r.Header["Accept"], "text/html") > 0
}

// conditional are the headers of a request that ask for a part of a page, or for none if the
// browser has it. They speak of the page as the application made it.
var conditional = []string{
	"Range",
	"If-Range",
	"If-Match",
	"If-None-Match",
	"If-Modified-Since",
	"If-Unmodified-Since",
}

// preparePageRequest changes the header of a navigation for the application, so that a page comes
// whole, and in a coding that can be read.
func preparePageRequest(h http.Header) {
	for _, name := range conditional {
		delete(h, name)
	}
	if lines, ok := h["Accept-Encoding"]; ok {
		h["Accept-Encoding"] = []string{readableCodings(lines)}
	}
}

// isPage reports whether an answer to a navigation is a page.
func isPage(status int, h http.Header) bool {
	switch {
	case status < 200, status == http.StatusNoContent, status == http.StatusResetContent:
		return false
	case status == http.StatusPartialContent, status == http.StatusNotModified:
		return false
	}
	kind := mediaType(h)
	return (kind == htmlType || kind == xhtmlType) && !slices.ContainsFunc(h["Content-Disposition"], isSaved)
}

const (
	htmlType  = "text/html"
	xhtmlType = "application/xhtml+xml"
)

// mediaType returns the type of an answer without parameters, in lower case. Of several the last
// counts, as browsers have it (Fetch §3.5).
func mediaType(h http.Header) string {
	lines := h["Content-Type"]
	if len(lines) == 0 {
		return ""
	}
	kind, _, _ := strings.Cut(lines[len(lines)-1], ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// isSaved reports whether a Content-Disposition has the browser save the answer: every type
// but inline does, known or not (RFC 6266 §4.2). Without a type browsers show it.
func isSaved(disposition string) bool {
	kind, _, _ := strings.Cut(disposition, ";")
	kind = strings.TrimSpace(kind)
	return kind != "" && !strings.Contains(kind, "=") && !strings.EqualFold(kind, "inline")
}

// ofTheOriginal are the headers of an answer that are no longer true once the tag is in the page.
var ofTheOriginal = []string{
	"Content-Length",
	"Etag",
	"Last-Modified",
	"Accept-Ranges",
	"Content-Md5",
	"Digest",
	"Content-Digest",
	"Repr-Digest",
}

// dropOriginal removes from the header of a page, and from its trailers, what is true of the
// application's page only, and keeps it out of every cache.
func dropOriginal(h http.Header) {
	for _, name := range ofTheOriginal {
		delete(h, name)
		delete(h, http.TrailerPrefix+name)
	}
	h["Cache-Control"] = []string{"no-store"}
}

// page is a page on its way from the application to the browser: through decoding, the injector,
// and coding. What is written goes all of the way at once, but for what the next step needs to have
// whole.
type page struct {
	w      http.ResponseWriter
	status int
	tag    Tag
	access scriptAccess
	xhtml  bool
	sent   bool // the header has been sent

	decode *pump // nil where the page comes without a content coding
	first  []byte
	inject *pump        // nil as long as the first bytes are not decided about
	zip    *gzip.Writer // nil where it leaves without one
	out    io.Writer
}

// newPage begins a page. Its header is complete, but for the charset.
func newPage(w http.ResponseWriter, status int, t Tag, access scriptAccess) *page {
	return &page{
		w:      w,
		status: status,
		tag:    t,
		access: access,
		xhtml:  mediaType(w.Header()) == xhtmlType,
		out:    w,
	}
}

// recode has the page come in codings, and leave in gzip if the browser takes that.
func (p *page) recode(codings []string, zip bool) {
	p.decode = newPump(func(src io.Reader) error {
		_, err := io.Copy(decodedPage{p}, decode(src, codings))
		return err
	})
	h := p.w.Header()
	delete(h, "Content-Encoding")
	if !zip {
		return
	}
	h["Content-Encoding"] = []string{"gzip"}
	p.zip = zippers.Get().(*gzip.Writer)
	p.zip.Reset(p.w)
	p.out = p.zip
}

func (p *page) sendHeader() {
	p.sent = true
	p.w.WriteHeader(p.status)
}

// write takes bytes as the application sends them.
func (p *page) write(b []byte) error {
	if p.decode == nil {
		return p.decoded(b)
	}
	_, err := p.decode.Write(b)
	return err
}

// decodedPage takes what is decoded.
type decodedPage struct{ *page }

func (p decodedPage) Write(b []byte) (int, error) { return len(b), p.decoded(b) }

// decoded takes bytes of the page itself.
func (p *page) decoded(b []byte) error {
	if p.inject == nil {
		p.begin()
	}
	if !p.inject.done {
		if _, err := p.inject.Write(b); err != nil || !p.inject.done {
			return err
		}
		b = p.inject.chunk
	}
	_, err := p.out.Write(b)
	return err
}

// begin sends the header, and has the injector read the page.
func (p *page) begin() {
	p.sendHeader()
	in := &injector{
		dst:   p.out,
		chars: asciiCompatible,
		tag:   p.tag.element(p.access.nonce, p.xhtml),
		limit: tokenLimit,
	}
	p.inject = newPump(in.run)
}

// flush passes on what an encoder holds back.
func (p *page) flush() error {
	if p.zip == nil || p.inject == nil {
		return nil
	}
	return p.zip.Flush()
}

// close ends the page. It fails where the page did not come whole.
func (p *page) close() error {
	if p.decode != nil {
		if err := p.decode.Close(); err != nil {
			return err
		}
	}
	if p.inject == nil {
		p.begin()
	}
	if err := p.inject.Close(); err != nil || p.zip == nil {
		return err
	}
	return p.zip.Close()
}

// stop ends what the page has running.
func (p *page) stop() {
	if p.decode != nil {
		p.decode.stop()
	}
	if p.inject != nil {
		p.inject.stop()
	}
	if p.zip != nil {
		zippers.Put(p.zip)
		p.zip = nil
	}
}

// zippers are encoders that no page uses: each has most of a megabyte.
var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one that there is
	return w
}}
