package views

import (
	"fmt"
	"net/url"
	"testing"

	"curfew/hub"
)

func TestNonsenseSignsNobodyOut(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	for path, form := range map[string]url.Values{
		"/admin/logouts": {"scope": {"user"}, "user": {"grace"}, "grace_s": {"-1"}},
		"/admin/confirm": {},
		"/admin/notices": {"scope": {"group"}, "message": {"x"}},
	} {
		ada.post(path, form).wants(t, path+" with nonsense", 422)
	}
	ada.post("/admin/logouts/nothing/cancel", url.Values{}).wants(t, "calling off what is not there", 404)
	ada.get("/admin/logouts/nothing").wants(t, "following what is not there", 404)
	grace.post("/admin/logouts", url.Values{"scope": {"everyone"}}).wants(t, "somebody who is no administrator", 403)
	grace.get("/session/status").wants(t, "after that", 200)
}

func TestAForcedLogoutIsCountedConfirmedFollowedAndCancelled(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	form := url.Values{
		"scope":       {"group"},
		"group":       {"staff"},
		"message":     {"Back at <noon>"},
		"grace_s":     {"60"},
		"block_s":     {"120"},
		"except_self": {"yes"},
	}
	ada.post("/admin/confirm", form).wants(t, "what is asked for", 200, "Sign out the group staff?",
		"They are warned at once and signed out at <time", "New sign-ins are refused until <time",
		"Back at &lt;noon&gt;", "GRACE (grace)", "Sign out 1 session")
	grace.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "before it is confirmed", 200, `"state":"away"`)
	confirmed := ada.post("/admin/logouts", form)
	confirmed.wants(t, "confirmed", 303, "/admin/logouts/")
	grace.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "in the grace", 200, `"state":"warned"`,
		`Back at`)
	follow := confirmed.Header.Get("Location")
	ada.get(follow).wants(t, "the progress", 200, `data-state="pending"`, "the group staff", "Call it off",
		"GRACE (grace)", "From then on, new sign-ins are refused until <time")
	ada.post(follow+"/cancel", url.Values{}).wants(t, "calling it off", 303, follow)
	ada.get(follow).wants(t, "the progress after that", 200, `data-state="cancelled"`)
	grace.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "once it is called off", 200, `"state":"away"`)
}

func TestAForcedLogoutOfManyIsConfirmedByTheirNumber(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for i := range typeToConfirmAbove {
		s.session(fmt.Sprint("user", i), "many")
	}
	form := url.Values{"scope": {"everyone"}}
	ada.post("/admin/confirm", form).wants(t, "51 users", 200, "Type 51 to confirm")
	ada.post("/admin/logouts", form).wants(t, "without the number", 422, "Type 51 to confirm")
	form.Set("typed", "50")
	ada.post("/admin/logouts", form).wants(t, "a wrong number", 422, "Nobody was signed out")
	ada.get("/session/status").wants(t, "after that", 200)
	form = url.Values{"scope": {"group"}, "group": {"many"}}
	ada.post("/admin/confirm", form).wants(t, "50 users", 200, `data-total="users">50<`)
	ada.post("/admin/logouts", form).wants(t, "without a number", 303)
	s.eventually("only the administrator is signed in", func() bool { return len(s.hub.Sessions(hub.Filter{})) == 1 })
}
