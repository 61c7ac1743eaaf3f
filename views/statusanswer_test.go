package views

import (
	"encoding/json"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/quick"
	"time"

	"curfew/hub"
	"curfew/session"
	"curfew/session/gorilla"
)

func TestAStatusIsWrittenAsEncodingJSONDoes(t *testing.T) {
	same := func(a statusAnswer) bool {
		want, err := json.Marshal(a)
		got := a.append(nil)
		if err != nil || string(got) != string(want) {
			t.Logf("written as\n%s\nwant\n%s (%v)", got, want, err)
			return false
		}
		return true
	}
	for _, text := range []string{"", "Ada", `a"b\c`, "a<b", "a>b", "a&b", "Jürgen GROß",
		"\x00\n\x1f\x7f", "\xff\u2028", "~ !"} {
		if a := (statusAnswer{User: text, Name: text, marks: marks{Who: text}, Text: text}); !same(a) {
			t.Errorf("%q is written otherwise", text)
		}
	}
	whole := func(texts [11]string, numbers [4]int64, own *ownEnd) bool {
		return same(statusAnswer{texts[0], texts[1], hub.State(texts[2]), numbers[0], numbers[1],
			marks{texts[3], texts[4], texts[5], texts[6]}, numbers[2], own, numbers[3], session.ExtendOn(texts[7]),
			session.Reason(texts[8]), texts[9], texts[10]})
	}
	if err := quick.Check(func(texts [11]string, numbers [4]int64, ms int64, reason string, hasOwn bool) bool {
		own := &ownEnd{Reason: session.Reason(reason), EndedMS: ms, Revoked: ms%2 == 0}
		if !hasOwn {
			own = nil
		}
		return whole(texts, numbers, own)
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestMarksThatAreRememberedAreThoseOfTheSession(t *testing.T) {
	s := startSite(t, "")
	var first, second session.ID
	first[5], second[5] = 1, 2 // of one place
	if s.marks.place(first) != s.marks.place(second) {
		t.Fatal("the sessions have places of their own")
	}
	staff := []session.Group{{Name: "staff"}}
	r := session.Record{ID: first, User: "ada", Identity: "1", DN: "uid=ada", Groups: staff}
	other, renamed, moved, promoted := r, r, r, r
	other.ID = second
	renamed.User = "lovelace"
	moved.Identity = "2"
	promoted.Groups = []session.Group{{Name: "staff"}, {Name: "admins"}}
	nameless, namelessMoved := r, r
	nameless.Identity, namelessMoved.Identity, namelessMoved.DN = "", "", "uid=ada,ou=other"
	for _, one := range []session.Record{r, r, other, r, renamed, moved, r, promoted, r, nameless, namelessMoved} {
		want := marks{
			Who:    s.hub.Who(&one),
			Rights: s.hub.Rights(&one),
			Handle: s.hub.Handle(one.ID),
			CSRF:   s.csrf(one.ID),
		}
		if got := s.marksOf(&one); got != want {
			t.Errorf("the marks of %+v are %+v, want %+v", one, got, want)
		}
	}
	again := &shared{hub: s.hub, secrets: secrets{secret: []byte("another")}}
	if again.marksOf(&r).CSRF == s.marksOf(&r).CSRF {
		t.Error("a server with another secret has the same token")
	}
}

// Three sessions share the place of what is remembered, two of them with their user.
func TestNothingThatIsRememberedGoesToAnotherSessionOrLetsAnEndedOneIn(t *testing.T) {
	s := startSite(t, "")
	var browsers [3]*browser
	want := make(map[*browser]marks)
	var place *atomic.Pointer[knownMark]
	for i, user := range []string{"ada", "ada", "grace"} {
		token := session.NewToken()
		for place != nil && s.marks.place(token.ID()) != place {
			token = session.NewToken()
		}
		place = s.marks.place(token.ID())
		now := session.Millis(time.Now())
		r := session.Record{
			ID:           token.ID(),
			User:         user,
			Policy:       session.Profiles()[0].Policy,
			CreatedAt:    now,
			LastActiveAt: now,
		}
		if err := s.hub.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		b := &browser{site: s, cookie: gorilla.CookieName + "=" + gorilla.Cookie(token).Value}
		browsers[i] = b
		want[b] = marks{Who: s.hub.Who(&r), Rights: s.hub.Rights(&r), Handle: s.hub.Handle(r.ID), CSRF: s.csrf(r.ID)}
	}
	wants := func(all ...*browser) {
		t.Helper()
		for _, b := range all {
			var got marks
			a := b.get("/session/status", scripted...)
			if err := json.Unmarshal([]byte(a.text), &got); err != nil || a.StatusCode != 200 || got != want[b] {
				t.Errorf("%s, want the marks %+v", a, want[b])
			}
		}
	}
	first, second, other := browsers[0], browsers[1], browsers[2]
	wants(first, first, second, first, other, second, first)
	first.post("/logout", url.Values{}, scripted...)
	first.get("/session/status", scripted...).wants(t, "after the end", 401, `"reason":"logout"`)
	wants(second, other, second)
	first.get("/session/status", scripted...).wants(t, "after the others", 401, `"reason":"logout"`)
}
