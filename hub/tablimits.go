package hub

import (
	"sync"
	"time"
)

// Bounds of the tabs in one process. Each costs a file descriptor and some 9 KB. A tab beyond them
// is closed with StatusFull.
const (
	maxTabsOfSession = 500
	maxTabsOfUser    = 12_000
)

// tabLimits counts the tabs of this process, from their handshake until they are removed.
type tabLimits struct {
	limit int // of all tabs; 0: none

	mu     sync.Mutex
	taken  int
	ofUser map[string]int
	toldAt time.Time
}

// take counts another tab of s. It returns false if there is no room for it.
func (l *tabLimits) take(s *liveSession) (ok bool) {
	user := s.record.Load().User
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit > 0 && l.taken >= l.limit || s.limitedTabs >= maxTabsOfSession || l.ofUser[user] >= maxTabsOfUser {
		return false
	}
	if l.ofUser == nil {
		l.ofUser = make(map[string]int)
	}
	l.taken++
	l.ofUser[user]++
	s.limitedTabs++
	return true
}

// tells reports whether it is to be logged that there was no room, which is once a second at most.
func (l *tabLimits) tells(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.toldAt) < time.Second {
		return false
	}
	l.toldAt = now
	return true
}

// leave undoes take.
func (l *tabLimits) leave(s *liveSession) {
	user := s.record.Load().User
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	s.limitedTabs--
	if l.ofUser[user]--; l.ofUser[user] == 0 {
		delete(l.ofUser, user)
	}
}
