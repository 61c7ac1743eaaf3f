package front_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/front"
)

// late is how long answers may go on after the end, in tests.
const late = 300 * time.Millisecond

// newSlowSite is in front of an application that answers in steps: each is sent when the test says
// so.
func newSlowSite(t *testing.T, lateness time.Duration) (s *site, asked <-chan bool, steps chan string) {
	began := make(chan bool, 10)
	steps = make(chan string)
	s = newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		lines, err := head(r)
		if err != nil {
			return
		}
		if strings.HasPrefix(lines[0], "POST") {
			r.ReadByte() // what has arrived is known to have arrived
		}
		began <- true
		for step := range steps {
			if _, err := io.WriteString(conn, step); err != nil {
				return
			}
		}
	}, func(o *setup) { o.late = lateness })
	t.Cleanup(func() { close(steps) })
	return s, began, steps
}

func (s *site) endByTime(byTime bool) {
	s.byTime.Store(byTime)
	s.end()
}

func TestAnswersMayGoOnForAWhile(t *testing.T) {
	t.Parallel()
	s, _, steps := newSlowSite(t, patience)
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	steps <- lines("HTTP/1.1 200 OK", "Content-Length: 4") + "be"
	response := b.wants(200)
	s.end()
	steps <- "en"
	if got := text(t, response); got != "been" {
		t.Errorf("answer %q", got)
	}
}

func TestAnAnswerAfterTheEndLeavesNoCookie(t *testing.T) {
	t.Parallel()
	for _, ended := range []bool{false, true} {
		s, asked, steps := newSlowSite(t, patience)
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x")
		<-asked
		if ended {
			s.end()
		}
		steps <- lines(fine, "Set-Cookie: session=ada", "Content-Length: 0")
		if got := b.wants(200).Header["Set-Cookie"]; len(got) == 1 == ended {
			t.Errorf("the session has ended %v: cookies %q", ended, got)
		}
	}
}

func TestAnswersAreCutLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		byTime bool
	}{
		"after a forced end":      {lines(fine, "Content-Length: 9") + "x", false},
		"after an end by time":    {lines(fine, "Transfer-Encoding: chunked") + "1\r\nx\r\n", true},
		"though it is a download": {lines(fine, "Content-Length: 9", "Content-Disposition: attachment") + "x", false},
		"though it is shown":      {lines(fine, "Content-Length: 9", "Content-Disposition: inline; a=b") + "x", true},
		"though it was slow":      {lines(fine, "Content-Length: 99999999"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, steps := newSlowSite(t, late)
			b := s.dial()
			b.send("", "GET / HTTP/1.1", "Host: x")
			steps <- c.answer
			response := b.wants(200)
			at := time.Now()
			s.endByTime(c.byTime)
			if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("it ends with %v", err)
			}
			if took := time.Since(at); took < late {
				t.Errorf("after %v only", took)
			}
		})
	}
}

func TestTheLimitIsTenSeconds(t *testing.T) {
	t.Parallel()
	if front.LateAnswer != 10*time.Second {
		t.Error(front.LateAnswer)
	}
}

func TestATransferMayFinishAfterAnEndByTime(t *testing.T) {
	t.Parallel()
	t.Run("a download", func(t *testing.T) {
		t.Parallel()
		s, _, steps := newSlowSite(t, late)
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x")
		steps <- lines("HTTP/1.1 200 OK", "Content-Length: 4", `Content-Disposition: Attachment; filename="a"`) + "be"
		response := b.wants(200)
		s.endByTime(true)
		<-time.After(2 * late)
		steps <- "en"
		if got := text(t, response); got != "been" {
			t.Errorf("answer %q", got)
		}
	})
	t.Run("a download that begins after the end", func(t *testing.T) {
		t.Parallel()
		s, asked, steps := newSlowSite(t, late)
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x")
		within(t, asked, "request")
		s.endByTime(true)
		steps <- lines("HTTP/1.1 200 OK", "Content-Length: 4", "Content-Disposition: attachment") + "be"
		response := b.wants(200)
		<-time.After(2 * late)
		steps <- "en"
		if got := text(t, response); got != "been" {
			t.Errorf("answer %q", got)
		}
	})
	t.Run("an upload and its answer", func(t *testing.T) {
		t.Parallel()
		s, asked, steps := newSlowSite(t, late)
		b := s.dial()
		b.send("a", "POST / HTTP/1.1", "Host: x", "Content-Length: 2")
		within(t, asked, "request")
		s.endByTime(true)
		<-time.After(2 * late)
		io.WriteString(b.Conn, "b")
		<-time.After(2 * late)
		steps <- withBody("201 Created", "kept")
		if got := text(t, b.wants(201)); got != "kept" {
			t.Errorf("answer %q", got)
		}
	})
}

func TestAnAnswerThatHasNotBegunIsTheSignInPage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		byTime  bool
		request []string
		body    string
	}{
		"a page":                  {true, []string{"GET / HTTP/1.1", "Host: x"}, ""},
		"a form that has arrived": {true, []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 1"}, "x"},
		"a form that had not":     {false, []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 2"}, "x"},
		"a handshake":             {false, handshake, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, asked, _ := newSlowSite(t, late)
			b := s.dial()
			b.send(c.body, c.request...)
			within(t, asked, "request")
			s.endByTime(c.byTime)
			b.wants(http.StatusUnauthorized)
		})
	}
}

func TestAStreamThatBeginsAfterTheEndIsCutAtOnce(t *testing.T) {
	t.Parallel()
	events := lines(fine, "Content-Type: Text/Event-Stream;charset=utf-8") + "data: x\n\n"
	for _, answer := range []string{switching, events} {
		s, asked, steps := newSlowSite(t, time.Hour) // nothing is cut later
		b := s.dial()
		b.send("", handshake...)
		within(t, asked, "request")
		s.endByTime(true)
		steps <- answer
		b.wantsEnd()
	}
}

