package page

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// streamed answers with parts of a page, in a coding, and goes on with each when the browser has
// seen the last.
func streamed(t *testing.T, kind, coding string, seen <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		var body io.Writer = w
		if coding != "" {
			w.Header().Set("Content-Encoding", nameOf(coding))
			body = encoders[coding](w)
		}
		for _, part := range []string{"<html><head><title>A</title>", "</head><body>B", "C", "<p>D</p></body></html>"} {
			io.WriteString(body, part)
			if f, ok := body.(flusher); ok {
				f.Flush()
			}
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-time.After(10 * time.Second):
				t.Errorf("%s is not seen", part)
			}
		}
		if c, ok := body.(io.Closer); ok {
			c.Close()
		}
	}
}

func TestAPageIsStreamed(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"", "gzip", "zlib", "deflate", "br"} {
		for _, kind := range []string{"text/html; charset=utf-8", "text/html", "application/xhtml+xml"} {
			for _, accepted := range []string{"identity", "gzip"} {
				t.Run(coding+" "+kind+" "+accepted, func(t *testing.T) {
					t.Parallel()
					seen := make(chan struct{})
					answer := begin(t, pageSite(t, streamed(t, kind, coding, seen)), "GET", "Accept-Encoding", accepted)
					var body io.Reader = answer.Body
					if coding := answer.Header.Get("Content-Encoding"); coding != "" {
						body = decode(body, []string{coding})
					}
					r := bufio.NewReader(body)
					for _, last := range "ABCD" {
						if _, err := r.ReadString(byte(last)); err != nil {
							t.Fatalf("before %c: %v", last, err)
						}
						seen <- struct{}{}
					}
					if _, err := io.Copy(io.Discard, r); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// slowAnswer serves a page without a server in a bubble, in which it must leave nothing running.
func slowAnswer(t *testing.T, handler func(w http.ResponseWriter, seen func() string)) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	Serve(w, r, someTag, nil, http.HandlerFunc(func(pw http.ResponseWriter, _ *http.Request) {
		pw.Header().Set("Content-Type", "text/html")
		pw.Header().Set(enforced, plainPolicy)
		handler(pw, func() string {
			synctest.Wait()
			p := pw.(*Writer)
			p.mu.Lock()
			defer p.mu.Unlock()
			return strings.ReplaceAll(w.Body.String(), plainTag, "|")
		})
	}))
	return w
}

func TestFlushedBytesWaitAMomentForWhatMayChangeThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := slowAnswer(t, func(w http.ResponseWriter, seen func() string) {
			io.WriteString(w, "<head><title>Slow</title>")
			w.(http.Flusher).Flush()
			if got := seen(); got != "" {
				t.Errorf("at once: %q", got)
			}
			time.Sleep(firstWait)
			if got := seen(); got != "<head>|<title>Slow</title>" {
				t.Errorf("after %v: %q", firstWait, got)
			}
			io.WriteString(w, "<script type=importmap></script><meta charset=big5><p>")
		})
		const rest = "<title>Slow</title><script type=importmap></script><meta charset=big5><p>"
		if got := w.Body.String(); got != "<head>"+plainTag+rest {
			t.Errorf("at last: %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := slowAnswer(t, func(w http.ResponseWriter, seen func() string) {
			w.(http.Flusher).Flush()
			time.Sleep(time.Hour) // no byte, no decision
			parts := []string{"<head><meta charset=", "big5><title>", "<script type=", "importmap></script>"}
			for _, part := range parts {
				io.WriteString(w, part)
				w.(http.Flusher).Flush()
				time.Sleep(firstWait / 4)
			}
			if got := seen(); got != "<head>|<meta charset=big5><title><script type=importmap></script>" {
				t.Errorf("after a moment: %q", got)
			}
		})
		if got := w.Header().Get("Content-Type"); got != "text/html; charset=big5" {
			t.Errorf("the type is %q", got)
		}
	})
}

func TestNothingRunsOnceAPageIsOver(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"", "gzip"} {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("got the panic %v", v)
				}
				time.Sleep(time.Hour) // the timer, if there is one, does nothing any more
			}()
			slowAnswer(t, func(w http.ResponseWriter, seen func() string) {
				body := []byte("<head><title>")
				if coding != "" {
					w.Header().Set("Content-Encoding", coding)
					body = coded(coding, string(body))[:12]
				}
				w.Write(body)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
		})
	}
}
