package hub

import (
	"sync"
	"sync/atomic"
)

// parallel runs f on parts of the list, as many at once as there are cores, and waits.
func (h *Hub) parallel(list []*liveSession, f func(share []*liveSession)) {
	inParallel(h.cores, list, f)
}

// inParallel runs f on parts of a list, so many at once, and waits. The parts are small: a core
// that is held up by something else takes fewer of them.
func inParallel[T any](atOnce int, list []T, f func(share []T)) {
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
