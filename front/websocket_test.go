package front_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var handshake = []string{"GET /socket HTTP/1.1", "Host: app.example", "Connection: keep-alive, Upgrade",
	"Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://app.example"}

var switching = lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Set-Cookie: __Host-curfew=x", "Set-Cookie: a=b")

// newSocketSite is in front of an application that takes a handshake and then has the connection.
func newSocketSite(
	t *testing.T, app func(conn net.Conn, r *bufio.Reader, handshake []string), setups ...func(*setup),
) *site {
	t.Helper()
	return newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		lines, err := head(r)
		if err != nil {
			return
		}
		io.WriteString(conn, switching)
		app(conn, r, lines)
	}, setups...)
}

func TestWebSocketsPassByteForByte(t *testing.T) {
	t.Parallel()
	heads := make(chan []string, 1)
	s := newSocketSite(t, func(conn net.Conn, r *bufio.Reader, lines []string) {
		heads <- lines
		io.Copy(conn, r)
	})
	b := s.dial()
	all := make([]byte, 1<<20)
	for i := range all {
		all[i] = byte(i * 7 >> 3)
	}
	go func() {
		io.WriteString(b.Conn, lines(handshake...)+string(all[:1000])) // right behind the handshake
		b.Conn.Write(all[1000:])
	}()
	response := b.wants(http.StatusSwitchingProtocols)
	if got := response.Header["Set-Cookie"]; !slices.Equal(got, []string{"a=b"}) {
		t.Errorf("cookies %q", got)
	}
	echo := make([]byte, len(all))
	if _, err := io.ReadFull(b, echo); err != nil || !bytes.Equal(echo, all) {
		t.Errorf("what comes back is another: %v", err)
	}
	lines := within(t, heads, "handshake")
	for name, want := range map[string]string{
		"Connection":            "Upgrade",
		"Upgrade":               "websocket",
		"Sec-WebSocket-Key":     "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Version": "13",
		"Origin":                "https://app.example",
		"Remote-User":           "ada",
	} {
		if got := values(lines, name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWebSocketsOfTheLibraryWork(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			CompressionMode:    websocket.CompressionContextTakeover,
			InsecureSkipVerify: true,
		})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			c.Write(r.Context(), kind, message)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, message := range []string{"", "hello", strings.Repeat("long ", 100000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != message {
			t.Fatalf("%d bytes come back, want %d: %v", len(got), len(message), err)
		}
	}
	if err := c.Close(4242, "bye"); err != nil {
		t.Error(err)
	}
}

func TestARefusedHandshakeLeavesAnOrdinaryConnection(t *testing.T) {
	t.Parallel()
	for _, refusal := range []string{"401 Unauthorized", "404 Not Found", "302 Found", "200 OK", "426 Upgrade"} {
		t.Run(refusal, func(t *testing.T) {
			t.Parallel()
			users := make(chan string, 2)
			s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
				for {
					lines, err := head(r)
					if err != nil {
						return
					}
					users <- strings.Join(slices.Concat(values(lines, "Remote-User"), values(lines, "Upgrade")), " ")
					io.WriteString(conn, withBody(refusal, "no"))
				}
			})
			b := s.dial()
			b.send("", handshake...)
			if got := text(t, b.answer("GET")); got != "no" {
				t.Errorf("answer %q", got)
			}
			if got := within(t, users, "handshake"); got != "ada websocket" {
				t.Errorf("the application is told %q", got)
			}
			b.send("", "GET /next HTTP/1.1", "Host: x", "Remote-User: root", "remote_user: root")
			text(t, b.answer("GET"))
			if got := within(t, users, "next request"); got != "ada" {
				t.Errorf("the application is told %q", got)
			}
			b.send("", "POST /evil HTTP/1.1", "Host: x", "Origin: https://evil.example", "Content-Length: 0")
			b.wants(http.StatusForbidden)
		})
	}
}

func TestAChangeToWhatNobodyAskedForIsNoAnswer(t *testing.T) {
	t.Parallel()
	get, switched := "GET / HTTP/1.1", "HTTP/1.1 101 Switching"
	for name, c := range map[string]struct{ request, answer []string }{
		"another protocol": {handshake, []string{switched, "Connection: Upgrade", "Upgrade: foo"}},
		"no protocol":      {handshake, []string{switched}},
		"not asked":        {[]string{get, "Host: x"}, []string{switched, "Connection: Upgrade", "Upgrade: websocket"}},
		"h2c": {
			[]string{get, "Host: x", "Connection: Upgrade", "Upgrade: h2c"},
			[]string{switched, "Connection: Upgrade", "Upgrade: h2c"},
		},
		"an upload": {
			[]string{"POST / HTTP/1.1", "Host: x", "Content-Length: 0"},
			[]string{switched, "Connection: Upgrade", "Upgrade: websocket"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan bool, 1)
			s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(conn, lines(c.answer...))
				io.Copy(io.Discard, r)
				closed <- true
			})
			b := s.dial()
			b.send("", c.request...)
			b.wants(http.StatusBadGateway)
			within(t, closed, "end of the application's connection")
		})
	}
}

