package views

// wantsLines counts what the audit trail has for each query.
func (b *browser) wantsLines(counts map[string]int) {
	b.t.Helper()
	for query, want := range counts {
		if got := items(b.api("GET", "/audit"+query, "", 200)); len(got) != want {
			b.t.Errorf("audit%s: %d lines, want %d: %v", query, len(got), want, got)
		}
	}
}

// readsPagesOfTheAudit reads two pages of two lines, and asks for some that are not there.
func (b *browser) readsPagesOfTheAudit() {
	b.t.Helper()
	first := b.api("GET", "/audit?limit=2", "", 200)
	second := b.api("GET", "/audit?limit=2&cursor="+first["next_cursor"].(string), "", 200)
	if items(first)[1].(map[string]any)["number"].(float64) != items(second)[0].(map[string]any)["number"].(float64)+1 {
		b.t.Errorf("pages do not follow each other: %v, %v", first, second)
	}
	for _, bad := range []string{"?since=yesterday", "?event=fire", "?cursor=AA"} {
		b.api("GET", "/audit"+bad, "", 422)
	}
}
