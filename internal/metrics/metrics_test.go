package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"curfew/hub"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/views"
)

// wants wants lines in what m shows.
func (m *Metrics) wants(t *testing.T, lines ...string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range lines {
		if !strings.Contains(w.Body.String(), "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("%s is missing among\n%s", line, about(w.Body.String(), name))
		}
	}
}

// about are the lines of a metric.
func about(text, name string) (lines string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) {
			lines += line
		}
	}
	return lines
}

func TestEndsAndLinesAreCounted(t *testing.T) {
	m := New()
	m.Line(session.Event{Kind: session.EventSessionEnd, Reason: session.ReasonIdle})
	m.Line(session.Event{Kind: session.EventSignInFailed, Reason: session.ReasonAdmin}) // which is no end
	m.Line(session.Event{Kind: "of a later version", Reason: "new"})
	m.wants(t,
		`curfew_session_ends_total{reason="idle"} 1`,
		`curfew_session_ends_total{reason="admin"} 0`,
		`curfew_audit_lines_total{event="session-end"} 1`,
		`curfew_audit_lines_total{event="sign-in-failed"} 1`)
}

func TestAnswersAreCountedByClass(t *testing.T) {
	m := New()
	for _, status := range []int{0, 101, 200, 206, 304, 404, 503, 799} {
		m.Forwarded()
		m.Answered(status)
	}
	m.Forwarded()
	m.wants(t,
		`curfew_proxied_requests_total{code="none"} 1`,
		`curfew_proxied_requests_total{code="1xx"} 1`,
		`curfew_proxied_requests_total{code="2xx"} 2`,
		`curfew_proxied_requests_total{code="3xx"} 1`,
		`curfew_proxied_requests_total{code="4xx"} 1`,
		`curfew_proxied_requests_total{code="5xx"} 2`,
		`curfew_proxied_requests_in_flight 1`)
}

// answering is a store whose answer is an error, or none.
type answering struct {
	session.Store
	session.SharedStore
	err error
}

func (s answering) Get(context.Context, session.ID) (session.Record, error) {
	return session.Record{}, s.err
}

func (s answering) Pulse(context.Context, string, uint64) (session.Heartbeat, error) {
	return session.Heartbeat{}, s.err
}

func TestOnlyAStoreThatDoesNotAnswerHasFailed(t *testing.T) {
	m := New()
	for _, err := range []error{nil, fmt.Errorf("get: %w", session.ErrNotFound), context.Canceled,
		errors.New("no answer"), fmt.Errorf("get: %w", context.DeadlineExceeded)} {
		s := answering{err: err}
		if _, got := m.Store(s).Get(t.Context(), session.ID{}); got != err {
			t.Errorf("Get: %v, want %v", got, err)
		}
		if _, got := m.Shared(s).Pulse(t.Context(), "a", 0); got != err {
			t.Errorf("Pulse: %v, want %v", got, err)
		}
	}
	if m.Shared(nil) != nil {
		t.Error("a store of one node is shared")
	}
	m.wants(t,
		`curfew_store_operation_duration_seconds_count{operation="get"} 5`,
		`curfew_store_operation_failures_total{operation="get"} 2`,
		`curfew_store_operation_duration_seconds_count{operation="pulse"} 5`,
		`curfew_store_operation_failures_total{operation="pulse"} 2`,
		`curfew_store_operation_failures_total{operation="end"} 0`)
}

func TestCountingCostsNoMemory(t *testing.T) {
	m := New()
	counted := m.Store(answering{})
	line := session.Event{Kind: session.EventSessionEnd, Reason: session.ReasonIdle}
	if n := testing.AllocsPerRun(1000, func() {
		m.Acknowledged(wire.KindExpire, time.Millisecond)
		m.Late(hub.DeadlineEnd, time.Millisecond)
		m.ToldOfEnd(hub.OutcomeAcked)
		m.Line(line)
		m.Refused(views.RefusedOrigin)
		m.Forwarded()
		m.Answered(200)
		counted.Get(context.Background(), session.ID{})
	}); n != 0 {
		t.Errorf("%g allocations, want none", n)
	}
}
