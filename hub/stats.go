package hub

import (
	"maps"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Figures: what the metrics show, and the samples of the last hour.

// Stats are figures of a hub at an instant.
type Stats struct {
	Sessions int
	Tabs     int
	Ends     map[session.Reason]int // since the hub was made
	Nodes    int                    // that share the store, this one included
	Away     bool                   // the store did not answer the last pulse of this node
}

// Stats counts.
func (h *Hub) Stats() Stats {
	st := Stats{Tabs: h.tabs.count(), Nodes: h.cluster.Nodes(), Away: h.cluster.StoreAway()}
	for _, sh := range h.shards {
		sh.mu.Lock()
		st.Sessions += len(sh.sessions)
		sh.mu.Unlock()
	}
	h.stats.counts.mu.Lock()
	defer h.stats.counts.mu.Unlock()
	st.Ends = maps.Clone(h.stats.counts.ends)
	return st
}

// stats are the figures of a hub. They live in memory.
type stats struct {
	counts  counts
	history history
}

// counts are what the metrics show.
type counts struct {
	mu   sync.Mutex
	ends map[session.Reason]int
}

func (c *counts) ended(why session.Reason, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = make(map[session.Reason]int)
	}
	c.ends[why] += n
}

// Sample is how many were here at an instant, and who went since the sample before.
type Sample struct {
	At       time.Time
	Sessions int
	Active   int // sessions whose person has just acted
	Ends     map[session.Reason]int
}

// Samples are taken every sampleEvery, for the last hour.
const (
	sampleEvery = 30 * time.Second
	samplesKept = int(time.Hour / sampleEvery)
)

// history is the last hour. It lives in memory.
type history struct {
	mu      sync.Mutex
	samples []Sample
	ends    map[session.Reason]int // since the hub was made, at the newest sample
}

// sampleLoop takes a sample every sampleEvery.
func (h *Hub) sampleLoop() {
	for {
		ends := h.Stats().Ends
		_, before := h.stats.history.read()
		h.stats.history.add(h.sample(before, ends), ends)
		if !h.wait(sampleEvery) {
			return
		}
	}
}

func (hs *history) read() (samples []Sample, ends map[session.Reason]int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.Clone(hs.samples), hs.ends
}

func (hs *history) add(s Sample, ends map[session.Reason]int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if len(hs.samples) >= samplesKept {
		hs.samples = slices.Delete(hs.samples, 0, len(hs.samples)-samplesKept+1)
	}
	hs.samples, hs.ends = append(hs.samples, s), ends
}

func (h *Hub) sample(before, now map[session.Reason]int) Sample {
	s := Sample{At: h.clock.Now(), Ends: maps.Clone(now)}
	for reason, n := range before {
		if s.Ends[reason] -= n; s.Ends[reason] == 0 {
			delete(s.Ends, reason)
		}
	}
	for _, l := range h.allSessions() {
		s.Sessions++
		if s.At.UnixMilli()-l.active.Load() > activeFor.Milliseconds() {
			continue // most of a million, without a lock
		}
		l.mu.Lock()
		if state, _ := l.stateLocked(s.At); state == StateActive {
			s.Active++
		}
		l.mu.Unlock()
	}
	return s
}

// History lists the samples of the last hour, oldest first, with one of this instant at its end.
func (h *Hub) History() []Sample {
	samples, before := h.stats.history.read()
	return append(samples, h.sample(before, h.Stats().Ends))
}
