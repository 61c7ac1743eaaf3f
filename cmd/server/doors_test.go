package main

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"curfew/session/redis/redistest"
)

// doorsAddress is where the log says that the doors of a process are.
func (p *process) doorsAddress() string {
	p.t.Helper()
	m := regexp.MustCompile(`msg=listening for=doors address=(\S+)`).FindStringSubmatch(p.log.String())
	if m == nil {
		p.t.Fatalf("the log does not say where the doors are:\n%s", p.log)
	}
	return m[1]
}

// knock sends a check to a door of a process. Headers come in pairs.
func (p *process) knock(method, path string, header ...string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.doorsAddress()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	response.Body.Close()
	return response
}

func TestDoorsStandApart(t *testing.T) {
	t.Parallel()
	p := start(t, "--base-path", "/.curfew", "--verify-listen", "127.0.0.1:0", "--trusted-proxies", "127.0.0.0/8",
		"--public-url", "http://localhost:18080")
	p.url += "/.curfew"
	cookie := p.signIn("ada")
	page := []string{"Sec-Fetch-Mode", "navigate", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/app?x"}
	response := p.knock("GET", "/session/verify/forward", page...)
	const login = "http://localhost:18080/.curfew/login?next=%2Fapp%3Fx"
	if response.StatusCode != 303 || response.Header.Get("Location") != login {
		t.Errorf("a stranger: %s to %s, want 303 to %s", response.Status, response.Header.Get("Location"), login)
	}
	response = p.knock("HEAD", "/session/verify/forward", append(page, "Cookie", cookie+"; a=b")...)
	if response.StatusCode != 200 || response.Header.Get("Remote-Groups") != "admins,staff" ||
		response.Header.Get("Remote-Email") != "ada@demo.example" || response.Header.Get("Cookie") != "a=b" {
		t.Errorf("ada: %s %v", response.Status, response.Header)
	}
	response = p.knock("GET", "/session/verify//", page...)
	if response.StatusCode != 404 {
		t.Errorf("what is no door: %s", response.Status)
	}
	for path, status := range map[string]int{"/session/verify": 404, "/": 303, "/login": 303, "/session/status": 200} {
		r, _ := p.do(path, nil, "Cookie", cookie, "Host", "localhost:18080", "Accept", "text/html")
		if r.StatusCode != status || status == 303 && r.Header.Get("Location") != "/" {
			t.Errorf("%s where browsers are: %s to %q, want %d", path, r.Status, r.Header.Get("Location"), status)
		}
	}
}

// A browser signs in at one node and then at another, and asks the doors of both.
func TestNodesAgreeOnWhoWasLast(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, redistest.Start(t), 2, "--verify-listen", "127.0.0.1:0")
	here, there := nodes[0], nodes[1]
	first, _ := here.login("ada", "ada-demo")
	cookies := map[string]string{}
	for _, c := range first.Cookies() {
		cookies[c.Name] = c.Name + "=" + c.Value
	}
	for _, node := range nodes {
		response := node.knock("GET", "/session/verify", "Cookie", cookies["__Host-curfew"])
		if response.StatusCode != 200 || response.Header.Get("Remote-User") != "ada" {
			t.Errorf("a door: %s %v", response.Status, response.Header)
		}
	}
	for user, ends := range map[string]bool{"ada": false, "grace": true} {
		next, _ := there.login(user, user+"-demo", "Cookie", "app=x; "+cookies["__Host-curfew-last"])
		lines := strings.Join(next.Header["Set-Cookie"], "\n")
		who, _, _ := strings.Cut(cookies["__Host-curfew-seen"], ".")
		if strings.Contains(lines, "app=;") != ends || strings.Contains(lines, who+".") == ends {
			t.Errorf("%s at another node sets\n%s\nwhere ada was last, as %s", user, lines, who)
		}
	}
	here.call("POST", "/logouts", `{"everyone":true}`, 200)
	for _, node := range nodes {
		response := node.knock("GET", "/session/verify", "Cookie", cookies["__Host-curfew"])
		if response.StatusCode != 401 {
			t.Errorf("a door after the end: %s", response.Status)
		}
	}
}

