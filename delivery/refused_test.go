package delivery_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/delivery"
	"curfew/hub/hubtest"
	"curfew/session"
	"curfew/session/bolt"
)

func TestLinesThatAreRefusedForEverHoldUpNoOtherHoweverManyTheyAre(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusInternalServerError} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			r, h := newRig(t), newHook(t, httptest.NewServer)
			h.answers(func(w http.ResponseWriter, e session.Event, _ int) {
				if strings.HasPrefix(e.Session, "poison") {
					w.WriteHeader(status)
				}
			})
			s, _ := r.webhook(h.URL, "a secret")
			s.Limits(5, delivery.MaxWaiting)
			r.run(s)
			for i := range 12 {
				r.write(numbered(fmt.Sprint("poison", i), 2)...)
			}
			r.write(numbered("ada", 3)...)
			r.eventually("the others are accepted", func() bool {
				return r.waiting("webhook") == 24 && s.Stats().Refused == 24
			})
			h.answers(nil)
			r.eventually("the rest is accepted", func() bool { return r.waiting("webhook") == 0 })
			r.eventually("nothing is refused", func() bool { return s.Stats().Refused == 0 })
			for i := range 12 {
				ref := fmt.Sprint("poison", i)
				if got := h.of(ref); !slices.Equal(got, numbered(ref, 2)) {
					t.Errorf("accepted of %s: %q", ref, got)
				}
			}
			if got := h.of("ada"); !slices.Equal(got, numbered("ada", 3)) {
				t.Errorf("accepted: %q", got)
			}
		})
	}
}

// The time of this test moves only while all wait for that. Lines are so far apart that each is the
// first that the receiver takes after a while, which must not mean that all others are tried again.
func TestALineNowAndThenDoesNotWaitForThoseThatAreRefusedForEver(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusInternalServerError} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const poisonous = 100
				listener := hubtest.Listen()
				r := newRig(t)
				h := newHook(t, func(handler http.Handler) *httptest.Server { return serveOn(listener, handler) })
				h.answers(func(w http.ResponseWriter, e session.Event, _ int) {
					if e.Session != "ada" {
						w.WriteHeader(status)
					}
				})
				s, _ := r.webhook(h.URL, "a secret")
				s.Dial(listener.Dial)
				r.store.(*bolt.Store).OnEvent(func(session.Event) { s.Wake() })
				stop := r.run(s)
				for i := range poisonous {
					r.write(fmt.Sprint("poison", i, " x"))
				}
				r.write(numbered("ada", 1)...)
				time.Sleep(30 * time.Second) // each was tried
				for i := range 3 {
					time.Sleep(5007 * time.Millisecond)
					before := s.Stats().Failed
					r.write(fmt.Sprint("ada ", i+1))
					time.Sleep(time.Second) // the next of four attempts a second
					synctest.Wait()
					if got := h.of("ada"); !slices.Equal(got, numbered("ada", i+2)) {
						t.Errorf("accepted a second after line %d was written: %q", i+1, got)
					}
					if n := s.Stats().Failed - before; n > poisonous/2 {
						t.Errorf("%d attempts at others with line %d, want a few", n, i+1)
					}
				}
				stop()
				h.Close()
				r.store.(*bolt.Store).Close()
			})
		})
	}
}

func TestLinesThatWereRefusedAndGivenUpAreForgotten(t *testing.T) {
	t.Parallel()
	r, h := newRig(t), newHook(t, httptest.NewServer)
	h.answers(func(w http.ResponseWriter, _ session.Event, _ int) { w.WriteHeader(http.StatusBadRequest) })
	s, _ := r.webhook(h.URL, "a secret")
	s.Limits(5, 10)
	r.run(s)
	var refs []string
	for i := range 40 {
		refs = append(refs, fmt.Sprint(i))
		r.write(fmt.Sprint(i, " x"))
	}
	r.eventually("30 are given up, and known no more", func() bool {
		st := s.Stats()
		return st.Dropped == 30 && st.Refused >= 10 && st.Refused <= 11
	})
	h.answers(nil)
	r.eventually("the newest are accepted", func() bool {
		return !slices.ContainsFunc(refs[30:], func(ref string) bool { return len(h.of(ref)) != 1 })
	})
	r.eventually("nothing is refused", func() bool { return s.Stats().Refused == 0 })
}
