package front_test

import (
	"bufio"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestBothWaysStream(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			io.WriteString(w, strings.ToUpper(lines.Text())+"\n")
			w.(http.Flusher).Flush()
		}
	})
	b := s.dial()
	b.send("", "POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
	response := b.wants(200)
	answer := bufio.NewReader(response.Body)
	for _, word := range []string{"one", "two", "three"} {
		io.WriteString(b.Conn, "6\r\n"+(word + "\n\n\n\n")[:6]+"\r\n")
		for {
			line, err := answer.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == strings.ToUpper(word)+"\n" {
				break
			}
		}
	}
	io.WriteString(b.Conn, "0\r\n\r\n")
	if _, err := io.ReadAll(answer); err != nil {
		t.Error(err)
	}
}

func TestAHeaderIsPassedOnBeforeItsBody(t *testing.T) {
	t.Parallel()
	goOn := make(chan bool)
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "y")
	})
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	body := b.wants(200).Body
	for _, want := range "xy" {
		goOn <- true
		got := make([]byte, 1)
		if _, err := io.ReadFull(body, got); err != nil || got[0] != byte(want) {
			t.Fatal(got, err)
		}
	}
}

func TestTrailersGoBothWays(t *testing.T) {
	t.Parallel()
	received := make(chan http.Header, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		received <- r.Trailer
		w.Header().Set("Trailer", "X-Announced")
		io.WriteString(w, "body")
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Sudden", "b")
	})
	b := s.dial()
	trailer := lines("X-Sum: 42", "Remote-User: root", "Remote_Groups: admins", "Cookie: __Host-curfew=x")
	b.send("1\r\nx\r\n0\r\n"+trailer, "POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked",
		"Trailer: X-Sum, Remote-User, Remote_Groups, Cookie")
	response := b.wants(200)
	text(t, response)
	if got := within(t, received, "request"); len(got) != 1 || got.Get("X-Sum") != "42" {
		t.Errorf("the application gets %q", got)
	}
	if response.Trailer.Get("X-Announced") != "a" || response.Trailer.Get("X-Sudden") != "b" {
		t.Errorf("the browser gets %q", response.Trailer)
	}
}

func TestAnApplicationMayRefuseBeforeTheBodyIsSent(t *testing.T) {
	t.Parallel()
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(conn, lines("HTTP/1.1 413 Too Large", "Content-Length: 3", "Connection: close")+"big")
		io.Copy(io.Discard, r)
	})
	b := s.dial()
	b.send("", "POST / HTTP/1.1", "Host: x", "Expect: 100-continue", "Content-Length: 1000000")
	if response := b.answer("POST"); response.StatusCode != 413 || text(t, response) != "big" {
		t.Errorf("answer %d", response.StatusCode)
	}
}

func TestAnApplicationMayAskForTheBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	b := s.dial()
	b.send("", "POST / HTTP/1.1", "Host: x", "Expect: 100-continue", "Content-Length: 4")
	if first, err := head(b.Reader); err != nil || len(first) == 0 || first[0] != "HTTP/1.1 100 Continue" {
		t.Fatal(first, err)
	}
	io.WriteString(b.Conn, "body")
	if got := text(t, b.wants(200)); got != "body" {
		t.Errorf("answer %q", got)
	}
}

func TestEarlyHintsArePassedOn(t *testing.T) {
	t.Parallel()
	goOn := make(chan bool)
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		<-goOn
		w.WriteHeader(http.StatusOK)
	})
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	if hints, err := head(b.Reader); err != nil || len(hints) != 2 || hints[0] != "HTTP/1.1 103 Early Hints" {
		t.Errorf("hints %q, %v", hints, err)
	}
	goOn <- true
	if response := b.wants(200); response.Header.Get("Link") == "" || response.Header["Content-Type"] != nil {
		t.Errorf("answer %q", response.Header)
	}
	old := s.dial() // RFC 9110 §15.2
	old.send("", "GET / HTTP/1.0")
	goOn <- true
	old.wants(200)
}

