package delivery_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/delivery"
	"curfew/hub/hubtest"
	"curfew/internal/freeport"
	"curfew/session"
	"curfew/session/bolt"
)

// hook is an application that is told.
type hook struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	secret   string
	answer   func(w http.ResponseWriter, e session.Event, attempt int)
	attempts map[string]int
	accepted []string // "SESSION TEXT", in order
	now, top int      // requests under way, and most of them
}

func newHook(t *testing.T, start func(http.Handler) *httptest.Server) *hook {
	h := &hook{t: t, secret: "a secret", attempts: make(map[string]int)}
	h.Server = start(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTP accepts what is signed, unless answer says something else.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var e session.Event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	h.mu.Lock()
	seconds, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Curfew-Signature"), "t="), ",")
	unix, _ := strconv.ParseInt(seconds, 10, 64)
	at := time.Unix(unix, 0)
	if want := delivery.Sign([]byte(h.secret), body, at); err != nil || r.Method != http.MethodPost ||
		r.Header.Get("Curfew-Signature") != want || time.Since(at).Abs() > time.Minute ||
		r.Header.Get("Content-Type") != "application/json" {
		h.mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.attempts[e.ID]++
	attempt, answer := h.attempts[e.ID], h.answer
	h.now++
	h.top = max(h.top, h.now)
	h.mu.Unlock()
	recorder := &statusWriter{ResponseWriter: w, status: http.StatusNoContent}
	if answer != nil {
		answer(recorder, e, attempt)
	}
	h.mu.Lock()
	h.now--
	if recorder.status/100 == 2 {
		h.accepted = append(h.accepted, e.Session+" "+e.Detail)
	}
	h.mu.Unlock()
	w.WriteHeader(recorder.status)
}

// statusWriter keeps a status back until it was noted.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) { w.status = status }

// answers sets what is answered; nil accepts all.
func (h *hook) answers(f func(w http.ResponseWriter, e session.Event, attempt int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// of lists what was accepted of a session, in order.
func (h *hook) of(ref string) (texts []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.accepted {
		if session, _, _ := strings.Cut(text, " "); session == ref {
			texts = append(texts, text)
		}
	}
	return texts
}

// webhook makes a sender to an address.
func (r *rig) webhook(address, secret string) (hook *delivery.Webhook, secretFile string) {
	r.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		r.t.Fatal(err)
	}
	secretFile = filepath.Join(r.t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	hook, err = delivery.NewWebhook(r.options(), delivery.WebhookOptions{URL: u, SecretFile: secretFile})
	if err != nil {
		r.t.Fatal(err)
	}
	return hook, secretFile
}

func TestEachSessionsLinesArriveInTheirOrder(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	gate := make(chan struct{})
	h.answers(func(w http.ResponseWriter, e session.Event, attempt int) {
		switch {
		case e.Session == "ada" && e.Detail == "0" && attempt < 3:
			w.WriteHeader(http.StatusInternalServerError)
		case e.Session == "slow" && e.Detail == "0":
			<-gate
		}
	})
	s, _ := r.webhook(h.URL, "a secret")
	r.run(s)
	r.write(slices.Concat(numbered("ada", 3), numbered("slow", 2), numbered("grace", 3), numbered("-", 5))...)
	s.Wake()
	r.eventually("all but the slow session's lines are accepted", func() bool {
		return len(h.of("ada")) == 3 && len(h.of("grace")) == 3 && len(h.of("")) == 5
	})
	if slow := h.of("slow"); len(slow) != 0 {
		t.Errorf("accepted of the slow one: %q", slow)
	}
	close(gate)
	r.eventually("all is accepted", func() bool { return r.waiting("webhook") == 0 })
	for _, ref := range []string{"ada", "grace", "slow"} {
		if got := h.of(ref); !slices.Equal(got, numbered(ref, len(got))) {
			t.Errorf("accepted of %s: %q", ref, got)
		}
	}
	if st := s.Stats(); st.Sent != 13 || st.Failed != 2 || !st.Sending {
		t.Errorf("stats %+v, want 13 sent, 2 failures", st)
	}
}

func TestManySessionsAreToldSideBySideAndOnlySoMany(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	var texts []string
	for i := range 60 {
		texts = append(texts, strconv.Itoa(i)+" x")
	}
	full := make(chan struct{})
	h.answers(func(http.ResponseWriter, session.Event, int) { <-full })
	s, _ := r.webhook(h.URL, "a secret")
	r.run(s)
	r.write(texts...)
	r.eventually("16 are under way", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.now == 16 })
	close(full)
	r.eventually("all is accepted", func() bool { return r.waiting("webhook") == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.top != 16 {
		t.Errorf("%d requests at once, want 16", h.top)
	}
}

func TestAWebhookThatIsAwayIsTriedUntilItIsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	address := fmt.Sprintf("127.0.0.1:%d", freeport.Reserve(t))
	s, _ := r.webhook("http://"+address, "a secret")
	r.run(s)
	r.write("ada 0", "ada 1")
	r.eventually("it was tried in vain", func() bool { return s.Stats().Failed > 1 })
	h := newHook(t, func(handler http.Handler) *httptest.Server { return serveAt(t, address, handler) })
	r.eventually("all is accepted", func() bool { return r.waiting("webhook") == 0 })
	if got := h.of("ada"); !slices.Equal(got, []string{"ada 0", "ada 1"}) {
		t.Errorf("accepted: %q", got)
	}
	log := r.log.String()
	if strings.Count(log, "they wait") != 1 || !strings.Contains(log, "accepts audit lines again") {
		t.Errorf("the log tells of it:\n%s", log)
	}
}

// serveAt serves at an address.
func serveAt(t *testing.T, address string, handler http.Handler) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(l, handler)
}

func serveOn(l net.Listener, handler http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(handler)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	return s
}

// The time of this test moves only while all wait for that. So what is done in no time waits for no
// timer, however slow the machine is.
func TestALineIsSentAtOnceAndWaitsForNoTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := hubtest.Listen()
		r := newRig(t)
		h := newHook(t, func(handler http.Handler) *httptest.Server { return serveOn(listener, handler) })
		s, _ := r.webhook(h.URL, "a secret")
		s.Dial(listener.Dial)
		r.store.(*bolt.Store).OnEvent(func(session.Event) { s.Wake() })
		stop := r.run(s)
		for i, text := range numbered("ada", 5) {
			time.Sleep(1100*time.Millisecond + time.Duration(i)*7*time.Millisecond) // at rest, between two polls
			began := time.Now()
			r.write(text)
			synctest.Wait()
			if got := h.of("ada"); !slices.Equal(got, numbered("ada", i+1)) || !time.Now().Equal(began) {
				t.Errorf("accepted %s after the line was written: %q, want it at once", time.Since(began), got)
			}
		}
		stop()
		h.Close()
		r.store.(*bolt.Store).Close()
	})
}

func TestRedirectsAreNotFollowedAndRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(elsewhere.Close)
	var refused, again time.Time
	h.answers(func(w http.ResponseWriter, e session.Event, attempt int) {
		switch attempt {
		case 1:
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		case 2:
			refused = time.Now()
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			again = time.Now()
		}
	})
	s, _ := r.webhook(h.URL, "a secret")
	r.run(s)
	r.write("ada 0")
	r.eventually("it is accepted", func() bool { return r.waiting("webhook") == 0 })
	if after := again.Sub(refused); after < 2*time.Second {
		t.Errorf("tried again after %s, want 2 s at least", after)
	}
}

func TestASecretIsReadAgainWhenItsFileChanges(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	s, file := r.webhook(h.URL, "a secret")
	stop := r.run(s)
	r.write("ada 0")
	r.eventually("it is accepted", func() bool { return len(h.of("ada")) == 1 })
	h.mu.Lock()
	h.secret = "another secret"
	h.mu.Unlock()
	for _, text := range []string{"", "another secret\n"} { // as it is written
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write("ada 1")
	r.eventually("the other secret is known", func() bool { return len(h.of("ada")) == 2 })
	stop()
	if n := r.waiting("webhook"); n != 0 {
		t.Errorf("%d lines wait after the stop, want that it was noted what was accepted", n)
	}
}

func TestAnAnswerThatNeverEndsKeepsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var e session.Event
		json.NewDecoder(q.Body).Decode(&e)
		mu.Lock()
		got = append(got, e.Detail)
		mu.Unlock()
		for { // until the sender has had enough
			if _, err := w.Write(make([]byte, 1024)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	s, _ := r.webhook(server.URL, "a secret")
	r.run(s)
	r.write(numbered("ada", 3)...)
	r.eventually("all is accepted", func() bool { return r.waiting("webhook") == 0 })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("got %q", got)
	}
}

func TestOneSessionThatIsRefusedForEverHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	h.answers(func(w http.ResponseWriter, e session.Event, _ int) {
		if e.Session == "poison" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	s, _ := r.webhook(h.URL, "a secret")
	stop := r.run(s)
	r.write("poison 0", "ada 0", "poison 1", "ada 1", "ada 2")
	r.eventually("the others are accepted", func() bool { return r.waiting("webhook") == 2 })
	stop()
	if got := h.of("ada"); !slices.Equal(got, numbered("ada", 3)) {
		t.Errorf("accepted: %q", got)
	}
	h.answers(nil)
	again, _ := r.webhook(h.URL, "a secret")
	r.run(again)
	r.eventually("the rest is accepted after a restart", func() bool { return r.waiting("webhook") == 0 })
	if got := h.of("poison"); !slices.Equal(got, numbered("poison", 2)) || len(h.of("ada")) != 3 {
		t.Errorf("accepted: %q, and %q of ada", got, h.of("ada"))
	}
}

func TestAWebhookThatTakesNothingIsLeftAlone(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	h.answers(func(w http.ResponseWriter, _ session.Event, _ int) { w.WriteHeader(http.StatusInternalServerError) })
	s, _ := r.webhook(h.URL, "a secret")
	var texts []string
	for i := range 200 {
		texts = append(texts, strconv.Itoa(i)+" x")
	}
	r.run(s)
	began := time.Now()
	r.write(texts...)
	r.eventually("it was asked now and then", func() bool { return s.Stats().Failed > 36 })
	// 16 in a row, those that were under way by then, and the pace
	got := int(s.Stats().Failed)
	most := 32 + int(time.Since(began)/(250*time.Millisecond)) + 1
	if got > most {
		t.Errorf("%d attempts, want %d at most", got, most)
	}
	h.answers(nil)
	r.eventually("all is accepted", func() bool { return r.waiting("webhook") == 0 })
}

func TestAWebhookIsKnownByItsCertificate(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewTLSServer)
	s, file := r.webhook(h.URL, "a secret")
	stop := r.run(s)
	r.write("ada 0")
	r.eventually("it is not believed", func() bool { return s.Stats().Failed > 0 })
	stop()
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	trusting, err := delivery.NewWebhook(r.options(), delivery.WebhookOptions{URL: u, SecretFile: file, CA: pool})
	if err != nil {
		t.Fatal(err)
	}
	r.run(trusting)
	r.eventually("it is accepted", func() bool { return r.waiting("webhook") == 0 })
}
