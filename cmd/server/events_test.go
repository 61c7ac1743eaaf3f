package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/delivery"
	"curfew/internal/metrics"
	"curfew/session"
	"curfew/session/redis/redistest"
)

const webhookSecret = "a secret of thirty-two bytes, no less"

// receiver is an application that gets events: each body, in the order in which it has accepted
// them.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	status   int           // what it answers
	hang     chan struct{} // closed: it answers at once
	asked    int
	accepted []map[string]any
}

// startReceiver starts one that takes nothing, and answers with status once hang is closed.
func startReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{status: status, hang: make(chan struct{})}
	close(r.hang)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	t.Cleanup(func() { r.answer(http.StatusNoContent, false) }) // before that, so that no request hangs
	return r
}

// answer changes how it answers from now on.
func (r *receiver) answer(status int, isHanging bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.hang:
	default:
		close(r.hang)
	}
	if r.status = status; isHanging {
		r.hang = make(chan struct{})
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	var event map[string]any
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	seconds, _, _ := strings.Cut(strings.TrimPrefix(q.Header.Get("Curfew-Signature"), "t="), ",")
	unix, _ := strconv.ParseInt(seconds, 10, 64)
	at := time.Unix(unix, 0)
	if want := delivery.Sign([]byte(webhookSecret), body, at); err != nil || q.Header.Get("Curfew-Signature") != want ||
		time.Since(at).Abs() > time.Minute {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.mu.Lock()
	r.asked++
	status, hang := r.status, r.hang
	r.mu.Unlock()
	<-hang
	if status/100 == 2 {
		r.mu.Lock()
		r.accepted = append(r.accepted, event)
		r.mu.Unlock()
	}
	w.WriteHeader(status)
}

// flags are the settings of a server that sends events here.
func (r *receiver) flags(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(webhookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--webhook-url", r.URL + "/events", "--webhook-secret-file", file}
}

func (r *receiver) requests() int { r.mu.Lock(); defer r.mu.Unlock(); return r.asked }

// got are the events that were accepted, each once, by ID; and the order of each session's.
func (r *receiver) got() (events map[string]map[string]any, order map[any][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events, order = make(map[string]map[string]any), make(map[any][]string)
	for _, e := range r.accepted {
		id := e["id"].(string)
		if events[id] == nil {
			order[e["session"]] = append(order[e["session"]], id)
		}
		events[id] = e
	}
	return events, order
}

// wantsAll waits until the receiver has accepted all that the trail has, and wants each as the API
// tells it, and those of each session in their order.
func (a *asking) wantsAll(r *receiver) {
	a.t.Helper()
	trail := items(a.call("GET", "/audit?limit=1000", "", 200))
	a.eventually("all events are accepted", func() bool {
		events, _ := r.got()
		for _, item := range trail {
			if events[item.(map[string]any)["id"].(string)] == nil {
				return false
			}
		}
		return true
	})
	events, order := r.got()
	want := make(map[any][]string)
	for i := range trail {
		item := trail[len(trail)-1-i].(map[string]any) // oldest first
		id := item["id"].(string)
		if !reflect.DeepEqual(events[id], item) {
			a.t.Errorf("the event was %v, want the item of the trail: %v", events[id], item)
		}
		want[item["session"]] = append(want[item["session"]], id)
	}
	for ref, ids := range want {
		got := slices.DeleteFunc(order[ref], func(id string) bool { return !slices.Contains(ids, id) }) // written since
		if ref != nil && !slices.Equal(got, ids) {
			a.t.Errorf("order of session %v: %v, want %v", ref, got, ids)
		}
	}
	a.eventually("none waits", func() bool { return a.metric(`curfew_outbox_waiting{receiver="webhook"}`) == "0" })
}

// metric is the value of a metric.
func (a *asking) metric(name string) string {
	a.t.Helper()
	_, text := a.do("/metrics", nil, "Authorization", a.header.Get("Authorization"))
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// churn signs people in and out.
func (a *asking) churn(n int) {
	a.t.Helper()
	for i := range n {
		cookie, ref := a.session(fmt.Sprintf("user%d", i))
		if i%2 == 0 {
			a.call("POST", "/logouts", `{"session":"`+ref+`"}`, 200)
		} else {
			a.status(cookie)
		}
	}
}

func TestEventsSurviveAKill(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, http.StatusInternalServerError)
	p, _, admin := startAPI(t, r.flags(t)...)
	admin.churn(6)
	admin.eventually("the receiver has refused one", func() bool { return r.requests() > 0 })
	if n := admin.metric(`curfew_outbox_waiting{receiver="webhook"}`); n == "0" || n == "" {
		t.Errorf("%q events wait, want some", n)
	}
	r.answer(http.StatusNoContent, true) // now it hangs, and delays nobody
	admin.churn(4)
	p.kill()
	r.answer(http.StatusNoContent, false)
	p.run()
	admin.churn(2)
	admin.wantsAll(r)
	before := r.requests()
	p.kill()
	p.run()
	admin.churn(1)
	admin.wantsAll(r)
	if again := r.requests() - before; again > 30 {
		t.Errorf("%d requests for three more events: all that was accepted is sent again", again)
	}
}

func TestAnotherNodeSendsWhenOneIsKilled(t *testing.T) {
	t.Parallel()
	r := startReceiver(t, http.StatusNoContent)
	nodes := startNodes(t, redistest.Start(t), 2, r.flags(t)...)
	const sending = `curfew_outbox_sending{receiver="webhook"}`
	var sender, other *asking
	nodes[0].eventually("one of the nodes sends", func() bool {
		switch {
		case nodes[0].metric(sending) == "1" && nodes[1].metric(sending) == "0":
			sender, other = nodes[0], nodes[1]
		case nodes[1].metric(sending) == "1" && nodes[0].metric(sending) == "0":
			sender, other = nodes[1], nodes[0]
		}
		return sender != nil
	})
	other.churn(3) // written by one node, sent by the other
	other.wantsAll(r)
	r.answer(http.StatusNoContent, true)
	other.churn(4)
	sender.churn(4)
	sender.eventually("requests hang", func() bool {
		n, _ := strconv.Atoi(sender.metric(`curfew_outbox_waiting{receiver="webhook"}`))
		return n > 4
	})
	sender.kill()
	r.answer(http.StatusNoContent, false)
	other.churn(3)
	other.wantsAll(r)
	if got := other.metric(sending); got != "1" {
		t.Errorf("sending = %q on the node that is left, want 1", got)
	}
}

// pemOf is the certificate of a server.
func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestTheTrailGoesToSyslogOverTLS(t *testing.T) {
	t.Parallel()
	lender := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1
	lender.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(pemOf(lender)), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lender.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	messages := syslogMessages(t, l)
	_, _, admin := startAPI(t, "--audit-syslog", "syslog+tls://"+l.Addr().String(), "--audit-syslog-ca-file", ca)
	_, ref := admin.session("ada")
	text := next(t, messages)
	head, item, _ := strings.Cut(text, " - ")
	var event map[string]any
	if err := json.Unmarshal([]byte(item), &event); err != nil || event["session"] != ref ||
		!strings.HasPrefix(head, "<86>1 ") || !strings.HasSuffix(head, " sign-in") {
		t.Errorf("message %q, %v, want the sign-in of %s", text, err, ref)
	}
	admin.eventually("it counts as accepted", func() bool {
		return admin.metric(`curfew_outbox_waiting{receiver="syslog"}`) == "0"
	})
	if sent := admin.metric(`curfew_outbox_sent_total{receiver="syslog"}`); sent == "" || sent == "0" {
		t.Errorf("%q lines were sent, want one at least", sent)
	}
}

// next is what comes next out of a channel.
func next[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return v
}

// syslogMessages are the messages that arrive at a listener, over however many connections, until
// the test ends. A connection is read from at once: a sender waits seconds for it at most.
func syslogMessages(t *testing.T, l net.Listener) <-chan string {
	messages := make(chan string, 100)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					length, err := reader.ReadString(' ')
					size, sizeErr := strconv.Atoi(strings.TrimSpace(length))
					if err != nil || sizeErr != nil {
						return
					}
					text := make([]byte, size)
					if _, err := io.ReadFull(reader, text); err != nil {
						return
					}
					messages <- string(text)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return messages
}

// An application that was given Remote-Session learns that this session has ended, and of nothing
// before that which it has not heard of first.
func TestAnApplicationLearnsOfTheEndOfTheSessionThatItWasGiven(t *testing.T) {
	t.Parallel()
	r, given := startReceiver(t, http.StatusNoContent), make(chan string, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		given <- q.Header.Get("Remote-Session")
	}))
	t.Cleanup(app.Close)
	_, _, admin := startAPI(t, append(r.flags(t), "--upstream", app.URL)...)
	cookie, ref := admin.session("ada")
	(&process{t: t, url: strings.TrimSuffix(admin.url, applicationBase)}).do("/people", nil, "Cookie", cookie)
	if got := next(t, given); got != ref {
		t.Fatalf("the application is given %q, want %q", got, ref)
	}
	admin.call("POST", "/logouts", `{"session":"`+ref+`"}`, 200)
	answered := time.Now()
	var order []string
	var end map[string]any
	admin.eventually("the application is told", func() bool {
		events, ids := r.got()
		order, end = ids[ref], events["end-"+ref]
		return end != nil
	})
	t.Logf("told within %s of the answer", time.Since(answered).Round(time.Millisecond))
	if want := []string{"in-" + ref, "end-" + ref}; !slices.Equal(slices.DeleteFunc(order, func(id string) bool {
		return strings.HasPrefix(id, "logout-")
	}), want) {
		t.Errorf("it was told %v, want %v", order, want)
	}
	if end["event"] != "session-end" || end["reason"] != "admin" || end["user"] != "ada" ||
		end["actor"] != "robot-admin" || end["session"] != ref {
		t.Errorf("it was told %v, want the end of %s by the administrator", end, ref)
	}
	admin.wantsAll(r)
}

// waker is a sender of which only it matters that it was woken.
type waker struct {
	delivery.Sender
	woken chan struct{}
}

func (w waker) Wake() { w.woken <- struct{}{} }

// With TestALineIsSentAtOnceAndWaitsForNoTimer of package delivery it follows that the first
// attempt to deliver a line of this node waits for no timer.
func TestALineWakesSendersByItself(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*storeConfig){
		"embedded": func(c *storeConfig) { c.dataDir = t.TempDir() },
		"redis":    func(c *storeConfig) { c.redisURL = redistest.Start(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{cfg: &config{}, log: slog.New(slog.DiscardHandler), metrics: metrics.New()}
			set(&s.cfg.store)
			s.clock = newClocks(nil, s.cfg.store.redisURL != "")
			store, _, err := s.openStore(t.Context(), func(session.Event) {})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close(); s.close() })
			one := waker{woken: make(chan struct{}, 10)}
			s.toWake.Store(&[]delivery.Sender{one})
			e := session.Event{At: time.Now(), Kind: session.EventNotice, Detail: "x"}
			if err := store.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			next(t, one.woken)
		})
	}
}

