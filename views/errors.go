package views

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	"time"

	"curfew/front"
	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// problem is an error that has an answer of its own.
type problem struct {
	status int
	code   string // for programs
	text   text   // for people
	retry  time.Duration
	allow  string // the methods that there are
}

// newProblem makes a problem whose request is not asked for again in a while. People read the text
// of the key, which depends on values where there are pairs of a name and a value.
func newProblem(status int, code, key string, pairs ...any) *problem {
	return &problem{status: status, code: code, text: text{key: key, data: locale.Pairs(pairs...)}}
}

// message is what programs, logs and JSON say.
func (p *problem) message() string { return p.text.in(locale.English()) }

func (p *problem) Error() string { return p.message() }

var (
	errNoPage              = newProblem(http.StatusNotFound, "not-found", "error.noPage")
	errMethod              = newProblem(http.StatusMethodNotAllowed, "method", "error.method")
	errNoApplicationMethod = &problem{
		status: http.StatusMethodNotAllowed,
		code:   errMethod.code,
		text:   errMethod.text,
		allow:  "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
	}
	errCrossSite = newProblem(http.StatusForbidden, "cross-site", "error.crossSite")
	errNoToken   = newProblem(http.StatusForbidden, "csrf", "error.outOfDate")
	errBadForm   = newProblem(http.StatusBadRequest, "bad-form", "error.badForm")
	errInternal  = newProblem(http.StatusInternalServerError, "internal", "error.internal")
	errStoreAway = &problem{
		status: http.StatusServiceUnavailable,
		code:   "unavailable",
		text:   text{key: "error.storeAway"},
		retry:  5 * time.Second,
	}
	errUpstream        = newProblem(http.StatusBadGateway, "upstream", "error.upstream")
	errBrokenRequest   = newProblem(http.StatusBadRequest, "bad-request", "error.brokenRequest")
	errUpstreamTimeout = newProblem(http.StatusGatewayTimeout, "upstream", "error.upstreamTimeout")
	errNotConfirmed    = &problem{
		status: http.StatusServiceUnavailable,
		code:   "not-confirmed",
		text:   text{key: "error.notConfirmed"},
		retry:  5 * time.Second,
	}
)

// problemFor is the answer to an error.
func problemFor(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, hub.ErrOrigin):
		return errCrossSite
	case errors.Is(err, hub.ErrSubprotocol):
		return &problem{status: http.StatusBadRequest, code: "subprotocol", text: english(err.Error())}
	case errors.Is(err, hub.ErrClosing), errors.Is(err, hub.ErrRefused):
		return &problem{
			status: http.StatusServiceUnavailable,
			code:   "restarting",
			text:   english(err.Error()),
			retry:  time.Second,
		}
	case errors.As(err, new(changeError)):
		return errNotConfirmed
	case errors.As(err, new(storeError)):
		return errStoreAway
	case errors.Is(err, front.ErrNoRoute):
		return errNoPage
	case errors.Is(err, front.ErrBrokenRequest):
		return errBrokenRequest
	case errors.Is(err, front.ErrUpstreamTimeout):
		return errUpstreamTimeout
	case errors.Is(err, front.ErrUpstream):
		return errUpstream
	}
	return errInternal
}

// storeError marks that the store is out of reach: nothing may be concluded about a session then.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// overError is about a session that has ended, where that is known: an answer tells the reason of
// what was found, and does not look again. Without such a session the record is empty.
type overError struct {
	error
	record session.Record
}

func (e overError) Unwrap() error { return e.error }

// changeError marks that the store did not acknowledge a change. It may have been made all the
// same, and may yet be lost.
type changeError struct{ error }

func (e changeError) Unwrap() error { return e.error }

type errorPage struct {
	layout
	Status  int
	Message string
	Again   string // the page that was asked for, where it may be there in a moment
	Back    string // the page before; empty where that is the home page, or is not known
	Request string // its ID
}

var errorTemplate = parse("error.html")

func (errorPage) template() *template.Template { return errorTemplate }

// fail answers an error: with the sign-in page where the session is over, else with an error page
// or JSON.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.ownHeaders(w.Header(), r)
	if isSessionError(err) {
		s.unauthorized(w, r, err)
		return
	}
	p := problemFor(err)
	s.begin(w, r, p, err)
	if isNavigation(r) {
		s.renderError(w, r, p)
		return
	}
	writeJSON(w, p.status, failure{Error: p.code, Message: p.message(), Request: requestID(r)})
}

