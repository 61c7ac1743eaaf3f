package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
	"curfew/session/exactjson"
	"curfew/session/gorilla"
	"curfew/views"
)

// testingRoutes serves /testing/, which the setting testing turns on. It needs no token and no
// Origin; requests from pages of other origins are refused.
type testingRoutes struct {
	hub      *hub.Hub
	sessions *gorilla.Store
	timeline *hub.Timeline
	entries  entries
	public   *url.URL
	faults   *nodeFaults
	clock    *session.TestClock
}

// routes adds the routes to web. An answer is JSON: 404 for a session that is unknown, 422 where
// the request is wrong, 503 where the store is out of reach or a node has not answered.
func (t *testingRoutes) routes(web *views.Server) {
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		web.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if t.foreign(r) {
				answer(w, http.StatusForbidden, map[string]string{"error": "requests from other origins are refused"})
				return
			}
			v, err := f(r)
			var bad badRequest
			switch {
			case errors.Is(err, session.ErrNotFound):
				answer(w, http.StatusNotFound, map[string]string{"error": err.Error()})
			case errors.As(err, &bad):
				answer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
			case err != nil: // the store is out of reach, or not all nodes have answered
				w.Header().Set("Retry-After", "1")
				answer(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
			default:
				answer(w, http.StatusOK, v)
			}
		}))
	}
	handle("POST /testing/clock", t.advance)
	handle("POST /testing/age", t.age)
	handle("POST /testing/session", t.session)
	handle("POST /testing/fault", t.fault)
	handle("GET /testing/timeline", func(*http.Request) (any, error) {
		return map[string]any{"items": t.timeline.Moments()}, nil
	})
	handle("POST /testing/store", t.faults.store)
	handle("POST /testing/skew", t.faults.skew)
	handle("POST /testing/reset", func(r *http.Request) (any, error) {
		t.faults.end()
		return struct{}{}, t.hub.Reset(r.Context())
	})
}

func (t *testingRoutes) foreign(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != views.Origin(t.public) {
			return true
		}
	}
	return false
}

// badRequest is an error in what was sent.
type badRequest struct{ error }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func read(r *http.Request, into any) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // what is longer is no whole object then
	if err == nil {
		err = exactjson.Unmarshal(data, into)
	}
	if err != nil {
		return badRequest{fmt.Errorf("body: %w", err)}
	}
	return nil
}

const (
	maxLeap  = 10 * 365 * 24 * time.Hour // in one call
	maxAhead = 10 * maxLeap              // of all calls together: from three times that on, time would run over
)

func (t *testingRoutes) advance(r *http.Request) (any, error) {
	var body struct {
		AdvanceMS *int64 `json:"advance_ms"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.AdvanceMS == nil || *body.AdvanceMS < 0 || *body.AdvanceMS > maxLeap.Milliseconds() {
		return nil, badRequest{errors.New("advance_ms: must be from 0 to ten years")}
	}
	leap := time.Duration(*body.AdvanceMS) * time.Millisecond
	if t.clock.Offset()+leap > maxAhead {
		return nil, badRequest{errors.New("advance_ms: the clock would be over a century ahead; a reset takes it back")}
	}
	now, err := t.hub.AdvanceClock(r.Context(), leap)
	return clockAnswer(now), err
}

func clockAnswer(now time.Time) any { return map[string]any{"now": now.UTC().Format(time.RFC3339Nano)} }

func (t *testingRoutes) age(r *http.Request) (any, error) {
	var body struct {
		Ref  string `json:"ref"`
		ByMS *int64 `json:"by_ms"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.Ref == "" {
		return nil, badRequest{errors.New("ref: must name a session")}
	}
	if body.ByMS == nil || *body.ByMS < 0 || *body.ByMS > maxLeap.Milliseconds() {
		return nil, badRequest{errors.New("by_ms: must be from 0 to ten years")}
	}
	now, err := t.hub.Age(r.Context(), body.Ref, time.Duration(*body.ByMS)*time.Millisecond)
	return clockAnswer(now), err
}

func (t *testingRoutes) session(r *http.Request) (any, error) {
	var body struct {
		User   string   `json:"user"`
		Groups []string `json:"groups"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.User == "" || strings.ContainsFunc(body.User, unicode.IsControl) {
		return nil, badRequest{errors.New("user: must be a name")}
	}
	last, err := t.hub.LastRevocation(r.Context())
	if err != nil {
		return nil, err
	}
	if revocation, blocked := t.hub.Blocked(body.User, body.Groups); blocked {
		return nil, badRequest{fmt.Errorf("sign-ins are refused by the forced logout of %s", revocation.Scope)}
	}
	record := session.Record{
		SeenRevocation: last,
		User:           body.User,
		Name:           body.User,
		Login:          body.User,
		Address:        "127.0.0.1",
		Agent:          r.UserAgent(),
		Policy:         t.hub.Policies().For(body.Groups),
	}
	for _, g := range body.Groups {
		record.Groups = append(record.Groups, session.Group{Name: g, SeenRevocation: last})
	}
	// Without a DN it is no session that the directory has let in: nothing follows from changes
	// there.
	record.Identity = t.entries.identity(r.Context(), body.User)
	token, err := t.sessions.Begin(r.Context(), record)
	if err != nil {
		return nil, err
	}
	seen := views.SeenCookie(t.hub.Who(&record))
	return map[string]string{
		"cookie": gorilla.CookieName + "=" + token.Text(),
		"seen":   seen.Name + "=" + seen.Value,
		"ref":    token.ID().Ref(),
	}, nil
}

// entries tells which entry of the directory a name leads to: a session that is made without a
// sign-in is to have the same mark as one after it. Tests make many sessions of one user, so the
// last answer is kept for a moment.
type entries struct {
	directory *directory.Directory

	mu   sync.Mutex
	name string
	last string
	at   time.Time
}

const (
	entryKept  = time.Second
	entryLimit = 2 * time.Second // no session waits for a directory for longer
)

// identity is empty where the directory has no such name, or does not answer.
func (e *entries) identity(ctx context.Context, name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.name == name && time.Since(e.at) < entryKept {
		return e.last
	}
	limit, cancel := context.WithTimeout(ctx, entryLimit)
	defer cancel()
	found, err := e.directory.Find(limit, name)
	e.name, e.last, e.at = name, "", time.Now()
	if err == nil && session.SameName(found.User, name) {
		e.last = cmp.Or(found.Identity, found.DN)
	}
	return e.last
}

func (t *testingRoutes) fault(r *http.Request) (any, error) {
	var body struct {
		Kind hub.Fault `json:"kind"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if err := body.Kind.Validate(); err != nil {
		return nil, badRequest{err}
	}
	t.hub.SetFault(body.Kind)
	return struct{}{}, nil
}
