package views

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "embed"

	"go.yaml.in/yaml/v3"

	"curfew/hub"
	"curfew/session/exactjson"
)

// The API for administrators and their programs: JSON under /api/v1, errors as problem+json (RFC 9457). openapi.yaml
// describes it; tests hold the two together.

//go:embed openapi.yaml
var openAPI []byte

// describe returns the description of the API as JSON, with its paths below the base path.
func describe(base string) []byte {
	var description map[string]any
	if err := yaml.Unmarshal(openAPI, &description); err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err)) // embedded
	}
	description["servers"] = []any{map[string]string{"url": base + "/api/v1"}}
	data, err := json.MarshalIndent(description, "", " ")
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	return append(data, '\n')
}

func (s *Server) apiRoutes() {
	description := describe(s.base)
	s.mux.Handle("GET /api/v1/openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(description)
	}))
	s.mux.Handle("GET /api/v1/presence", s.api(s.apiPresence))
	s.mux.Handle("GET /api/v1/sessions", s.api(s.apiSessions))
	s.mux.Handle("GET /api/v1/sessions/{ref}", s.api(s.apiSession))
	s.mux.Handle("GET /api/v1/logouts", s.api(s.apiLogouts))
	s.mux.Handle("POST /api/v1/logouts", s.api(s.apiLogout))
	s.mux.Handle("GET /api/v1/logouts/{id}", s.api(s.apiLogoutProgress))
	s.mux.Handle("DELETE /api/v1/logouts/{id}", s.api(s.apiCancelLogout))
	s.mux.Handle("POST /api/v1/notices", s.api(s.apiNotice))
	s.mux.Handle("GET /api/v1/audit", s.api(s.apiAudit))
	noCall := s.api(func(r *http.Request, _ caller) (any, error) { return nil, s.noRoute(r) })
	s.mux.Handle("/api", noCall) // else the router would lead from here to the next one, past the base path
	s.mux.Handle("/api/{call...}", noCall)
}

// caller is who uses the API: an administrator by his cookie, or a program by its token.
type caller struct {
	name string
	ref  string // of the administrator's session; empty for a token
}

var (
	errNoCaller  = &problem{status: http.StatusUnauthorized, code: "no-session", message: "Sign in as an administrator, or send a bearer token."}
	errBadToken  = &problem{status: http.StatusUnauthorized, code: "bad-token", message: "There is no such bearer token."}
	errReadOnly  = &problem{status: http.StatusForbidden, code: "read-only", message: "This token may only read."}
	errNotAdmin  = &problem{status: http.StatusForbidden, code: "forbidden", message: "Only administrators may do this."}
	errNoSuch    = &problem{status: http.StatusNotFound, code: "not-found", message: "There is no such thing, or no longer."}
	errNotJSON   = &problem{status: http.StatusBadRequest, code: "bad-json", message: "The body must be one JSON object."}
	errMuchToSay = &problem{status: http.StatusRequestEntityTooLarge, code: "too-large", message: "The body is too large."}
)

func unprocessable(format string, args ...any) *problem {
	return &problem{status: http.StatusUnprocessableEntity, code: "invalid", message: fmt.Sprintf(format, args...)}
}

// caller judges who asks, and whether he may do what the method does.
func (s *Server) caller(w http.ResponseWriter, r *http.Request) (caller, error) {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	token, given, good := s.bearer(r)
	switch {
	case given && !good:
		w.Header().Set("WWW-Authenticate", `Bearer realm="curfew"`)
		return caller{}, errBadToken
	case given && !safe && token.Scope != ScopeAdmin:
		return caller{}, errReadOnly
	case given:
		return caller{name: token.Name}, nil
	}
	v, err := s.check(r)
	switch {
	case isSessionError(err):
		w.Header().Set("WWW-Authenticate", `Bearer realm="curfew"`)
		return caller{}, errNoCaller
	case err != nil:
		return caller{}, err
	case !s.hub.IsAdmin(v.status.Record.GroupNames()):
		return caller{}, errNotAdmin
	}
	if !safe {
		if err := s.checkCrossSite(w, r, v.token.ID()); err != nil {
			return caller{}, err
		}
	}
	return caller{v.status.Record.User, v.token.ID().Ref()}, nil
}

