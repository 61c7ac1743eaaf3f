package views

import (
	"encoding/base64"
	"net/url"
	"testing"
)

// draftKey asks for the key of the drafts of the browser's user.
func (b *browser) draftKey() (id, key string) {
	b.t.Helper()
	a := b.get(b.base+"/session/draft-key", scripted...)
	a.wants(b.t, "the key of drafts", 200)
	id, _ = a.json("id").(string)
	key, _ = a.json("key").(string)
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(raw) != 32 || id == "" || a.Header.Get("Cache-Control") != "no-store" ||
		a.Header.Get("Vary") != "*" || a.Header.Get("Content-Type") != "application/json" {
		b.t.Errorf("%s, headers %v: want an id and 32 bytes, and no cache to keep them", a, a.Header)
	}
	return id, key
}

func TestEachUserHasAKeyOfTheirDrafts(t *testing.T) {
	s := startSite(t, "")
	s.directory.entry = "1"
	ada, other := s.signIn("ada"), s.signIn("ada")
	id, key := ada.draftKey()
	if otherID, otherKey := other.draftKey(); otherID != id || otherKey != key {
		t.Error("another session of the same user has another key")
	}
	ada.again("ada")
	if _, again := ada.draftKey(); again != key {
		t.Error("a user who signs in anew has another key")
	}
	ada.again("grace")
	if otherID, otherKey := ada.draftKey(); otherID == id || otherKey == key {
		t.Error("another user of the same browser has the same key")
	}
	s.directory.entry = "2"
	ada.again("ada")
	if otherID, otherKey := ada.draftKey(); otherID == id || otherKey == key {
		t.Error("another entry of that name has the same key")
	}
}

func TestTheKeyOfDraftsIsForPagesOfALiveSession(t *testing.T) {
	s := startSite(t, "/guard")
	ada := s.signIn("ada")
	const path = "/guard/session/draft-key"
	who := dig(statusOf(ada))["who"].(string)
	for what, c := range map[string]struct {
		header []string
		code   int
	}{
		"a page of this origin":               {nil, 200},
		"its own user":                        {nil, 200},
		"a browser that says nothing":         {[]string{"Sec-Fetch-Site", ""}, 200},
		"the same, from this origin":          {[]string{"Sec-Fetch-Site", "", "Origin", siteOrigin}, 200},
		"the same, from another origin":       {[]string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, 403},
		"the same, from an origin of no name": {[]string{"Sec-Fetch-Site", "", "Origin", "null"}, 403},
		"another site":                        {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a site beside this one":              {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"a person who typed the address":      {[]string{"Sec-Fetch-Site", "none"}, 403},
	} {
		ada.get(path, append(append([]string{}, scripted...), c.header...)...).wants(t, what, c.code)
	}
	ada.get(path+"?who="+url.QueryEscape(who), scripted...).wants(t, "who says whose it wants", 200)
	ada.get(path+"?who=x", scripted...).wants(t, "who wants that of somebody else", 409, `"error":"other-user"`)
	(&browser{site: s}).get(path, scripted...).wants(t, "a stranger", 401, `"error":"no-session"`)
	ada.post("/guard/logout", url.Values{}).wants(t, "signing out", 303)
	ada.get(path, scripted...).wants(t, "after the end", 401, `"reason":"logout"`)
	s.store.away.Store(true)
	ada.get(path, scripted...).wants(t, "while the store is away", 503)
}

func statusOf(b *browser) map[string]any {
	_, status := b.status()
	return status
}
