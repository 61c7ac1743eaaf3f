package directory

import (
	"math/rand/v2"
	"sync"
	"time"
)

// maxRefusalTime bounds a recorded time: a server that was slow once must not slow others down.
const maxRefusalTime = 2 * time.Second

// refusalTimes records how long the last refusals of wrong passwords took.
type refusalTimes struct {
	mu   sync.Mutex
	took [16]time.Duration
	n    int // of all that were noted
}

func (p *refusalTimes) note(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%len(p.took)] = min(d, maxRefusalTime)
	p.n++
}

// random picks one of the recorded times; it is 0 if there is none.
func (p *refusalTimes) random() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return 0
	}
	return p.took[rand.N(min(p.n, len(p.took)))]
}
