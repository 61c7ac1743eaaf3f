package front_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestApplicationIsToldWhoAsks(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) { got <- r })
	request, err := http.NewRequest("GET", s.URL+"/a%2Fb;c?", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Remote_Groups", "root")
	request.Header.Set("Remote-User", "grace")
	request.Header.Set("Cookie", "__Host-curfew=secret; a=b; __host-Curfew-seen=x")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	r := <-got
	for name, want := range map[string]string{
		"Remote-User":       "ada",
		"Remote-Name":       "",
		"Remote-Groups":     "admins,staff",
		"Remote-Session":    "ref",
		"Remote_groups":     "",
		"Cookie":            "a=b",
		"X-Forwarded-Host":  "app.example",
		"X-Forwarded-Proto": "https",
	} {
		if value := strings.Join(r.Header[name], "|"); value != want {
			t.Errorf("%s = %q, want %q", name, value, want)
		}
	}
	if r.RequestURI != "/a%2Fb;c?" || r.Host != "app.example" {
		t.Errorf("asked %q of %q", r.RequestURI, r.Host)
	}
}

func TestEventStreamIsCutAtTheEnd(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- r.Context().Err()
	})
	response, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	s.end()
	if _, err := response.Body.Read(make([]byte, 1)); err == nil {
		t.Error("the stream goes on")
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the application is told %v", err)
	}
}

func TestPageOfTheApplicationGetsTheTag(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Add("Set-Cookie", "__Host-curfew=stolen")
		fmt.Fprint(w, "<!doctype html><title>x</title>")
	})
	request, err := http.NewRequest("GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `src="/.curfew/static/curfew.js"`) || len(response.Header["Set-Cookie"]) > 0 {
		t.Errorf("%v %s", response.Header, body)
	}
}
