package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// recorder is a Local that knows some sessions and keeps what it is told. Its methods want every
// lock of the member free, which is the rule; RestoreEnd cannot, since many calls of it run at
// once.
type recorder struct {
	t *testing.T
	m *Member

	mu          sync.Mutex
	sessions    map[session.ID]session.Record
	tabs        map[session.ID]TabReport
	revocations []session.Revocation
	live        []session.Record // what Live reads
	told        []string
	restoreEnd  func(ctx context.Context, id session.ID) error // nil: succeeds
}

func (l *recorder) wantsLocksFree() {
	l.t.Helper()
	for name, mu := range map[string]*sync.Mutex{
		"bus":      &l.m.bus.mu,
		"members":  &l.m.members.mu,
		"recovery": &l.m.recovery.mu,
		"ends":     &l.m.ends.mu,
		"reports":  &l.m.reports.mu,
		"refetch":  &l.m.refetch.mu,
		"lost":     &l.m.lost.mu,
		"calls":    &l.m.calls.mu,
	} {
		if !mu.TryLock() {
			l.t.Errorf("Local is called with the lock of %s held", name)
			continue
		}
		mu.Unlock()
	}
}

func (l *recorder) tell(format string, args ...any) {
	l.t.Helper()
	l.wantsLocksFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

// takeTold lists what was told since the last call.
func (l *recorder) takeTold() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

func (l *recorder) SignedIn(r session.Record) (isNew bool) {
	if l.Knows(r.ID) {
		return false
	}
	l.tell("signed in %s", r.User)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[r.ID] = r
	return true
}

func (l *recorder) Ended(id session.ID, end session.End, how string) (known bool) {
	if !l.Knows(id) {
		return false
	}
	l.tell("%s: %s", how, end.Reason)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, id)
	return true
}

func (l *recorder) Acted(_ session.ID, at time.Time) { l.tell("acted at %d", at.UnixMilli()) }
func (l *recorder) TabTimes(_ session.ID, t session.TabTimes) {
	opened, asked, closed := session.UnixMilli(t.OpenedAt), session.UnixMilli(t.AskedAt), session.UnixMilli(t.ClosedAt)
	l.tell("tab times %d %d %d", opened, asked, closed)
}
func (l *recorder) LeftAt(_ session.ID, at time.Time) { l.tell("left at %d", session.UnixMilli(at)) }
func (l *recorder) TabsElsewhere(id session.ID, r TabReport) (known bool) {
	l.tell("%d tabs on %s", r.Tabs, r.Instance)
	return l.Knows(id)
}
func (l *recorder) TabsGone(_ session.ID, instance string) { l.tell("tabs of %s are gone", instance) }
func (l *recorder) Reconcile(_ context.Context, r session.Record) (known bool) {
	if !l.Knows(r.ID) {
		return false
	}
	l.tell("reconciled %s", r.User)
	return true
}
func (l *recorder) Revoked(r session.Revocation) { l.tell("revoked %s", r.ID) }
func (l *recorder) Outcomes(instance string, r revocation.OutcomeReport) {
	l.tell("outcomes of %s on %s", r.Logout, instance)
}
func (l *recorder) Notice(n Notice) { l.tell("notice %s", n.ID) }

func (l *recorder) Knows(id session.ID) bool {
	_, known := l.Record(id)
	return known
}

func (l *recorder) Record(id session.ID) (r session.Record, known bool) {
	l.wantsLocksFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known = l.sessions[id]
	return r, known
}

func (l *recorder) Report(id session.ID) TabReport {
	l.wantsLocksFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tabs[id]
}

func (l *recorder) WithTabs() []session.ID {
	l.wantsLocksFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.tabs))
}

func (l *recorder) WarnedWithTabsElsewhere() []session.ID { l.wantsLocksFree(); return nil }
func (l *recorder) Parts() int                            { return 1 }

func (l *recorder) Part(int) (list []Known) {
	l.wantsLocksFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.sessions {
		list = append(list, Known{id, l.tabs[id].Tabs > 0})
	}
	return list
}

