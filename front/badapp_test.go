package front_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"curfew/front"
)

// silence is the time limit of applications that are silent, in tests.
const silence = 500 * time.Millisecond

func impatient(o *setup) { o.timeout = silence }

func TestABadApplicationIsAnsweredFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app    func(conn net.Conn, r *bufio.Reader)
		status int // 504 of one that is given up, which only such a one is soon
	}{
		"says nothing": {func(_ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }, 504},
		"sends its header drop by drop": {func(conn net.Conn, r *bufio.Reader) {
			head(r)
			for _, c := range "HTTP/1.1 200 OK\r\nX-Slow: " + strings.Repeat("x", 1000) {
				if _, err := io.WriteString(conn, string(c)); err != nil {
					return
				}
				<-time.After(silence / 50)
			}
		}, 504},
		"hangs up": {func(_ net.Conn, r *bufio.Reader) { head(r) }, 502},
		"hangs up in its header": {func(conn net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nA: b")
		}, 502},
		"has an endless header": {func(conn net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(conn, "X-Long: "+strings.Repeat("x", 1<<16)+"\r\n"); err != nil {
					return
				}
			}
		}, 502},
		"speaks no HTTP":       {answering("SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502},
		"has no status":        {answering(lines("HTTP/1.1 099 No")), 502},
		"has a status of text": {answering(lines("HTTP/1.1 abc No")), 502},
		"has a bad length":     {answering(lines("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2")), 502},
		"has a bad name":       {answering(lines("HTTP/1.1 200 OK", "Bad Name\x00: x")), 502},
		"has no colon":         {answering(lines("HTTP/1.1 200 OK", "nothing")), 502},
		"knows its own coding": {answering(lines("HTTP/1.1 200 OK", "Transfer-Encoding: gzip")), 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRawSite(t, c.app, func(o *setup) {
				if c.status == http.StatusGatewayTimeout {
					impatient(o)
				}
			})
			for _, method := range []string{"GET", "POST"} {
				b := s.dial()
				b.send("", method+" / HTTP/1.1", "Host: x", "Content-Length: 0")
				if response := b.answer(method); response.StatusCode != c.status {
					t.Errorf("%s: status %d, want %d: %s", method, response.StatusCode, c.status, text(t, response))
				}
			}
		})
	}
}

func answering(answer string) func(conn net.Conn, r *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, answer)
		io.Copy(io.Discard, r)
	}
}

func TestAnAnswerThatBreaksOffBreaksOff(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"less than its length": lines("HTTP/1.1 200 OK", "Content-Length: 100") + "part",
		"no last chunk":        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "4\r\npart\r\n",
		"a bad chunk":          lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "4\r\npart\r\nxyz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(conn, answer)
			})
			b := s.dial()
			b.send("", "GET / HTTP/1.1", "Host: x")
			body, err := io.ReadAll(b.wants(200).Body)
			if string(body) != "part" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the browser reads %q, %v", body, err)
			}
		})
	}
}

// TestWhatNoAnswerMayHaveHarmsNobody has an application send more than its answers may have. That
// must not become the answer to another request.
func TestWhatNoAnswerMayHaveHarmsNobody(t *testing.T) {
	t.Parallel()
	evil := withBody("200 OK", "evil")
	for name, c := range map[string]struct{ method, answer string }{
		"to HEAD":           {"HEAD", lines(fine, "Content-Length: 5") + evil},
		"without a body":    {"GET", lines("HTTP/1.1 204 No Content", "Content-Length: 5") + evil},
		"not modified":      {"GET", lines("HTTP/1.1 304 Not Modified", "Content-Length: 5") + evil},
		"beyond its length": {"GET", withBody("200 OK", "all") + evil},
		"after its chunks":  {"GET", lines(fine, "Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n\r\n" + evil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
				for {
					lines, err := head(r)
					if err != nil {
						return
					}
					answer := withBody("200 OK", "good")
					if strings.Contains(lines[0], " /bad ") {
						answer = c.answer
					}
					io.WriteString(conn, answer)
				}
			})
			b := s.dial()
			for range 20 {
				b.send("", c.method+" /bad HTTP/1.1", "Host: x")
				text(t, b.answer(c.method))
				b.send("", "GET /next HTTP/1.1", "Host: x")
				if got := text(t, b.wants(200)); got != "good" {
					t.Errorf("the next answer is %q", got)
				}
			}
		})
	}
}

func TestABodyInAnswerToAHEADHarmsNobody(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		late := ""
		for {
			request, err := head(r)
			if err != nil {
				return
			}
			answer := late + emptyAnswer
			late = ""
			if strings.HasPrefix(request[0], "HEAD ") {
				answer, late = lines(fine, "Content-Length: 4"), "more"
			}
			io.WriteString(conn, answer)
		}
	})
	for _, method := range []string{"GET", "HEAD", "GET"} {
		b := s.dial()
		b.send("", method+" / HTTP/1.1", "Host: x")
		if response := b.answer(method); response.StatusCode != http.StatusOK {
			t.Errorf("status of %s: %d", method, response.StatusCode)
		}
	}
}

func TestAnApplicationThatStopsReadingIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(_ net.Conn, r *bufio.Reader) {
		head(r)
		<-t.Context().Done()
	}, impatient)
	b := s.dial()
	go func() {
		io.WriteString(b.Conn, lines("POST / HTTP/1.1", "Host: x", "Content-Length: 1000000000"))
		for {
			if _, err := b.Conn.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	b.wants(http.StatusGatewayTimeout)
}

// TestAnApplicationThatDiesDuringAnUpload has a browser that waits for the answer before it sends
// more.
func TestAnApplicationThatDiesDuringAnUpload(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(_ net.Conn, r *bufio.Reader) { head(r) })
	for _, how := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		b := s.dial()
		b.send("2\r\nab\r\n", "POST / HTTP/1.1", "Host: x", how)
		b.wants(http.StatusBadGateway)
	}
}