func TestEachSideOfAWebSocketMayEndAlone(t *testing.T) {
	t.Parallel()
	said := make(chan string, 1)
	s := newSocketSite(t, func(conn net.Conn, r *bufio.Reader, _ []string) {
		all, _ := io.ReadAll(r) // the browser ends first
		said <- string(all)
		io.WriteString(conn, "last words")
	})
	b := s.dial()
	b.send("first", handshake...)
	b.wants(http.StatusSwitchingProtocols)
	b.Conn.(*net.TCPConn).CloseWrite()
	if got := within(t, said, "end"); got != "first" {
		t.Errorf("the application hears %q", got)
	}
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Errorf("the browser hears %q, %v", got, err)
	}

	over := make(chan string, 1)
	s = newSocketSite(t, func(conn net.Conn, r *bufio.Reader, _ []string) {
		conn.(*net.TCPConn).CloseWrite() // the application ends first
		all, _ := io.ReadAll(r)
		over <- string(all)
	})
	b = s.dial()
	b.send("", handshake...)
	b.wants(http.StatusSwitchingProtocols)
	b.wantsEnd()
	io.WriteString(b.Conn, "late")
	b.Close()
	if got := within(t, over, "end"); got != "late" {
		t.Errorf("the application hears %q", got)
	}
}

func TestWebSocketsAreCutAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, app := range map[string]func(conn net.Conn, r *bufio.Reader, gone chan<- bool){
		"that are silent": func(_ net.Conn, r *bufio.Reader, gone chan<- bool) { io.Copy(io.Discard, r); gone <- true },
		"whose browser does not read": func(conn net.Conn, _ *bufio.Reader, gone chan<- bool) {
			for {
				if _, err := conn.Write(make([]byte, 1<<16)); err != nil {
					gone <- true
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan bool, 1)
			s := newSocketSite(t, func(conn net.Conn, r *bufio.Reader, _ []string) { app(conn, r, gone) }, onlyAtOnce)
			b := s.dial()
			b.send("", handshake...)
			b.wants(http.StatusSwitchingProtocols)
			s.end()
			within(t, gone, "end of the application's side")
			b.wantsEnd()
		})
	}
}

func TestAStuckApplicationDoesNotKeepAWebSocket(t *testing.T) {
	t.Parallel()
	stuck := make(chan bool)
	defer close(stuck)
	s := newSocketSite(t, func(net.Conn, *bufio.Reader, []string) { <-stuck }, onlyAtOnce)
	b := s.dial()
	b.send("", handshake...)
	b.wants(http.StatusSwitchingProtocols)
	go func() {
		for {
			if _, err := b.Conn.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}()
	s.end()
	b.wantsEnd()
}

// TestAWebSocketOverTLSWithAStuckBrowserIsCut tells a cut from a [tls.Conn.Close], which waits 5 s
// for such a browser.
func TestAWebSocketOverTLSWithAStuckBrowserIsCut(t *testing.T) {
	t.Parallel()
	gone := make(chan bool, 1)
	s := newSocketSite(t, func(conn net.Conn, _ *bufio.Reader, _ []string) {
		for {
			if _, err := conn.Write(make([]byte, 1<<16)); err != nil {
				gone <- true
				return
			}
		}
	}, func(o *setup) { o.http2 = true })
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := &browser{conn, bufio.NewReader(conn), t}
	b.send("", handshake...)
	b.wants(http.StatusSwitchingProtocols)
	at := time.Now()
	s.end()
	within(t, gone, "end of the application's side")
	if took := time.Since(at); took >= 5*time.Second {
		t.Errorf("after %v", took)
	}
}

// TestManyWebSocketsAreCutTogether has some hundreds, and tells what an idle one needs.
func TestManyWebSocketsAreCutTogether(t *testing.T) {
	const many = 300
	s := newSocketSite(t, func(_ net.Conn, r *bufio.Reader, _ []string) { io.Copy(io.Discard, r) }, onlyAtOnce)
	var all []*browser
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	for range many {
		b := s.dial()
		b.send("", handshake...)
		b.wants(http.StatusSwitchingProtocols)
		all = append(all, b)
	}
	t.Logf("%.1f KB each, both ends included", float64(used()-before)/many/1e3)
	at := time.Now()
	s.end()
	var group sync.WaitGroup
	for _, b := range all {
		group.Go(b.wantsEnd)
	}
	group.Wait()
	t.Logf("the last is cut after %v", time.Since(at))
}

func TestStreamsDoNotKeepTheServerFromStopping(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(o *setup) { o.PublicPaths = []string{"/public"} })
	var streams []*browser
	for _, path := range []string{"/", "/public"} {
		b := s.dial()
		b.send("", "GET "+path+" HTTP/1.1", "Host: x")
		b.wants(200)
		streams = append(streams, b)
	}
	s.rules.Close()
	for _, b := range streams {
		b.wantsEnd()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
