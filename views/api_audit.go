package views

import (
	"encoding/json"
	"net/http"
	"slices"

	"curfew/session"
)

// The audit trail, for the API.

type eventJSON struct {
	Number  uint64            `json:"number"`
	ID      string            `json:"id"` // see session.Event
	At      instant           `json:"at"`
	Event   session.EventKind `json:"event"`
	User    string            `json:"user,omitempty"`
	Actor   string            `json:"actor,omitempty"`
	Session string            `json:"session,omitempty"`
	Address string            `json:"address,omitempty"`
	Reason  session.Reason    `json:"reason,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Data    map[string]string `json:"data,omitempty"` // see session.Event

	Continues string `json:"continues,omitempty"`  // of a sign-in: the session of the same user before it
	Request   string `json:"request_id,omitempty"` // of the HTTP request that asked for it
}

func eventOf(e session.Event) eventJSON {
	return eventJSON{
		Number:    e.Number,
		ID:        e.ID,
		At:        instant(e.At),
		Event:     e.Kind,
		User:      e.User,
		Actor:     e.Actor,
		Session:   e.Session,
		Address:   e.Address,
		Reason:    e.Reason,
		Detail:    e.Detail,
		Data:      e.Data,
		Continues: e.Continues,
		Request:   e.Request,
	}
}

// AuditItem is a line of the audit trail as the API has it among its items.
func AuditItem(e session.Event) ([]byte, error) { return json.Marshal(eventOf(e)) }

// eventQuery reads what is asked of the audit trail.
func (q *listParams) eventQuery() session.EventQuery {
	kind := session.EventKind(q.text("event"))
	if kind != "" && !slices.Contains(session.EventKinds(), kind) {
		q.refuse("event %q: must be one of %v", kind, session.EventKinds())
	}
	e := session.EventQuery{
		Limit:   q.limit(),
		User:    q.text("user"),
		Actor:   q.text("actor"),
		Kind:    kind,
		Session: q.text("session"),
		Request: q.text("request_id"),
		Since:   q.instant("since"),
		Until:   q.instant("until"),
	}
	e.Before = q.before()
	return e
}

func (s *Server) apiAudit(r *http.Request, _ caller) (any, error) {
	q := readListParams(r, "user", "actor", "event", "session", "request_id", "since", "until")
	query := q.eventQuery()
	if q.err != nil {
		return nil, q.err
	}
	limit := query.Limit
	query.Limit++ // is there a next page
	events, err := s.trail.Events(r.Context(), query)
	if err != nil {
		return nil, storeError{err}
	}
	p := listPage[eventJSON]{Items: []eventJSON{}}
	if len(events) > limit {
		events = events[:limit]
		p.NextCursor = cursorOf(events[limit-1].Number)
	}
	for _, e := range events {
		p.Items = append(p.Items, eventOf(e))
	}
	return p, nil
}
