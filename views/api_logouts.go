package views

import (
	"errors"
	"net/http"
	"time"

	"curfew/hub"
	"curfew/session"
)

// Forced logouts, for the API. [hub.Hub.ForceLogout] says what is stored before the answer.

type logoutRequest struct {
	scopeJSON
	Sessions   []string `json:"sessions"` // refs; nil: none are named one by one
	Message    string   `json:"message"`
	GraceMS    int64    `json:"grace_ms"`
	BlockMS    int64    `json:"block_ms"`
	ExceptSelf bool     `json:"except_self"`
	DryRun     bool     `json:"dry_run"`
}

const (
	// maxGrace bounds a grace and a block.
	maxGrace = 365 * 24 * time.Hour
	// maxSessions is how many sessions a forced logout may name one by one.
	maxSessions = 10_000
	// maxLogoutBody lets so many refs through, however they are set apart, or else there would be
	// no answer that tells how many were too many.
	maxLogoutBody = 1 << 20
)

// whom is the scope of the request. strange is how many of the sessions that it names can be none.
func (q logoutRequest) whom() (scope session.Scope, strange int, err error) {
	if n := len(q.Sessions); q.Sessions != nil && (n < 1 || n > maxSessions) {
		return scope, 0, unprocessable("sessions: names %d, and may name from 1 to %d", n, maxSessions)
	}
	scope = q.bare()
	if q.Sessions != nil {
		scope.Refs, strange = session.NewRefs(q.Sessions)
	}
	scope, err = checked(scope)
	return scope, strange, err
}

func (q logoutRequest) check(who caller) (hub.LogoutRequest, error) {
	scope, strange, err := q.whom()
	if err != nil {
		return hub.LogoutRequest{}, err
	}
	if err := checkMessage(q.Message); err != nil {
		return hub.LogoutRequest{}, err
	}
	for _, d := range []struct {
		name string
		ms   int64
	}{{"grace_ms", q.GraceMS}, {"block_ms", q.BlockMS}} {
		if d.ms < 0 || d.ms > maxGrace.Milliseconds() {
			return hub.LogoutRequest{}, unprocessable("%s %d: must be from 0 to %d", d.name, d.ms,
				maxGrace.Milliseconds())
		}
	}
	if q.BlockMS > 0 && scope.OfSessions() {
		return hub.LogoutRequest{},
			unprocessable("block_ms: goes with user, group or everyone, since nobody signs in to a session")
	}
	out := hub.LogoutRequest{
		Scope:   scope,
		Actor:   who.name,
		Message: q.Message,
		Grace:   time.Duration(q.GraceMS) * time.Millisecond,
		Block:   time.Duration(q.BlockMS) * time.Millisecond,
		Strange: strange,
	}
	if q.ExceptSelf {
		if who.ref == "" {
			return hub.LogoutRequest{}, unprocessable("except_self: a token has no session")
		}
		out.Except = who.ref
	}
	return out, nil
}

type logoutJSON struct {
	ID          string          `json:"id,omitempty"`
	Scope       session.Scope   `json:"scope"`
	State       hub.LogoutState `json:"state,omitempty"`
	Actor       string          `json:"actor"`
	Message     string          `json:"message,omitempty"`
	At          instant         `json:"at"`
	EffectiveAt instant         `json:"effective_at"`
	BlockUntil  *instant        `json:"block_until,omitempty"`
	CancelledAt *instant        `json:"cancelled_at,omitempty"`
	Sessions    int             `json:"sessions"`
	Tabs        int             `json:"tabs"`
	Waiting     *int            `json:"waiting,omitempty"` // nil: not counted
	Skipped     int             `json:"skipped"`
}

// shownSessions is how many of the sessions that a forced logout names an answer lists.
const shownSessions = 100

func logoutOf(l hub.ForcedLogout) logoutJSON {
	l.Scope.Refs = l.Scope.Refs.First(shownSessions)
	var waiting *int
	if l.Waiting != session.NotCounted {
		waiting = &l.Waiting
	}
	return logoutJSON{
		ID:          l.ID,
		Scope:       l.Scope,
		State:       l.State,
		Actor:       l.Actor,
		Message:     l.Message,
		At:          instant(l.At),
		EffectiveAt: instant(l.EffectiveAt),
		BlockUntil:  optional(l.BlockUntil),
		CancelledAt: optional(l.CancelledAt),
		Sessions:    l.Sessions,
		Tabs:        l.Revocation.Tabs,
		Waiting:     waiting,
		Skipped:     l.Skipped,
	}
}

