package hub

import (
	"runtime/debug"
	"sync"
	"time"
)

// Garbage: what handshakes leave behind. By default the collector runs when the heap has doubled:
// after many tabs were opened at once, up to half of the memory may be garbage for minutes. So one
// collection follows each wave of openings, and gives the memory back to the system.

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
