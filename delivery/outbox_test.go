package delivery_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"curfew/session"
	"curfew/session/redis/redistest"
)

// Where a store was reset, or its server began anew, numbers mean other lines. All that are written
// from then on arrive, in the order of their session, and what is gone is forgotten.
func TestAllArriveAlsoAfterNumbersMeanOtherLines(t *testing.T) {
	t.Parallel()
	reset := func(r *rig) {
		r.t.Helper()
		if err := r.store.(interface{ Reset(context.Context) error }).Reset(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, begin := range map[string]func(*testing.T) (r *rig, change func()){
		"embedded, reset": func(t *testing.T) (*rig, func()) {
			r := newRig(t)
			return r, func() { reset(r) }
		},
		"Redis, reset": func(t *testing.T) (*rig, func()) {
			r := newRigOver(t, redistest.Start(t))
			return r, func() { reset(r) }
		},
		"Redis, started anew and empty": func(t *testing.T) (*rig, func()) {
			server := redistest.Start(t)
			r := newRigOver(t, server)
			return r, func() { reset(r); server.Stop(); server.Run() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, change := begin(t)
			h := newHook(t, httptest.NewServer)
			h.answers(func(w http.ResponseWriter, e session.Event, _ int) {
				if e.Session == "poison" {
					w.WriteHeader(http.StatusBadRequest)
				}
			})
			s, _ := r.webhook(h.URL, "a secret")
			r.run(s)
			r.write("poison 0", "poison 1", "ada 0", "ada 1")
			r.eventually("all but what is refused is accepted", func() bool {
				return len(h.of("ada")) == 2 && s.Stats().Refused == 2
			})
			change()
			r.write(numbered("grace", 3)...)
			r.eventually("all that is written now is accepted", func() bool {
				return r.waiting("webhook") == 0 && s.Stats().Refused == 0
			})
			if got := h.of("grace"); !slices.Equal(once(got), numbered("grace", 3)) {
				t.Errorf("accepted: %q", got)
			}
		})
	}
}

// A node that does not reach the store any more loses its lease and sends nothing, also once it is
// back: another one goes on behind what was accepted.
func TestALeaseThatRunsOutIsAnotherNodes(t *testing.T) {
	t.Parallel()
	server, h := redistest.Start(t), newHook(t, httptest.NewServer)
	one, two := newRigOver(t, server), newRigOver(t, server)
	first, _ := one.webhook(h.URL, "a secret")
	second, _ := two.webhook(h.URL, "a secret")
	one.run(first)
	one.eventually("the first sends", func() bool { return first.Stats().Sending })
	stop := two.run(second)
	two.write("ada 0", "ada 1", "ada 2")
	one.eventually("the first has sent all", func() bool { return two.waiting("webhook") == 0 })
	one.isAway.Store(true)
	two.write("ada 3", "ada 4")
	two.eventually("the second has sent the rest", func() bool {
		return two.waiting("webhook") == 0 && second.Stats().Sending
	})
	one.eventually("the first knows that it does not send", func() bool { return !first.Stats().Sending })
	one.isAway.Store(false)
	claims := one.claims.Load()
	one.eventually("the first asks again", func() bool { return one.claims.Load() > claims })
	two.write("ada 5")
	two.eventually("the second still sends", func() bool { return two.waiting("webhook") == 0 })
	stop()
	one.write("ada 6")
	one.eventually("the first goes on at once", func() bool { return one.waiting("webhook") == 0 })
	if got := once(h.of("ada")); !slices.Equal(got, numbered("ada", 7)) {
		t.Errorf("accepted: %q", got)
	}
	if first.Stats().Sent == 0 || second.Stats().Sent == 0 {
		t.Error("one of them has sent nothing")
	}
}

// once are texts in the order in which they came first.
func once(texts []string) (first []string) {
	for _, text := range texts {
		if !slices.Contains(first, text) {
			first = append(first, text)
		}
	}
	return first
}
