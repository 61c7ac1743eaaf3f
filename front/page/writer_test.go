package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var someTag = Tag{
	Source:   "/.curfew/static/curfew.js",
	Socket:   "/.curfew/session/ws",
	Folder:   "https://app.example/.curfew/static/",
	Required: true,
}

// plainTag is someTag in a page whose header has policies that want no nonce.
const plainTag = `<script type="module" src="/.curfew/static/curfew.js" ` +
	`data-socket="/.curfew/session/ws" data-required=""></script>`

const plainPolicy = "script-src 'self'; connect-src 'self'"

// pageSite serves what a handler answers to navigations.
func pageSite(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	refuse := func(w http.ResponseWriter, err error) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "refused: ", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Serve(w, r, someTag, refuse, answer)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// ask sends a request with headers, and returns the answer with its body as it came.
func ask(t *testing.T, s *httptest.Server, method string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	answer := begin(t, s, method, headers...)
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

func begin(t *testing.T, s *httptest.Server, method string, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// pageOf returns a handler that answers with a page.
func pageOf(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set(enforced, plainPolicy)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestPagesOfAnyStatusGetTheTag(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 302, 401, 404, 500, 503} {
		answer, body, err := ask(t, pageSite(t, pageOf(status, "<head><p>", "Location", "/x")), "GET")
		if answer.StatusCode != status || body != "<head>"+plainTag+"<p>" || err != nil {
			t.Errorf("%d: got %d, %q and %v", status, answer.StatusCode, body, err)
		}
	}
}

var original = []string{
	"Content-Length", "6",
	"ETag", `"x"`,
	"Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT",
	"Accept-Ranges", "bytes",
	"Content-MD5", "x",
	"Digest", "x",
	"Content-Digest", "x",
	"Repr-Digest", "x",
	"Cache-Control", "public, max-age=600",
	"X-Own", "stays",
}

func TestWhatIsNoLongerTrueOfAPageGoes(t *testing.T) {
	t.Parallel()
	s := pageSite(t, pageOf(200, "<head>", original...))
	for _, method := range []string{"GET", "HEAD"} {
		answer, body, err := ask(t, s, method)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range ofTheOriginal[1:] { // a length may be there that is the server's
			if got := answer.Header.Values(name); len(got) > 0 {
				t.Errorf("%s: %s is %q", method, name, got)
			}
		}
		if got := answer.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", method, got)
		}
		if n := answer.ContentLength; n != -1 && n != int64(len(body)) || answer.Header.Get("X-Own") != "stays" {
			t.Errorf("%s: got a length of %d and %v", method, answer.ContentLength, answer.Header)
		}
	}
}

func TestWhatIsNoPagePassesAsItIs(t *testing.T) {
	t.Parallel()
	for _, headers := range [][]string{
		{"Content-Type", "application/json"},
		{"Content-Disposition", "attachment"},
	} {
		s := pageSite(t, pageOf(200, "<head>", append(original, headers...)...))
		answer, body, err := ask(t, s, "GET")
		if body != "<head>" || err != nil || answer.ContentLength != 6 || answer.Header.Get(enforced) != plainPolicy {
			t.Errorf("%q: got %q, %v and %v", headers, body, err, answer.Header)
		}
		for i := 2; i < len(original); i += 2 {
			if got := answer.Header.Get(original[i]); got != original[i+1] {
				t.Errorf("%q: %s is %q", headers, original[i], got)
			}
		}
	}
}

func TestASandboxedPageGetsNoTagAndIsNotKept(t *testing.T) {
	t.Parallel()
	const policy = "sandbox allow-forms; script-src 'none'"
	answer, body, err := ask(t, pageSite(t, pageOf(200, "<head>", enforced, policy, "ETag", "x")), "GET")
	if body != "<head>" || err != nil || answer.Header.Get(enforced) != policy ||
		answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("ETag") != "" {
		t.Errorf("got %q, %v and %v", body, err, answer.Header)
	}
}

func TestAPageComesAndLeavesInACoding(t *testing.T) {
	t.Parallel()
	text := "<!doctype html><head><title>t</title>" + strings.Repeat("<p>text", 3000)
	want := strings.Replace(text, "<head>", "<head>"+plainTag, 1)
	for coding := range encoders {
		s := pageSite(t, pageOf(200, string(coded(coding, text)), "Content-Encoding", nameOf(coding), "Vary", "Cookie"))
		for accepted, leaves := range map[string]string{
			"gzip, br": "gzip", "br": "", "gzip;q=0": "", "identity": "", "GZIP;q=0.1": "gzip",
		} {
			for _, method := range []string{"GET", "HEAD"} {
				answer, body, err := ask(t, s, method, "Accept-Encoding", accepted)
				if err == nil && leaves == "gzip" && method == "GET" {
					body, err = decoded([]byte(body), "gzip")
				}
				if method == "GET" && body != want || err != nil {
					t.Errorf("%s, accepted %s: got %.100q and %v", coding, accepted, body, err)
				}
				vary := strings.Join(answer.Header.Values("Vary"), ", ")
				if got := answer.Header.Get("Content-Encoding"); got != leaves || vary != "Cookie, Accept-Encoding" {
					t.Errorf("%s, accepted %s: the coding is %q and Vary %q", coding, accepted, got, vary)
				}
			}
		}
	}
	answer, _, _ := ask(t, pageSite(t, pageOf(200, text)), "GET", "Accept-Encoding", "gzip")
	if answer.Header.Get("Content-Encoding")+answer.Header.Get("Vary") != "" {
		t.Errorf("a page without a coding gets %v", answer.Header)
	}
	for _, vary := range []string{"*", "accept-encoding, Cookie"} {
		headers := []string{"Content-Encoding", "br", "Vary", vary}
		answer, _, _ := ask(t, pageSite(t, pageOf(200, string(coded("br", text)), headers...)), "GET")
		if got := strings.Join(answer.Header.Values("Vary"), ", "); got != vary {
			t.Errorf("Vary: %s becomes %s", vary, got)
		}
	}
}

func TestAPageInAnUnknownCodingIsRefused(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"zstd", "gzip, compress", "br, br, br"} {
		told := make(chan error, 1)
		s := pageSite(t, func(w http.ResponseWriter, r *http.Request) {
			pageOf(200, "", "Content-Encoding", coding, "X-Own", "x")(w, r)
			_, err := w.Write([]byte("more"))
			told <- err
			panic(http.ErrAbortHandler) // as the reverse proxy does then
		})
		answer, body, err := ask(t, s, "GET")
		if answer.StatusCode != 502 || !strings.HasPrefix(body, "refused: ") || err != nil ||
			len(answer.Header["X-Own"]) > 0 {
			t.Errorf("%s: got %d, %q, %v and %v", coding, answer.StatusCode, body, err, answer.Header)
		}
		if err := <-told; !errors.Is(err, errCoding) {
			t.Errorf("%s: the application is told %v", coding, err)
		}
	}
}

func TestAPageThatBreaksOffIsBrokenOff(t *testing.T) {
	t.Parallel()
	long := "<head><p>" + strings.Repeat("0123456789abcdef", 10_000)
	zipped := string(coded("gzip", long))
	for name, answer := range map[string]http.HandlerFunc{
		"truncated gzip": pageOf(200, zipped[:len(zipped)-20], "Content-Encoding", "gzip"),
		"no gzip":        pageOf(200, long, "Content-Encoding", "gzip"),
		"truncated br":   pageOf(200, string(coded("br", long)[:30]), "Content-Encoding", "br"),
		"a panic": func(w http.ResponseWriter, r *http.Request) {
			pageOf(200, long)(w, r)
			panic(http.ErrAbortHandler)
		},
		"a panic before the charset is known": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<head>")
			panic(http.ErrAbortHandler)
		},
	} {
		s := pageSite(t, answer)
		for _, accepted := range []string{"gzip", "identity"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", accepted)
			answer, err := s.Client().Transport.RoundTrip(r)
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
			if err == nil {
				t.Errorf("%s: the browser takes a part of the page for the whole", name)
			}
		}
	}
}

