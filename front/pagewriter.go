package front

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// servePage has next answer a navigation, and puts the tag into the answer if that is a page. It
// changes the header of r, which is the caller's own. A page that cannot be read is answered by
// refuse, with an empty header. Where a page breaks off, or cannot be read to its end, the
// connection is broken off as well, by a panic with [http.ErrAbortHandler]: nobody takes a part
// for the whole.
func servePage(
	w http.ResponseWriter, r *http.Request, t Tag, refuse func(http.ResponseWriter, error), next http.Handler,
) {
	p := &pageWriter{
		ResponseWriter: w,
		tag:            t,
		head:           r.Method == http.MethodHead,
		gzip:           quality(r.Header["Accept-Encoding"], "gzip") > 0,
		refuse:         refuse,
	}
	preparePageRequest(r.Header)
	defer p.stop()
	defer func() {
		if p.refused { // it is answered, and next was told so by the error of a write
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			}
		}
	}()
	next.ServeHTTP(p, r)
	if err := p.finish(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// firstWait is how long the first bytes of a page are held that the application flushes, where the
// header of the page depends on what follows them.
const firstWait = 100 * time.Millisecond

// pageWriter is the answer to a navigation. What is no page passes as it is.
type pageWriter struct {
	http.ResponseWriter
	tag    Tag
	head   bool // only the header will be sent
	gzip   bool // the browser takes it
	refuse func(http.ResponseWriter, error)

	// mu has writes, flushes and the timer of the first bytes take turns. It is held while the
	// browser is written to.
	mu      sync.Mutex
	begun   bool // a final status is known
	refused bool
	page    *page // nil where the answer is no page
	err     error // why the page cannot go on
}

// WriteHeader decides whether the answer is a page.
func (p *pageWriter) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(status)
}

func (p *pageWriter) writeHeader(status int) {
	switch {
	case p.begun:
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		p.ResponseWriter.WriteHeader(status)
		return
	}
	p.begun = true
	h := p.Header()
	if !isPage(status, h) {
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
	access, ok := allowScript(h, p.tag.Folder)
	dropOriginal(h)
	if !ok {
		p.ResponseWriter.WriteHeader(status)
		return
	}
	p.page = newPage(p.ResponseWriter, status, p.tag, access)
	if len(codings) > 0 {
		p.page.recode(codings, p.gzip)
	}
	if p.head {
		p.page.sendHeader()
	}
}

func (p *pageWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	switch {
	case p.err != nil:
		return 0, p.err
	case p.page == nil:
		return p.ResponseWriter.Write(b)
	case p.head:
		return len(b), nil
	}
	if p.err = p.page.write(b); p.err != nil {
		return 0, p.err
	}
	return len(b), nil
}

// ReadFrom lets what is no page take the ways that the server has for files.
func (p *pageWriter) ReadFrom(src io.Reader) (n int64, err error) {
	if p.passes() {
		return io.Copy(p.ResponseWriter, src)
	}
	return io.Copy(struct{ io.Writer }{p}, src)
}

// passes begins the answer, and reports whether it passes as it is.
func (p *pageWriter) passes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	return p.page == nil && p.err == nil
}

// Unwrap leads [http.ResponseController] to the connection.
func (p *pageWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// FlushError sends what was written.
func (p *pageWriter) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if p.err == nil && p.page != nil {
		p.err = p.page.flush()
	}
	if p.err != nil || p.page != nil && !p.page.sent {
		return p.err
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that take no error.
func (p *pageWriter) Flush() { _ = p.FlushError() }

// finish ends the answer once the handler has returned. Where it fails, the answer is no whole one.
func (p *pageWriter) finish() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if p.page == nil || p.err != nil {
		if p.refused {
			return nil
		}
		return p.err
	}
	dropOriginal(p.Header()) // what came as a trailer
	if p.head {
		return nil
	}
	p.err = p.page.close()
	return p.err
}

// stop ends what runs for the answer.
func (p *pageWriter) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.page != nil {
		p.page.stop()
	}
}
