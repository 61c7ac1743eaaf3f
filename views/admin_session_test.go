package views

import "testing"

func TestTheConsoleShowsOneSession(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	ada.get("/admin/sessions/"+grace.ref()).wants(t, "a session", 200, "<dd>GRACE</dd>", grace.ref(), "Open tabs")
	ada.get("/admin/sessions/nothing").wants(t, "looking at what is not there", 404)
	grace.get("/admin/sessions/"+ada.ref()).wants(t, "somebody who is no administrator", 403)
}
