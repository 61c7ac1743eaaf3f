package locale

import (
	"strings"
	"testing"
)

func TestLanguageOfABrowser(t *testing.T) {
	t.Parallel()
	for accepted, want := range map[string]string{
		"":                               "en",
		"*":                              "en",
		"xx":                             "en",
		"no language at all":             "en",
		"pt":                             "pt-BR",
		"pt-AO":                          "pt-PT",
		"pt-MZ":                          "pt-PT",
		"pt-PT,pt-BR;q=0.9":              "pt-PT",
		"en-GB,de;q=0.9":                 "en",
		"ca-ES":                          "ca",
		"de-CH":                          "de",
		"es-419":                         "es",
		"ar-EG":                          "ar",
		"zh-TW,ja;q=0.5":                 "ja",
		"de;q=0,fr;q=0.1":                "fr",
		"de;q=0, *;q=0.5":                "en",
		"da,fr":                          "fr",
		"gl,en":                          "en", // who reads Galician reads Spanish, but has asked for English
		"gl,da":                          "es",
		"gl,es;q=0":                      "en",
		"pt,pt-BR;q=0":                   "en",
		"xx,de":                          "de",
		"!,de;q=0.5":                     "de",
		"fr;q=much,de;q=0.1":             "de",
		strings.Repeat("xx,", 60) + "de": "en", // nobody prefers so many
		"fr;q=0.1,de;q=0.9":              "de",
		"en-XA":                          "en",
		"ja-JP-u-ca-japanese":            "ja",
		"de, " + string('\u0000'):        "de",
	} {
		if got := All().Accepted(accepted).Name; got != want {
			t.Errorf("%q: %s, want %s", accepted, got, want)
		}
	}
}

func TestLanguageThatIsNotOffered(t *testing.T) {
	t.Parallel()
	c, err := NewChoice("de", "fr")
	if err != nil {
		t.Fatal(err)
	}
	for accepted, want := range map[string]string{"fr-CA": "fr", "es": "de", "en": "de", "": "de"} {
		if got := c.Accepted(accepted).Name; got != want {
			t.Errorf("%q: %s, want %s", accepted, got, want)
		}
	}
	nameds := map[string]string{"de-AT": "de", "es": "", "en": "", "xx": "", "": "", "de,fr": "", "und": ""}
	for named, want := range nameds {
		got, ok := c.Named(named)
		if ok != (want != "") || ok && got.Name != want {
			t.Errorf("named %q: %v, want %q", named, got, want)
		}
	}
	if got := c.Preferred([]string{"es", "", "fr-BE", "de"}).Name; got != "fr" {
		t.Errorf("preferred: %s, want fr", got)
	}
	if _, err := NewChoice("de", "tlh"); err == nil {
		t.Error("Klingon is offered")
	}
}

func TestBracketsAreForWhomAsksForThem(t *testing.T) {
	t.Parallel()
	c := All().WithPseudo()
	for accepted, want := range map[string]string{"en-XA": Pseudo, "en": "en", "en-GB": "en", "xx": "en"} {
		if got := c.Accepted(accepted).Name; got != want {
			t.Errorf("%q: %s, want %s", accepted, got, want)
		}
	}
}
