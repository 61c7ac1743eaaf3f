package views

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"curfew/locale"
	"curfew/static"
)

func languageOf(a answer) string {
	_, rest, _ := strings.Cut(a.text, `<html lang="`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func TestPagesSpeakALanguage(t *testing.T) {
	t.Parallel()
	s := startSite(t, "/guard")
	for _, c := range []struct{ query, cookie, accept, want string }{
		{"", "", "", "en"},
		{"", "", "de-AT,en;q=0.5", "de"},
		{"", "fr", "de", "fr"},
		{"", "xx", "de", "de"},
		{"", `"; Path=/evil`, "de", "de"},
		{"lang=pt", "fr", "de", "pt-BR"},
		{"lang=xx", "fr", "de", "fr"},
		{"lang=", "", "de", "de"},
	} {
		b := &browser{site: s}
		header := []string{"Accept-Language", c.accept}
		if c.cookie != "" {
			header = append(header, "Cookie", languageCookie+"="+c.cookie)
		}
		if got := languageOf(b.get("/guard/login?"+c.query, header...)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestALanguageThatIsNamedIsKept(t *testing.T) {
	t.Parallel()
	s := startSite(t, "")
	kept := func(query string) *http.Cookie {
		t.Helper()
		for _, c := range (&browser{site: s}).get("/login?" + query).Cookies() {
			if c.Name == languageCookie {
				return c
			}
		}
		return nil
	}
	c := kept("lang=de-CH")
	if c == nil || c.Value != "de" || c.MaxAge != 365*24*60*60 || !c.Secure || c.HttpOnly || c.Path != "/" {
		t.Errorf("lang=de-CH: %v", c)
	}
	for _, query := range []string{"", "lang=", "lang=xx", "lang=../de", "lang=de,fr"} {
		if c := kept(query); c != nil {
			t.Errorf("%q: %v, want no cookie", query, c)
		}
	}
}

func TestErrorsSpeakTheLanguageOfPagesAndEnglishToPrograms(t *testing.T) {
	t.Parallel()
	b := &browser{site: startSite(t, "")}
	page := b.get("/nowhere?lang=de", "Accept", "text/html")
	if page.StatusCode != http.StatusNotFound || languageOf(page) != "de" {
		t.Errorf("a page that there is not: %s", page)
	}
	program := b.get("/nowhere?lang=de", "Accept", "application/json", "Sec-Fetch-Mode", "cors")
	want, err := locale.English().Say("error.noPage", nil)
	if err != nil || program.json("message") != want {
		t.Errorf("for a program: %s, %v", program, err)
	}
}

func TestAScriptThatSignsInIsToldInEnglishAndInTheLanguageOfItsPerson(t *testing.T) {
	t.Parallel()
	b := &browser{site: startSite(t, "")}
	refused := b.post("/login?lang=de", signInForm("ada", "guess"), inJSON...)
	german, _ := locale.Of("de")
	if refused.json("message") != wrongPassword.in(locale.English()) ||
		refused.json("said") != wrongPassword.in(german) {
		t.Errorf("%s", refused)
	}
	if !slices.Contains(refused.cookieNames(), languageCookie) {
		t.Errorf("cookies are %v, want the language kept", refused.cookieNames())
	}
}

func TestWordsOfTheBrowserClient(t *testing.T) {
	t.Parallel()
	b := &browser{site: startSite(t, "/guard")}
	path := "/guard/static/" + static.Load().Version + "/words.json?lang="
	for preferred, want := range map[string]string{"de-AT,en": "de", "xx,ar": "ar", "": "en", ",,": "en"} {
		a := b.get(path + preferred)
		var words wordsJSON
		if err := json.Unmarshal([]byte(a.text), &words); err != nil {
			t.Fatalf("%q: %s: %v", preferred, a, err)
		}
		if dir := map[bool]string{true: "rtl", false: "ltr"}[want == "ar"]; words.Lang != want || words.Dir != dir {
			t.Errorf("%q: %s, %s", preferred, words.Lang, words.Dir)
		}
		if caching := a.Header.Get("Cache-Control"); caching != wordsMaxAge {
			t.Errorf("%q: Cache-Control %q", preferred, caching)
		}
	}
	if a := b.get("/guard/static/000000000000/words.json"); a.StatusCode != http.StatusNotFound {
		t.Errorf("words of another version: %s, want none", a)
	}
}

func TestNamesInArabicSentencesAreIsolated(t *testing.T) {
	t.Parallel()
	s := startSite(t, "")
	s.site.Name = "Example (Ltd.)"
	ada := s.signIn("ada")
	ada.get("/account?lang=ar").wants(t, "a sentence, and the title", 200,
		"باسم \u2068ada\u2069", "· \u2068Example (Ltd.)\u2069</title>")
	ada.get("/admin?lang=ar").wants(t, "an attribute", 200,
		`aria-label="إجراءات للمستخدم `+"\u2068ada\u2069\"")
	ada.get("/admin/audit?lang=ar").wants(t, "the audit trail", 200, "سجّل المستخدم \u2068<a ", "</a>\u2069 الدخول.")
	ada.get("/account?lang=de").wants(t, "German", 200, " ada ", "· Example (Ltd.)</title>")
}
