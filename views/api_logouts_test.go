package views

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

func TestAPIRefusesLogoutsAndNoticesThatCanBeMisunderstood(t *testing.T) {
	s, _, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	for _, bad := range []string{
		`{}`, `{"user":"grace","everyone":true}`, `{"everyone":false}`, `{"usr":"grace"}`,
		`{"user":"grace","grace_ms":-1}`, `{"user":"grace","block_ms":-1}`,
		`{"user":"grace","message":"` + strings.Repeat("ä", 2001) + `"}`, `{"user":7}`,
		`{"everyone":true,"except_self":true}`, `{"session":"` + ref + `","block_ms":1}`,
		`{"user":"grace","grace_ms":1e300}`, `{"USER":"grace"}`, `{"uſer":"grace"}`, `{"user":"ada","user":"grace"}`,
		`{"user":"grace","user":"grace"}`,
		`{"user":"grace","dry_run":true,"Dry_Run":false}`, `{"user":"grace","\u0075ser":"grace"}`,
	} {
		admin.api("POST", "/logouts", bad, 422)
	}
	admin.api("POST", "/logouts", `{"user":`, 400)
	admin.api("POST", "/logouts", `{"user":"grace"} {}`, 400)
	for _, bad := range []string{`{"user":"grace"}`, `{"message":"x"}`, `{"user":"grace","message":" \n"}`,
		`{"user":"grace","message":"x","Message":"y"}`, `{"session":"` + ref + `","message":"x"}`} {
		admin.api("POST", "/notices", bad, 422)
	}
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after calls that were refused: %d", code)
	}
	if lines := items(admin.api("GET", "/audit?actor=robot-admin", "", 200)); len(lines) != 0 {
		t.Errorf("audit = %v, want nothing that an administrator did", lines)
	}
}

func TestAPILogoutsAndNotices(t *testing.T) {
	s, reader, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	bystander := s.session("linus")
	grace.openTab()
	s.eventually("the tab is open", func() bool { return reader.api("GET", "/sessions/"+ref, "", 200)["tabs"] == 1. })

	dry := admin.api("POST", "/logouts", `{"user":"grace","dry_run":true}`, 200)
	if dry["sessions"] != 1. || dry["tabs"] != 1. || dry["id"] != nil {
		t.Errorf("dry run = %v", dry)
	}
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after a dry run: %d", code)
	}
	if n := admin.api("POST", "/notices", `{"user":"grace","message":"Hello\n<b>"}`, 200); n["tabs"] != 1. {
		t.Errorf("notice = %v", n)
	}
	done := admin.api("POST", "/logouts", `{"user":"grace","message":"`+strings.Repeat("ä", 2000)+`"}`, 200)
	if done["sessions"] != 1. || done["tabs"] != 1. {
		t.Errorf("logout = %v", done)
	}
	code, status := grace.status()
	if code != 401 || status["reason"] != "admin" || !strings.HasPrefix(status["message"].(string), "ää") {
		t.Errorf("status = %d %v", code, status)
	}
	id := done["id"].(string)
	s.eventually("the tab has acknowledged", func() bool {
		return reader.api("GET", "/logouts/"+id, "", 200)["acked"] == 1.
	})
	if code, _ := bystander.status(); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	pending := admin.api("POST", "/logouts", `{"everyone":true,"grace_ms":60000,"block_ms":1000}`, 200)
	if code, status := bystander.status(); code != 200 || status["state"] != "warned" || status["warn_in_ms"] != 0. {
		t.Errorf("in the grace: %d %v", code, status)
	}
	if list := items(reader.api("GET", "/logouts", "", 200)); len(list) != 2 {
		t.Errorf("%d logouts, want 2", len(list))
	}
	if off := admin.api("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
		t.Errorf("called off: %v", off)
	}
	if _, status := bystander.status(); status["state"] == "warned" {
		t.Errorf("after it was called off: %v", status)
	}
	admin.api("DELETE", "/logouts/unknown", "", 404)
	admin.api("GET", "/logouts/unknown", "", 404)
	reader.wantsLines(map[string]int{
		"?event=logout":                 3,
		"?event=notice":                 1,
		"?actor=robot-admin":            5,
		"?user=grace&event=session-end": 1,
		"?since=2100-01-01T00:00:00Z":   0,
	})
	reader.readsPagesOfTheAudit()
}

func TestAPILogoutsOfNobody(t *testing.T) {
	s, reader, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	for _, scope := range []string{`{"user":"nobody"`, `{"group":"nobody"`} {
		if none := admin.api("POST", "/logouts", scope+`}`, 200); none["sessions"] != 0. {
			t.Errorf("%s: %v", scope, none)
		}
	}
	for _, more := range []string{``, `,"dry_run":true`, `,"grace_ms":1000`} {
		admin.api("POST", "/logouts", `{"session":"unknown"`+more+`}`, 404)
	}
	if lines := items(reader.api("GET", "/logouts", "", 200)); len(lines) != 2 {
		t.Errorf("%d logouts, want those of the user and the group", len(lines))
	}
	admin.api("POST", "/logouts", `{"session":"`+ref+`","dry_run":true}`, 200)
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after calls that mean nobody: %d", code)
	}
	done := admin.api("POST", "/logouts", `{"session":"`+ref+`"}`, 200)
	admin.api("POST", "/logouts", `{"session":"`+ref+`"}`, 404)
	if late := admin.api("DELETE", "/logouts/"+done["id"].(string), "", 409); late["error"] != "too-late" {
		t.Errorf("calling off what has taken effect: %v", late)
	}
	pending := admin.api("POST", "/logouts", `{"user":"nobody","grace_ms":60000}`, 200)
	for range 2 { // the second call finds nothing left to do, and says how it stands
		if off := admin.api("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
			t.Errorf("called off: %v", off)
		}
	}
}

func TestAPILogoutsArePagedByTheirNumbers(t *testing.T) {
	_, reader, admin := startAPI(t)
	var want []string
	for range 5 {
		done := admin.api("POST", "/logouts", `{"user":"nobody"}`, 200)
		want = append([]string{done["id"].(string)}, want...)
	}
	var got []string
	for path := "/logouts?limit=2"; path != ""; {
		page := reader.api("GET", path, "", 200)
		for _, item := range items(page) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		path = ""
		if cursor, more := page["next_cursor"].(string); more {
			path = "/logouts?limit=2&cursor=" + cursor
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages hold %v, want %v", got, want)
	}
	// What a page ended with may be forgotten before the next one is asked for: it goes on after
	// that all the same.
	encode := func(cursor string) string { return base64.RawURLEncoding.EncodeToString([]byte(cursor)) }
	after := "/logouts?cursor=" + encode("1")
	if page := reader.api("GET", after, "", 200); len(items(page)) != 0 || page["next_cursor"] != nil {
		t.Errorf("after the last one: %v", page)
	}
	for _, cursor := range []string{"x", encode(want[0]), encode("-1")} {
		reader.api("GET", "/logouts?cursor="+cursor, "", 422)
	}
}
