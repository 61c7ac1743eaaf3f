package delivery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"curfew/session"
)

const (
	// webhookParallel is how many lines are under way to a webhook at once.
	webhookParallel = 16
	// webhookWindow is how many lines are in memory, beside the numbers of those that wait behind a
	// line that was refused.
	webhookWindow = 1024
	// recalledTogether is how many of these are read once more at a time.
	recalledTogether = 64
	// failingPace is the time between two attempts at lines that were refused, if these are many.
	failingPace = 25 * time.Millisecond
	// broughtForward is how many of them are tried at once when one was accepted after all, or the
	// first line after a while. Each of them that is accepted brings forward as many, so all come
	// soon where the receiver is back, and a line that it takes costs little where it refuses them
	// for ever.
	broughtForward = 2
	// webhookLimit is how long a webhook may take to answer.
	webhookLimit = 10 * time.Second
	// retryAfterMost is how long a webhook may ask to be left alone.
	retryAfterMost = time.Hour
	// answerRead is how much of an answer is read, so that the connection can be used again.
	answerRead = 64 << 10
	// answerLimit is how long that may take.
	answerLimit = 500 * time.Millisecond
	// troubleAfter is how many attempts in a row fail until a receiver is only asked each
	// troublePace, by whichever line: it may be down, and each session has an attempt to make. One
	// that refuses a line for what it is ([errRefused]) is not down.
	troubleAfter = webhookParallel
	troublePace  = 250 * time.Millisecond
	// quietFor is how long a receiver has accepted nothing when its next answer may say that it is
	// back.
	quietFor = 5 * time.Second
)

// SignatureHeader has the time and the signature of a request to a webhook; see [Sign].
const SignatureHeader = "Curfew-Signature"

// Sign is the value of [SignatureHeader]: t=UNIX,v1=HEX, where HEX is the HMAC-SHA256 of
// "UNIX.BODY".
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// WebhookOptions say where a webhook is.
type WebhookOptions struct {
	URL        *url.URL
	SecretFile string
	CA         *x509.CertPool // nil: the system's
}

// Webhook posts lines to a URL. [NewWebhook] makes one; its methods other than Run may be called
// concurrently.
type Webhook struct {
	*follower
	url    string
	secret *secretFile
	client *http.Client
	room   int // webhookWindow

	// of Run's goroutine
	window   *window
	life     context.Context // of what is under way from this window
	cut      context.CancelFunc
	underWay int
	results  chan result // has room for all that is under way
	paused   time.Time   // until then nothing is sent
	failures int         // attempts in a row
	lastGood time.Time   // when it accepted last

	sending sync.WaitGroup
}

// result is what became of one attempt.
type result struct {
	window *window
	queue  *queue
	number uint64
	err    error
	retry  time.Duration // the receiver's Retry-After
}

// NewWebhook reads the secret.
func NewWebhook(o Options, w WebhookOptions) (*Webhook, error) {
	secret, err := openSecret(w.SecretFile)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: webhookLimit / 2}
	return &Webhook{
		follower: newFollower(o, "webhook"),
		url:      w.URL.String(),
		secret:   secret,
		room:     webhookWindow,
		client: &http.Client{
			Timeout:       webhookLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: w.CA, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    webhookLimit / 2,
				ForceAttemptHTTP2:      true,
				MaxConnsPerHost:        webhookParallel,
				MaxIdleConnsPerHost:    webhookParallel,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: answerRead,
				DisableCompression:     true,
			},
		},
		results: make(chan result, webhookParallel),
	}, nil
}

// Run sends until ctx ends. What is under way then has a moment to be accepted.
func (w *Webhook) Run(ctx context.Context) {
	w.lastGood = time.Now()
	w.begin()
	for ctx.Err() == nil {
		now := time.Now()
		if !now.Before(w.next) {
			w.read(ctx)
		}
		w.send(ctx)
		w.wait(ctx)
		w.flush(ctx, !w.flushAt.IsZero() && !time.Now().Before(w.flushAt))
	}
	w.finish()
}

// begin begins with an empty window.
func (w *Webhook) begin() {
	w.window = newWindow()
	w.life, w.cut = context.WithCancel(context.Background()) // what is under way outlives Run's context by a moment
}

// read reads further lines into the window.
func (w *Webhook) read(ctx context.Context) {
	w.window.makeRoom(w.room)
	lines, anew := w.claim(ctx, w.room-w.window.held)
	if anew {
		w.cut()
		w.begin()
	}
	for _, l := range lines {
		w.window.add(l)
	}
	if w.window.known > w.keep+w.keep/10 { // the store has given up the rest
		w.window.forgive(w.settled)
	}
	w.count(func(s *Stats) { s.Refused = w.window.behind })
}

