package hub

import (
	"maps"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Numbers for the metrics, and samples of the last hour for the console.

// Stats are numbers of a hub at an instant, for the metrics.
type Stats struct {
	Sessions int                    // live, on all nodes
	Tabs     int                    // on this node
	Ends     map[session.Reason]int // since New
	Logouts  int                    // forced ones that are kept
	Nodes    int                    // that share the store, this one included
	Away     bool                   // the store did not answer the last pulse of this node
}

// Stats counts sessions, tabs, ends and nodes. It takes each lock for a moment only.
func (h *Hub) Stats() Stats {
	st := Stats{
		Tabs:    h.tabs.count(),
		Logouts: h.revocations.Count(),
		Nodes:   h.cluster.Nodes(),
		Away:    h.cluster.StoreAway(),
	}
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

// stats are what a hub counts. They are in memory only.
type stats struct {
	counts  counts
	history history
}

// counts are how many sessions have ended, by reason.
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

// Sample is how many sessions there were at an instant, and how many ended since the sample before.
type Sample struct {
	At       time.Time
	Sessions int
	Active   int // sessions in StateActive
	Ends     map[session.Reason]int
}

// Samples are taken every sampleEvery, in real time, and kept for an hour.
const (
	sampleEvery = 30 * time.Second
	samplesKept = int(time.Hour / sampleEvery)
)

// history are the samples of the last hour.
type history struct {
	mu      sync.Mutex
	samples []Sample
	ends    map[session.Reason]int // since New, at the newest sample
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

func (hs *history) add(taken Sample, ends map[session.Reason]int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if len(hs.samples) >= samplesKept {
		hs.samples = slices.Delete(hs.samples, 0, len(hs.samples)-samplesKept+1)
	}
	hs.samples, hs.ends = append(hs.samples, taken), ends
}

// sample takes a sample. before and now are the ends since New, at the sample before and now.
func (h *Hub) sample(before, now map[session.Reason]int) Sample {
	taken := Sample{At: h.clock.Now(), Ends: maps.Clone(now)}
	for reason, n := range before {
		if taken.Ends[reason] -= n; taken.Ends[reason] == 0 {
			delete(taken.Ends, reason)
		}
	}
	h.settleIndex()
	h.index.mu.RLock()
	defer h.index.mu.RUnlock()
	taken.Sessions = h.index.all.Len()
	taken.Active = h.index.states[slices.Index(states, StateActive)].Len()
	return taken
}

// History lists the samples of the last hour, oldest first, and at the end one of this instant.
func (h *Hub) History() []Sample {
	samples, before := h.stats.history.read()
	return append(samples, h.sample(before, h.Stats().Ends))
}