func TestDoorsAreWhereNoBrowserIs(t *testing.T) {
	checkRefusals(t, []refusal{
		{"doors for proxies of other machines", append([]string{"--verify-listen", ":9"}, ldapFlags...), ""},
		{"doors of the demo directory for strangers", []string{"--verify-listen", "0.0.0.0:9"},
			`verify-listen "0.0.0.0:9": must be a loopback address while the demo`},
		{"doors for strangers in testing", []string{"--verify-listen", ":9", "--testing"},
			`testing with verify-listen ":9"`},
		{"doors without a port", []string{"--verify-listen", "localhost"},
			`verify-listen "localhost": must be HOST:PORT`},
		{"doors where browsers are", []string{"--listen", "127.0.0.1:9", "--verify-listen", "127.0.0.1:9"},
			`verify-listen "127.0.0.1:9": must be another address than listen "127.0.0.1:9"`},
		{"doors under another name of where browsers are",
			[]string{"--listen", "localhost:9", "--verify-listen", "[::1]:9"}, "must be another address than listen"},
		{"doors at one of all addresses where browsers are",
			append([]string{"--listen", ":9", "--verify-listen", "10.0.0.1:9"}, ldapFlags...),
			"must be another address than listen"},
		{"doors where the console is", []string{"--admin-listen", "127.0.0.1:9", "--admin-url", "http://localhost:9",
			"--verify-listen", "localhost:9"}, `must be another address than admin-listen "127.0.0.1:9"`},
		{"doors where the metrics are", []string{"--metrics-listen", "[::]:9", "--verify-listen", "127.0.0.1:9"},
			`must be another address than metrics-listen "[::]:9"`},
		{"doors on the same port of another address",
			append([]string{"--listen", "10.0.0.2:9", "--verify-listen", "10.0.0.1:9"}, ldapFlags...), ""},
		{"doors on a free port", []string{"--listen", "127.0.0.1:0", "--verify-listen", "127.0.0.1:0"}, ""},
		{"doors beside an upstream", []string{"--verify-listen", "127.0.0.1:9", "--upstream", "http://localhost:1"},
			""},
		{"a home page of Curfew's with doors below a base path",
			[]string{"--verify-listen", "127.0.0.1:9", "--base-path", "/.curfew", "--home", "/.curfew/"},
			`home "/.curfew/": must be a page of the application`},
		{"a home page of Curfew's with doors at the root", []string{"--verify-listen", "127.0.0.1:9", "--home", "/"},
			""},
	})
}

func TestCheckConfigWarnsOfDoorsThatAreLeftOpen(t *testing.T) {
	proxies := []string{"--trusted-proxies", "10.0.0.0/8"}
	const reached, believed = "is not a loopback address", "trusted-proxies is not"
	for _, tt := range []struct {
		name  string
		args  []string
		warns []string
	}{
		{"no doors", ldapFlags, nil},
		{"doors on loopback", append([]string{"--verify-listen", "127.0.0.1:9"}, proxies...), nil},
		{"doors that believe nobody", []string{"--verify-listen", "127.0.0.1:9"}, []string{believed}},
		{"doors of every address", append([]string{"--verify-listen", ":9"}, ldapFlags...),
			[]string{reached, believed}},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"check-config"}, tt.args...)
		if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("%s: status %d: %s", tt.name, code, stderr.String())
		}
		for _, warning := range []string{reached, believed} {
			if got := strings.Contains(stdout.String(), warning); got != slices.Contains(tt.warns, warning) {
				t.Errorf("%s: warned that it %s: %v\n%s", tt.name, warning, got, stdout.String())
			}
		}
	}
}

func TestCookiesOfAnApplicationNeedOne(t *testing.T) {
	upstream := []string{"--upstream", "http://localhost:1", "--public-url", "https://app.example.org"}
	checkRefusals(t, []refusal{
		{"cookies of an upstream",
			append([]string{"--app-cookies", "a;path=/x,b;domain=example.org"}, upstream...), ""},
		{"cookies behind doors", []string{"--app-cookies", "a", "--verify-listen", "127.0.0.1:9"}, ""},
		{"cookies of no application", []string{"--app-cookies", "a"},
			"app-cookies: needs upstream or verify-listen"},
		{"a cookie that no browser takes", append([]string{"--app-cookies", "a;domain=other.org"}, upstream...),
			`app-cookies: "a;domain=other.org" must have the public URL's host app.example.org`},
		{"a home page that leads back to itself", append([]string{"--home", "/.curfew/login/?a"}, upstream...),
			`home "/.curfew/login/?a": must be a page of the application`},
		{"a cookie of Curfew's", append([]string{"--app-cookies", "__Host-curfew"}, upstream...),
			`app-cookies: "__Host-curfew" is a cookie of Curfew's own`},
	})
}

func TestHomeIsTheApplicationsWhereThereIsOne(t *testing.T) {
	doors := []string{"--verify-listen", "127.0.0.1:9"}
	for _, tt := range []struct {
		what, home string
		args       []string
		sample     bool
	}{
		{"alone", "", nil, true},
		{"below a base path", "", []string{"--base-path", "/guard"}, true},
		{"with doors", "", doors, true},
		{"with doors below a base path", "/", append([]string{"--base-path", "/.curfew"}, doors...), false},
		{"with doors and a home page", "/start", append([]string{"--base-path", "/a", "--home", "/start"}, doors...),
			false},
		{"with an upstream", "/", []string{"--upstream", "http://localhost:1"}, false},
	} {
		c, err := load(tt.args, nil)
		if err != nil {
			t.Errorf("%s: %v", tt.what, err)
			continue
		}
		if c.application.home != tt.home || c.hasApplication() == tt.sample {
			t.Errorf("%s: home %q, an application %v; want %q and %v", tt.what, c.application.home, c.hasApplication(),
				tt.home, !tt.sample)
		}
	}
}
