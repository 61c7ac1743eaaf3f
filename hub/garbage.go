package hub

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Garbage: what handshakes leave behind, and what heartbeats and ticks do little by little. By
// default the collector runs when the heap has doubled: up to half of the memory may be garbage for
// minutes. So one collection follows each wave of openings, and what gathers slowly is collected
// before it is much. Both give the memory back to the system. While much garbage is made, the
// collector runs by itself more often than that.

const (
	// waveSize openings are a wave, beyond what waveRate a second would bring.
	waveSize = 500
	waveRate = 100
	// A wave is over once fewer than waveEbb tabs were opened in each waveStep for waveOver.
	waveEbb  = 25
	waveStep = 250 * time.Millisecond
	waveOver = 2 * time.Second
	// waveShare is the part of all open tabs that must have been opened since the last collection,
	// because a collection looks at all of them.
	waveShare = 10
)

// waves notices waves of openings. Nothing runs but during a wave and until it is over. All of it
// is real time.
type waves struct {
	life    *lifecycle
	tabs    func() int // counts the open tabs
	collect func()

	mu       sync.Mutex
	opened   int     // since the last collection
	level    float64 // openings beyond waveRate, up to at
	at       instant
	awaiting bool // awaitEbb runs
}

func newWaves(life *lifecycle, tabs func() int) *waves {
	return &waves{life: life, tabs: tabs, collect: debug.FreeOSMemory, at: instantNow()}
}

// tabOpened counts an opening.
func (w *waves) tabOpened() {
	if w.count() {
		w.life.goUnlessClosing(w.awaitEbb)
	}
}

// count returns true to the opening that makes a wave.
func (w *waves) count() (isWave bool) {
	now := instantNow()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	w.level = max(0, w.level-waveRate*time.Duration(now-w.at).Seconds()) + 1
	w.at = now
	isWave = w.level >= waveSize && !w.awaiting
	w.awaiting = w.awaiting || isWave
	return isWave
}

// awaitEbb collects the garbage of a wave once the wave is over.
func (w *waves) awaitEbb() {
	quiet, before := time.Duration(0), w.openings()
	for quiet < waveOver {
		if !w.life.wait(waveStep) {
			return
		}
		now := w.openings()
		if quiet += waveStep; now-before >= waveEbb {
			quiet = 0
		}
		before = now
	}
	if before >= w.tabs()/waveShare {
		w.collect()
		before = 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened, w.level, w.awaiting = before, 0, false
}

func (w *waves) openings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

const (
	// slowShare is the part of the live heap that the garbage must come to.
	slowShare = 16
	// slowPause is how long the last collection is over at least, whoever began it.
	slowPause = 15 * time.Second
	// slowCost bounds the time that is spent: the pause is so many times as long as the last
	// collection took.
	slowCost = 100
	slowLook = 5 * time.Second
	// slowTabs is from how many open tabs on it is worth it.
	slowTabs = 500
)

// slowGarbage notices garbage that gathers slowly. garbageLoop alone uses it.
type slowGarbage struct {
	tabs    func() int // counts the open tabs
	look    func() heapState
	collect func()

	cycles uint64        // collections until the last look
	since  instant       // when there was another one
	took   time.Duration // by the last one that was begun here
}

// heapState is what the runtime tells of the heap.
type heapState struct{ cycles, live, used uint64 }

func (h *Hub) garbageLoop() {
	g := newSlowGarbage(h.tabs.count)
	for h.wait(slowLook) {
		g.check()
	}
}

func newSlowGarbage(tabs func() int) *slowGarbage {
	return &slowGarbage{tabs: tabs, look: lookAtHeap, collect: debug.FreeOSMemory, since: instantNow()}
}

func lookAtHeap() heapState {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(samples)
	return heapState{samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64()}
}

// check collects the garbage if there is enough of it, and none was collected of late.
func (g *slowGarbage) check() {
	if g.tabs() < slowTabs {
		return
	}
	heap, now := g.look(), instantNow()
	if heap.cycles != g.cycles {
		g.cycles, g.since = heap.cycles, now
	}
	if time.Duration(now-g.since) < max(slowPause, slowCost*g.took) || heap.used < heap.live+heap.live/slowShare {
		return
	}
	g.collect()
	g.took = time.Duration(instantNow() - now)
}
