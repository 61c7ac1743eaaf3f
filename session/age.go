package session

import "time"

// Age makes r older: it moves all its times back by that much, that of its end included. It serves
// --testing, and is the one thing that changes when a session was signed in.
func (r *Record) Age(by time.Duration) {
	for _, t := range []*time.Time{&r.CreatedAt, &r.LastActiveAt, &r.LeftAt} {
		*t = earlierBy(*t, by)
	}
	r.Tabs = r.Tabs.earlierBy(by)
	if r.End != nil {
		end := *r.End
		end.At = earlierBy(end.At, by)
		r.End = &end
	}
}

// earlierBy moves the times back by that much.
func (t TabTimes) earlierBy(by time.Duration) TabTimes {
	return TabTimes{earlierBy(t.OpenedAt, by), earlierBy(t.AskedAt, by), earlierBy(t.ClosedAt, by)}
}

func earlierBy(t time.Time, by time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-by)
}