func TestTheCharsetOfTheHeader(t *testing.T) {
	t.Parallel()
	meta := `<head><meta charset="Shift_JIS"><p>`
	for _, c := range []struct{ kind, body, want string }{
		{"text/html", meta, "text/html; charset=shift_jis"},
		{"text/html;a=b", meta, "text/html;a=b; charset=shift_jis"},
		{"text/html; charset=utf-8", meta, "text/html; charset=utf-8"},
		{"text/html; charset=klingon", meta, "text/html; charset=shift_jis"},
		{"text/html; charset=klingon", "<p>", "text/html; charset=klingon"},
		{"text/html", "\xef\xbb\xbf" + meta, "text/html"},
		{"text/html", "<p>", "text/html"},
		{"text/html", "", "text/html"},
		{"text/html", strings.Repeat(" ", 1000) + meta, "text/html"},
		{"text/html", `<?xml version="1.0" encoding="koi8-r"?><p>`, "text/html; charset=koi8-r"},
		{"application/xhtml+xml", `<?xml version="1.0" encoding="koi8-r"?><html/>`, "application/xhtml+xml"},
	} {
		for _, coding := range []string{"", "br"} {
			body := c.body
			if coding != "" {
				body = string(coded(coding, body))
			}
			s := pageSite(t, pageOf(200, body, "Content-Type", c.kind, "Content-Encoding", coding))
			answer, got, err := ask(t, s, "GET")
			if answer.Header.Get("Content-Type") != c.want || err != nil || !strings.Contains(got, plainTag[:7]) {
				t.Errorf("%s with %.60q: got %s and %.200q, %v, want %s",
					c.kind, c.body, answer.Header.Get("Content-Type"), got, err, c.want)
			}
		}
	}
}