func (s *Server) apiLogout(r *http.Request, who caller) (any, error) {
	var body logoutRequest
	if err := readBodyUpTo(maxLogoutBody, r, &body); err != nil {
		return nil, err
	}
	q, err := body.check(who)
	if err != nil {
		return nil, err
	}
	if body.DryRun {
		dry, err := s.hub.DryRun(r.Context(), q)
		if err != nil {
			return nil, refused(err)
		}
		return logoutOf(hub.ForcedLogout{Revocation: dry}), nil
	}
	l, err := s.hub.ForceLogout(r.Context(), q)
	if err != nil {
		return nil, refused(err)
	}
	return logoutOf(l), nil
}

var (
	errNotSignedIn = newProblem(http.StatusNotFound, "not-found", "error.notSignedIn")
	errTooLate     = newProblem(http.StatusConflict, "too-late", "error.tooLate")
	errTooMany     = &problem{
		status: http.StatusTooManyRequests,
		code:   "too-many-logouts",
		text:   text{key: "error.tooManyLogouts"},
		retry:  time.Hour,
	}
)

// refused is why a forced logout was not made, or not cancelled.
func refused(err error) error {
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errNotSignedIn
	case errors.Is(err, session.ErrTooLate):
		return errTooLate
	case errors.Is(err, hub.ErrTooManyLogouts):
		return errTooMany
	}
	return changeError{err}
}

// progressJSON is a logout with what has come of it.
type progressJSON struct {
	logoutJSON
	Open        int           `json:"open"` // tabs in scope that are yet to be told
	Acked       int           `json:"acked"`
	Unconfirmed int           `json:"unconfirmed"`
	Gone        int           `json:"gone"`
	EachTab     []outcomeJSON `json:"each_tab,omitzero"`
}

type outcomeJSON struct {
	Tab     string      `json:"tab"`
	User    string      `json:"user"`
	Session string      `json:"session"`
	Outcome hub.Outcome `json:"fate"`
}

func progressOf(l hub.ForcedLogout) progressJSON {
	return progressJSON{logoutJSON: logoutOf(l), Open: l.Open, Acked: l.Acked, Unconfirmed: l.Unconfirmed, Gone: l.Gone}
}

func (s *Server) apiLogoutProgress(r *http.Request, _ caller) (any, error) {
	l, err := s.hub.ForcedLogout(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return wholeProgress(l), nil
}

// wholeProgress lists the tabs one by one.
func wholeProgress(l hub.ForcedLogout) progressJSON {
	p := progressOf(l)
	p.EachTab = []outcomeJSON{}
	for _, f := range l.Tabs {
		p.EachTab = append(p.EachTab, outcomeJSON{f.Tab, f.User, f.Session.Ref(), f.Outcome})
	}
	return p
}

func (s *Server) apiLogouts(r *http.Request, _ caller) (any, error) {
	q := readListParams(r)
	// by number: where a logout was forgotten, the list goes on after it all the same
	limit, before := q.limit(), q.before()
	if q.err != nil {
		return nil, q.err
	}
	// is there a next page
	logouts := s.hub.ForcedLogouts(int64(before), limit+1, func(*session.Revocation) bool { return true })
	p := listPage[progressJSON]{Items: []progressJSON{}}
	if len(logouts) > limit {
		logouts = logouts[:limit]
		p.NextCursor = cursorOf(uint64(logouts[limit-1].Number))
	}
	for _, l := range logouts {
		p.Items = append(p.Items, progressOf(l))
	}
	return p, nil
}

func (s *Server) apiCancelLogout(r *http.Request, who caller) (any, error) {
	l, err := s.hub.CancelForcedLogout(r.Context(), r.PathValue("id"), who.name)
	if err != nil {
		if errors.Is(err, session.ErrNotFound) {
			return nil, err
		}
		return nil, refused(err)
	}
	return progressOf(l), nil
}