// renderError says what was wrong, and leads back to where one was.
func (s *Server) renderError(w http.ResponseWriter, r *http.Request, p *problem) {
	c := s.layout(r, "error.title")
	page := errorPage{layout: c, Status: p.status, Message: p.text.in(c.Locale), Request: requestID(r)}
	o := originalOf(r)
	here := s.safeNext(o.path + o.query)
	if p.retry > 0 && r.Method == http.MethodGet {
		page.Again = here
	}
	if back := s.wayBack(r, ""); back != here || r.Method != http.MethodGet {
		page.Back = back
	}
	s.render(w, p.status, page)
}

// begin begins the answer p to err: it logs what is our fault, counts what is refused, and sets
// the headers.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, p *problem, err error) {
	if p.status >= 500 {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "request", requestID(r),
			"error", err)
	}
	if why, ok := refusals[p.code]; ok {
		s.listeners.Refused(why)
	}
	if p.retry > 0 {
		w.Header().Set("Retry-After", retryAfter(p.retry))
	}
	if p.allow != "" {
		w.Header().Set("Allow", p.allow)
	}
}

func retryAfter(d time.Duration) string { return strconv.Itoa(seconds(d)) }

// seconds is a duration in whole ones, and no shorter than it.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// endWords is what a page needs beside the reason of an end, to tell of it in its own language.
type endWords struct {
	Text string            `json:"text,omitempty"` // see session.End.AdminText
	Data map[string]string `json:"data,omitempty"` // see session.End.Data
}

func wordsOf(end *session.End) endWords { return endWords{Text: end.AdminText(), Data: end.Data} }

// failure is an error in JSON. Reason, Who and Rights are there after the end of a session.
type failure struct {
	Error    string         `json:"error"`
	Reason   session.Reason `json:"reason,omitempty"`
	Message  string         `json:"message"`
	Said     string         `json:"said,omitempty"` // the message in the language of the person
	Help     string         `json:"help,omitempty"` // where there is help with a password that must be changed
	Location string         `json:"location,omitempty"`
	Request  string         `json:"request_id,omitempty"` // of an error
	Who      string         `json:"who,omitempty"`        // see hub.Hub.Who
	Rights   string         `json:"rights,omitempty"`     // see hub.Hub.Rights
	KeepMS   *int64         `json:"keep_ms,omitempty"`    // how long pages may still wait
	endWords
}

// unauthorized leads a navigation to the sign-in page and tells all others why.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request, err error) {
	if isNavigation(r) {
		redirect(w, s.signInPath(s.next(r, originalOf(r))), http.StatusSeeOther)
		return
	}
	over, err := s.howItEnded(r, err)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := s.noSession(r, over)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusUnauthorized, answer)
}

// howItEnded finds the end of a session that is over as err has it. Its error is that of a store
// that cannot be asked.
func (s *Server) howItEnded(r *http.Request, err error) (over overError, _ error) {
	if !errors.As(err, &over) { // it ended since it was looked at
		if _, err := s.check(r); err != nil && !isSessionError(err) {
			return over, err
		} else if err != nil {
			errors.As(err, &over)
		}
	}
	return over, nil
}

// noSession tells a script that there is no session, and how the last one has ended.
func (s *Server) noSession(r *http.Request, over overError) (failure, error) {
	f := failure{Error: "no-session", Message: "You are not signed in.", Location: s.signInPath("")}
	ended, ok, err := s.ended(r, over)
	if err != nil || !ok {
		return f, err
	}
	end, keep := ended.Record.End, ended.Keep.Milliseconds()
	f.Error, f.Reason, f.Message = "session-ended", end.Reason, end.Text()
	f.endWords = wordsOf(end)
	f.Who, f.Rights, f.KeepMS = s.hub.Who(&over.record), s.hub.Rights(&over.record), &keep
	return f, nil
}

// told is the end that a browser is told of: one that is not longer ago than session.TombstoneFor.
func (s *Server) told(over overError) *session.End {
	end := over.record.End
	if end == nil || s.clock.Now().Sub(end.At) >= session.TombstoneFor {
		return nil
	}
	return end
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeBody(w, "application/json", status, v) }

func writeBody(w http.ResponseWriter, kind string, status int, v any) {
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if err := json.NewEncoder(body).Encode(v); err != nil { // it ends the line, too
		panic(fmt.Sprintf("encode %T: %v", v, err)) // our own types always encode
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// bodies are buffers for answers in JSON.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}