func TestCharsetsAndMarks(t *testing.T) {
	t.Parallel()
	wide := string(charsetNamed("utf-16le").encode("<head>|<p>"))
	wideTag := string(charsetNamed("utf-16le").encode(plainTag))
	bar := string(charsetNamed("utf-16le").encode("|"))
	for _, c := range []struct{ kind, page, bar, tag string }{
		{"text/html; charset=utf-8", "\xef\xbb\xbf<head>|<p>", "|", plainTag},
		{"text/html", "\xef\xbb\xbf|", "|", plainTag},
		{"text/html; charset=utf-16", wide, bar, wideTag},
		{"text/html; charset=UTF-16LE", "\xff\xfe" + wide, bar, wideTag},
		{"text/html; charset=utf-8", "\xff\xfe" + wide, bar, wideTag},
		{"text/html", "\xff\xfe" + wide, bar, wideTag},
	} {
		s := pageSite(t, pageOf(200, strings.Replace(c.page, c.bar, "", 1), "Content-Type", c.kind))
		if _, got, err := ask(t, s, "GET"); got != strings.Replace(c.page, c.bar, c.tag, 1) || err != nil {
			t.Errorf("%s: %q becomes %q, %v", c.kind, c.page, got, err)
		}
	}
}

func TestEmptyPages(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"", "gzip"} {
		s := pageSite(t, pageOf(200, "", "Content-Encoding", coding))
		if _, body, err := ask(t, s, "GET"); body != plainTag || err != nil {
			t.Errorf("coding %q: got %q and %v", coding, body, err)
		}
		if _, body, err := ask(t, s, "HEAD"); body != "" || err != nil {
			t.Errorf("coding %q: HEAD gets %q and %v", coding, body, err)
		}
	}
	s := pageSite(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
	if _, body, err := ask(t, s, "GET"); !strings.HasPrefix(body, "<script ") || err != nil {
		t.Errorf("a handler that writes nothing: got %q and %v", body, err)
	}
	s = pageSite(t, func(http.ResponseWriter, *http.Request) {})
	if answer, body, err := ask(t, s, "GET"); body != "" || err != nil || answer.StatusCode != 200 {
		t.Errorf("a handler that does nothing: got %d, %q and %v", answer.StatusCode, body, err)
	}
}