// TestNoFormIsLostOnAStaleConnection has an application that closes connections as soon as they
// wait, without a word, as many do after some seconds.
func TestNoFormIsLostOnAStaleConnection(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		lines, err := head(r)
		if err != nil {
			return
		}
		if strings.HasPrefix(lines[0], "POST") {
			io.CopyN(io.Discard, r, 4)
		}
		served.Add(1)
		io.WriteString(conn, emptyAnswer)
		r.Peek(1) // the next request comes on this connection, and is lost
	})
	b := s.dial()
	const rounds = 20
	for range rounds {
		b.send("", "GET / HTTP/1.1", "Host: x")
		b.wants(200)
		b.send("form", "POST / HTTP/1.1", "Host: x", "Content-Length: 4")
		b.wants(200)
		b.send("", "DELETE / HTTP/1.1", "Host: x")
		b.wants(200)
	}
	if n := served.Load(); n != 3*rounds {
		t.Errorf("the application has served %d requests, want %d", n, 3*rounds)
	}
}

func TestAnswersHaveNoTimeLimitAfterTheirFirstByte(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, lines("HTTP/1.1 200 OK", "Content-Length: 2")+"a")
		<-time.After(3 * silence) // longer than the limit
		io.WriteString(conn, "b")
	}, impatient)
	for _, method := range []string{"GET", "POST"} {
		b := s.dial()
		b.send("", method+" / HTTP/1.1", "Host: x", "Content-Length: 0")
		if got := text(t, b.wants(200)); got != "ab" {
			t.Errorf("%s: answer %q", method, got)
		}
	}
}

func TestAnUploadHasNoTimeLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, impatient,
		func(o *setup) { o.limit = silence })
	b := s.dial()
	b.send("", "POST / HTTP/1.1", "Host: x", "Content-Length: 2")
	io.WriteString(b.Conn, "a")
	<-time.After(3 * silence) // longer than any limit
	io.WriteString(b.Conn, "b")
	if got := text(t, b.wants(200)); got != "ab" {
		t.Errorf("answer %q", got)
	}
}

func TestAnApplicationThatCannotBeReached(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, upstream := range map[string]string{
		"closed port":           "http://" + closed,
		"unknown name":          "http://no-such-host.invalid:80",
		"no socket":             "unix:" + filepath.Join(t.TempDir(), "none.sock"),
		"no TLS":                "https://" + closed,
		"TLS that is not begun": "https://" + mute.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSiteAt(t, upstream)
			var all []*browser
			at := time.Now()
			for _, method := range []string{"GET", "POST"} {
				b := s.dial()
				b.send("", method+" / HTTP/1.1", "Host: x", "Content-Length: 0")
				all = append(all, b)
			}
			for _, b := range all {
				b.wants(http.StatusBadGateway)
			}
			if took := time.Since(at); took > 6*time.Second {
				t.Errorf("after %v", took)
			}
		})
	}
}

func TestTLSIsCheckedForTheHostOfTheURL(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Host)
	}))
	upstream.Config.ErrorLog = newQuietLog()
	upstream.EnableHTTP2 = true
	upstream.TLS = &tls.Config{}
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	pool := x509.NewCertPool()
	pool.AddCert(upstream.Certificate())
	_, port, _ := net.SplitHostPort(upstream.Listener.Addr().String())
	for name, c := range map[string]struct {
		upstream string
		ca       *x509.CertPool
		status   int
	}{
		"right":             {"https://127.0.0.1:" + port, pool, 200},
		"of nobody we know": {"https://127.0.0.1:" + port, nil, 502},
		"of another name":   {"https://localhost:" + port, pool, 502},
		"asked without TLS": {"http://127.0.0.1:" + port, nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSiteAt(t, c.upstream, func(o *setup) { o.ca = c.ca })
			for _, method := range []string{"GET", "POST", "POST"} {
				b := s.dial()
				b.send("", method+" / HTTP/1.1", "Host: x", "Content-Length: 0")
				response := b.wants(c.status)
				if got := text(t, response); c.status == 200 && got != "HTTP/1.1 app.example" {
					t.Errorf("the application is asked by %q", got)
				}
			}
		})
	}
}

func TestAnApplicationBehindASocketFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://localhost/x")
		io.WriteString(w, r.Host+r.RequestURI)
	})}
	go app.Serve(listener)
	t.Cleanup(func() { app.Close() })
	s := newSiteAt(t, "unix:"+path)
	b := s.dial()
	b.send("", "GET /a HTTP/1.1", "Host: x")
	response := b.wants(200)
	if got := text(t, response); got != "app.example/a" || response.Header.Get("Location") != "http://localhost/x" {
		t.Errorf("answer %q, %q", got, response.Header)
	}
}

func TestUpstreamsAreParsed(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"http://127.0.0.1:8000": true,
		"https://app.internal":  true,
		"http://[::1]:80/":      true,
		"unix:/run/app.sock":    true,
		"":                      false,
		"127.0.0.1:8000":        false,
		"ftp://a":               false,
		"http://":               false,
		"http://:80":            false,
		"http://a/b":            false,
		"http://a?":             false,
		"http://a#b":            false,
		"http://u:p@a":          false,
		"http://a:0":            false,
		"http://a:99999":        false,
		"http://a:x":            false,
		"unix:run/app.sock":     false,
		"unix:":                 false,
		"unix:///run/app.sock":  true,
	} {
		if _, err := front.ParseUpstream(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
