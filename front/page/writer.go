package page

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Serve has next answer a navigation (see [IsAskedBy]), and puts the tag into the answer if that is
// a page. It changes the header of r, which is the caller's own. A page in a coding that cannot be
// read is answered by refuse, with an empty header. Where a page breaks off, or cannot be read to
// its end, the connection is broken off as well, by a panic with [http.ErrAbortHandler]: nobody
// takes a part for the whole.
func Serve(
	w http.ResponseWriter, r *http.Request, t Tag, refuse func(http.ResponseWriter, error), next http.Handler,
) {
	p := &Writer{
		ResponseWriter: w,
		header:         w.Header().Clone(),
		tag:            t,
		head:           r.Method == http.MethodHead,
		gzip:           quality(r.Header["Accept-Encoding"], "gzip") > 0,
		refuse:         refuse,
	}
	prepare(r.Header)
	defer p.stop()
	defer func() {
		if p.refused { // it is answered, and next learned from a write that it cannot go on
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			}
		}
	}()
	next.ServeHTTP(p, r)
	if p.finish() != nil {
		panic(http.ErrAbortHandler)
	}
}

// firstWait is how long bytes are held that the application has flushed, where the header or the
// place of the tag depends on what follows them.
const firstWait = 100 * time.Millisecond

// sniffed is how many bytes the type of an answer is found by that says none, as the server does.
const sniffed = 512

// Writer is the answer to a navigation. What is no page passes as it is. [Serve] makes it, and the
// handler gets it.
type Writer struct {
	http.ResponseWriter
	header http.Header // the handler's own, which it may change while a timer sends that of the page
	tag    Tag
	head   bool // only the header will be sent
	gzip   bool // the browser takes it
	refuse func(http.ResponseWriter, error)

	// mu has writes, flushes and the timer of what is held back take turns. It is held while the
	// browser is written to.
	mu      sync.Mutex
	begun   bool   // the application has said its final status, or another has the answer
	refused bool   // by refuse
	status  int    // as long as the type of the answer is not known
	untyped []byte // what has come until then
	page    *page  // nil where the answer is no page
	timer   *time.Timer
	err     error // why the page cannot go on
}

// HasBegun reports whether an answer has begun.
func (p *Writer) HasBegun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun
}

// Replace returns the writer beneath, for somebody else's answer in place of one that has not
// begun.
func (p *Writer) Replace() http.ResponseWriter {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = true
	return p.ResponseWriter
}

// Header is that of the handler. What it changes after [Writer.WriteHeader] are trailers.
func (p *Writer) Header() http.Header { return p.header }

// takeHeader makes the handler's header that of the answer. It is called by the handler.
func (p *Writer) takeHeader() {
	h := p.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, p.header.Clone())
}

// takeTrailers takes over what the handler has set since.
func (p *Writer) takeTrailers() {
	h := p.ResponseWriter.Header()
	take := func(name string) {
		if values, ok := p.header[name]; ok {
			h[name] = values
		}
	}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			take(http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name := range p.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			take(name)
		}
	}
	if p.page != nil {
		dropOriginal(h)
	}
}

// WriteHeader decides whether the answer is a page.
func (p *Writer) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(status)
}

func (p *Writer) writeHeader(status int) {
	if p.begun {
		return
	}
	p.takeHeader()
	switch {
	case status < 200:
		p.begun = status == http.StatusSwitchingProtocols
		p.ResponseWriter.WriteHeader(status)
	case hasType(p.header):
		p.begun = true
		p.decide(status)
	default:
		p.begun, p.status = true, status
	}
}

// hasType reports whether nobody looks for the type of an answer in its first bytes.
func hasType(h http.Header) bool {
	_, ok := h["Content-Type"]
	return ok || h.Get("Content-Encoding") != ""
}