func TestTheTypeOfAnAnswerWithoutOneIsFoundAsTheServerDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, tag string }{
		{"text/html; charset=utf-8", "<script "},
		{"text/plain; charset=utf-8", ""},
	} {
		body := strings.Repeat("<title>x</title>", 100)
		if c.tag == "" {
			body = "plain " + body
		}
		for _, size := range []int{1, 100, len(body)} {
			s := pageSite(t, func(w http.ResponseWriter, _ *http.Request) {
				io.Copy(struct{ io.Writer }{w}, &chunks{b: []byte(body), size: size})
			})
			answer, got, err := ask(t, s, "GET")
			if answer.Header.Get("Content-Type") != c.kind || err != nil ||
				!strings.HasPrefix(got, c.tag) || !strings.HasSuffix(got, body) {
				t.Errorf("%s in pieces of %d: got %v and %.100q, %v", c.kind, size, answer.Header, got, err)
			}
		}
	}
	s := pageSite(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<head><meta charset=gbk>") })
	if answer, _, _ := ask(t, s, "GET"); answer.Header.Get("Content-Type") != "text/html; charset=gbk" {
		t.Errorf("a page that tells its charset is %s", answer.Header.Get("Content-Type"))
	}
	s = pageSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<title>")
	})
	if answer, got, _ := ask(t, s, "GET"); got != "<title>" || len(answer.Header["Content-Type"]) > 0 {
		t.Errorf("a type that is to be absent: got %q and %v", got, answer.Header)
	}
}

func TestTrailersKeepNoDigest(t *testing.T) {
	t.Parallel()
	s := pageSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Content-Digest, X-Own")
		pageOf(200, "<head>")(w, r)
		w.Header().Set("Content-Digest", "x")
		w.Header().Set("X-Own", "x")
		w.Header().Set(http.TrailerPrefix+"Repr-Digest", "x")
		w.Header().Set(http.TrailerPrefix+"X-Late", "x")
	})
	answer, _, err := ask(t, s, "GET")
	if got := answer.Trailer; err != nil || len(got) != 2 || got.Get("X-Own") != "x" || got.Get("X-Late") != "x" {
		t.Errorf("got %v and %v", got, err)
	}
}

func TestCopyingIntoAPage(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"text/html; charset=utf-8": "<head>" + plainTag + "<p>",
		"text/plain":               "<head><p>",
	} {
		s := pageSite(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set(enforced, plainPolicy)
			if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("<head><p>")); n != 9 || err != nil {
				t.Errorf("%d bytes are copied: %v", n, err)
			}
		})
		if _, got, err := ask(t, s, "GET"); got != want || err != nil {
			t.Errorf("%s: got %q and %v", kind, got, err)
		}
	}
}

func TestEarlyHintsAndHijacksPass(t *testing.T) {
	t.Parallel()
	s := pageSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 Own\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
	})
	if answer, body, err := ask(t, s, "GET"); answer.Status != "200 Own" || body != "body" || err != nil {
		t.Errorf("got %s, %q and %v", answer.Status, body, err)
	}
}

// TestAHeaderMayBeChangedWhileItIsHeldBack has a handler change its header while a timer sends that
// of the page: net/http lets it, and a map that two write to at once ends the process.
func TestAHeaderMayBeChangedWhileItIsHeldBack(t *testing.T) {
	t.Parallel()
	sent := make(chan bool)
	s := pageSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html") // the charset may follow
		w.Header().Set("Trailer", "X-Own")
		w.Header().Set("X-Before", "x")
		io.WriteString(w, "<p>")
		w.(http.Flusher).Flush()
		for n := 0; ; n++ {
			w.Header().Set("X-After", fmt.Sprint(n))
			select {
			case <-sent:
				w.Header().Set("X-Own", "x")
				w.Header().Set(http.TrailerPrefix+"X-Late", "x")
				return
			default:
			}
		}
	})
	answer := begin(t, s, "GET")
	close(sent)
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasSuffix(string(body), "<p>") || answer.Header.Get("X-Before") != "x" ||
		answer.Header.Get("X-After") != "" {
		t.Errorf("header %v, body %q, %v", answer.Header, body, err)
	}
	if got := answer.Trailer; len(got) != 2 || got.Get("X-Own") != "x" || got.Get("X-Late") != "x" {
		t.Errorf("trailer %v", got)
	}
}
