package spoofing

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryHeaderIsForgedInEveryWay(t *testing.T) {
	seen := make(map[string]bool)
	tried := make(map[string]int)
	for _, a := range Attempts() {
		if seen[a.Name] {
			t.Errorf("%s stands twice", a.Name)
		}
		seen[a.Name] = true
		tried[a.Header]++
		if !strings.Contains(strings.Join(a.Lines, "\n"), Forged) && !strings.HasPrefix(a.Lines[0], "Connection: ") {
			t.Errorf("%s neither forges a value nor names a header in Connection: %q", a.Name, a.Lines)
		}
	}
	for _, header := range slices.Concat(Identity(), Untrusted()) {
		if tried[header] < 15 {
			t.Errorf("%s is forged in %d ways only", header, tried[header])
		}
	}
}

func TestThrough(t *testing.T) {
	said := map[string]string{"Remote-User": "ada", "Remote-Groups": ""}
	user := Attempt{Header: "Remote-User"}
	for _, tt := range []struct {
		name    string
		attempt Attempt
		got     []Field
		want    []string
	}{
		{"only the guard's word", user, []Field{{"Remote-User", "ada"}, {"Remote-Groups", ""}}, nil},
		{"an empty header may be left out", user, []Field{{"Remote-User", "ada"}}, nil},
		{"an alias", user, []Field{{"Remote-User", "ada"}, {"remote.user", Forged}},
			[]string{`Remote-User came as the client sent it, under the name "remote.user"`,
				`Remote-User is ["ada" "` + Forged + `"]; the guard said "ada"`}},
		{"as a variable of WSGI", user, []Field{{"REMOTE_USER", "ada," + Forged}},
			[]string{`Remote-User came as the client sent it, under the name "REMOTE_USER"`,
				`Remote-User is ["ada,` + Forged + `"]; the guard said "ada"`}},
		{"the guard's word is lost", user, nil, []string{"Remote-User of the guard was lost"}},
		{"groups where there are none", Attempt{Header: "Remote-Groups"},
			[]Field{{"Remote-User", "ada"}, {"Remote_Groups", Forged}},
			[]string{`Remote-Groups came as the client sent it, under the name "Remote_Groups"`,
				`Remote-Groups is ["` + Forged + `"]; the guard said ""`}},
		{"an address", Attempt{Header: "X-Real-IP"}, []Field{{"Remote-User", "ada"}, {"X-Real_IP", Forged}},
			[]string{`X-Real-IP came as the client sent it, under the name "X-Real_IP"`}},
	} {
		if got := tt.attempt.Through(tt.got, said); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRequest(t *testing.T) {
	a := Attempt{Lines: []string{"Remote-User : x"}}
	want := "GET /a HTTP/1.1\r\nHost: app.example\r\nCookie: c=1\r\nRemote-User : x\r\n\r\n"
	if got := string(a.Request("app.example", "/a", "Cookie: c=1")); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