// api answers with what f returns, or with a problem.
func (s *Server) api(f func(*http.Request, caller) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.caller(w, r)
		if err == nil {
			var answer any
			if answer, err = f(r, who); err == nil {
				writeJSON(w, http.StatusOK, answer)
				return
			}
		}
		s.failAPI(w, r, err)
	})
}

// problemJSON is an error (RFC 9457 §3.1). Error is the code that our other answers have.
type problemJSON struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
}

func (s *Server) failAPI(w http.ResponseWriter, r *http.Request, err error) {
	p := outcome(err)
	if isSessionError(err) {
		p = errNoSuch
	}
	s.begin(w, r, p, err)
	writeBody(w, "application/problem+json", p.status, problemJSON{"about:blank", http.StatusText(p.status), p.status, p.message, p.code})
}

// ---- what is asked

// question reads the parameters of a request. The first mistake stays in err.
type question struct {
	values url.Values
	err    error
}

// ask allows the parameters of a list and those named.
func ask(r *http.Request, names ...string) *question {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &question{values: values}
	if err != nil { // what could not be read would be passed over, and more be answered than was asked for
		q.refuse("the parameters cannot be read: %v", err)
	}
	names = append(names, "limit", "cursor")
	for name, given := range q.values {
		if !slices.Contains(names, name) {
			q.refuse("there is no parameter %q; there are %s", name, strings.Join(names, ", "))
		}
		if len(given) > 1 {
			q.refuse("%s: stands twice", name)
		}
	}
	return q
}

func (q *question) refuse(format string, args ...any) {
	if q.err == nil {
		q.err = unprocessable(format, args...)
	}
}

func (q *question) text(name string) string { return q.values.Get(name) }

const (
	standardLimit = 100
	maxLimit      = 1000
)

func (q *question) limit() int {
	text := q.text("limit")
	if text == "" {
		return standardLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		q.refuse("limit %q: must be a number from 1 to %d", text, maxLimit)
		return standardLimit
	}
	return n
}

// cursor is where the page before has ended; empty for the first page.
func (q *question) cursor() string {
	data, err := base64.RawURLEncoding.DecodeString(q.text("cursor"))
	if err != nil {
		q.refuse("cursor: must be the next_cursor of the page before")
	}
	return string(data)
}

func (q *question) state() hub.State {
	state := hub.State(q.text("state"))
	switch state {
	case "", hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway:
	default:
		q.refuse("state %q: must be active, idle, warned or away", state)
	}
	return state
}

func (q *question) instant(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.refuse("%s %q: must be an instant as 2026-11-24T08:00:00Z (RFC 3339)", name, text)
	}
	return at
}

// page is a page of a list.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// paged cuts a sorted list: the page begins after the item whose key is the cursor, in the order of less.
func paged[T any](items []T, q *question, key func(T) string, after func(T, string) bool) page[T] {
	limit, cursor := q.limit(), q.cursor()
	if cursor != "" {
		items = slices.DeleteFunc(items, func(item T) bool { return !after(item, cursor) })
	}
	p := page[T]{Items: items}
	if len(items) > limit {
		p.Items = items[:limit]
		p.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(key(items[limit-1])))
	}
	if p.Items == nil {
		p.Items = []T{}
	}
	return p
}

const maxBody = 64 << 10

// readBody reads one JSON object whose names are exact and stand once.
func readBody(r *http.Request, into any) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return errNotJSON
	case len(data) > maxBody:
		return errMuchToSay
	}
	err = exactjson.Unmarshal(data, into)
	var name *exactjson.NameError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &name):
		return unprocessable("%s", name)
	case errors.As(err, &wrongType):
		return unprocessable("%s: must not be a %s", wrongType.Field, wrongType.Value)
	}
	return errNotJSON
}

// maxMessage is the longest message of an administrator, in characters.
const maxMessage = 2000

func checkMessage(message string) error {
	if n := len([]rune(message)); n > maxMessage {
		return unprocessable("message: has %d characters, and may have %d", n, maxMessage)
	}
	return nil
}

// instant is an instant of an answer: RFC 3339, UTC, milliseconds.
type instant time.Time

func (t instant) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

func optional(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	i := instant(t)
	return &i
}
