package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"curfew/front/spoofing"
)

// verification is one run of verify-proxy on a site.
type verification struct {
	*visitor
	api      remote
	verified map[string]string // what the guard says of the session
	suffix   string            // of the path of the echo: which word of it counts

	mu       sync.Mutex
	path     string // of the echo
	openedAt time.Time
	checks   []*check // in the order in which they were begun
	// Checks that several steps are about.
	strangers, cookies *check
	doors              *check
}

// check is one thing that was tried in several ways.
type check struct {
	Name       string    `json:"name"`
	Tried      int       `json:"tried"`
	GotThrough []through `json:"got_through"`
}

// through is what got through in one way.
type through struct {
	Attempt string `json:"attempt"`
	What    string `json:"what"`
}

func (v *verification) newCheck(name string) *check {
	c := &check{Name: name, GotThrough: []through{}}
	v.checks = append(v.checks, c)
	return c
}

// tried notes that something was tried, and what got through.
func (v *verification) tried(c *check, attempt string, got ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.Tried++
	for _, what := range got {
		c.GotThrough = append(c.GotThrough, through{attempt, what})
	}
}

// run tries everything. An error says that something could not be tried.
func (v *verification) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		v.hearGuard, v.tryHeaders, v.tryStrangers, v.trySecondOpinions, v.tryDoors,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	v.sortFindings()
	// Had the session ended meanwhile, nothing could have got through.
	if _, err := v.status(ctx); err != nil {
		return err
	}
	_, err := v.ordinaryEcho(ctx)
	return err
}

// sortFindings sorts what got through in the order of the attempts, of which several were made at
// once.
func (v *verification) sortFindings() {
	order := make(map[string]int)
	for i, a := range spoofing.Attempts() {
		order[a.Name] = i + 1
	}
	for i, target := range doorTargets(v.site.Host, v.base) {
		order[target] = i + 1
	}
	for _, c := range v.checks {
		slices.SortStableFunc(c.GotThrough, func(a, b through) int { return order[a.Attempt] - order[b.Attempt] })
	}
}

// attemptsAtOnce is how many requests are under way. A ticket of the echo is good for a minute.
const (
	attemptsAtOnce = 4
	renewEchoAfter = 40 * time.Second
)

// echoPath is the path of the echo, which is opened anew in time.
func (v *verification) echoPath(ctx context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.path != "" && time.Since(v.openedAt) < renewEchoAfter {
		return v.path + v.suffix, nil
	}
	var opened struct{ Path string }
	at := time.Now()
	if err := v.api.call(ctx, http.MethodPost, "/echo", nil, &opened); err != nil {
		return "", err
	}
	if u, err := url.Parse(opened.Path); err != nil || u.Host != "" || !strings.HasPrefix(opened.Path, v.base+"/") {
		return "", fmt.Errorf("the server opens %q, which is not below %s/", opened.Path, v.base)
	}
	v.path, v.openedAt = opened.Path, at
	return v.path + v.suffix, nil
}

// toldFields is what an application is told.
type toldFields struct {
	Headers []spoofing.Field
	Cookies []string
}

// toldBy reads an answer of the echo. It is nil where the request did not get there.
func toldBy(got *reply) (told *toldFields) {
	if got == nil || got.status != http.StatusOK || json.Unmarshal(got.body, &told) != nil || told.Headers == nil {
		return nil
	}
	return told
}

// values are those of a header that is told by its exact name.
func (t *toldFields) values(name string) (list []string) {
	for _, f := range t.Headers {
		if f.Name == name {
			list = append(list, f.Value)
		}
	}
	return list
}