func TestSettingsOfEventsAreChecked(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := httptest.NewTLSServer(nil)
	certificate := file("certificate", pemOf(server))
	server.Close()
	secret, empty := file("secret", webhookSecret), file("empty", "\n")
	hook := func(url string, more ...string) []string {
		return append([]string{"--webhook-url", url, "--webhook-secret-file", secret}, more...)
	}
	syslog := func(url string, more ...string) []string { return append([]string{"--audit-syslog", url}, more...) }
	const another = "must be https unless its host is loopback"
	checkRefusals(t, []refusal{
		{"a webhook", hook("https://app.example/curfew?x=1"), ""},
		{"a webhook on loopback", hook("http://[::1]:8000/events"), ""},
		{"a webhook on another machine in plain text", hook("http://app.example/"), another},
		{"a webhook that is no URL", hook("app.example"), "webhook-url \"app.example\": must be an address as https"},
		{"a webhook with a password", hook("https://a:b@app.example/"), "must have neither an account"},
		{"a webhook without a secret", []string{"--webhook-url", "https://app.example/"},
			"webhook-url and webhook-secret-file: must be set together"},
		{"a secret without a webhook", []string{"--webhook-secret-file", secret},
			"webhook-url and webhook-secret-file: must be set together"},
		{"an empty secret", []string{"--webhook-url", "https://app.example/", "--webhook-secret-file", empty},
			"must hold a secret"},
		{"a secret that is not there", []string{"--webhook-url", "https://app.example/", "--webhook-secret-file",
			filepath.Join(folder, "none")}, "must be a readable file"},
		{"certificates that are none", hook("https://app.example/", "--webhook-ca-file", secret),
			"must hold certificates in PEM"},
		{"syslog", syslog("syslog+tls://logs.example"), ""},
		{"syslog in plain text on loopback", syslog("syslog+tcp://127.0.0.1:601"), ""},
		{"syslog in plain text on another machine", syslog("syslog+tcp://logs.example:601"), "must be syslog+tls://"},
		{"syslog over UDP", syslog("syslog+udp://127.0.0.1"), "must begin with syslog+tls://"},
		{"syslog with a path", syslog("syslog+tls://logs.example/x"), "must be an address as syslog+tls://"},
		{"certificates for syslog in plain text",
			syslog("syslog+tcp://localhost", "--audit-syslog-ca-file", certificate),
			"needs audit-syslog with syslog+tls"},
		{"certificates of no webhook", []string{"--webhook-ca-file", certificate},
			"webhook-ca-file: needs webhook-url"},
	})
	for text, want := range map[string]string{
		"syslog+tls://logs.example": "tls logs.example:6514", "tls://[::1]:7": "tls [::1]:7",
		"syslog+tcp://localhost": "tcp localhost:601", "syslog+tls://a.example:1/": "tls a.example:1",
	} {
		if u, err := parseSyslog(text); err != nil || u.Scheme+" "+u.Host != want {
			t.Errorf("%s is %v, %v, want %s", text, u, err, want)
		}
	}
}

func TestCheckConfigWarnsOfASecretThatIsShort(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	args := []string{"check-config", "--webhook-url", "https://app.example/", "--webhook-secret-file", short}
	if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 ||
		!strings.Contains(stdout.String(), "warning: webhook-secret-file holds fewer than 32 bytes") {
		t.Errorf("of a short secret: %d %s %s", code, stdout.String(), stderr.String())
	}
}
