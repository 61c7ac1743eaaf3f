package views

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

func TestTheConsoleShowsOneSession(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	ada.get("/admin/sessions/"+grace.ref()).wants(t, "a session", 200, "<dd><bdi>GRACE</bdi></dd>",
		grace.ref(), "Open tabs")
	ada.get("/admin/sessions/nothing").wants(t, "looking at what is not there", 404)
	grace.get("/admin/sessions/"+ada.ref()).wants(t, "somebody who is no administrator", 403)
}

func TestThePageOfASessionTellsWhatItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada, grace, other := s.signIn("ada"), s.signIn("grace"), s.signIn("grace")
		page := ada.get("/admin/sessions/" + grace.ref())
		page.wants(t, "a live session", 200, "Session of grace", `data-state="away"`, `data-left="`,
			"grace</bdi></a> signed in.",
			`href="/admin/sessions/`+other.ref()+`"`, "unless there is activity", `href="/admin/audit?user=grace"`,
			"No tab is open", `name="grace_s"`)
		live := ada.get("/admin/sessions/" + grace.ref() + "?part=live")
		live.wants(t, "what is live", 200, `id="live-ends"`)
		if strings.Contains(live.text, "signed in.") {
			t.Error("the history is read for each look at what is live")
		}
		ref := grace.ref()
		ada.call("POST", "/api/v1/logouts", `{"session":"`+ref+`"}`).wants(t, "a forced logout", 200)
		synctest.Wait() // until the line of the end is written
		over := ada.get("/admin/sessions/" + ref)
		over.wants(t, "after its end", 200, "This session is over", "ada</bdi></a> signed <a", "grace</bdi></a> out.",
			`href="/admin/sessions/`+other.ref()+`"`, `href="/admin"`)
		if strings.Contains(over.text, `name="grace_s"`) {
			t.Error("a session that is over can be signed out")
		}
		ada.get("/admin/sessions/"+ref+"?part=live").wants(t, "what is live of it", 200, `id="over"`)
	})
}

// oldTrail has lines of some age. A search that goes further back than it reaches in time is never
// answered.
type oldTrail struct {
	AuditTrail
	lines   []session.Event // newest first
	reaches time.Duration   // 0: to its beginning
	asked   []time.Duration // how far back each search went; 0: to the beginning
}

func (o *oldTrail) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	var back time.Duration
	if !q.Since.IsZero() {
		back = time.Since(q.Since)
	}
	o.asked = append(o.asked, back)
	if o.reaches > 0 && (back == 0 || back > o.reaches) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var found []session.Event
	for _, e := range o.lines {
		if q.Picks(e) && len(found) < q.Limit {
			found = append(found, e)
		}
	}
	return found, nil
}

func TestTheHistoryOfASessionIsSearchedNoFurtherThanItMust(t *testing.T) {
	const day = 24 * time.Hour
	const unsearched = "Older history was not searched."
	const signedIn = "grace</bdi></a> signed in."
	ref := session.ID{1}.Ref()
	for _, tt := range []struct {
		name          string
		began, ended  time.Duration // ago; 0: there are no lines
		reaches       time.Duration
		asked         []time.Duration
		status        int
		wants, misses []string
	}{
		{"within a day", 20 * time.Hour, time.Hour, 0,
			[]time.Duration{day}, 200, []string{signedIn}, []string{unsearched}},
		{"within a week", 5 * day, time.Hour, 0,
			[]time.Duration{day, 7 * day}, 200, []string{signedIn}, []string{unsearched}},
		{"a year ago", 365 * day, 364 * day, 0,
			[]time.Duration{day, 7 * day, 31 * day, 0}, 200, []string{signedIn}, []string{unsearched}},
		{"never heard of", 0, 0, 0,
			[]time.Duration{day, 7 * day, 31 * day, 0}, 404, []string{"That session is over."}, nil},
		{"a long one of a long trail", 20 * day, time.Hour, 8 * day,
			[]time.Duration{day, 7 * day, 31 * day}, 200, []string{`class="how"`, "Session of grace", unsearched},
			[]string{"signed in."}},
		{"an old one of a long trail", 365 * day, 364 * day, 8 * day,
			[]time.Duration{day, 7 * day, 31 * day}, 200, []string{`id="over"`, unsearched},
			[]string{"Session of", "Other sessions", "Everything about"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startSite(t, "")
				ada := s.signIn("ada")
				trail := &oldTrail{reaches: tt.reaches}
				if tt.began > 0 {
					line := session.Event{User: "grace", Session: ref}
					in, out := line, line
					in.Kind, in.At = session.EventSignIn, time.Now().Add(-tt.began)
					out.Kind, out.At = session.EventSessionEnd, time.Now().Add(-tt.ended)
					out.Reason = session.ReasonIdle
					trail.lines = []session.Event{out, in}
				}
				s.trail = trail
				page := ada.get("/admin/sessions/" + ref)
				page.wants(t, tt.name, tt.status, tt.wants...)
				for _, word := range tt.misses {
					if strings.Contains(page.text, word) {
						t.Errorf("the page says %q", word)
					}
				}
				if !slices.Equal(trail.asked, tt.asked) {
					t.Errorf("searched back %v, want %v", trail.asked, tt.asked)
				}
			})
		})
	}
}

func TestTheHistoryOfALiveSessionBeginsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada, grace := s.signIn("ada"), s.signIn("grace")
		time.Sleep(time.Minute)
		trail := &oldTrail{}
		s.trail = trail
		ada.get("/admin/sessions/"+grace.ref()).wants(t, "a live session", 200, "Session of grace")
		ada.get("/admin/sessions/nothing").wants(t, "what is no ref", 404)
		if want := []time.Duration{time.Minute}; !slices.Equal(trail.asked, want) {
			t.Errorf("searched back %v, want %v", trail.asked, want)
		}
	})
}
