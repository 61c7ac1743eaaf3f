// Package parallel goes through long lists with several goroutines, and keeps the stacks of others
// small.
package parallel

import (
	"iter"
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

// Each calls f with what seq yields, up to atOnce calls at the same time. It goes on until seq
// yields an error or a call returns one, and returns that once all calls have returned.
func Each[T any](atOnce int, seq iter.Seq2[T, error], f func(T) error) error {
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	next := make(chan T)
	work := func() {
		for v := range next {
			if err := f(v); err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	}
	idle := atOnce // goroutines that may yet be started
	for v, err := range seq {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
		if failed.Load() != nil {
			break
		}
		select {
		case next <- v:
			continue
		default:
		}
		if idle > 0 {
			idle--
			wg.Go(work)
		}
		next <- v
	}
	close(next)
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Aside calls f in a goroutine of its own and waits for it. A goroutine that lives long, and of
// which there are many, calls it for what needs a deep stack: it would keep that for life.
func Aside(f func()) {
	var done sync.WaitGroup
	done.Go(f)
	done.Wait()
}
