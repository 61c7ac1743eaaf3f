package views

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// parts are a store and a directory whose answers a test decides.
type parts struct {
	looks                      atomic.Int64
	storeAway, directoryAway   atomic.Bool
	storeHangs, directoryHangs atomic.Bool
}

func (p *parts) look(ctx context.Context, away, hangs *atomic.Bool) error {
	p.looks.Add(1)
	if hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if away.Load() {
		return errors.New("connection refused")
	}
	return nil
}

func (p *parts) store(ctx context.Context) error { return p.look(ctx, &p.storeAway, &p.storeHangs) }
func (p *parts) directory(ctx context.Context) error {
	return p.look(ctx, &p.directoryAway, &p.directoryHangs)
}

// ready asks /readyz.
func (s *Server) askReady(t *testing.T) (status int, a readyAnswer) {
	t.Helper()
	w := httptest.NewRecorder()
	s.readyz(w, httptest.NewRequest("GET", "/readyz", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("%d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	return w.Code, a
}

func startReadiness(t *testing.T, p *parts) *Server {
	t.Helper()
	ready := NewReadiness(p.store, p.directory, slog.New(slog.DiscardHandler))
	s := &Server{shared: &shared{proxies: NewProxies(nil), health: health{ready: ready}}}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go ready.Run(ctx)
	return s
}

func TestReadinessIsTheStoresAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{}
		s := startReadiness(t, p)
		wants := func(what string, status int, store, directory string) {
			t.Helper()
			code, a := s.askReady(t)
			if code != status || a.Ready != (status == 200) || a.Checks["store"] != store ||
				a.Checks["directory"] != directory || len(a.Checks) != 2 {
				t.Errorf("%s: %d %+v, want %d, store %q, directory %q", what, code, a, status, store, directory)
			}
		}
		wants("at the start", 200, "ok", "ok")
		p.directoryAway.Store(true)
		time.Sleep(readyEvery)
		synctest.Wait()
		wants("without the directory", 200, "ok", "out of reach")
		p.storeAway.Store(true)
		time.Sleep(readyEvery)
		synctest.Wait()
		wants("without both", 503, "out of reach", "out of reach")
		p.storeAway.Store(false)
		p.directoryAway.Store(false)
		p.directoryHangs.Store(true)
		time.Sleep(readyEvery)
		synctest.Wait()
		began := time.Now()
		wants("while the directory is being asked", 200, "ok", "out of reach")
		if took := time.Since(began); took > 0 {
			t.Errorf("a hanging directory held the answer up for %s", took)
		}
		p.storeHangs.Store(true)
		time.Sleep(readyEvery + storeLimit)
		synctest.Wait()
		wants("when the store hangs", 503, "out of reach", "out of reach")
	})
}

func TestQuestionsForReadinessMakeNobodyWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{}
		s := startReadiness(t, p)
		for range 2000 {
			s.askReady(t)
		}
		if n := p.looks.Load(); n != 2 {
			t.Errorf("2000 questions at once: %d looks at store and directory, want one each", n)
		}
		for range 100 {
			time.Sleep(readyEvery / 10)
			s.askReady(t)
		}
		synctest.Wait()
		if n := p.looks.Load(); n > 2*11 {
			t.Errorf("%d looks within ten times %s", n, readyEvery)
		}
	})
}

func TestReadinessThatIsNotLookedAtIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		looked := false
		ready := NewReadiness(func(context.Context) error {
			if looked {
				<-hang // deaf to its context
			}
			looked = true
			return nil
		}, func(context.Context) error { return nil }, slog.New(slog.DiscardHandler))
		s := &Server{shared: &shared{proxies: NewProxies(nil), health: health{ready: ready}}}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go ready.Run(ctx)
		if code, _ := s.askReady(t); code != 200 {
			t.Errorf("at the start: %d", code)
		}
		time.Sleep(time.Minute)
		if code, _ := s.askReady(t); code != 503 {
			t.Errorf("a minute after the last look: %d", code)
		}
	})
}

func TestMetricsAreForAdministratorsAndTokens(t *testing.T) {
	s := startSite(t, "")
	for _, c := range []struct {
		what   string
		who    *browser
		status int
	}{
		{"an administrator", s.signIn("ada"), 200},
		{"somebody else", s.signIn("grace"), 403},
		{"a stranger", &browser{site: s}, 401},
		{"a program that may read", s.program(ScopeRead), 200},
		{"a program that nobody knows", &browser{site: s, token: "curfew_x"}, 401},
	} {
		c.who.call("GET", "/metrics", "").wants(t, c.what, c.status)
	}
	(&browser{site: s}).get("/healthz").wants(t, "anybody", 200, "ok")
}
