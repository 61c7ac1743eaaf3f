package session

import "time"

// NavigationLimit is how long after a page was asked for the one before it may say goodbye. The
// reload button and a typed address look like a closed tab to the page that goes; but the request
// for the next page comes before that goodbye, and the next page may be one that holds no socket.
const NavigationLimit = 30 * time.Second

// TabTimes is what is known of how the tabs of a session came and went. Each of the times only
// rises, so whoever brings together what several nodes know, in whatever order, comes to the same:
// [TabTimes.Merge]. Whether the last tab was closed follows from all three.
type TabTimes struct {
	OpenedAt time.Time // when a tab was opened last, or was known to be still there
	AskedAt  time.Time // when a page was asked for by a navigation last
	ClosedAt time.Time // when the last tab was closed
}

// LeftAt is when the last tab was closed for good; zero while a tab may be open, and where a
// navigation led on: one that came within NavigationLimit before, or at any time since, and whose
// page has not been a tab meanwhile.
func (t TabTimes) LeftAt() time.Time {
	switch {
	case !t.ClosedAt.After(t.OpenedAt):
		return time.Time{}
	case t.AskedAt.After(t.OpenedAt) && t.AskedAt.After(t.ClosedAt.Add(-NavigationLimit)):
		return time.Time{}
	}
	return t.ClosedAt
}

// Merge takes of each time the later one.
func (t TabTimes) Merge(o TabTimes) TabTimes {
	return TabTimes{later(t.OpenedAt, o.OpenedAt), later(t.AskedAt, o.AskedAt), later(t.ClosedAt, o.ClosedAt)}
}

// Next is the time of what happens at now, after all that is known: where it was told by a node
// whose clock is ahead, or happened in the same millisecond, a millisecond later than that.
func (t TabTimes) Next(now time.Time) time.Time {
	known := later(later(t.OpenedAt, t.AskedAt), t.ClosedAt)
	if now = Millis(now); now.After(known) {
		return now
	}
	return known.Add(time.Millisecond)
}

// Agreeing is t where leftAt was written by a version that knew no other time.
func (t TabTimes) Agreeing(leftAt time.Time) TabTimes {
	switch {
	case t.LeftAt().Equal(leftAt):
		return t
	case leftAt.IsZero():
		t.OpenedAt = later(t.OpenedAt, t.ClosedAt)
		return t
	}
	return TabTimes{ClosedAt: leftAt}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Leave takes over what has become known of the tabs of r. A tab or a navigation that comes after
// the close grace calls nothing off. The rule stands again in Lua: leaveScript, in
// redis/sessions.go. storetest holds both to the same answers.
func (r *Record) Leave(news TabTimes) {
	if grace := r.Policy.CloseGrace; grace > 0 && !r.LeftAt.IsZero() {
		over := r.LeftAt.Add(grace)
		if !news.OpenedAt.Before(over) {
			news.OpenedAt = time.Time{}
		}
		if !news.AskedAt.Before(over) {
			news.AskedAt = time.Time{}
		}
	}
	r.Tabs = r.Tabs.Merge(news)
	r.LeftAt = r.Tabs.LeftAt()
}
