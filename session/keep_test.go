package session_test

import (
	"testing"
	"time"

	"curfew/session"
)

func TestPagesWaitAfterAnEndByTimeAlone(t *testing.T) {
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	policy := session.Policy{KeepPage: 4 * time.Hour}
	ended := func(reason session.Reason, ago time.Duration) *session.End {
		return &session.End{Reason: reason, At: now.Add(-ago)}
	}
	continued := ended(session.ReasonReplaced, time.Hour)
	continued.Continued = true
	over := ended(session.ReasonIdle, time.Hour)
	over.KeepOver = true
	for _, tt := range []struct {
		what   string
		policy session.Policy
		end    *session.End
		want   time.Duration
	}{
		{"while it lives", policy, nil, 4 * time.Hour},
		{"after its idle timeout", policy, ended(session.ReasonIdle, time.Hour), 3 * time.Hour},
		{"after its lifetime", policy, ended(session.ReasonLifetime, 0), 4 * time.Hour},
		{"at the last moment", policy, ended(session.ReasonIdle, 4*time.Hour-time.Millisecond), time.Millisecond},
		{"after that", policy, ended(session.ReasonIdle, 4*time.Hour), 0},
		{"long after that", policy, ended(session.ReasonIdle, 30*time.Hour), 0},
		{"by a clock that is behind", policy, ended(session.ReasonIdle, -time.Hour), 4 * time.Hour},
		{"where pages do not wait", session.Policy{}, ended(session.ReasonIdle, 0), 0},
		{"replaced in its own browser by its own user", policy, continued, 3 * time.Hour},
		{"replaced otherwise", policy, ended(session.ReasonReplaced, 0), 0},
		{"after its user has signed out of a later one", policy, over, 0},
		{"signed out", policy, ended(session.ReasonLogout, 0), 0},
		{"forced out", policy, ended(session.ReasonAdmin, 0), 0},
		{"ended by the directory", policy, ended(session.ReasonDirectory, 0), 0},
		{"ended with its browser", policy, ended(session.ReasonBrowserClosed, 0), 0},
		{"ended by a new policy", policy, ended(session.ReasonPolicy, 0), 0},
	} {
		r := session.Record{Policy: tt.policy, End: tt.end}
		if got := r.Keep(now); got != tt.want {
			t.Errorf("%s: pages wait %s, want %s", tt.what, got, tt.want)
		}
	}
}

func TestTheStrictestKeepPageOfSeveralGroupsHolds(t *testing.T) {
	entry := func(group string, keep time.Duration) session.GroupPolicy {
		return session.GroupPolicy{Group: group, Policy: session.Policy{KeepPage: keep}}
	}
	policies := session.Policies{
		Global: session.Policy{KeepPage: time.Minute},
		Groups: []session.GroupPolicy{entry("long", 5*time.Hour), entry("short", time.Hour), entry("none", 0)},
	}
	for _, tt := range []struct {
		groups []string
		want   time.Duration
	}{
		{nil, time.Minute},
		{[]string{"long"}, 5 * time.Hour},
		{[]string{"long", "short"}, time.Hour},
		{[]string{"short", "none", "long"}, 0},
	} {
		if got := policies.For(tt.groups).KeepPage; got != tt.want {
			t.Errorf("members of %q: %s, want %s", tt.groups, got, tt.want)
		}
	}
	valid := session.Profiles()[0].Policy
	for keep, ok := range map[time.Duration]bool{
		0: true, 24 * time.Hour: true, -time.Millisecond: false, 24*time.Hour + time.Millisecond: false,
	} {
		valid.KeepPage = keep
		if err := valid.Validate(false); (err == nil) != ok {
			t.Errorf("keep-page %s: %v, want valid: %v", keep, err, ok)
		}
	}
	profiles := map[string]time.Duration{"kiosk": 0, "hipaa": 0, "nist-aal3": 0}
	for _, p := range session.Profiles() {
		want, strict := profiles[p.Name]
		if !strict {
			want = 4 * time.Hour
		}
		if p.KeepPage != want {
			t.Errorf("profile %s: keep-page %s, want %s", p.Name, p.KeepPage, want)
		}
	}
}

func TestAHandleLeadsToItsSessionAlone(t *testing.T) {
	marks, id := session.NewMarks([]byte("a key")), session.NewToken().ID()
	handle := marks.Handle(id)
	if got, ok := marks.OfHandle(handle); !ok || got != id {
		t.Fatalf("OfHandle = %v, %v, want the session of the handle", got, ok)
	}
	other := marks.Handle(session.NewToken().ID())
	for what, forged := range map[string]string{
		"nothing":           "",
		"cut by one":        handle[:len(handle)-1],
		"the session alone": handle[:43],
		"longer":            handle + "A",
		"of two":            handle[:43] + other[43:],
		"no base64":         "!" + handle[1:],
		"another letter":    string(handle[0]^1) + handle[1:],
		"another spelling":  handle[:42] + string(handle[42]+1) + handle[43:],
		"of another key":    session.NewMarks([]byte("another key")).Handle(id),
		"of no key":         session.NewMarks(nil).Handle(id),
	} {
		if got, ok := marks.OfHandle(forged); ok {
			t.Errorf("%s: %q leads to %v", what, forged, got)
		}
	}
}

func TestWhatASessionContinuesIsStored(t *testing.T) {
	before, id := session.NewToken().ID(), session.NewToken().ID()
	for _, r := range []session.Record{
		{ID: id, User: "ada", Before: before, Continues: true},
		{ID: id, User: "ada", Before: before},
		{ID: id, User: "ada"},
	} {
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := session.Decode(id, data)
		if err != nil || got.Before != r.Before || got.Continues != r.Continues {
			t.Errorf("%+v comes back as %+v, %v", r, got, err)
		}
		want := ""
		if r.Continues {
			want = before.Ref()
		}
		if e := session.SignInEvent(t.Context(), got); e.Continues != want {
			t.Errorf("its sign-in continues %q, want %q", e.Continues, want)
		}
	}
	old := `{"v":1,"user":"ada","policy":{"warn_after":1,"expire_after":2,"extend_on":"activity"},"created_at":1}`
	if r, err := session.Decode(id, []byte(old)); err != nil || r.Before != (session.ID{}) || r.Continues {
		t.Errorf("a record of before: %+v, %v, want that it continues none", r, err)
	}
}
