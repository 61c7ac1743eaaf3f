package views

import (
	"strings"
	"testing"
	"testing/synctest"
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
