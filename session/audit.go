package session

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// EventKind names what an audit line reports.
type EventKind string

// The events of the audit trail.
const (
	EventSignIn        EventKind = "sign-in"
	EventSignInFailed  EventKind = "sign-in-failed"
	EventSessionEnd    EventKind = "session-end"
	EventLogout        EventKind = "logout" // a forced logout, added or cancelled
	EventNotice        EventKind = "notice"
	EventPolicy        EventKind = "policy"
	EventOriginRefused EventKind = "origin-refused"
	EventDirectoryLost EventKind = "directory-lost"
)

// EventKinds lists all kinds.
func EventKinds() []EventKind {
	return []EventKind{EventSignIn, EventSignInFailed, EventSessionEnd, EventLogout, EventNotice, EventPolicy,
		EventOriginRefused, EventDirectoryLost}
}

// Event is a line of the audit trail. Lines are written once and never changed. Their numbers say
// in which order they were written, which is not the order of their dates: an end is dated by its
// deadline, however late it is written.
type Event struct {
	Number uint64 `json:"number"` // rises; set by the store
	// what tells the line from all others, whatever becomes of its number when a store fails over;
	// see Event.Named
	ID      string    `json:"id,omitempty"`
	At      time.Time `json:"at"`
	Kind    EventKind `json:"event"`
	User    string    `json:"user,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Session string    `json:"session,omitempty"` // ID.Ref
	Address string    `json:"address,omitempty"`
	// of an end; of a sign-in that was refused although the password was right
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"` // in English, for exports and programs
	// what a sentence in another language needs, by kind; see below. Lines of earlier versions have
	// none, and their detail is all there is
	Data map[string]string `json:"data,omitempty"`
	// of a sign-in in a browser that had a session of the same user: its ID.Ref
	Continues string `json:"continues,omitempty"`
	// of the HTTP request that asked for what the line tells of; see WithRequest. What came by
	// time, by a reload or from the directory has none
	Request string `json:"request_id,omitempty"`
}

// MaxRequestID is how long the ID of a request may be, in bytes.
const MaxRequestID = 128

const requestIDCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/=+"

// IsRequestID reports whether a text may be the ID of a request: it is not too long, and means the
// same in a log, in JSON, in HTML and in a header.
func IsRequestID(id string) bool {
	return id != "" && len(id) <= MaxRequestID && strings.Trim(id, requestIDCharacters) == ""
}

// requestKey is the key of what [WithRequest] notes.
type requestKey struct{}

