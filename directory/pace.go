package directory

import (
	"math/rand/v2"
	"sync"
	"time"
)

// maxPace bounds what is waited for: a server that was slow once must not slow others down.
const maxPace = 2 * time.Second

// pace knows how long the last refusals of wrong passwords took.
type pace struct {
	mu   sync.Mutex
	took [16]time.Duration
	n    int // of all that were noted
}

func (p *pace) note(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%len(p.took)] = min(d, maxPace)
	p.n++
}

// one is how long one of them took, chosen by chance; 0 where there was none.
func (p *pace) one() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return 0
	}
	return p.took[rand.N(min(p.n, len(p.took)))]
}
