package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"curfew/front"
)

// Traefik and Envoy are not to be had as packages. What follows does with a door what their sources
// do, as their printed configurations tell them to.

// checker asks a door about a request, as a proxy does. Where the request may pass, the answer is
// nil, and the request has the headers that the application gets.
type checker func(t *testing.T, r *http.Request) *http.Response

// printedYAML is a printed file of a site.
func (s *site) printedYAML(kind, file string, into any) {
	s.t.Helper()
	folder := s.t.TempDir()
	args := slices.Concat([]string{"proxy-config", kind, "--app", s.app.URL, "--out", folder}, s.settings)
	if status, _, errs := curfew(s.t, args...); status != 0 {
		s.t.Fatal(errs)
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// traefik is a check as pkg/middlewares/auth/forward.go of Traefik 3 makes it.
func (s *site) traefik() checker {
	var printed struct {
		HTTP struct {
			Middlewares map[string]struct {
				ForwardAuth struct {
					Address             string
					AuthResponseHeaders []string `yaml:"authResponseHeaders"`
				} `yaml:"forwardAuth"`
				Headers struct {
					CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
				}
			}
		}
	}
	s.printedYAML("traefik", "dynamic.yml", &printed)
	says, auth := printed.HTTP.Middlewares["client-says"].Headers, printed.HTTP.Middlewares["curfew"].ForwardAuth
	return func(t *testing.T, r *http.Request) *http.Response {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Forwarded-") { // of entry points that trust no client
				r.Header.Del(name)
			}
		}
		for name, value := range says.CustomRequestHeaders {
			if r.Header.Del(name); value != "" {
				t.Errorf("client-says sets %s", name)
			}
		}
		check, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, auth.Address, nil)
		check.Header = r.Header.Clone()
		proto := "https"
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			proto = "wss"
		}
		for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailers", "Transfer-Encoding", "Upgrade"} {
			check.Header.Del(name)
		}
		check.Header.Set("X-Forwarded-Method", r.Method)
		check.Header.Set("X-Forwarded-Proto", proto)
		check.Header.Set("X-Forwarded-Host", r.Host)
		check.Header.Set("X-Forwarded-Uri", r.URL.RequestURI())
		check.Header.Set("X-Forwarded-For", "203.0.113.9")
		response := send(t, check)
		if response.StatusCode/100 != 2 {
			if location, err := response.Location(); err == nil { // resolved against the address of the door
				response.Header.Set("Location", location.String())
			}
			return response
		}
		copyVerified(auth.AuthResponseHeaders, response, r)
		return nil
	}
}

// envoy is a check as the filter ext_authz of Envoy makes it over HTTP.
func (s *site) envoy() checker {
	type patterns struct {
		Patterns []struct{ Exact, Prefix string }
	}
	var printed struct {
		Static struct {
			Listeners []struct {
				Chains []struct {
					Filters []struct {
						Config struct {
							HTTPFilters []struct {
								Config struct {
									StatusOnError struct{ Code string } `yaml:"status_on_error"`
									Service       struct {
										Server struct{ URI string } `yaml:"server_uri"`
										Prefix string               `yaml:"path_prefix"`
										Answer struct {
											Upstream patterns `yaml:"allowed_upstream_headers"`
										} `yaml:"authorization_response"`
									} `yaml:"http_service"`
									Allowed patterns `yaml:"allowed_headers"`
								} `yaml:"typed_config"`
							} `yaml:"http_filters"`
						} `yaml:"typed_config"`
					}
				} `yaml:"filter_chains"`
			}
		} `yaml:"static_resources"`
	}
	s.printedYAML("envoy", "envoy.yaml", &printed)
	filter := printed.Static.Listeners[0].Chains[0].Filters[0].Config.HTTPFilters[1].Config
	return func(t *testing.T, r *http.Request) *http.Response {
		check, _ := http.NewRequestWithContext(t.Context(), r.Method, filter.Service.Server.URI, nil)
		check.URL.Opaque = check.URL.Scheme + "://" + check.URL.Host + filter.Service.Prefix + r.URL.Opaque
		check.Host = r.Host
		for _, allowed := range filter.Allowed.Patterns {
			for name, values := range r.Header {
				lower := strings.ToLower(name)
				if lower == allowed.Exact || allowed.Prefix != "" && strings.HasPrefix(lower, allowed.Prefix) {
					check.Header[name] = values
				}
			}
		}
		response := send(t, check)
		switch {
		case response.StatusCode == 200:
			var names []string
			for _, p := range filter.Service.Answer.Upstream.Patterns {
				names = append(names, p.Exact)
			}
			copyVerified(names, response, r)
			return nil
		case response.StatusCode >= 500 && filter.StatusOnError.Code == "ServiceUnavailable":
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}
		case response.StatusCode >= 500:
			return &http.Response{StatusCode: 403, Header: http.Header{}, Body: http.NoBody}
		}
		return response
	}
}

