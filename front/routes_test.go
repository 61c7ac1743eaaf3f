package front_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"curfew/front"
)

func TestTheLongestPathWins(t *testing.T) {
	t.Parallel()
	answering := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
	}
	var all []front.Route
	for _, path := range []string{"/api", "/api/v1/", "/api/", "/apiary", "/only/", "/caf%C3%A9"} {
		all = append(all, front.Route{Path: path, Handler: answering(path)})
	}
	wants := func(routes []front.Route, sent, want string) {
		t.Helper()
		h := front.NewRoutes(routes, func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, front.ErrNoRoute) {
				io.WriteString(w, "none")
			}
		})
		f := front.New(front.Options{Public: &url.URL{Scheme: "https", Host: "app.example"}, Fail: fail})
		r := request(t)
		r.RequestURI = sent
		var body strings.Builder
		f.Serve(recorder{http.Header{}, &body}, r, nil, h)
		if body.String() != want {
			t.Errorf("%q leads to %s, want %s", sent, body.String(), want)
		}
	}
	for sent, want := range map[string]string{
		"/api":                       "/api",
		"/api?x":                     "/api",
		"/api/":                      "/api/",
		"/api/x":                     "/api/",
		"/api//x":                    "/api/",
		"/api/v1":                    "/api/",
		"/api/v1/x?/only/":           "/api/v1/",
		"/apiary/x":                  "/apiary",
		"/apia":                      "none",
		"/api%2Fx":                   "none",
		"/%61pi":                     "none",
		"/API":                       "none",
		"/only":                      "none",
		"/only/":                     "/only/",
		"/caf%C3%A9/x":               "/caf%C3%A9",
		"/caf\u00e9":                 "none",
		"/":                          "none",
		"//api":                      "none",
		"*":                          "none",
		"http://other.example/api/x": "/api/",
		"http://other.example":       "none",
	} {
		wants(all, sent, want)
	}
	all = append(all, front.Route{Path: "/", Handler: answering("/")})
	for sent, want := range map[string]string{"/": "/", "/x": "/", "//": "/", "/api": "/api", "*": "/"} {
		wants(all, sent, want)
	}
}

func TestPathsOfRoutesAreChecked(t *testing.T) {
	t.Parallel()
	for path, ok := range map[string]bool{
		"/": true, "/api": true, "/api/": true, "/a%C3%A9/b-c_d~e": true, "/\u00e9": true,
		"": false, "api": false, "/a?": false, "/a#b": false, "/a*": false, "/a b": false, "/a\tb": false, "//": false,
		"/a//b": false, "/a/../b": false, "/a;b": false, `/a\b`: false, "/a%2fb": false,
	} {
		if err := front.ValidateRoute(path); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}
