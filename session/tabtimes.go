package session

import "time"

// NavigationLimit is how long after a page was asked for the one before it may say goodbye. The
// reload button and a typed address look like a closed tab to the page that goes; but the request
// for the next page comes before that goodbye, and the next page may be one that holds no socket.
const NavigationLimit = 30 * time.Second

// TabTimes says when the tabs of a session came and went. Each of the times only rises, so what
// several nodes know can be merged in any order with the same result; see [TabTimes.Merge]. Whether
// the last tab is closed follows from all three; see [TabTimes.LeftAt].
type TabTimes struct {
	OpenedAt time.Time // when a tab was opened last, or was known to be still there
	AskedAt  time.Time // when a page was asked for by a navigation last
	ClosedAt time.Time // when the last tab was closed
}

// LeftAt is when the last tab was closed. It is zero while a tab may be open. It is also zero if a
// navigation led on: one that was asked for since, or within NavigationLimit before, and whose page
// has not opened a tab meanwhile.
func (t TabTimes) LeftAt() time.Time {
	switch {
	case !t.ClosedAt.After(t.OpenedAt):
		return time.Time{}
	case t.AskedAt.After(t.OpenedAt) && t.AskedAt.After(t.ClosedAt.Add(-NavigationLimit)):
		return time.Time{}
	}
	return t.ClosedAt
}

// Merge returns the later one of each time.
func (t TabTimes) Merge(o TabTimes) TabTimes {
	return TabTimes{later(t.OpenedAt, o.OpenedAt), later(t.AskedAt, o.AskedAt), later(t.ClosedAt, o.ClosedAt)}
}

// Next is the time to record for something that happens now: now, or a millisecond after the latest
// known time if that is not earlier. Another node's clock may be ahead, or both may happen in the
// same millisecond.
func (t TabTimes) Next(now time.Time) time.Time {
	known := later(later(t.OpenedAt, t.AskedAt), t.ClosedAt)
	if now = Millis(now); now.After(known) {
		return now
	}
	return known.Add(time.Millisecond)
}

// Agreeing corrects t by leftAt if an older version wrote that: it knew no other time, and changed
// it alone.
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

// Leave merges news of the tabs of r into it. A tab or a navigation that comes after the close
// grace does not withdraw the end. The rule stands again in Lua: leaveScript, in
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
