package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

// open opens n tabs, with a pause after each.
func open(w *waves, n int, every time.Duration) {
	for range n {
		w.tabOpened()
		pass(every)
	}
}

var openings = []struct {
	name  string
	tabs  int // that are open
	act   func(*waves)
	wants []time.Duration // when there is a collection, by the end of act
}{{"a wave at once", waveSize, func(w *waves) { open(w, waveSize, 0) }, []time.Duration{waveOver}},
	{"a wave within ten seconds", waveSize, func(w *waves) { open(w, 10*waveRate+waveSize, 10*time.Second/2000) },
		[]time.Duration{waveOver}},
	{"one opening fewer", waveSize, func(w *waves) { open(w, waveSize-1, 0) }, nil},
	{"openings trickle for an hour", waveSize, func(w *waves) { open(w, 3600*waveRate, time.Second/waveRate) }, nil},
	{"a wave that goes on, and has its end", 19_500, func(w *waves) { open(w, 60*200, time.Second/200) },
		[]time.Duration{waveOver}},
	{"a wave that becomes a trickle", waveSize, func(w *waves) {
		open(w, waveSize, 0)
		open(w, 400, 100*time.Millisecond)
	}, []time.Duration{waveOver - 40*time.Second}},
	{"two waves", waveSize, func(w *waves) {
		open(w, waveSize, 0)
		pass(10 * time.Second)
		open(w, waveSize, 0)
	}, []time.Duration{waveOver - 10*time.Second, waveOver}},
	{"a second wave before the first is over", waveSize, func(w *waves) {
		open(w, waveSize, 0)
		pass(time.Second)
		open(w, waveSize, 0)
	}, []time.Duration{waveOver}},
	{"a wave that is small beside what is open", 100_000, func(w *waves) { open(w, waveSize, 0) }, nil},
	{"several of those", 2 * waveShare * waveSize, func(w *waves) {
		open(w, waveSize, 0)
		pass(10 * time.Second)
		open(w, waveSize, 0)
	}, []time.Duration{waveOver}},
}

func TestGarbageIsCollectedOnceAWaveOfOpeningsIsOver(t *testing.T) {
	for _, tt := range openings {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				life := newLifecycle(t.Context())
				var at []time.Time
				w := newWaves(life, func() int { return tt.tabs })
				w.collect = func() { at = append(at, time.Now()) }
				tt.act(w)
				ended := time.Now()
				pass(time.Minute)
				synctest.Wait()
				if len(at) != len(tt.wants) {
					t.Fatalf("%d collections, want %d", len(at), len(tt.wants))
				}
				for i, want := range tt.wants {
					if after := at[i].Sub(ended); after < want-waveStep || after > want+waveStep {
						t.Errorf("collection %d came %s after the end, want about %s", i+1, after, want)
					}
				}
				life.running.Wait() // nothing waits for another wave
				life.cancel()
			})
		})
	}
}

func TestTheHubCountsOpenings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		ada.openTab()
		ada.openTab()
		if n := hub.waves.openings(); n != 2 {
			t.Errorf("%d openings, want 2", n)
		}
	})
}

func TestGarbageThatGathersSlowlyIsCollected(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		name   string
		tabs   int
		heap   func(second int) heapState // apart from collections that are begun here
		took   time.Duration
		wanted int // collections in ten minutes
	}{
		{"a megabyte a second", 500, func(int) heapState { return heapState{0, 80 * mb, mb} }, 0, 32},
		{"a megabyte a minute", 500, func(int) heapState { return heapState{0, 80 * mb, mb / 200} }, 0, 0},
		{"few tabs", 499, func(int) heapState { return heapState{0, 80 * mb, mb} }, 0, 0},
		{"collections take long", 500, func(int) heapState { return heapState{0, 80 * mb, mb} }, time.Second, 6},
		{"the collector runs by itself", 500, func(second int) heapState {
			return heapState{uint64(second / 15), 80 * mb, 10 * mb}
		}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newSlowGarbage(func() int { return tt.tabs })
				began, collected, last := time.Now(), 0, time.Now()
				g.look = func() heapState {
					heap := tt.heap(int(time.Since(began).Seconds()))
					heap.cycles += uint64(collected)
					heap.used = heap.live + heap.used*uint64(time.Since(last).Seconds())
					return heap
				}
				g.collect = func() {
					collected++
					pass(tt.took)
					last = time.Now()
				}
				for time.Since(began) < 10*time.Minute {
					pass(slowLook)
					g.check()
				}
				if collected < tt.wanted-3 || collected > tt.wanted {
					t.Errorf("%d collections, want %d", collected, tt.wanted)
				}
			})
		})
	}
}