// TestABrowserThatHasStoppedReading has an application that sends as fast as it can.
func TestABrowserThatHasStoppedReading(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text/event-stream", "text/plain"} {
		gone := make(chan bool, 1)
		s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(conn, lines("HTTP/1.1 200 OK", "Content-Type: "+kind))
			for {
				if _, err := conn.Write(make([]byte, 1<<16)); err != nil {
					gone <- true
					return
				}
			}
		}, func(o *setup) { o.late = late })
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x")
		b.wants(200)
		s.end()
		within(t, gone, "end of the application's side")
	}
}

func TestHTTP2StreamsAreCutAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(o *setup) { o.http2, o.PublicPaths = true, front.PublicPaths{"/public"} })
	client := s.Client()
	var streams []*http.Response
	for range 3 {
		response, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Fatalf("the site speaks %s", response.Proto)
		}
		streams = append(streams, response)
	}
	s.end()
	for _, response := range streams {
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Error("the stream ends as if it were whole")
		}
	}
	response, err := client.Get(s.URL + "/public")
	if err != nil {
		t.Fatal(err)
	}
	text(t, response)
}

func TestHTTP2RequestsArriveAsOthersDo(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t, func(o *setup) { o.http2 = true })
	r, err := http.NewRequest("POST", s.URL+"/a%2Fb//c;d?", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Add("Cookie", "a=b")
	r.Header.Add("Cookie", "__Host-curfew=x")
	r.Header.Add("Cookie", "c=d")
	r.Header.Set("remote_user", "root")
	response, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text(t, response)
	got := within(t, heads, "request")
	if got[0] != "POST /a%2Fb//c;d? HTTP/1.1" || values(got, "remote_user") != nil {
		t.Errorf("it arrives as %q", got)
	}
	if cookies := values(got, "Cookie"); len(cookies) != 1 || cookies[0] != "a=b; c=d" {
		t.Errorf("cookies %q", cookies)
	}
}

// TestRequestsRaceTheEnd is for the race detector: whatever comes first, no request goes on.
func TestNothingIsPassedOnOnceTheSessionHasEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(http.ResponseWriter, *http.Request) { t.Error("the application gets a request") })
	s.end() // between the judgement of the session, which this site leaves out, and the passing on
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	b.wants(http.StatusUnauthorized)
}

func TestRequestsRaceTheEnd(t *testing.T) {
	t.Parallel()
	for range 5 {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				defer conn.Close()
				io.WriteString(conn, switching)
				io.Copy(io.Discard, conn)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		var group sync.WaitGroup
		for n := range 20 {
			b := s.dial()
			group.Go(func() {
				if n%2 == 0 {
					b.send("", handshake...)
				} else {
					b.send("", "GET / HTTP/1.1", "Host: x")
				}
				response, err := http.ReadResponse(b.Reader, &http.Request{Method: "GET"})
				if err != nil || response.StatusCode != http.StatusUnauthorized {
					b.wantsEnd()
				}
			})
			if n == 10 {
				s.end()
			}
		}
		group.Wait()
	}
}

// TestALibraryHandlerIsCut is about handlers in this process.
func TestALibraryHandlerIsCut(t *testing.T) {
	t.Parallel()
	causes := make(chan error, 2)
	s := newSite(t, nil)
	life, end := newLife(t)
	session := &front.Session{Life: life, ByTime: func() bool { return false }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.rules.Serve(w, r, session, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hijack" {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				io.Copy(io.Discard, conn)
			} else {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
			causes <- contextCause(r)
		}))
	}))
	defer server.Close()
	for _, path := range []string{"/hijack", "/"} {
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
	}
	end()
	for range 2 {
		if err := within(t, causes, "end"); !errors.Is(err, front.ErrSessionEnded) {
			t.Errorf("the cause is %v", err)
		}
	}
}

// TestALibraryHandlerThatIsTooLate is about handlers that have not begun to answer when what is
// left of a session is cut.
func TestALibraryHandlerThatIsTooLate(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 10)
	for name, c := range map[string]struct {
		handler func(w http.ResponseWriter, r *http.Request)
		isWhole bool // the browser gets an answer of Curfew's
	}{
		"it answers all the same": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := io.WriteString(w, strings.Repeat("secret", 1000)); err != nil {
						failed <- err
						return
					}
				}
			},
		},
		"it gives up": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "session=ada")
		}, isWhole: true},
	} {
		for _, accept := range []string{"*/*", "text/html"} {
			t.Run(name+", asked for "+accept, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nil, func(o *setup) { o.late = time.Millisecond })
				life, end := newLife(t)
				session := &front.Session{Life: life, ByTime: func() bool { return false }}
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s.rules.Serve(w, r, session, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						end()
						<-r.Context().Done()
						c.handler(w, r)
					}))
				}))
				defer server.Close()
				r, _ := http.NewRequest("GET", server.URL, nil)
				r.Header.Set("Accept", accept)
				response, err := http.DefaultTransport.RoundTrip(r)
				if !c.isWhole {
					if err == nil {
						response.Body.Close()
						t.Errorf("status %d", response.StatusCode)
					}
					within(t, failed, "error of writing")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				text(t, response)
				if response.StatusCode != http.StatusUnauthorized || response.Header["Set-Cookie"] != nil {
					t.Errorf("status %d, cookies %q", response.StatusCode, response.Header["Set-Cookie"])
				}
			})
		}
	}
}
