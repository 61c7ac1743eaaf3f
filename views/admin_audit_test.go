package views

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

// longTrail is an audit trail of so many lines.
type longTrail struct {
	AuditTrail
	lines uint64
}

func (t longTrail) Events(ctx context.Context, q session.EventQuery) (list []session.Event, err error) {
	if q.Before == 0 {
		q.Before = t.lines + 1
	}
	for n := q.Before - 1; n > 0 && len(list) < q.Limit; n-- {
		list = append(list, session.Event{
			Number: n,
			At:     time.Now(),
			Kind:   session.EventNotice,
			Actor:  "Jürgen Größ",
			Detail: strings.Repeat("x", 100),
		})
	}
	return list, ctx.Err()
}

// oneConn is a listener of a single connection without buffers: a writer goes on when its peer
// reads.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// askForTrail asks a server with the limits of the real one for the export, and returns the
// connection before anything of the answer is read.
func askForTrail(t *testing.T, lines uint64, format string) net.Conn {
	t.Helper()
	s := &Server{shared: &shared{trail: longTrail{lines: lines}, log: slog.New(slog.DiscardHandler)}}
	server := &http.Server{ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := s.exportAudit(w, r, session.EventQuery{}, format); err != nil {
				t.Error(err)
			}
		})}
	here, there := net.Pipe()
	l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
	l.conns <- there
	go server.Serve(l)
	t.Cleanup(func() {
		here.Close()
		server.Close()
	})
	if _, err := io.WriteString(here,
		"GET /admin/audit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return here
}

// slowly reads a few bytes a second.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(p[:min(len(p), 300)])
}

func TestExportIsCompleteHoweverSlowTheLine(t *testing.T) {
	for _, format := range []string{"csv", "json"} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lines = 2*maxLimit + 7
				conn, began := askForTrail(t, lines, format), time.Now()
				response, err := http.ReadResponse(bufio.NewReader(slowly{conn}), nil)
				if err != nil {
					t.Fatal(err)
				}
				data, err := io.ReadAll(response.Body)
				took := time.Since(began)
				if got := strings.Count(string(data), "Jürgen Größ"); err != nil || got != lines ||
					took < 10*time.Minute {
					t.Errorf("%d lines after %s, %v: want %d, slowly", got, took, err, lines)
				}
			})
		})
	}
}

func TestExportToWhoTakesNothingIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := askForTrail(t, 10*maxLimit, "csv")
		begin := make([]byte, 5000)
		if _, err := io.ReadFull(conn, begin); err != nil {
			t.Fatal(err)
		}
		time.Sleep(stallLimit + time.Second)
		rest, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) || len(rest) > 10_000 {
			t.Errorf("after %s without reading: %d further bytes, %v", stallLimit, len(rest), err)
		}
	})
}

func TestCSVBeginsWithAByteOrderMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		response, err := http.ReadResponse(bufio.NewReader(askForTrail(t, 1, "csv")), nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		if err != nil || !strings.HasPrefix(string(data), "\xef\xbb\xbfat,event,") {
			t.Fatalf("%q, %v", data, err)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff"))).ReadAll()
		if err != nil || len(rows) != 2 || rows[1][3] != "Jürgen Größ" {
			t.Errorf("%q, %v", rows, err)
		}
	})
}

func TestTheAuditPageShowsWhatIsAskedFor(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.signIn("grace")
	(&browser{site: s}).post("/login", url.Values{"username": {"grace"}, "password": {"no"}})
	ada.get("/admin/audit").wants(t, "all of it", 200, "sign-in-failed", "the trail")
	page := ada.get("/admin/audit?user=grace&event=sign-in&since=2026-01-01T00:00&actor=")
	page.wants(t, "sign-ins of one user", 200, `<option value="sign-in" selected>Sign-in</option>`, `value="grace"`,
		`value="2026-01-01T00:00"`, "format=csv&amp;since=2026-01-01T00%3A00%3A00Z&amp;user=grace")
	if n := strings.Count(page.text, `<th scope="row">`); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	ada.get("/admin/audit?limit=1").wants(t, "a page of it", 200, "Older")
	ada.get("/admin/audit?since=2100-01-01T00:00").wants(t, "nothing", 200, "Nothing of that kind was written")
	ada.get("/admin/audit?since=soon").wants(t, "asking the trail for nonsense", 422)
	ada.get("/admin/audit?format=xls").wants(t, "an unknown format", 422)
}

func TestASignInNamesTheSessionThatItContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reader, _ := startAPI(t)
		ada := s.signIn("ada")
		refs := []string{ada.ref()}
		for _, step := range []struct {
			user  string
			after time.Duration
		}{{"ada", time.Second}, {"ada", time.Hour}, {"grace", time.Hour}, {"ada", time.Hour}, {"ada", 25 * time.Hour}} {
			time.Sleep(step.after)
			ada.again(step.user)
			refs = append(refs, ada.ref())
		}
		s.signIn("ada")
		want := []string{"", refs[0], refs[1], "", "", "", ""} // oldest first
		lines := items(reader.api("GET", "/audit?event=sign-in", "", 200))
		for i, line := range lines {
			continues, _ := line.(map[string]any)["continues"].(string)
			if len(lines) != len(want) || continues != want[len(want)-1-i] {
				t.Errorf("line %d of %d is %v, want that it continues %q", i, len(lines), line, want[len(want)-1-i])
			}
		}
		ada.get("/admin/audit?event=sign-in").wants(t, "the page", 200,
			`<a href="/admin/sessions/`+refs[1]+`">Session</a>`,
			`<a href="/admin/sessions/`+refs[0]+`">Earlier session</a>`)
		ada.get("/admin/audit?event=sign-in&format=csv").wants(t, "the file", 200, ",continues,", ",,"+refs[0]+",")
		ada.get("/admin/audit?event=sign-in&format=json").wants(t, "the lines", 200, `"continues":"`+refs[0]+`"`)
	})
}

func TestTheTrailIsAskedForByPeriodAndRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble begins at midnight
		s := startSite(t, "")
		time.Sleep(36 * time.Hour)
		ada := s.signIn("ada")
		time.Sleep(2 * time.Hour)
		ada.again("ada")
		for _, c := range []struct {
			asked string
			want  int // sign-ins
		}{
			{"", 2},
			{"&period=hour", 1},
			{"&period=today", 2},
			{"&period=today&since=2000-01-02T13:00:00Z", 1}, // midnight where the person is
			{"&period=week", 2},
			{"&period=month&since=2000-01-02T13:00", 1}, // a range goes before
			{"&since=2000-01-02T11:00:00.000Z&until=2000-01-02T13:00:00.000Z", 1},
			{"&until=2000-01-02T12:00", 0},
		} {
			page := ada.get("/admin/audit?event=sign-in" + c.asked)
			page.wants(t, c.asked, 200)
			if n := strings.Count(page.text, `<th scope="row">`); n != c.want {
				t.Errorf("%s: %d lines, want %d", c.asked, n, c.want)
			}
		}
		ada.get("/admin/audit?period=hour&user=ada").wants(t, "a period", 200, `data-period="hour" aria-current="true"`,
			`<input type="hidden" name="period" value="hour">`, "format=csv&amp;period=hour&amp;user=ada",
			`<a href="/admin/audit?period=week&amp;user=ada"`, `href="/admin?user=ada">Sessions of ada`)
		ada.get("/admin/audit?until=2000-01-02T13:00:00Z").wants(t, "a range", 200,
			`name="until" value="2000-01-02T13:00"`)
		ada.get("/admin/audit?period=aeon").wants(t, "an unknown period", 422)
	})
}

func TestPagesOfTheTrailKeepTheirPlace(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for _, user := range []string{"a1", "a2", "a3", "a4"} {
		s.session(user)
	}
	link := func(page answer, rel string) string {
		t.Helper()
		before, _, found := strings.Cut(page.text, `" rel="`+rel+`"`)
		if !found {
			t.Fatalf("no link to %s: %s", rel, page)
		}
		return strings.ReplaceAll(before[strings.LastIndex(before, `"`)+1:], "&amp;", "&")
	}
	page := ada.get("/admin/audit?event=sign-in&limit=2")
	page.wants(t, "the first page", 200, "a4", "a3", "Page 1")
	s.session("meanwhile")
	older := ada.get(link(page, "next"))
	older.wants(t, "the second", 200, "a2", "a1", "Page 2")
	oldest := ada.get(link(older, "next"))
	oldest.wants(t, "the third", 200, "ada", "Page 3")
	if strings.Contains(oldest.text, `rel="next"`) {
		t.Error("there is a page after the last")
	}
	ada.get(link(oldest, "prev")).wants(t, "back to the second", 200, "a2", "a1", "Page 2")
	ada.get(link(older, "prev")).wants(t, "back to the first, as it is now", 200, "meanwhile", "a4", "Page 1")
	ada.get("/admin/audit?event=sign-in&limit=2&page=99").wants(t, "a page after the last", 200, "Page 3")
}
