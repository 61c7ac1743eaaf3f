package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"curfew/front/spoofing"
)

// verifies runs verify-proxy on a site.
func verifies(t *testing.T, site string, token tokenFiles, user string, more ...string) (int, string, string) {
	t.Helper()
	return curfew(t, slices.Concat([]string{"verify-proxy", site, "--token-file", token.secret, "--user", user,
		"--password-file", writeFile(t, user+"-demo\n")}, more)...)
}

// foundNothing holds a run to having tried everything and found nothing.
func foundNothing(t *testing.T, status int, out, errs string) {
	t.Helper()
	if status != 0 || errs != "" {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
	for _, name := range []string{"Remote-User", "X-Forwarded-Uri", "Curfew's cookies", "doors"} {
		if !strings.Contains(out, "\n"+name) {
			t.Errorf("%s was not tried:\n%s", name, out)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		if fields := strings.Fields(line); fields[len(fields)-1] != "0" || fields[len(fields)-2] == "0" {
			t.Errorf("%q: want some attempts, and none that got through", line)
		}
	}
}

// leftNothing wants the session of a run to have ended by a sign-out.
func leftNothing(t *testing.T, server string, token tokenFiles, user string) {
	t.Helper()
	at := []string{"--server", server, "--token-file", token.secret, "--user", user}
	if _, out, _ := curfew(t, append([]string{"who"}, at...)...); strings.Contains(out, user) {
		t.Errorf("%s is still signed in: %s", user, out)
	}
	_, out, _ := curfew(t, append([]string{"audit", "--event", "session-end"}, at...)...)
	if n := strings.Count(out, "logout"); n != 1 {
		t.Errorf("%d sessions of %s ended by a sign-out, want 1: %s", n, user, out)
	}
}

func testVerifyProxyFindsNothing(t *testing.T, s *site) {
	status, out, errs := verifies(t, s.url, s.token, "linus")
	foundNothing(t, status, out, errs)
	leftNothing(t, s.curfew.url, s.token, "linus")
}

// startFronted starts Curfew as the reverse proxy of an application, with a token.
func startFronted(t *testing.T, more ...string) (*process, tokenFiles) {
	t.Helper()
	app, token := startEchoApp(t), newToken(t, "admin")
	args := []string{"--upstream", app.URL, "--testing", "--api-tokens-file", token.line}
	return start(t, append(args, more...)...), token
}

func TestVerifyProxyFindsNothingWhereCurfewIsTheProxy(t *testing.T) {
	t.Parallel()
	tls := certified(t)
	p, token := startFronted(t, append(tls, "--base-path", "/guard")...)
	status, out, errs := verifies(t, p.url, token, "linus", "--base-path", "/guard", "--ca-file", tls[1])
	foundNothing(t, status, out, errs)
	if status, out, errs := verifies(t, p.url+"/guard/", token, "linus"); status != exitFailed ||
		!strings.Contains(errs, "certificate") {
		t.Errorf("with an unknown certificate: status %d, %s%s", status, errs, out)
	}
	status, out, errs = verifies(t, p.url+"/guard/", token, "linus", "--ca-file", tls[1], "--output", "json")
	var answer struct {
		URL, User string
		Checks    []check
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || status != 0 {
		t.Fatalf("in JSON: status %d, %s, %v: %s", status, errs, err, out)
	}
	if answer.URL != p.url+"/guard" || answer.User != "linus" || len(answer.Checks) < 30 {
		t.Errorf("in JSON: %+v", answer)
	}
}

func TestVerifyProxyAsksTheProxyBesideAnUpstream(t *testing.T) {
	t.Parallel()
	app := startEchoApp(t)
	s := startBehind(t, runProxy{name: "nginx", kind: "nginx", command: nginx}, "http", "--upstream", app.URL)
	s.process = s.before(s.at, s.app.URL)
	testVerifyProxyFindsNothing(t, s)
}

// leakyNginx is nginx with a configuration that was printed, and then altered.
func leakyNginx(alter ...string) runProxy {
	return runProxy{name: "leaky nginx", kind: "nginx", command: func(t *testing.T, folder string) *exec.Cmd {
		t.Helper()
		path := filepath.Join(folder, "nginx.conf")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(alter); i += 2 {
			if !strings.Contains(string(text), alter[i]) {
				t.Fatalf("the configuration does not have %q", alter[i])
			}
			text = []byte(strings.ReplaceAll(string(text), alter[i], alter[i+1]))
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return nginx(t, folder)
	}}
}

func TestVerifyProxyFindsLeaks(t *testing.T) {
	t.Parallel()
	s := startSite(t, leakyNginx(
		// aliases, a header that is not set, Curfew's cookies, and doors that are reached
		"underscores_in_headers off;", "underscores_in_headers on;",
		"proxy_set_header Remote-Groups     $curfew_groups;", "",
		"proxy_set_header Cookie            $curfew_cookie;", "",
		"location = "+siteBase+"/-check {",
		"location /session/ { auth_request off; proxy_pass http://curfew_doors; }\nlocation = "+siteBase+"/-check {",
	))
	status, out, errs := verifies(t, s.url, s.token, "linus")
	if status != exitFailed {
		t.Errorf("status %d, want %d", status, exitFailed)
	}
	for _, name := range []string{"Remote-User", "Remote-Groups", "X-Real-IP", "Curfew's cookies",
		"the door /session/verify, the door", "the door /session/verify/forward", "what the guard says arrives"} {
		if !strings.Contains(errs, name) {
			t.Errorf("not named: %s in %q", name, errs)
		}
	}
	for _, what := range []string{
		`Remote-User, with _: Remote-User came as the client sent it, under the name "Remote_user"`,
		`Remote-Groups, the exact name: Remote-Groups came as the client sent it`,
		"Remote-Groups is lost: the session has kiosk, staff", "the application is given the cookie __Host-curfew"} {
		if !strings.Contains(out, what) {
			t.Errorf("not said: %s in\n%s", what, out)
		}
	}
	if strings.Count(errs, "\n") != 1 || strings.Contains(errs, siteBase+"/session/verify") {
		t.Errorf("told %q", errs)
	}
	leftNothing(t, s.curfew.url, s.token, "linus")
}

// TestNginxKeepsWhatADoorTells lets clients in where an application can lead them.
func TestNginxKeepsWhatADoorTells(t *testing.T) {
	t.Parallel()
	s := startSite(t, leakyNginx("            internal;\n", ""))
	cookie, _ := s.session("ada")
	response, _ := s.do(siteBase+"/-check", nil, "Cookie", cookie+"; app=1")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the door is not reached: %s", response.Status)
	}
	for _, name := range append(spoofing.Identity(), "Cookie") {
		if got := response.Header.Values(name); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestVerifyProxySaysWhereNothingIsGuarded(t *testing.T) {
	t.Parallel()
	s := startSite(t, leakyNginx("location = "+siteBase+"/session/echo {",
		"location = "+siteBase+"/session/echo { auth_request off;"))
	status, _, errs := verifies(t, s.url, s.token, "linus")
	if status != exitFailed || !strings.Contains(errs, "/session/echo is reached without a session") {
		t.Errorf("status %d, %q", status, errs)
	}
	leftNothing(t, s.curfew.url, s.token, "linus")
	gone := startSite(t, leakyNginx("location = "+siteBase+"/session/echo {", "location = /elsewhere {",
		"location ~ ^/\\.curfew(/|$) {", "location = "+siteBase+"/session/echo { return 418; }\n"+
			"location ~ ^/\\.curfew(/|$) {"))
	status, _, errs = verifies(t, gone.url, gone.token, "linus")
	if status != exitFailed || !strings.Contains(errs, "answers with status 418: the proxy must lead it") {
		t.Errorf("status %d, %q", status, errs)
	}
}

func TestVerifyProxyDoesNotTakeALimitForAGuard(t *testing.T) {
	t.Parallel()
	s := startSite(t, leakyNginx(
		"server {", "limit_req_zone $remote_addr zone=few:1m rate=1r/m; server {",
		"location = "+siteBase+"/session/echo {",
		"location = "+siteBase+"/session/echo { limit_req zone=few burst=9 nodelay;",
	))
	status, out, errs := verifies(t, s.url, s.token, "linus")
	if status != exitFailed || !strings.Contains(errs, "answered with status 503") || out != "" {
		t.Errorf("status %d, %s%s", status, errs, out)
	}
	leftNothing(t, s.curfew.url, s.token, "linus")
}

func TestVerifyProxyFindsADoorThatBelievesTheClient(t *testing.T) {
	t.Parallel()
	s := startSite(t, leakyNginx(
		"server {", `map $http_x_forwarded_uri $told { "" $request_uri; default $http_x_forwarded_uri; } server {`,
		"proxy_set_header X-Forwarded-Uri    $request_uri;", "proxy_set_header X-Forwarded-Uri $told;",
	))
	status, out, errs := verifies(t, s.url, s.token, "linus")
	if status != exitFailed || !strings.Contains(errs, "got through: what the client says it asks for") ||
		!strings.Contains(out, "X-Forwarded-Uri, the exact name: X-Forwarded-Uri of the client is believed") {
		t.Errorf("status %d, %s%s", status, errs, out)
	}
}

func TestVerifyProxySaysWhyItCannotTry(t *testing.T) {
	t.Parallel()
	reader := newToken(t, "read")
	p, token := startFronted(t, "--api-tokens-file", reader.line) // which replaces the other file
	elsewhere := httptest.NewServer(http.RedirectHandler("http://localhost.example/", http.StatusFound))
	defer elsewhere.Close()
	password := writeFile(t, "wrong")
	for _, tt := range []struct {
		name   string
		site   string
		token  tokenFiles
		more   []string
		status int
		told   string
	}{
		{"a wrong token", p.url, token, nil, exitFailed, "refused: There is no such bearer token."},
		{"a token that may only read", p.url, reader, nil, exitFailed, "refused: This token may only read."},
		{"no token", p.url, tokenFiles{}, nil, exitMistake, "needs --token-file FILE"},
		{"no password", p.url, reader, []string{"--password-file", ""}, exitMistake, "needs --password-file FILE"},
		{"no such file", p.url, reader, []string{"--password-file", "/nonexistent"}, exitFailed, "read password"},
		{"an empty password", p.url, reader, []string{"--password-file", os.DevNull}, exitFailed, "is empty"},
		{"no certificates", p.url, reader, []string{"--ca-file", password}, exitFailed, "holds none in PEM"},
		{"an unknown flag", p.url, reader, []string{"--no-such"}, exitMistake, "no-such"},
		{"a second URL", p.url, reader, []string{p.url}, exitMistake, "is not understood"},
		{"an odd format", p.url, reader, []string{"--output", "xml"}, exitMistake, "must be table or json"},
		{"no URL", "--output=json", reader, nil, exitMistake, "needs the URL of the site"},
		{"a URL that is none", "app.example.org", reader, nil, exitMistake, "must be a URL"},
		{"an odd base path", p.url, reader, []string{"--base-path", "curfew"}, exitMistake, "must be a plain path"},
		{"plain text to another machine", "http://app.example.org", reader, nil, exitMistake, "must be https"},
		{"another base path", p.url + "/x", reader, nil, exitFailed, "no Curfew answers at " + p.url},
		{"a site that leads elsewhere", elsewhere.URL, reader, nil, exitFailed, "localhost.example"},
		{"nobody there", "http://127.0.0.1:1", reader, nil, exitFailed, "refused"},
	} {
		status, out, errs := verifies(t, tt.site, tt.token, "linus", tt.more...)
		if status != tt.status || !strings.Contains(errs, tt.told) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: status %d, %q%s, want %d and %q", tt.name, status, errs, out, tt.status, tt.told)
		}
	}
}

func TestVerifyProxySaysWhyItCannotSignIn(t *testing.T) {
	t.Parallel()
	p, token := startFronted(t)
	wrong := writeFile(t, "wrong")
	for i := range 6 {
		status, out, errs := verifies(t, p.url, token, "linus", "--password-file", wrong)
		want := "the user name or the password is wrong"
		if i == 5 {
			want = "sign-ins of linus are throttled: try again in "
		}
		if status != exitFailed || !strings.Contains(errs, want) || out != "" {
			t.Errorf("attempt %d: status %d, %s%s, want %q", i, status, errs, out, want)
		}
	}
	// who may sign in but is kept out
	block := []string{"logout", "--user", "grace", "--block", "1h",
		"--server", p.url + siteBase, "--token-file", token.secret}
	if status, _, errs := curfew(t, block...); status != 0 {
		t.Fatalf("block: %s", errs)
	}
	if status, _, errs := verifies(t, p.url, token, "grace"); status != exitFailed ||
		!strings.Contains(errs, "is refused: by a forced logout") {
		t.Errorf("status %d, %s", status, errs)
	}
}

func TestDoorsAreLookedForWhereverTheyMayBe(t *testing.T) {
	targets := doorTargets("app.example.org", siteBase)
	for _, want := range []string{"/session/verify", "/session/verify/forward", siteBase + "/session/verify/path/",
		"//session/verify", "/session%2fverify", siteBase + "/../session/verify", siteBase + "/-check",
		"http://app.example.org/session/verify"} {
		if !slices.Contains(targets, want) {
			t.Errorf("not looked for: %s", want)
		}
	}
	for _, target := range targets {
		if _, err := url.Parse(target); strings.ContainsAny(target, " \r\n") {
			t.Errorf("%q would not be one target: %v", target, err)
		}
	}
	if got := fmt.Sprint(doorTargets("a", "")); strings.Contains(got, "[ ") {
		t.Errorf("an empty target: %s", got)
	}
}
