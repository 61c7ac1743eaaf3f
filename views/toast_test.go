package views

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// told are the cookies of a browser with that of an answer's toast.
func (b *browser) told(a answer) (*browser, *http.Cookie) {
	for _, c := range a.Cookies() {
		if c.Name == toastCookie {
			return &browser{site: b.site, cookie: b.cookie + "; " + c.Name + "=" + c.Value}, c
		}
	}
	return b, nil
}

func TestWhatAnActionDidIsToldOnce(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	const toast = `<p class="toast" role="status">The note is saved.</p>`
	next, c := ada.told(ada.post("/", url.Values{"note": {"x"}}))
	if c == nil || !c.Secure || !c.HttpOnly || c.MaxAge <= 0 || c.MaxAge > 60 || c.Path != "/" {
		t.Fatalf("the answer sets %+v, want a short-lived cookie that no script reads", c)
	}
	page := next.get("/")
	page.wants(t, "the page that it leads to", 200, toast)
	if _, c := next.told(page); c == nil || c.MaxAge >= 0 {
		t.Errorf("it was told, and the cookie stays: %+v", c)
	}
	if page := ada.get("/"); strings.Contains(page.text, "toast") {
		t.Errorf("a page tells without a cookie: %s", page)
	}
	next.get("/?lang=de").wants(t, "in another language", 200, `role="status"`)
}

func TestNobodyElsePutsWordsIntoAPage(t *testing.T) {
	s := startSite(t, "")
	ada, other := s.signIn("ada"), s.signIn("ada")
	_, c := ada.told(ada.post("/", url.Values{"note": {"x"}}))
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	changed := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(sealed), "saved", "title", 1)))
	for what, value := range map[string]string{
		"a changed text":   changed,
		"a short one":      "abc",
		"no base64":        "%%%",
		"an empty one":     "",
		"a text unsealed":  base64.RawURLEncoding.EncodeToString([]byte(`{"key":"home.saved"}`)),
		"an empty content": base64.RawURLEncoding.EncodeToString(sealed[:32]),
	} {
		b := &browser{site: s, cookie: ada.cookie + "; " + toastCookie + "=" + value}
		if page := b.get("/"); page.StatusCode != 200 || strings.Contains(page.text, "toast") {
			t.Errorf("%s is told: %s", what, page)
		}
	}
	b := &browser{site: s, cookie: other.cookie + "; " + toastCookie + "=" + c.Value}
	if page := b.get("/"); strings.Contains(page.text, "toast") {
		t.Errorf("what another session did is told: %s", page)
	}
}

func TestAToastHasNumbersAndNames(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	w, r := httptest.NewRecorder(), ada.request("POST", "/", url.Values{})
	s.toast(w, r, "home.noteTooLong", "Count", 1, "Most", maxNote)
	r.Header.Set("Cookie", w.Result().Cookies()[0].String())
	said := s.toastOf(r, visitOf(r).token.ID(), s.locale(r))
	if want := "The note has 1 character, and may have 4,000."; !strings.HasPrefix(said, want) {
		t.Errorf("the toast says %q, want %q", said, want)
	}
	w = httptest.NewRecorder()
	s.toast(w, r, "home.hello", "Name", strings.Repeat("x", maxToast))
	if len(w.Result().Cookies()) != 0 {
		t.Error("a cookie is larger than browsers take")
	}
}
