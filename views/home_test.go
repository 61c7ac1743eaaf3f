package views

import (
	"net/url"
	"strings"
	"testing"

	"curfew/directory"
)

func TestANoteIsKeptInTheSession(t *testing.T) {
	s := startSite(t, "")
	ada, other := s.signIn("ada"), s.signIn("ada")
	ada.post("/", url.Values{"note": {"Call <Grace>\r\nat noon"}}).wants(t, "a note", 303, "/")
	ada.get("/").wants(t, "the home page", 200, "Hello, ADA", "Call &lt;Grace&gt;\nat noon</textarea>")
	if page := other.get("/"); strings.Contains(page.text, "Grace") {
		t.Errorf("another session of the same user shows the note: %s", page)
	}
	long := strings.Repeat("ä", maxNote+1)
	ada.post("/", url.Values{"note": {long}}).wants(t, "a note too long", 422, "was not saved", long+"</textarea>",
		`aria-invalid="true" aria-describedby="note-error"`, `<p class="error" id="note-error">`)
	ada.post("/", url.Values{"note": {long}}, scripted...).wants(t, "a script's", 422, `"error":"invalid"`)
	ada.get("/").wants(t, "after a note too long", 200, "Call &lt;Grace&gt;")
	ada.post("/", url.Values{"note": {strings.Repeat("ä", maxNote)}}).wants(t, "a long note", 303)
}

func TestOnlyWhoMayWatchSeesWhoIsHere(t *testing.T) {
	s := startSite(t, "")
	s.directory.list = []directory.Entry{{User: "grace", Name: "Grace Hopper"}}
	const presence = `data-curfew-presence="grace"`
	s.signIn("ada").get("/").wants(t, "the home page of an administrator", 200, "Grace Hopper", presence)
	page := s.signIn("grace").get("/")
	page.wants(t, "the home page of somebody else", 200, "Grace Hopper")
	if strings.Contains(page.text, presence) {
		t.Error("somebody who may watch nobody is shown who is here")
	}
}