// settleType finds the type of an answer that has none, as the server would, from what came first.
func (p *Writer) settleType() error {
	if p.status == 0 {
		return nil
	}
	status, b := p.status, p.untyped
	p.status, p.untyped = 0, nil
	if len(b) == 0 {
		p.ResponseWriter.WriteHeader(status)
		return nil
	}
	if h := p.ResponseWriter.Header(); !hasType(h) {
		kind := http.DetectContentType(b)
		if prescan(b, false) != "" { // the page knows its charset better
			kind, _, _ = strings.Cut(kind, ";")
		}
		h["Content-Type"] = []string{kind}
	}
	p.decide(status)
	return p.write(b)
}

// decide begins the answer, whose header is complete.
func (p *Writer) decide(status int) {
	h := p.ResponseWriter.Header()
	if !isPage(status, h) {
		p.ResponseWriter.WriteHeader(status)
		return
	}
	access, ok := allowScript(h, p.tag.source())
	if !ok {
		dropOriginal(h)
		p.ResponseWriter.WriteHeader(status)
		return
	}
	codings, err := codingsOf(h)
	if err != nil {
		p.err, p.refused = err, true
		clear(h)
		p.refuse(p.ResponseWriter, err)
		return
	}
	dropOriginal(h)
	p.page = newPage(p.ResponseWriter, status, p.tag, access)
	if len(codings) > 0 {
		p.page.recode(codings, p.gzip)
	}
	if p.head {
		p.page.sendHeader()
	}
}

func (p *Writer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if p.status != 0 {
		if p.untyped = append(p.untyped, b...); len(p.untyped) < sniffed {
			return len(b), nil
		}
		return len(b), p.settleType()
	}
	if err := p.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// write takes bytes of an answer that has been decided about.
func (p *Writer) write(b []byte) error {
	switch {
	case p.err != nil:
	case p.page == nil:
		_, err := p.ResponseWriter.Write(b)
		return err
	case !p.head:
		p.err = p.page.write(b)
	}
	return p.err
}

// ReadFrom lets what is no page take the ways that the server has for files.
func (p *Writer) ReadFrom(src io.Reader) (n int64, err error) {
	if p.passes() {
		return io.Copy(p.ResponseWriter, src)
	}
	return io.Copy(struct{ io.Writer }{p}, src)
}

// passes begins the answer, and reports whether it passes as it is.
func (p *Writer) passes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	return p.status == 0 && p.page == nil && p.err == nil
}

// Unwrap leads [http.ResponseController] to the connection.
func (p *Writer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Hijack hands the connection over to the handler, which answers itself.
func (p *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	p.begun = true
	return conn, buffers, nil
}

// FlushError sends what was written. What waits for more of the page follows a little later.
func (p *Writer) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if len(p.untyped) > 0 {
		if err := p.settleType(); err != nil {
			return err
		}
	}
	if p.page != nil && p.page.waits() && p.timer == nil {
		p.timer = time.AfterFunc(firstWait, p.hasten)
	}
	return p.flush()
}

func (p *Writer) flush() error {
	if p.err == nil && p.page != nil {
		p.err = p.page.flush()
	}
	if p.err != nil || p.status != 0 || p.page != nil && !p.page.sent {
		return p.err
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// hasten sends what has been waiting for more of the page.
func (p *Writer) hasten() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil || p.err != nil {
		return
	}
	if p.err = p.page.hasten(); p.err == nil {
		p.err = p.flush()
	}
}

// Flush is FlushError for handlers that take no error.
func (p *Writer) Flush() { _ = p.FlushError() }

// finish ends the answer once the handler has returned. Where it fails, the answer is no whole one.
func (p *Writer) finish() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if err := p.settleType(); err != nil {
		return err
	}
	if p.refused {
		return nil
	}
	if p.err != nil {
		return p.err
	}
	if p.page != nil && !p.head {
		p.err = p.page.close()
	}
	p.takeTrailers()
	return p.err
}

// stop ends what runs for the answer.
func (p *Writer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil // one that fires now does nothing
	}
	if p.page != nil {
		p.page.stop()
	}
}
