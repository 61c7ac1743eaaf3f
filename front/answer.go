package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"

	"curfew/front/page"
)

// answer is the answer of an application on its way to the browser. It keeps the application from
// touching what is Curfew's, and lets everything else pass as it comes.
type answer struct {
	http.ResponseWriter
	front    *Front
	exchange *exchange
	begun    bool
}

// WriteHeader applies the rules for answers to the header, and sends it.
func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.front.confine(a.Header())
		if a.begun = status >= 200 || status == http.StatusSwitchingProtocols; a.begun {
			a.exchange.begun(status, a.Header())
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// ReadFrom has files take the ways that the server has for them.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return io.Copy(a.ResponseWriter, src)
}

// Unwrap leads [http.ResponseController] to the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// FlushError sends what was written.
func (a *answer) FlushError() error {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that take no error.
func (a *answer) Flush() { _ = a.FlushError() }

// Hijack hands the connection over to the handler. The end of the session closes it.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	a.begun = true
	a.exchange.hijacked(conn)
	return conn, buffers, nil
}

// hasBegun reports whether somebody has answered.
func hasBegun(w http.ResponseWriter) bool {
	switch w := w.(type) {
	case *page.Writer:
		return w.HasBegun()
	case *answer:
		return w.begun
	}
	return true
}

// ownAnswer returns the writer of an answer of Curfew's own, in place of one of the application
// that has not begun: no rule for applications concerns it.
func ownAnswer(w http.ResponseWriter) http.ResponseWriter {
	if p, ok := w.(*page.Writer); ok {
		w = p.Replace()
	}
	if a, ok := w.(*answer); ok {
		a.begun = true
		w = a.ResponseWriter
	}
	return w
}
