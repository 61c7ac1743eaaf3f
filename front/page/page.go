package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// IsAskedBy reports whether the answer to r, if it is a page, will be shown as one: r is a
// navigation. Browsers tell (Fetch Metadata §2.2); of one that does not, and of other programs, it
// is a GET that accepts pages and comes from no script that is known to mark its requests. HEAD
// counts as GET.
func IsAskedBy(r *http.Request) bool {
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

// prepare changes the header of a navigation for the application, so that a page comes
// whole, and in a coding that can be read.
func prepare(h http.Header) {
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
	kind, _, _ := strings.Cut(contentType(h), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

func contentType(h http.Header) string {
	lines := h["Content-Type"]
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
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
	var trailers []string
	for name := range strings.SplitSeq(strings.Join(h["Trailer"], ","), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if name != "" && !slices.Contains(ofTheOriginal, name) {
			trailers = append(trailers, name)
		}
	}
	if delete(h, "Trailer"); len(trailers) > 0 {
		h["Trailer"] = trailers
	}
	h["Cache-Control"] = []string{"no-store"}
}

// page is a page on its way from the application to the browser: through decoding, the injector,
// and coding. What is written goes all of the way at once, but for the first bytes, by which its
// charset is found.
type page struct {
	w      http.ResponseWriter
	status int
	tag    Tag
	access scriptAccess
	label  string // of the charset, where the header names one that there is
	xml    bool
	sent   bool // the header has been sent

	decode *pump        // nil where the page comes without a content coding
	first  []byte       // what has come, until it is decided about
	in     *injector    // nil until then
	inject *pump        // runs it
	zip    *gzip.Writer // nil where the page leaves without a coding
	out    io.Writer    // zip or w
}

// newPage begins a page. The header of w is complete, but for a charset that only its first bytes
// tell.
func newPage(w http.ResponseWriter, status int, t Tag, access scriptAccess) *page {
	p := &page{
		w:      w,
		status: status,
		tag:    t,
		access: access,
		xml:    mediaType(w.Header()) == xhtmlType,
		out:    w,
	}
	if label, _ := charsetParameter(contentType(w.Header())); encodingNamed(label) != "" {
		p.label = label
	}
	return p
}

// recode has the page come in codings, and leave in gzip if the browser takes that.
func (p *page) recode(codings []string, zip bool) {
	p.decode = newPump(func(src io.Reader) error {
		_, err := io.Copy(decodedPage{p}, decode(src, codings))
		return err
	})
	h := p.w.Header()
	delete(h, "Content-Encoding")
	if quality(h["Vary"], "Accept-Encoding") == 0 && quality(h["Vary"], "*") == 0 {
		h["Vary"] = append(h["Vary"], "Accept-Encoding")
	}
	if !zip {
		return
	}
	h["Content-Encoding"] = []string{"gzip"}
	p.zip = zippers.Get().(*gzip.Writer)
	p.zip.Reset(p.w)
	p.out = p.zip
}

// sendHeader sends the header, once.
func (p *page) sendHeader() {
	if !p.sent {
		p.sent = true
		p.w.WriteHeader(p.status)
	}
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
	if p.in == nil {
		if len(p.first) > 0 {
			b = append(p.first, b...)
		}
		if p.first = b; !p.tellsCharset() {
			p.first = bytes.Clone(b) // b is its writer's
			return nil
		}
		return p.begin(false)
	}
	return p.injected(b)
}

// injected hands bytes to the injector, and what follows the head of the page past it.
func (p *page) injected(b []byte) error {
	if !p.inject.done {
		if _, err := p.inject.Write(b); err != nil || !p.inject.done {
			return err
		}
		b = p.inject.chunk
	}
	_, err := p.out.Write(b)
	return err
}

// tellsCharset reports whether the first bytes tell the charset, or never will.
func (p *page) tellsCharset() bool {
	if mark, _ := byteOrderMark(p.first); mark != "" || len(p.first) >= prescanned {
		return true
	}
	if p.label != "" {
		return len(p.first) >= len("\xef\xbb\xbf")
	}
	return !p.xml && prescan(p.first, false) != "" || p.xml && bytes.IndexByte(p.first, '>') >= 0
}

// begin decides by the first bytes what the charset is, sends the header, and has the injector read
// the page. whole says that there are no more bytes.
func (p *page) begin(whole bool) error {
	name, mark := byteOrderMark(p.first)
	switch {
	case name != "":
	case p.label != "":
		name = encodingNamed(p.label)
	case p.xml:
		name = encodingNamed(xmlEncoding(p.first))
	default:
		if label := prescan(p.first, whole || len(p.first) >= prescanned); label != "" {
			name = encodingNamed(label)
			if !p.sent {
				_, rest := charsetParameter(contentType(p.w.Header()))
				p.w.Header()["Content-Type"] = []string{rest + "; charset=" + label}
			}
		}
	}
	p.sendHeader()
	p.in = &injector{
		dst:    p.out,
		chars:  charsetNamed(name),
		tag:    p.tag.texts(p.access.nonce, p.xml),
		xml:    p.xml,
		access: p.access,
		limit:  tokenLimit,
	}
	p.inject = newPump(p.in.run)
	first := p.first
	p.first = nil
	if _, err := p.out.Write(first[:mark]); err != nil || len(first) == mark {
		return err
	}
	return p.injected(first[mark:])
}

// waits reports whether bytes are held back that could be sent if the rest of the page were known.
func (p *page) waits() bool {
	return len(p.first) > 0 || p.in != nil && p.in.head == tagOpen && !p.inject.done
}

// hasten sends what is held back only until more of the page is known.
func (p *page) hasten() error {
	if len(p.first) > 0 {
		if err := p.begin(false); err != nil {
			return err
		}
	}
	if p.in == nil {
		return nil
	}
	return p.in.hasten()
}

// flush sends the header if nothing can change it, and passes on what an encoder holds back.
func (p *page) flush() error {
	if p.label != "" || p.xml {
		p.sendHeader()
	}
	if p.zip == nil || p.in == nil {
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
	if p.in == nil {
		if err := p.begin(true); err != nil {
			return err
		}
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
		p.zip.Reset(nil) // it keeps nothing of the answer alive
		zippers.Put(p.zip)
		p.zip = nil
	}
}

// zippers are encoders that no page uses: each has most of a megabyte.
var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one that there is
	return w
}}
