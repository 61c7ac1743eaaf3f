package front

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errInterrupted is what reading an upload returns once nobody needs it any more.
var errInterrupted = errors.New("upload is not needed any more")

// drainLimit is how long the rest of an upload is taken that the application did not want, so that
// the browser is still there to read the answer.
const drainLimit = 5 * time.Second

// upload is the body of a request. It knows whether all of it has arrived, and can be told to wait
// for no more of it, although somebody reads it at this moment.
type upload struct {
	body    io.ReadCloser
	control *http.ResponseController // of the browser's connection; not used once the handler has returned
	arrived atomic.Bool
	broken  atomic.Bool  // it does not come as its header says, or the browser is gone
	stopped atomic.Bool  // it is not waited for any more
	left    atomic.Int64 // bytes that are to come by its length; -1: it has none

	// Trailers: as they arrive, and as the application may have them.
	received, trailer http.Header

	reading sync.Mutex // held while body is read

	mu     sync.Mutex // held while a deadline is set
	isLeft bool       // the handler is about to return
}

// newUpload is the body of r, whose answer goes to w.
func newUpload(w http.ResponseWriter, r *http.Request) *upload {
	u := &upload{body: r.Body, control: http.NewResponseController(w)}
	u.arrived.Store(r.Body == nil || r.Body == http.NoBody)
	u.left.Store(r.ContentLength)
	if len(r.Trailer) == 0 {
		return u
	}
	u.received, u.trailer = r.Trailer, make(http.Header)
	for name := range r.Trailer {
		if !isClaim(name) && foldName(name) != "cookie" {
			u.trailer[name] = nil
		}
	}
	return u
}

// attach makes u the body of r.
func (u *upload) attach(r *http.Request) {
	r.Trailer = u.trailer
	if !u.arrived.Load() {
		r.Body = u
	}
}

// Read reads what has arrived. A request whose body is read by several at once is not served here.
func (u *upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	if u.stopped.Load() {
		return 0, errInterrupted
	}
	n, err := u.body.Read(p)
	if u.left.Load() > 0 {
		u.left.Add(-int64(n))
	}
	switch {
	case err == nil:
	case err == io.EOF:
		for name := range u.trailer {
			u.trailer[name] = u.received[name]
		}
		u.arrived.Store(true)
	case u.stopped.Load():
		err = errInterrupted
	default:
		u.broken.Store(true)
	}
	return n, err
}

// isWhole reports whether all has arrived that its length tells of. Its end may not have been read
// yet, and many a handler never reads it.
func (u *upload) isWhole() bool { return u.arrived.Load() || u.left.Load() == 0 }

// Close leaves the body to the server, which takes or refuses the rest of it.
func (u *upload) Close() error { return nil }

// interrupt has whoever reads the upload stop waiting for it.
func (u *upload) interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.arrived.Load() || u.isLeft {
		return
	}
	u.stopped.Store(true)
	u.control.SetReadDeadline(time.Unix(1, 0))
}

// leave is called before the handler returns. Nobody reads the upload after it, and nobody sets a
// deadline on the connection, which may serve the next request. What has not arrived is taken by
// the server, for a while.
func (u *upload) leave() {
	u.interrupt()
	u.reading.Lock()
	defer u.reading.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.isLeft = true
	if !u.arrived.Load() {
		u.control.SetReadDeadline(time.Now().Add(drainLimit))
	}
}