// ordinaryEcho asks for the echo as a browser would.
func (v *verification) ordinaryEcho(ctx context.Context) (*toldFields, error) {
	path, err := v.echoPath(ctx)
	if err != nil {
		return nil, err
	}
	got, err := v.send(ctx, v.get(path, v.cookieLine()))
	if err != nil {
		return nil, err
	}
	told := toldBy(got)
	if told == nil {
		status := "closes the connection"
		if got != nil {
			status = fmt.Sprintf("answers with status %d", got.status)
		}
		return nil, fmt.Errorf("to %s/session/echo, with a session, the site %s: the proxy must lead it through its "+
			"check to Curfew, as the configuration does that proxy-config prints", v.base, status)
	}
	return told, nil
}

// hearGuard hears what the guard says of the session, to compare with later. Nobody else may be
// told anything.
func (v *verification) hearGuard(ctx context.Context) error {
	v.suffix = "&received" // a proxy that asks a door has said it by then, also where Curfew has an upstream
	told, err := v.ordinaryEcho(ctx)
	if err == nil && len(told.values("Remote-Session")) == 0 {
		v.suffix = ""
		told, err = v.ordinaryEcho(ctx)
	}
	if err != nil {
		return err
	}
	v.strangers = v.newCheck("requests without a session")
	path, err := v.echoPath(ctx)
	if err != nil {
		return err
	}
	got, err := v.send(ctx, v.get(path))
	if err != nil {
		return err
	}
	if toldBy(got) != nil {
		return fmt.Errorf("%s/session/echo is reached without a session: either the proxy asks no door about it, as "+
			"the configuration does that proxy-config prints, or it guards nothing", v.base)
	}
	v.tried(v.strangers, "an ordinary request")
	v.judgeGuard(ctx, told)
	return nil
}

// judgeGuard judges what an application is told of an ordinary request.
func (v *verification) judgeGuard(ctx context.Context, told *toldFields) {
	c := v.newCheck("what the guard says arrives")
	v.verified = make(map[string]string)
	var wrong []string
	for _, name := range spoofing.Identity() {
		values := told.values(name)
		if len(values) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s is told %d times: %q", name, len(values), values))
		}
		if len(values) > 0 {
			v.verified[name] = values[0]
		}
	}
	if v.verified["Remote-User"] != v.user {
		wrong = append(wrong, fmt.Sprintf("Remote-User is %q, and %q is signed in", v.verified["Remote-User"], v.user))
	}
	var session struct {
		User   string
		Groups []string
	}
	ref := url.PathEscape(v.verified["Remote-Session"])
	err := v.api.call(ctx, http.MethodGet, "/sessions/"+ref, nil, &session)
	if err != nil || session.User != v.user {
		wrong = append(wrong, fmt.Sprintf("Remote-Session is %q, which is not the session's",
			v.verified["Remote-Session"]))
	} else if len(session.Groups) > 0 && v.verified["Remote-Groups"] == "" {
		wrong = append(wrong, "Remote-Groups is lost: the session has "+strings.Join(session.Groups, ", "))
	}
	v.tried(c, "an ordinary request", wrong...)
	v.cookies = v.newCheck("Curfew's cookies")
	v.tried(v.cookies, "an ordinary request", leakedCookies(told)...)
}

// leakedCookies says which of Curfew's cookies an application is told.
func leakedCookies(told *toldFields) (list []string) {
	for _, name := range told.Cookies {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-curfew") {
			list = append(list, "the application is given the cookie "+name)
		}
	}
	return list
}

