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

// tabLimits counts the tabs of this process, from their handshake until they are gone.
type tabLimits struct {
	limit int // 0: none

	mu     sync.Mutex
	taken  int
	ofUser map[string]int
	toldAt time.Time
}

// take has room for another tab of s, or reports that there is none.
func (l *tabLimits) take(s *liveSession) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit > 0 && l.taken >= l.limit || s.limitedTabs >= maxTabsOfSession || l.ofUser[s.user] >= maxTabsOfUser {
		return false
	}
	if l.ofUser == nil {
		l.ofUser = make(map[string]int)
	}
	l.taken++
	l.ofUser[s.user]++
	s.limitedTabs++
	return true
}

// tells reports whether it is to be logged that somebody found no room: once a second at most.
func (l *tabLimits) tells(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.toldAt) < time.Second {
		return false
	}
	l.toldAt = now
	return true
}

// leave gives back what take has given.
func (l *tabLimits) leave(s *liveSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	s.limitedTabs--
	if l.ofUser[s.user]--; l.ofUser[s.user] == 0 {
		delete(l.ofUser, s.user)
	}
}
