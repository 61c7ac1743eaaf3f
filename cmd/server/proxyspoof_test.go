package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"curfew/front"
	"curfew/front/spoofing"
	"curfew/session"
)

// victim is an application under gunicorn that tells what it takes its request's headers for. Its
// server makes REMOTE_USER of Remote_User, as releases before 22 do.
const victim = `
import json

def application(environ, start_response):
    fields = [{"Name": k[5:], "Value": v.encode("latin-1").decode("utf-8", "replace")}
              for k, v in environ.items() if k.startswith("HTTP_")]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"Fields": fields}).encode()]
`

func startVictim(t *testing.T) string {
	t.Helper()
	folder, at := t.TempDir(), freeAddress(t)
	if err := os.WriteFile(filepath.Join(folder, "victim.py"), []byte(victim), 0o644); err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	cmd := exec.Command("gunicorn", "--bind", at, "--chdir", folder, "--worker-tmp-dir", folder,
		"--log-level", "warning", "--worker-class", "gthread", "--threads", "4", "victim:application")
	startProxy(t, cmd, log)
	p := &process{t: t, log: log}
	p.eventually("gunicorn answers", func() bool {
		response, err := client.Get("http://" + at)
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	})
	return "http://" + at
}

// testSpoofing sends the whole corpus to an application that shows what arrives, and to one whose
// server is careless about names. The person is in no group, so that a group that arrives is
// forged.
func testSpoofing(t *testing.T, s *site) {
	cookie, verified := s.session("ada")
	victim := startVictim(t)
	careless := s.before(freeAddress(t), victim)
	alias := spoofing.Attempt{Header: "Remote-User", Lines: []string{"Remote_User: " + spoofing.Forged}}
	if e, _ := attempt(t, strings.TrimPrefix(victim, "http://"), alias); len(alias.Through(e.Fields, nil)) == 0 {
		t.Errorf("the victim is not careless: %+v", e.Fields)
	}
	for _, to := range []string{s.at, strings.TrimPrefix(careless.url, "http://")} {
		arrived := 0
		for _, a := range spoofing.Attempts() {
			e, code := attempt(t, to, a, "Cookie: "+cookie)
			if code == 200 {
				arrived++
				for _, through := range a.Through(e.Fields, verified) {
					t.Errorf("%s: %s", a.Name, through)
				}
			} else if code < 400 || code == 401 || code > 501 {
				t.Errorf("%s: status %d, want 200 or that the request is refused", a.Name, code)
			}
		}
		if all := len(spoofing.Attempts()); arrived < all/2 {
			t.Errorf("%d of %d requests arrived", arrived, all)
		}
	}
}

// attempt sends an attempt. The status is 400 where the proxy closes the connection without a word.
func attempt(t *testing.T, at string, a spoofing.Attempt, more ...string) (e echoed, status int) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(a.Request(at, "/", more...))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return e, http.StatusBadRequest
	}
	defer response.Body.Close()
	if response.StatusCode == 200 {
		if err := json.NewDecoder(response.Body).Decode(&e); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
	return e, response.StatusCode
}

// testClientsNameNoRequest has a client name requests as if it were the proxy, which Curfew
// believes.
func testClientsNameNoRequest(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	const own = "made-up-by-the-client"
	named := []string{front.RequestID, own, "Cookie", cookie}
	ids := map[string]string{"the application": s.echo("/", nil, named...).get(front.RequestID)}
	below := s.below(siteBase)
	for what, ask := range map[string]struct {
		at   *process
		path string
		form url.Values
	}{
		"a page of Curfew's": {below, "/login", nil},
		"a sign-in":          {below, "/login", url.Values{"username": {"ada"}, "password": {"wrong"}}},
		"a stranger":         {s.process, "/", nil},
	} {
		response, _ := ask.at.do(ask.path, ask.form, front.RequestID, own, "Origin", s.url)
		ids[what] = response.Header.Get(front.RequestID)
	}
	for what, id := range ids {
		if !session.IsRequestID(id) || id == own {
			t.Errorf("%s: the request has the ID %q, want one of the proxy's or of Curfew's", what, id)
		}
	}
}

// testOddPathsReachNoApplication asks without a session for paths of Curfew's that an application
// could take for others.
func testOddPathsReachNoApplication(t *testing.T, s *site) {
	asked := s.app.asked.Load()
	for _, target := range []string{
		"/.curfew/../secret", "/.curfew/%2e%2e/secret", "/.curfew/..%2fsecret", "/.curfew/.%2e/secret",
		"/.curfew//../secret", "//.curfew/../secret", "/.curfew/..;/secret", "/.curfew/;/../../secret",
		"/.curfew/..\\secret", "/.curfew%2f../secret", "/%2ecurfew/../secret", "/.CURFEW/../secret",
		"/.curfewx", "/.curfew;x", "/.curfew%00", "/x/../.curfew/../secret", "http://x/secret",
		"http://x/.curfew/../secret", "/secret?/.curfew/", "/secret#/.curfew/",
		"/.curfew/session/echo/../../../x", "/.curfew/static/../../secret", "/secret/.curfew/", "*",
		"secret",
	} {
		for _, more := range []string{"", "Upgrade: websocket\r\nConnection: Upgrade\r\n",
			"X-Original-URI: /.curfew/\r\n"} {
			c, err := net.Dial("tcp", s.at)
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write([]byte("GET " + target + " HTTP/1.1\r\nHost: " + s.at + "\r\n" + more + "\r\n"))
			if response, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && response.StatusCode == 200 {
				t.Errorf("%s %q: %s", target, more, response.Status)
			}
			c.Close()
		}
	}
	if now := s.app.asked.Load(); now != asked {
		t.Errorf("the application was asked %d times", now-asked)
	}
}
