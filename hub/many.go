package hub

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"curfew/session"
)

// Going through many sessions and tabs.

// liveIn lists the live sessions that may be in a scope.
func (h *Hub) liveIn(scope session.Scope) []*live {
	switch {
	case scope.User != "": // each sign-in elsewhere is told: that must not cost a look at everybody
		return h.sessionsOf(scope.User)
	case scope.Session != "":
		return h.refs.find(scope.Session)
	}
	return h.allLive()
}

// refs find live sessions by their refs. They are spread over parts, as people are.
type refs struct {
	parts [32]struct {
		mu    sync.Mutex
		byRef map[string]*live
	}
}

// part is the part of a ref, by its first character: base32 has 32.
func (rs *refs) part(ref string) (mu *sync.Mutex, byRef *map[string]*live) {
	p := &rs.parts[0]
	if ref != "" {
		p = &rs.parts[ref[0]%32]
	}
	return &p.mu, &p.byRef
}

func (rs *refs) add(s *live) {
	ref := s.names.Load().Ref
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	if *byRef == nil {
		*byRef = make(map[string]*live)
	}
	(*byRef)[ref] = s
}

func (rs *refs) remove(s *live) {
	ref := s.names.Load().Ref
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	delete(*byRef, ref)
}

// find lists the session of that ref, if it lives.
func (rs *refs) find(ref string) []*live {
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	if s := (*byRef)[ref]; s != nil {
		return []*live{s}
	}
	return nil
}

// withTabs lists those of liveIn that have a tab here, and may list others: roughly in the order in which their tabs opened. Telling
// many in that order takes less time than in the order of a map: what belongs to a tab, in the kernel too, lies beside that of
// the tab before it.
func (h *Hub) withTabs(scope session.Scope) (list []*live) {
	if scope.User != "" || scope.Session != "" {
		list = h.liveIn(scope)
		slices.SortFunc(list, func(a, b *live) int { return cmp.Compare(a.opened.Load(), b.opened.Load()) })
		return list
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listing++
	for i := range h.slots {
		for _, t := range h.slots[(h.nextSlot+1+i)%tickSlots] {
			if s := t.session; s.listed != h.listing {
				s.listed = h.listing
				list = append(list, s)
			}
		}
	}
	return list
}

// everyone is the scope of all sessions.
var everyone = session.Scope{Everyone: true}

// allLive lists the live sessions of all shards.
func (h *Hub) allLive() (list []*live) {
	for _, sh := range h.shards {
		list = append(list, sh.all()...)
	}
	return list
}

func (h *Hub) allTabs() []*tab {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.slots[:]...)
}

// eachShare runs f on parts of the list, as many at once as there are cores, and waits.
func (h *Hub) eachShare(list []*live, f func(share []*live)) { inShares(h.cores, list, f) }

// inShares runs f on parts of a list, so many at once, and waits. The parts are small: a core that is held up by something else
// takes fewer of them.
func inShares[T any](atOnce int, list []T, f func(share []T)) {
	const part = 64
	if len(list) <= part {
		f(list)
		return
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for {
				to := int(taken.Add(part))
				if to-part >= len(list) {
					return
				}
				f(list[to-part : min(to, len(list))])
			}
		})
	}
	wg.Wait()
}
