package front

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"
)

// ErrSessionEnded is the cause of the context of a request that was cancelled because its session
// has ended.
var ErrSessionEnded = errors.New("the session of the request has ended")

// ErrClosing is the same cause where the server stops.
var ErrClosing = errors.New("the server stops")

// lateAnswer is how long after the end of its session an answer may still be on its way, in real
// time.
const lateAnswer = 10 * time.Second

// exchange is a request and its answer. When its session ends, WebSockets and event streams are
// closed at once, and other answers after [lateAnswer]. After an end by time a download or an
// upload may finish.
type exchange struct {
	// set once
	front   *Front
	session *Session            // nil where none is needed
	w       http.ResponseWriter // to the browser, past the rules for answers
	request *http.Request       // as the browser sent it
	cancel  context.CancelCauseFunc
	upload  *upload

	mu       sync.Mutex
	isOver   bool        // the session has ended
	isLate   bool        // so long ago that what may not finish is cut
	isCut    bool        // it is broken off, or is to be answered as one without a session
	isDone   bool        // the handler has returned
	isBegun  bool        // the answer has begun
	status   int         // of the answer; 0 before it has begun
	isStream bool        // it is an event stream, or the connection was taken over
	isUpload bool        // the request had not fully arrived when the session ended
	isFile   bool        // the answer is a download
	conn     net.Conn    // that was taken over; nil: none
	late     *time.Timer // cuts what is left; nil until it is started
	unwatch  []func() bool
}

// exchangeKey leads from the context of a request to its exchange.
type exchangeKey struct{}

// exchangeOf is the exchange of a request that a front serves.
func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// watch cuts the exchange after the end of its session, until the function that it returns is
// called.
func (e *exchange) watch() (stop func()) {
	if e.session != nil {
		e.unwatch = []func() bool{context.AfterFunc(e.session.Life, e.sessionEnded)}
	}
	return func() {
		e.mu.Lock()
		e.isDone = true
		if e.late != nil {
			e.late.Stop()
		}
		unwatch := e.unwatch
		e.mu.Unlock()
		for _, off := range unwatch {
			off()
		}
	}
}

// sessionEnded is called in a goroutine for each exchange of the session. To close a connection,
// and all that hangs on it, takes several times as long as to tell its browser. So that comes when
// the others have told theirs.
func (e *exchange) sessionEnded() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isOver, e.isUpload = true, !e.upload.isWhole()
	if conn, ok := e.conn.(interface{ CloseWrite() error }); ok && !e.isDone {
		conn.CloseWrite()
		e.mu.Unlock()
		runtime.Gosched()
		e.mu.Lock()
	}
	e.judgeLocked()
}

// begun notes the header of the answer. One that begins after the end of the session leaves no
// cookies: the next user may have signed in meanwhile, whose sign-in has ended those that there
// were.
func (e *exchange) begun(status int, h http.Header) {
	if e.session != nil && e.session.Life.Err() != nil {
		delete(h, "Set-Cookie")
	}
	e.keepRequestID(h)
	if hsts := e.front.o.HSTS; hsts != "" {
		h["Strict-Transport-Security"] = []string{hsts} // one host, one policy: browsers keep the last they got
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isBegun, e.status, e.isFile = true, status, isAttachment(h)
	if status == http.StatusSwitchingProtocols || isEventStream(h) {
		e.streamLocked()
	}
	e.judgeLocked()
}

// keepRequestID has the answer say the ID of the request, if that has one.
func (e *exchange) keepRequestID(h http.Header) {
	if id, ok := e.request.Header[RequestID]; ok {
		h[RequestID] = id
	}
}

// answered is the status of the application's answer, 0 where none has begun.
func (e *exchange) answered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// hijacked notes that the handler has taken the connection over.
func (e *exchange) hijacked(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // its own Close waits for a browser that has stopped reading
	}
	e.isBegun, e.status, e.conn = true, http.StatusSwitchingProtocols, conn
	e.streamLocked()
	e.judgeLocked()
}

// streamLocked notes that the answer has no end of its own, so that the server does not wait for it
// when it stops.
func (e *exchange) streamLocked() {
	if e.isStream {
		return
	}
	e.isStream = true
	e.unwatch = append(e.unwatch, context.AfterFunc(e.front.closing, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.cutLocked(ErrClosing)
	}))
}

// judgeLocked decides what the end of the session means for the exchange as it stands.
func (e *exchange) judgeLocked() {
	switch {
	case !e.isOver || e.isDone:
	case e.isStream, e.isLate && !(e.session.ByTime() && (e.isFile || e.isUpload)):
		e.cutLocked(ErrSessionEnded)
	case e.late == nil:
		e.late = time.AfterFunc(e.front.late, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.isLate = true
			e.judgeLocked()
		})
	}
}

// cutLocked breaks the exchange off. An answer that has not begun becomes one of Curfew's; one that
// has begun breaks off, although the browser may have stopped reading it.
func (e *exchange) cutLocked(cause error) {
	if e.isDone {
		return
	}
	e.isCut = true
	e.cancel(cause)
	switch {
	case e.conn != nil:
		e.conn.Close()
	case e.isBegun:
		control, past := http.NewResponseController(e.w), time.Unix(1, 0)
		control.SetReadDeadline(past)
		control.SetWriteDeadline(past)
	default:
		e.upload.interrupt()
	}
}

// answeredBy is a handler, and the answer to requests that it has given up because they were cut:
// else the server would answer that all is well.
func (e *exchange) answeredBy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		e.mu.Lock()
		isDropped := e.isCut && !e.isBegun && !hasBegun(w)
		e.mu.Unlock()
		if isDropped {
			own := ownAnswer(w)
			clear(own.Header())
			e.front.o.Fail(own, e.request, ErrSessionEnded)
		}
	})
}

func isEventStream(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// isAttachment reports whether a browser saves an answer as a file (RFC 6266 §4.2).
func isAttachment(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Disposition"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "attachment")
}
