package hub

import (
	"sync"
	"time"
)

// Bounds for what a caller can hold: each tab costs a descriptor and some 12 KB. They are those of
// one process. Whoever wants more is told so by StatusFull.
const (
	maxTabsOfSession = 500
	maxTabsOfUser    = 12_000
)

// places counts the tabs of this process, from their handshake until they are gone.
type places struct {
	limit int // 0: none

	mu     sync.Mutex
	taken  int
	ofUser map[string]int
	toldAt time.Time
}

// take has room for another tab of s, or reports that there is none.
func (p *places) take(s *liveSession) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.taken >= p.limit || s.places >= maxTabsOfSession || p.ofUser[s.user] >= maxTabsOfUser {
		return false
	}
	if p.ofUser == nil {
		p.ofUser = make(map[string]int)
	}
	p.taken++
	p.ofUser[s.user]++
	s.places++
	return true
}

// tells reports whether it is to be logged that somebody found no room: once a second at most.
func (p *places) tells(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.toldAt) < time.Second {
		return false
	}
	p.toldAt = now
	return true
}

// leave gives back what take has given.
func (p *places) leave(s *liveSession) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	s.places--
	if p.ofUser[s.user]--; p.ofUser[s.user] == 0 {
		delete(p.ofUser, s.user)
	}
}