// each calls try for each item, several at once, until one fails.
func each[T any](ctx context.Context, items []T, try func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var running sync.WaitGroup
	for range attemptsAtOnce {
		running.Go(func() {
			for item := range next {
				if err := try(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		select {
		case next <- item:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
	return context.Cause(ctx)
}

// try sends a request that is one of many. What is not answered, or only because there are so many,
// is an error: nothing could get through then.
func (v *verification) try(ctx context.Context, name string, request []byte) (*reply, error) {
	got, err := v.send(ctx, request)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case got != nil && (got.status == http.StatusTooManyRequests || got.status == http.StatusServiceUnavailable):
		return nil, fmt.Errorf("%s: answered with status %d: let the site take many requests while this runs", name,
			got.status)
	}
	return got, nil
}

// forge sends an attempt to the echo.
func (v *verification) forge(ctx context.Context, a spoofing.Attempt, lines ...string) (*toldFields, error) {
	path, err := v.echoPath(ctx)
	if err != nil {
		return nil, err
	}
	got, err := v.try(ctx, a.Name, a.Request(v.site.Host, path, append(lines, "User-Agent: "+visitorName)...))
	return toldBy(got), err
}

// tryHeaders tries to slip each header past the proxy.
func (v *verification) tryHeaders(ctx context.Context) error {
	checks := make(map[string]*check)
	for _, a := range spoofing.Attempts() {
		if checks[a.Header] == nil {
			checks[a.Header] = v.newCheck(a.Header)
		}
	}
	return each(ctx, spoofing.Attempts(), func(ctx context.Context, a spoofing.Attempt) error {
		told, err := v.forge(ctx, a, v.cookieLine())
		if err != nil {
			return err
		}
		var got, cookies []string
		if told != nil {
			got, cookies = a.Through(told.Headers, v.verified), leakedCookies(told)
		}
		v.tried(checks[a.Header], a.Name, got...)
		v.tried(v.cookies, a.Name, cookies...)
		return nil
	})
}

// tryStrangers tries to pass for somebody without any session.
func (v *verification) tryStrangers(ctx context.Context) error {
	attempts := slices.DeleteFunc(spoofing.Attempts(), func(a spoofing.Attempt) bool {
		return !slices.Contains(spoofing.Identity(), a.Header)
	})
	return each(ctx, attempts, func(ctx context.Context, a spoofing.Attempt) error {
		told, err := v.forge(ctx, a)
		if err != nil {
			return err
		}
		var got []string
		if told != nil {
			got = []string{a.Header + " is taken for a session"}
		}
		v.tried(v.strangers, a.Name, got...)
		return nil
	})
}

// saysWhatIsAsked are the headers by which a proxy tells a door what was asked.
var saysWhatIsAsked = []string{"X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri"}

// trySecondOpinions tries to make a door believe the client's own word of what is asked. Its answer
// shows what it believes: the way back after a sign-in.
func (v *verification) trySecondOpinions(ctx context.Context) error {
	c := v.newCheck("what the client says it asks for")
	attempts := slices.DeleteFunc(spoofing.Attempts(), func(a spoofing.Attempt) bool {
		return !slices.Contains(saysWhatIsAsked, a.Header)
	})
	return each(ctx, attempts, func(ctx context.Context, a spoofing.Attempt) error {
		for i, line := range a.Lines {
			a.Lines[i] = strings.ReplaceAll(line, spoofing.Forged, "/"+spoofing.Forged)
		}
		got, err := v.try(ctx, a.Name, a.Request(v.site.Host, "/verify-proxy", "User-Agent: "+visitorName,
			"Accept: text/html", "Sec-Fetch-Mode: navigate"))
		if err != nil {
			return err
		}
		var believed []string
		if got != nil && strings.Contains(got.header.Get("Location"), spoofing.Forged) {
			believed = []string{a.Header + " of the client is believed: it leads to " + got.header.Get("Location")}
		}
		v.tried(c, a.Name, believed...)
		return nil
	})
}

// tryDoors tries to reach a door from outside.
func (v *verification) tryDoors(ctx context.Context) error {
	v.doors = v.newCheck("doors")
	return each(ctx, doorTargets(v.site.Host, v.base), func(ctx context.Context, target string) error {
		got, err := v.try(ctx, target, v.get(target, v.cookieLine()))
		if err != nil && !errors.Is(err, errUnanswered) { // an application may be slow, and no door is
			return err
		}
		var reached []string
		if got != nil && isDoor(got.header) {
			reached = []string{"the door " + target + " is reached from outside, and tells what scripts must not read"}
		}
		v.tried(v.doors, target, reached...)
		return nil
	})
}
