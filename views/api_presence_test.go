package views

import (
	"fmt"
	"testing"
)

func TestAPIPresenceAndSessions(t *testing.T) {
	s, reader, _ := startAPI(t)
	for i := range 5 {
		s.session(fmt.Sprint("user", i), "staff")
	}
	grace := s.session("grace", "staff", "compilers")
	ref := grace.ref()
	grace.openTab()
	s.eventually("the tab is open", func() bool { return reader.api("GET", "/sessions/"+ref, "", 200)["tabs"] == 1. })

	all := reader.api("GET", "/presence", "", 200)
	if len(items(all)) != 6 || dig(all, "totals")["sessions"] != 6. || dig(all, "totals", "states")["active"] != 1. ||
		dig(all, "totals", "states")["away"] != 5. {
		t.Errorf("presence = %v", all)
	}
	for query, want := range map[string]int{"?user=grace": 1, "?group=compilers": 1, "?group=staff": 6,
		"?state=away": 5, "?state=active": 1, "?q=USER": 5, "?q=nobody": 0} {
		for _, list := range []string{"/presence", "/sessions"} {
			if got := items(reader.api("GET", list+query, "", 200)); len(got) != want {
				t.Errorf("%s%s: %d items, want %d", list, query, len(got), want)
			}
		}
	}
	for _, list := range []string{"/presence", "/sessions"} {
		seen := map[string]bool{}
		pages, cursor := 0, ""
		for {
			answer := reader.api("GET", list+"?limit=4"+cursor, "", 200)
			pages++
			for _, item := range items(answer) {
				seen[item.(map[string]any)["user"].(string)] = true
			}
			next, more := answer["next_cursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		if pages != 2 || len(seen) != 6 {
			t.Errorf("%s: %d users on %d pages, want 6 on 2", list, len(seen), pages)
		}
		for _, bad := range []string{"?limit=0", "?limit=x", "?cursor=%25", "?state=asleep", "?usr=ada"} {
			reader.api("GET", list+bad, "", 422)
		}
	}
	one := reader.api("GET", "/sessions/"+ref, "", 200)
	if one["user"] != "grace" || one["state"] != "active" || len(one["open_tabs"].([]any)) != 1 {
		t.Errorf("session = %v", one)
	}
	reader.api("GET", "/sessions/unknown", "", 404)
}