func send(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// copyVerified replaces headers of a request by those of an answer.
func copyVerified(names []string, answer *http.Response, r *http.Request) {
	for _, name := range names {
		r.Header.Del(name)
		for _, value := range answer.Header.Values(name) {
			r.Header.Add(name, value)
		}
	}
}

func TestChecksOfTraefikAndEnvoy(t *testing.T) {
	t.Parallel()
	listen, doors := freeAddress(t), freeAddress(t)
	s := &site{app: startEchoApp(t), settings: []string{"--listen", listen, "--verify-listen", doors,
		"--base-path", siteBase, "--public-url", "https://app.example.org", "--trusted-proxies", "127.0.0.1/32",
		"--testing", "--passive-paths", "/api/*"}}
	s.curfew = start(t, s.settings...)
	s.curfew.url = "http://" + listen + siteBase
	s.process = s.curfew
	for name, check := range map[string]checker{"Traefik": s.traefik(), "Envoy": s.envoy()} {
		t.Run(name, func(t *testing.T) {
			part := s.within(t)
			testChecks(t, part, check)
			testChecksTellWhoAsks(t, part, check)
		})
	}
}

// asked is a request as a browser sends it to a proxy.
func asked(t *testing.T, method, target string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://app.example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = &url.URL{Opaque: target}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func testChecks(t *testing.T, s *site, check checker) {
	const login = "https://app.example.org/.curfew/login"
	for _, tt := range []struct {
		name, method, target string
		header               []string
		code                 int
		location             string
	}{
		{"a page", "GET", "/a%2Fb//c/../d?e=1&f=%20", []string{"Sec-Fetch-Mode", "navigate"}, 303,
			login + "?next=" + url.QueryEscape("/a%2Fb//c/../d?e=1&f=%20")},
		{"a page of an old browser", "GET", "/", []string{"Accept", "text/html"}, 303, login + "?next=%2F"},
		{"a form", "POST", "/a", []string{"Sec-Fetch-Mode", "navigate"}, 303, login},
		{"a script's request", "GET", "/api", []string{"Sec-Fetch-Mode", "cors"}, 401, login + "?next=%2Fapi"},
		{"a script's removal", "DELETE", "/api", []string{"Sec-Fetch-Mode", "cors"}, 401, login},
		{"a handshake", "GET", "/socket", []string{"Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-Fetch-Mode", "websocket"}, 401, login + "?next=%2Fsocket"},
		{"another's idea of the path", "GET", "/a", []string{"Sec-Fetch-Mode", "navigate", "X-Original-URI", "/forged",
			"X-Forwarded-Uri", "/forged", "X-Forwarded-Method", "GET"}, 303, login + "?next=%2Fa"},
	} {
		response := check(t, asked(t, tt.method, tt.target, tt.header...))
		if response == nil {
			t.Errorf("%s: it passes", tt.name)
			continue
		}
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != tt.code || response.Header.Get("Location") != tt.location {
			t.Errorf("%s: %s to %q, want %d to %q", tt.name, response.Status, response.Header.Get("Location"),
				tt.code, tt.location)
		}
		if tt.code == 401 && !strings.Contains(string(body), `"error":"no-session"`) {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
	s.curfew.testing("store", `{"method":"Get","before":1}`)
	defer s.curfew.testing("store", `{}`)
	unknown := "__Host-curfew=" + strings.Repeat("A", 43)
	if r := check(t, asked(t, "GET", "/", "Cookie", unknown)); r == nil || r.StatusCode != 503 {
		t.Errorf("with the store out of reach: %v, want 503", r)
	}
}

func testChecksTellWhoAsks(t *testing.T, s *site, check checker) {
	cookie, verified := s.session("ada")
	r := asked(t, "POST", "/", "Cookie", "a=1; "+cookie, "Remote-User", "mallory", "Remote-Groups", "admins",
		front.RequestID, "made-up")
	if response := check(t, r); response != nil {
		t.Fatalf("it does not pass: %s", response.Status)
	}
	for name, want := range verified {
		if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := r.Header.Values("Cookie"); len(got) != 1 || got[0] != "a=1" {
		t.Errorf("Cookie: %q, want a=1", got)
	}
	if got := r.Header.Values(front.RequestID); len(got) != 1 || got[0] == "made-up" {
		t.Errorf("the request has the IDs %q, want the door's", got)
	}
	person := []string{"Cookie", cookie, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1"}
	for target, extends := range map[string]bool{"/api/a": false, "/page": true} {
		s.curfew.testing("clock", `{"advance_ms":60000}`)
		_, before := s.curfew.status(cookie)
		check(t, asked(t, "GET", target, person...))
		_, after := s.curfew.status(cookie)
		if extended := after["expire_in_ms"].(float64) > before["expire_in_ms"].(float64); extended != extends {
			t.Errorf("%s: extended %v, want %v", target, extended, extends)
		}
	}
}
