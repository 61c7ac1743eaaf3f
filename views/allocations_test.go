//go:build !race

package views

import (
	"net/http"
	"testing"

	"curfew/front"
)

// unread is an answer that nobody reads.
type unread struct{ header http.Header }

func (u unread) Header() http.Header         { return u.header }
func (u unread) Write(p []byte) (int, error) { return len(p), nil }
func (u unread) WriteHeader(int)             {}

// TestAStatusAllocatesLittleMoreThanHealth counts what the handlers allocate, without the server
// around them. A page without a socket asks for its status all the time.
func TestAStatusAllocatesLittleMoreThanHealth(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	count := func(path string) float64 {
		r := ada.request("GET", path, nil, "Sec-Fetch-Mode", "cors", "User-Agent", "Mozilla/5.0 Firefox/140.0")
		reads := s.store.gets.Load()
		n := testing.AllocsPerRun(500, func() {
			delete(r.Header, front.RequestID)
			s.ServeHTTP(unread{make(http.Header)}, r)
		})
		if more := s.store.gets.Load() - reads; more != 0 {
			t.Errorf("%s has read sessions from the store %d times", path, more)
		}
		return n
	}
	health, status := count("/healthz"), count("/session/status")
	t.Logf("%v allocations for /healthz, %v for /session/status", health, status)
	if health > 12 || status > 12 {
		t.Errorf("%v allocations for /healthz and %v for /session/status, want 12 at most", health, status)
	}
}
