package hub

import (
	"fmt"
	"testing"
	"time"

	"curfew/hub/wire"
	"curfew/session"
)

func TestNoticeReachesItsScopeAndLateTabs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		tab, other := ada.openTab(), grace.openTab()
		n, err := hub.Notify(t.Context(), session.Scope{User: "ada"}, "admin", "Hello")
		if n.Sessions != 1 || n.Tabs != 1 || err != nil {
			t.Fatalf("Notify = %+v, %v", n, err)
		}
		first := tab.Next(wire.KindNotice)
		pass(time.Minute)
		if m := ada.openTab().Next(wire.KindNotice); m["message"] != "Hello" || m["id"] != first["id"] {
			t.Errorf("a late tab got %v, want %v", m, first)
		}
		pass(time.Millisecond)
		ada.openTab().Silent()
		other.Silent()
		ada.wantsAlive()
	})
}

func TestANoticeToSeveralSessionsIsOneAndReachesTheirLateTabs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace, linus := hub.signIn("ada"), hub.signIn("grace"), hub.signIn("linus")
		tabs, other := []*page{ada.openTab(), grace.openTab()}, linus.openTab()
		refs, _ := session.NewRefs([]string{ada.token.ID().Ref(), grace.token.ID().Ref()})
		n, err := hub.Notify(t.Context(), session.Scope{Refs: refs}, "admin", "Hello")
		if n.Sessions != 2 || n.Tabs != 2 || err != nil {
			t.Fatalf("Notify = %+v, %v", n, err)
		}
		for _, tab := range append(tabs, ada.openTab(), grace.openTab()) {
			if m := tab.Next(wire.KindNotice); m["id"] != n.ID {
				t.Errorf("got %v, want the notice %s", m, n.ID)
			}
		}
		other.Silent()
		linus.openTab().Silent()
		pass(noticeFor + time.Second)
		hub.notices.add(&sentNotice{
			id:     "last",
			scope:  everyone,
			target: everyone.Target(),
			at:     time.Now(),
		})
		if len(hub.notices.byScope) != 1 {
			t.Errorf("after a minute notices of %d scopes are kept, want one", len(hub.notices.byScope))
		}
	})
}

func TestNoticesOfOthersCostNothingAndTheNewestAreTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		for i := range maxNotices + maxLate {
			scope := session.Scope{User: "grace"}
			hub.notices.add(&sentNotice{
				id:      fmt.Sprint(i),
				message: fmt.Sprint(i),
				scope:   scope,
				target:  scope.Target(),
				at:      time.Now(),
			})
		}
		if n := len(hub.notices.queue); n != maxNotices || len(hub.notices.ids) != n || hub.notices.knows("0") ||
			!hub.notices.knows(fmt.Sprint(maxLate)) {
			t.Errorf("%d notices are kept (%d IDs), want the newest %d", n, len(hub.notices.ids), maxNotices)
		}
		ada.openTab().Silent()
		tab := grace.openTab()
		for i := range maxLate {
			if m := tab.Next(wire.KindNotice); m["message"] != fmt.Sprint(maxNotices+i) {
				t.Fatalf("got %v, want the notice %d", m, maxNotices+i)
			}
		}
		tab.Silent()
		pass(noticeFor + time.Second)
		hub.notices.add(&sentNotice{
			id:     "last",
			scope:  everyone,
			target: everyone.Target(),
			at:     time.Now(),
		})
		if len(hub.notices.queue) != 1 || len(hub.notices.byScope) != 1 || len(hub.notices.ids) != 1 {
			t.Errorf("after a minute %d notices are kept", len(hub.notices.queue))
		}
	})
}