// recall reads the first line of a queue once more if the window has only its number, and with it
// some that are due as well. It reports whether the line can be sent.
func (w *Webhook) recall(ctx context.Context, q *queue, now time.Time) bool {
	if q.lines[0].event != nil {
		return true
	}
	room := max(1, min(recalledTogether, w.room-w.window.held))
	lines, ok := w.again(ctx, q.lines[0].number, room)
	if !ok {
		w.window.putBack(q)
		w.paused = now.Add(standbyEvery)
		return false
	}
	if w.window.fill(lines, now); q.lines[0].event == nil {
		w.window.done(q)
		return false
	}
	return true
}

// send starts what may be sent now.
func (w *Webhook) send(ctx context.Context) {
	for w.underWay < webhookParallel && len(w.pending) < w.room {
		now := time.Now()
		if !w.holds(now) || now.Before(w.paused) {
			return
		}
		q := w.window.take(now)
		if q == nil {
			return
		}
		if !w.recall(ctx, q, now) {
			continue
		}
		w.underWay++
		if w.failures >= troubleAfter {
			w.paused = now.Add(troublePace)
		}
		event, window, life := *q.lines[0].event, w.window, w.life
		w.sending.Go(func() {
			r := result{window: window, queue: q, number: event.Number}
			r.retry, r.err = w.post(life, event)
			w.results <- r
			signal(w.news)
		})
	}
}

// wait waits until there is something to do, and takes the results that are there.
func (w *Webhook) wait(ctx context.Context) {
	var due time.Time
	if now := time.Now(); w.underWay < webhookParallel && w.holds(now) && len(w.pending) < w.room {
		if due = w.window.due(); !due.IsZero() && due.Before(w.paused) {
			due = w.paused
		}
	}
	w.sleep(ctx, due, w.flushAt)
	for {
		select {
		case r := <-w.results:
			w.take(r)
		default:
			return
		}
	}
}

// take notes a result.
func (w *Webhook) take(r result) {
	w.underWay--
	if r.window != w.window || errors.Is(r.err, context.Canceled) {
		return // these lines come once more
	}
	now := time.Now()
	if r.err != nil {
		w.refused(r.err)
		w.window.failed(r.queue, now)
		if !errors.Is(r.err, errRefused) {
			w.failures++
		}
		if until := now.Add(r.retry); until.After(w.paused) {
			w.paused = until
		}
		return
	}
	w.failures = 0
	wasRefused := r.queue.attempts > 0
	w.window.done(r.queue)
	w.accepted(r.number)
	if wasRefused || now.Sub(w.lastGood) > quietFor {
		w.window.hurry(broughtForward, now)
	}
	w.lastGood = now
}

// finish gives what is under way a moment, and leaves.
func (w *Webhook) finish() {
	timer := time.AfterFunc(stopLimit, w.cut)
	defer timer.Stop()
	for w.underWay > 0 {
		w.take(<-w.results)
	}
	w.cut()
	w.sending.Wait()
	w.leave()
	w.client.CloseIdleConnections()
}

// post sends one line. It returns nil once the receiver has accepted it, and otherwise how long the
// receiver wants to be left alone, if it says so.
func (w *Webhook) post(ctx context.Context, line session.Event) (retry time.Duration, err error) {
	body, err := w.Encode(line)
	if err != nil {
		return 0, err
	}
	secret, err := w.secret.read()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return 0, withoutURL(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Curfew")
	// With it, net/http sends once more where a kept connection turns out to be closed.
	r.Header.Set("Idempotency-Key", line.ID)
	r.Header.Set(SignatureHeader, Sign(secret, body, time.Now()))
	answer, err := w.client.Do(r)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer answer.Body.Close()
	defer time.AfterFunc(answerLimit, cancel).Stop()
	io.CopyN(io.Discard, answer.Body, answerRead) // what comes of it does not matter
	if answer.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("status %d", answer.StatusCode)
	switch {
	case answer.StatusCode == http.StatusRequestTimeout, answer.StatusCode == http.StatusTooManyRequests:
	case answer.StatusCode/100 == 4:
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return retryAfter(answer.Header.Get("Retry-After"), time.Now()), err
}

// errRefused says that a receiver does not take this line, and may take others (RFC 9110 §15.5).
var errRefused = errors.New("refused")

// withoutURL leaves out of an error the URL, which may have a secret in it.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		if e.Timeout() {
			return errLate
		}
		return e.Err
	}
	return err
}

// retryAfter reads how long a receiver wants to be left alone, of seconds or of a date; 0 if it
// does not say.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(retryAfterMost, time.Duration(seconds)*time.Second)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(retryAfterMost, max(0, at.Sub(now)))
}