func (l *recorder) OutcomeReports(bool) []revocation.OutcomeReport { l.wantsLocksFree(); return nil }
func (l *recorder) Revocations() ([]session.Revocation, int64) {
	l.wantsLocksFree()
	return l.revocations, int64(len(l.revocations))
}
func (l *recorder) Flush(context.Context) error { l.tell("flush"); return nil }
func (l *recorder) SyncRevocations(_ context.Context, last int64) error {
	l.wantsLocksFree()
	return nil
}
func (l *recorder) RestoreEnd(ctx context.Context, id session.ID, _ session.End) error {
	if l.restoreEnd == nil {
		return nil
	}
	return l.restoreEnd(ctx, id)
}
func (l *recorder) Live(context.Context) iter.Seq2[session.Record, error] {
	l.tell("look at all that live")
	return func(yield func(session.Record, error) bool) {
		for _, r := range l.live {
			if !yield(r, nil) {
				return
			}
		}
	}
}
func (l *recorder) ClockStepped()                                   { l.tell("clock stepped") }
func (l *recorder) Go(f func())                                     { l.wantsLocksFree(); f() }
func (l *recorder) AdvanceClock(_ context.Context, d time.Duration) { l.tell("advance by %s", d) }
func (l *recorder) Age(_ context.Context, id session.ID, created time.Time) {
	l.tell("age to %d", created.UnixMilli())
}
func (l *recorder) Reset() { l.tell("reset") }

// memory is a SharedStore that keeps what it is given and answers what it is told to. What a test
// does not expect to be called is not there.
type memory struct {
	session.SharedStore
	messages []message
	raw      [][]byte // the same
	tabs     map[string]map[session.ID]string
	whole    bool             // the last SetTabs replaced all
	records  []session.Record // what GetMany finds
	line     uint64
	restored []session.Revocation
}

func (s *memory) Publish(_ context.Context, data []byte) error {
	var m message
	err := json.Unmarshal(data, &m)
	s.messages, s.raw = append(s.messages, m), append(s.raw, data)
	return err
}

func (s *memory) SetTabs(_ context.Context, node string, tabs map[session.ID]string, whole bool) error {
	if whole || s.tabs[node] == nil {
		s.tabs[node] = make(map[session.ID]string)
	}
	s.whole = whole
	maps.Copy(s.tabs[node], tabs)
	return nil
}

func (s *memory) Tabs(_ context.Context, node string) (map[session.ID]string, error) {
	return maps.Clone(s.tabs[node]), nil
}

func (s *memory) GetMany(_ context.Context, ids []session.ID) (list []session.Record, err error) {
	for _, r := range s.records {
		if slices.Contains(ids, r.ID) {
			list = append(list, r)
		}
	}
	return list, nil
}

func (s *memory) LastLine(context.Context) (uint64, error) { return s.line, nil }

func (s *memory) RestoreRevocations(_ context.Context, list []session.Revocation, _ int64) error {
	s.restored = list
	return nil
}

// startMember makes a member whose loops do not run: the test takes their steps.
func startMember(t *testing.T) (*Member, *recorder, *memory) {
	t.Helper()
	store := &memory{tabs: make(map[string]map[session.ID]string)}
	local := &recorder{t: t, sessions: make(map[session.ID]session.Record), tabs: make(map[session.ID]TabReport)}
	m := New(Options{
		Context: t.Context(),
		Local:   local,
		Shared:  store,
		Name:    "a",
		Clock:   session.RealClock{},
		Log:     slog.New(slog.DiscardHandler),
	})
	local.m = m
	return m, local, store
}

func record(user string) session.Record {
	r := session.Record{
		ID:   session.NewToken().ID(),
		User: user,
		Policy: session.Policy{
			WarnAfter:   9 * time.Minute,
			ExpireAfter: 10 * time.Minute,
			MaxLifetime: time.Hour,
			ExtendOn:    session.ExtendOnActivity,
		},
		CreatedAt: session.Millis(time.Now()),
	}
	r.LastActiveAt = r.CreatedAt
	return r
}

// says applies a message of another node.
func (m *Member) says(t *testing.T, node string, number int64, events ...event) {
	t.Helper()
	data, err := json.Marshal(message{
		Version: messageVersion,
		Node:    node,
		Name:    node,
		Number:  number,
		Events:  events,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.apply(data)
}

// wantTold wants l to have been told exactly this since the last call.
func (l *recorder) wantTold(want ...string) {
	l.t.Helper()
	if got := l.takeTold(); !slices.Equal(got, want) {
		l.t.Errorf("the hub was told %q, want %q", got, want)
	}
}