func TestRangesAreTheApplications(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	for asked, want := range map[string]string{"bytes=2-4": "234", "bytes=-2": "89", "bytes=0-0,5-6": "5-6/10"} {
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x", "Range: "+asked)
		if got := text(t, b.wants(206)); !strings.Contains(got, want) {
			t.Errorf("%s: %q", asked, got)
		}
	}
}

func TestAnEarlyAnswerEndsAnUpload(t *testing.T) {
	t.Parallel()
	for name, app := range map[string]func(conn net.Conn, r *bufio.Reader){
		"and the application closes": func(conn net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(conn, lines("HTTP/1.1 413 Too Large", "Content-Length: 3", "Connection: close")+"big")
		},
		"and the application stays": func(conn net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(conn, lines("HTTP/1.1 413 Too Large", "Transfer-Encoding: chunked")+"3\r\nbig\r\n0\r\n\r\n")
			io.Copy(io.Discard, r)
		},
	} {
		for how, body := range map[string]string{
			"a browser that waits": "",
			"a browser that sends": strings.Repeat("x", 1<<20),
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				b := newRawSite(t, app).dial()
				go io.WriteString(b.Conn, lines("POST / HTTP/1.1", "Host: x", "Content-Length: 2000000")+body)
				response := b.answer("POST")
				if got := text(t, response); response.StatusCode != 413 || got != "big" {
					t.Errorf("answer %d %q", response.StatusCode, got)
				}
				if !response.Close {
					t.Error("the browser may send another request behind what nobody reads")
				}
			})
		}
	}
}

// TestNextRequestIsNotReadFromAnUpload shows that what is left of an upload that nobody wants does
// not become a request.
func TestNextRequestIsNotReadFromAnUpload(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		asked.Add(1)
		head(r)
		io.WriteString(conn, emptyAnswer)
	})
	b := s.dial()
	b.send("", "POST / HTTP/1.1", "Host: x", "Content-Length: 1000")
	b.wants(200)
	io.WriteString(b.Conn, strings.Repeat(lines("GET /smuggled HTTP/1.1", "Host: x"), 100))
	b.wantsEnd()
	if n := asked.Load(); n != 1 {
		t.Errorf("the application was asked %d times", n)
	}
}

func TestAnUploadThatBreaksOffIsTheBrowsersFault(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	b := s.dial()
	b.send("zz\r\nabc", "POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
	b.wants(http.StatusBadRequest)
	b.wantsEnd()
}

func TestABrowserThatGoesAwayCancelsTheRequest(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan bool, 1), make(chan error, 1)
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		gone <- r.Context().Err()
	})
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	within(t, asked, "request")
	b.Close()
	within(t, gone, "cancellation")
}

// TestLargeTransfersPassInLittleMemory has the whole way in one process: browser, proxy and
// application together stay under 20 MB. The benchmark passes a gigabyte.
func TestLargeTransfersPassInLittleMemory(t *testing.T) {
	const size = 256 << 20
	chunk := make([]byte, 1<<20)
	rand.Read(chunk)
	pour := func(w io.Writer) {
		for range size / len(chunk) {
			w.Write(chunk)
		}
	}
	received := make(chan int64, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.Copy(io.Discard, r.Body)
			received <- n
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		pour(w)
	})
	peak, stop := watchMemory()
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	if n, err := io.Copy(io.Discard, b.wants(200).Body); n != size || err != nil {
		t.Errorf("%d bytes come down: %v", n, err)
	}
	b.send("", "PUT / HTTP/1.1", "Host: x", "Content-Length: "+strconv.Itoa(size))
	pour(b.Conn)
	b.wants(200)
	if n := within(t, received, "upload"); n != size {
		t.Errorf("%d bytes go up", n)
	}
	stop()
	t.Logf("%.1f MB more at most", float64(peak.Load())/1e6)
	if peak.Load() > 20e6 {
		t.Errorf("%.1f MB more than before", float64(peak.Load())/1e6)
	}
}

// watchMemory measures how much more memory the process has in use than now, at most, until stop.
func watchMemory() (peak *atomic.Int64, stop func()) {
	used := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	runtime.GC()
	before := used()
	peak = new(atomic.Int64)
	done, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				peak.Store(max(peak.Load(), used()-before))
			}
		}
	}()
	return peak, func() { close(done); <-stopped }
}
