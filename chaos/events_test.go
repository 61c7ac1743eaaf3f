//go:build chaos

package chaos

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// eventsBound is how long after the last fault a line of the trail may take to its receiver: an
// attempt was just made in vain, and the next one comes 30 s later.
const eventsBound = time.Minute

// receiver is an application that is told of all lines of the trail, and takes some of them badly.
type receiver struct {
	mu    sync.Mutex
	order map[string][]string // IDs by session, as they were accepted first
	known map[string]bool
	again int // accepted before
}

// startReceiver starts one that nodes send events to which are started afterwards.
func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{order: make(map[string][]string), known: make(map[string]bool)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("secret", 6)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CURFEW_WEBHOOK_URL", server.URL)
	t.Setenv("CURFEW_WEBHOOK_SECRET_FILE", secret)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	var line struct{ ID, Session string }
	if err := json.NewDecoder(q.Body).Decode(&line); err != nil {
		w.WriteHeader(http.StatusBadRequest) // its sender was killed
		return
	}
	switch rand.IntN(20) {
	case 0:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case 1:
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[line.ID] {
		r.again++
		return
	}
	r.known[line.ID] = true
	r.order[line.Session] = append(r.order[line.Session], line.ID)
}

// settleEvents checks that the receiver has all lines of the trail, and those of each session in
// their order.
func (w *world) settleEvents(trail []map[string]any) {
	want := make(map[string][]string)
	for _, item := range slices.Backward(trail) {
		ref, _ := item["session"].(string)
		want[ref] = append(want[ref], item["id"].(string))
	}
	missing := func(ref string) bool {
		return slices.ContainsFunc(want[ref], func(id string) bool { return !w.receiver.known[id] })
	}
	for limit := time.Now().Add(eventsBound); time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
		w.receiver.mu.Lock()
		waits := false
		for ref := range want {
			waits = waits || missing(ref)
		}
		w.receiver.mu.Unlock()
		if !waits {
			break
		}
	}
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	for ref, ids := range want {
		// What a fail-over has taken out of the trail may have been sent before.
		got := slices.DeleteFunc(slices.Clone(w.receiver.order[ref]),
			func(id string) bool { return !slices.Contains(ids, id) })
		if missing(ref) || ref != "" && !slices.Equal(got, ids) {
			w.violate("events of session %q: %v were accepted, want %v", ref, got, ids)
		}
	}
	w.t.Logf("%d events were accepted, %d of them again", len(w.receiver.known)+w.receiver.again, w.receiver.again)
}