// WithRequest returns the context of what an HTTP request with that ID asks for, so that the audit
// lines of it name the request, and are found by the lines of the log and the other way round. Of
// what [IsRequestID] refuses they say nothing.
func WithRequest(ctx context.Context, id string) context.Context {
	if !IsRequestID(id) {
		id = ""
	}
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestOf is the ID of the request that [WithRequest] has noted, or empty.
func RequestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// Event.Data holds, by kind, what follows. Numbers are decimal, instants are as in JSON, and what
// does not apply is absent.
//
//   - sign-in-failed: DataCause, a directory.Cause or CauseBlocked; with CauseBlocked DataScope and
//     DataName of the forced logout
//   - session-end: End.Data, and End.Cause as DataCause
//   - logout: DataAct, DataLogout, DataScope and DataName; of one that was ordered also
//     DataSessions, DataTabs, DataWaiting (or NotCounted), DataSkipped, DataGrace, DataBlock and
//     DataText
//   - notice: DataScope, DataName, DataSessions, DataTabs, DataText
//   - policy: DataSessions, those that were changed; for each value that was changed "was NAME"
//     and "now NAME", with one of them absent where there was or is none. NAME is "global SETTING"
//     or "group GROUP SETTING"
//   - sign-in, origin-refused, directory-lost: nothing; the detail of the last two is what came
//     from outside
const (
	DataCause    = "cause"
	DataAct      = "act" // ActOrdered, ActCalledOff or ActBlockLifted
	DataLogout   = "logout"
	DataScope    = "scope" // user, group, session, sessions or everyone
	DataName     = "name"  // of the user or group; ref of the session; number of the sessions
	DataSessions = "sessions"
	DataTabs     = "tabs"
	DataWaiting  = "waiting"
	DataSkipped  = "skipped"
	DataGrace    = "grace_ms"
	DataBlock    = "block_until"
	DataText     = "text" // the administrator's, as they wrote it
)

// Values of DataAct.
const (
	ActOrdered     = "ordered"
	ActCalledOff   = "called-off"   // before it took effect
	ActBlockLifted = "block-lifted" // the rest of its block
)

// EventQuery picks events. A field at its zero value picks all, except Limit.
type EventQuery struct {
	Before uint64 // only events of a lower number
	Limit  int    // at most so many
	User   string
	Actor  string
	Kind   EventKind
	// Session is an ID.Ref. A search for one, or for a request, should have a Since: else it goes
	// through the whole trail.
	Session string
	Request string
	Since   time.Time // this instant and later
	Until   time.Time // before this instant
}

// Picks reports whether the query picks e. It leaves Before and Limit to the store.
func (q EventQuery) Picks(e Event) bool {
	return (q.User == "" || SameName(q.User, e.User)) && (q.Actor == "" || SameName(q.Actor, e.Actor)) &&
		(q.Kind == "" || q.Kind == e.Kind) && (q.Session == "" || q.Session == e.Session) &&
		(q.Request == "" || q.Request == e.Request) &&
		!e.At.Before(q.Since) && (q.Until.IsZero() || e.At.Before(q.Until))
}

// Named returns e with an ID. A line that tells of something that happens once, as the end of a
// session does, has one already that says so: whoever writes it again writes the same line.
func (e Event) Named() Event {
	if e.ID == "" {
		e.ID = strings.ToLower(rand.Text())
	}
	return e
}

// Numbered returns e, as it was read, with its number. A line of an earlier version has no ID but
// by that.
func (e Event) Numbered(n uint64) Event {
	e.Number = n
	if e.ID == "" {
		e.ID = "line-" + strconv.FormatUint(n, 10)
	}
	return e
}

// SignInEvent is the audit line of a sign-in that ctx is for.
func SignInEvent(ctx context.Context, r Record) Event {
	ref := r.ID.Ref()
	e := Event{
		ID:      "in-" + ref,
		At:      r.CreatedAt,
		Kind:    EventSignIn,
		User:    r.User,
		Session: ref,
		Address: r.Address,
		Request: RequestOf(ctx),
	}
	if r.Continues {
		e.Continues = r.Before.Ref()
	}
	return e
}

// EndEvent is the audit line of the end of r.
func EndEvent(r Record, e End) Event {
	ref := r.ID.Ref()
	return Event{
		ID:      "end-" + ref,
		At:      e.At,
		Kind:    EventSessionEnd,
		User:    r.User,
		Actor:   e.Actor,
		Session: ref,
		Address: r.Address,
		Reason:  e.Reason,
		Detail:  e.Detail,
		Data:    e.eventData(),
		Request: e.Request,
	}
}

// eventData is Event.Data of an end.
func (e *End) eventData() map[string]string {
	if e.Cause == "" {
		return e.Data
	}
	data := map[string]string{DataCause: e.Cause}
	maps.Copy(data, e.Data)
	return data
}

// RevocationEvent is the audit line of a forced logout.
func RevocationEvent(f Revocation) Event {
	detail := fmt.Sprintf("%s (sessions: %d, tabs: %d", f.Scope, f.Sessions, f.Tabs)
	switch {
	case f.Waiting > 0:
		detail += fmt.Sprintf(", waiting: %d", f.Waiting)
	case f.Waiting == NotCounted:
		detail += ", waiting: not counted"
	}
	if f.Skipped > 0 {
		detail += fmt.Sprintf(", skipped: %d", f.Skipped)
	}
	detail += ")"
	if grace := f.EffectiveAt.Sub(f.At); grace > 0 {
		detail += fmt.Sprintf(", after %s", grace)
	}
	if !f.BlockUntil.IsZero() {
		detail += fmt.Sprintf(", sign-ins refused until %s", f.BlockUntil.Format(time.RFC3339))
	}
	if f.Message != "" {
		detail += ": " + f.Message
	}
	return Event{
		ID:      "logout-" + f.ID,
		At:      f.At,
		Kind:    EventLogout,
		User:    f.User,
		Actor:   f.Actor,
		Session: f.Session,
		Detail:  detail,
		Data:    f.data(),
		Request: f.Request,
	}
}

// data is Event.Data of a forced logout that was ordered.
func (f *Revocation) data() map[string]string {
	data := f.Scope.Data()
	data[DataAct], data[DataLogout] = ActOrdered, f.ID
	data[DataSessions], data[DataTabs] = strconv.Itoa(f.Sessions), strconv.Itoa(f.Tabs)
	if f.Waiting != 0 {
		data[DataWaiting] = strconv.Itoa(f.Waiting)
	}
	if f.Skipped > 0 {
		data[DataSkipped] = strconv.Itoa(f.Skipped)
	}
	if grace := f.EffectiveAt.Sub(f.At); grace > 0 {
		data[DataGrace] = strconv.FormatInt(grace.Milliseconds(), 10)
	}
	if !f.BlockUntil.IsZero() {
		data[DataBlock] = f.BlockUntil.Format(time.RFC3339Nano)
	}
	if f.Message != "" {
		data[DataText] = f.Message
	}
	return data
}

// CancelEvent is the audit line of a forced logout that actor has cancelled, by what ctx is for.
func CancelEvent(ctx context.Context, f Revocation, actor string) Event {
	what, data := "the rest of its block", f.Scope.Data()
	data[DataAct], data[DataLogout] = ActBlockLifted, f.ID
	if f.Cancelled() {
		what, data[DataAct] = "before it took effect", ActCalledOff
	}
	return Event{
		ID:      "cancel-" + f.ID,
		At:      f.CancelledAt,
		Kind:    EventLogout,
		User:    f.User,
		Actor:   actor,
		Session: f.Session,
		Detail:  fmt.Sprintf("%s: called off, %s", f.Scope, what),
		Data:    data,
		Request: RequestOf(ctx),
	}
}
