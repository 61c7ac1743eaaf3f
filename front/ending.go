package front

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrSessionEnded is the cause of the context of a request that was cancelled because its session
// has ended.
var ErrSessionEnded = errors.New("the session of the request has ended")

// lateAnswer is how long after the end of its session an answer may still be on its way, in real
// time.
const lateAnswer = 10 * time.Second

// exchange is a request of a session and its answer. When the session ends, WebSockets and event
// streams are closed at once, and other answers after [lateAnswer]. After an end by time a download
// or an upload may finish.
type exchange struct {
	session *Session
	cancel  context.CancelCauseFunc
	control *http.ResponseController // of the connection; not used once the handler has returned
	upload  *upload

	mu         sync.Mutex
	isOver     bool // the session has ended
	isDone     bool // the handler has returned
	isBegun    bool // the answer has begun
	isStream   bool // it is an event stream, or the connection was taken over
	isDownload bool
	conn       net.Conn    // that was taken over; nil: none
	late       *time.Timer // cuts what is left; nil until it is started
}

// watch cuts the exchange after the end of its session, until the function that it returns is
// called.
func (e *exchange) watch() (stop func()) {
	unwatch := context.AfterFunc(e.session.Life, e.sessionEnded)
	return func() {
		unwatch()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.isDone = true
		if e.late != nil {
			e.late.Stop()
		}
	}
}

func (e *exchange) sessionEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isOver = true
	e.judgeLocked()
}

// begun notes the header of the answer.
func (e *exchange) begun(status int, h http.Header) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isBegun = true
	e.isStream = status == http.StatusSwitchingProtocols || isEventStream(h)
	e.isDownload = isAttachment(h)
	e.judgeLocked()
}

// hijacked notes that the handler has taken the connection over.
func (e *exchange) hijacked(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isBegun, e.isStream, e.conn = true, true, conn
	e.judgeLocked()
}

// judgeLocked decides what the end of the session means for the exchange as it stands.
func (e *exchange) judgeLocked() {
	switch {
	case !e.isOver || e.isDone:
	case e.isStream:
		e.cutLocked()
	case e.late == nil && !e.mayFinishLocked():
		e.late = time.AfterFunc(lateAnswer, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if !e.isDone && !e.mayFinishLocked() {
				e.cutLocked()
			}
		})
	}
}

// mayFinishLocked reports whether the exchange is a transfer that the end of the session leaves
// alone.
func (e *exchange) mayFinishLocked() bool {
	return e.session.ByTime() && (e.isDownload || !e.upload.arrived.Load())
}

// cutLocked breaks the exchange off. An answer that has not begun becomes one of Curfew's; one that
// has begun breaks off, although the browser may have stopped reading it.
func (e *exchange) cutLocked() {
	e.cancel(ErrSessionEnded)
	switch {
	case e.conn != nil:
		e.conn.Close()
	case e.isBegun:
		past := time.Unix(1, 0)
		e.control.SetReadDeadline(past)
		e.control.SetWriteDeadline(past)
	}
}

// upload is the body of a request. It knows whether all of it has arrived.
type upload struct {
	io.ReadCloser
	arrived atomic.Bool
}

func newUpload(r *http.Request) *upload {
	u := &upload{ReadCloser: r.Body}
	u.arrived.Store(r.Body == nil || r.Body == http.NoBody)
	return u
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err == io.EOF {
		u.arrived.Store(true)
	}
	return n, err
}

func isEventStream(h http.Header) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "text/event-stream"
}

// isAttachment reports whether a browser saves an answer as a file (RFC 6266 §4.2).
func isAttachment(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Disposition"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "attachment")
}
