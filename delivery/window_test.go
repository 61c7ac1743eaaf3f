package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// TestAWindowKnowsWhatItHas does what a webhook does, by chance, and counts anew after each step.
func TestAWindowKnowsWhatItHas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		chance := rand.New(rand.NewPCG(seed, 1))
		w, now := newWindow(), time.Now()
		written := []session.Event{{}} // by number, which begin at 1
		sent := make(map[string]uint64)
		var underWay []*queue
		for step := range 400 {
			switch chance.IntN(8) {
			case 0, 1, 2:
				e := session.Event{Number: uint64(len(written)), Session: fmt.Sprint(chance.IntN(9))}
				if e.Session == "0" {
					e.Session = ""
				}
				written = append(written, e)
				w.makeRoom(20)
				w.add(e)
			case 3, 4:
				if q := w.take(now); q != nil {
					underWay = append(underWay, q)
				}
			case 5, 6:
				if len(underWay) == 0 {
					continue
				}
				i := chance.IntN(len(underWay))
				q := underWay[i]
				underWay = slices.Delete(underWay, i, i+1)
				n := q.lines[0].number
				if w.fill(written[n:min(n+3, uint64(len(written)))], now); q.lines[0].event == nil {
					t.Fatalf("seed %d, step %d: line %d has no text though it was read", seed, step, n)
				}
				if chance.IntN(3) > 0 {
					w.failed(q, now)
					break
				}
				if sent[q.key] >= n || q.lines[0].event.Number != n {
					t.Fatalf("seed %d, step %d: line %d of %s after %d", seed, step, n, q.key, sent[q.key])
				}
				sent[q.key] = n
				w.done(q)
			case 7:
				now = now.Add(time.Duration(chance.IntN(3000)) * time.Millisecond)
				if chance.IntN(20) == 0 {
					w.forgive(uint64(len(written) / 2))
				}
				w.hurry(chance.IntN(3))
			}
			wantCounts(t, w, len(underWay))
		}
	}
}

// wantCounts wants the counters to be what one counts.
func wantCounts(t *testing.T, w *window, underWay int) {
	t.Helper()
	var known, held, failing, behind int
	for key, q := range w.queues {
		known += len(q.lines)
		for i, l := range q.lines {
			if l.event != nil {
				held++
			}
			if q.key != key || i > 0 && q.lines[i-1].number >= l.number {
				t.Fatalf("queue %s has %+v", key, q)
			}
		}
		if q.attempts > 0 {
			failing++
			behind += len(q.lines)
		}
	}
	if w.known != known || w.held != held || w.failing != failing || w.behind != behind ||
		len(w.idle)+underWay != len(w.queues) {
		t.Fatalf("it has %d lines, %d texts, %d failing queues with %d lines, %d idle, want %d, %d, %d, %d, %d",
			w.known, w.held, w.failing, w.behind, len(w.idle), known, held, failing, behind, len(w.queues)-underWay)
	}
}
