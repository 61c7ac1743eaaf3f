package views

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	_ "embed"

	"go.yaml.in/yaml/v3"

	"curfew/session"
	"curfew/session/exactjson"
)

// The API for administrators and their programs: JSON under /api/v1, errors as problem+json (RFC
// 9457). openapi.yaml describes it; tests hold the two together.

//go:embed openapi.yaml
var openAPI []byte

// describe returns the description of the API as JSON, with its paths below the base path. The
// calls below /testing/ are in it where the server has them.
func describe(base string, testing bool) []byte {
	var description map[string]any
	if err := yaml.Unmarshal(openAPI, &description); err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err)) // embedded
	}
	description["servers"] = []any{map[string]string{"url": base + "/api/v1"}}
	paths := description["paths"].(map[string]any)
	for path, item := range paths {
		switch {
		case !strings.HasPrefix(path, "/testing/"):
		case testing:
			item.(map[string]any)["servers"] = []any{map[string]string{"url": cmp.Or(base, "/")}}
		default:
			delete(paths, path)
		}
	}
	data, err := json.MarshalIndent(description, "", " ")
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	return append(data, '\n')
}

func (s *Server) apiRoutes() {
	description := describe(s.base, s.site.IsTesting && !s.isConsole)
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
	s.mux.Handle("POST /api/v1/echo", s.api(s.apiOpenEcho))
	s.mux.Handle("GET /api/v1/audit", s.api(s.apiAudit))
	noCall := s.api(func(r *http.Request, _ caller) (any, error) { return nil, s.noRoute(r) })
	s.mux.Handle("/api", noCall) // else the router would lead from here to the next one, past the base path
	s.mux.Handle("/api/{call...}", noCall)
}

// caller is who uses the API: an administrator by their cookie, or a program by its token.
type caller struct {
	name string
	ref  string // of the administrator's session; empty for a token
}

var (
	errNoCaller  = newProblem(http.StatusUnauthorized, "no-session", "error.noCaller")
	errBadToken  = newProblem(http.StatusUnauthorized, "bad-token", "error.badToken")
	errReadOnly  = newProblem(http.StatusForbidden, "read-only", "error.readOnly")
	errNotAdmin  = newProblem(http.StatusForbidden, "forbidden", "error.notAdmin")
	errNoSuch    = newProblem(http.StatusNotFound, "not-found", "error.noSuch")
	errNotJSON   = newProblem(http.StatusBadRequest, "bad-json", "error.notJSON")
	errMuchToSay = newProblem(http.StatusRequestEntityTooLarge, "too-large", "error.tooLarge")
)

func unprocessable(format string, args ...any) *problem {
	said := english(fmt.Sprintf(format, args...))
	return &problem{status: http.StatusUnprocessableEntity, code: "invalid", text: said}
}

// caller judges who asks, and whether they may do what the method does.
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
	case s.refusesAdmin(r):
		return caller{}, errElsewhere
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
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Error   string `json:"error"`
	Request string `json:"request_id"`
}

func (s *Server) failAPI(w http.ResponseWriter, r *http.Request, err error) {
	p := problemFor(err)
	if isSessionError(err) {
		p = errNoSuch
	}
	s.begin(w, r, p, err)
	writeBody(w, "application/problem+json", p.status, problemJSON{"about:blank", http.StatusText(p.status), p.status,
		p.message(), p.code, requestID(r)})
}

const maxBody = 64 << 10

// readBody reads one JSON object whose names are exact and stand once, of maxBody bytes at most.
func readBody(r *http.Request, into any) error { return readBodyUpTo(maxBody, r, into) }

func readBodyUpTo(most int, r *http.Request, into any) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case err != nil:
		return errNotJSON
	case len(data) > most:
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

// scopeJSON says whose sessions are meant.
type scopeJSON struct {
	User     string `json:"user"`
	Group    string `json:"group"`
	Session  string `json:"session"`
	Everyone bool   `json:"everyone"`
}

func (s scopeJSON) scope() (session.Scope, error) { return checked(s.bare()) }

// bare is the scope as it was given.
func (s scopeJSON) bare() session.Scope {
	return session.Scope{
		User:     s.User,
		Group:    s.Group,
		Session:  s.Session,
		Everyone: s.Everyone,
	}
}

func checked(scope session.Scope) (session.Scope, error) {
	if err := scope.Validate(); err != nil {
		return scope, unprocessable("%s", err)
	}
	return scope, nil
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
