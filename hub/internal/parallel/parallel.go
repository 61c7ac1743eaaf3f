// Package parallel goes through long lists with several goroutines, and keeps the stacks of others
// small.
package parallel

import (
	"sync"
	"sync/atomic"
)

// chunk is how many elements a goroutine takes at once. Chunks are small, so that a core that is
// held up by something else takes fewer of them.
const chunk = 64

// Do calls f with chunks of list, from up to atOnce goroutines, and returns when all calls have. A
// short list is one chunk, for which f is called directly.
func Do[T any](atOnce int, list []T, f func(chunk []T)) {
	if len(list) <= chunk {
		f(list)
		return
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for {
				to := int(taken.Add(chunk))
				if to-chunk >= len(list) {
					return
				}
				f(list[to-chunk : min(to, len(list))])
			}
		})
	}
	wg.Wait()
}

// Aside calls f in a goroutine of its own and waits for it. A goroutine that lives long, and of
// which there are many, calls it for what needs a deep stack: it would keep that for life.
func Aside(f func()) {
	var done sync.WaitGroup
	done.Go(f)
	done.Wait()
}
