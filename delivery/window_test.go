package delivery

import (
	"container/heap"
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
				w.hurry(chance.IntN(3), now)
			}
			wantCounts(t, w, len(underWay))
		}
	}
}

// wantCounts wants the counters to be what one counts.
func wantCounts(t *testing.T, w *window, underWay int) {
	t.Helper()
	var known, held, failing, behind, refused int
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
			refused += q.texts()
		}
	}
	idle, wantIdle := len(w.ready)+len(w.later), len(w.queues)-underWay
	if w.known != known || w.held != held || w.failing != failing || w.behind != behind || w.refused != refused ||
		idle != wantIdle {
		t.Fatalf("it has %d lines, %d texts, %d failing queues with %d lines and %d texts, %d idle, "+
			"want %d, %d, %d, %d, %d, %d", w.known, w.held, w.failing, w.behind, w.refused, idle,
			known, held, failing, behind, refused, wantIdle)
	}
}

// refuse has the first lines of all queues refused that may be sent at now.
func refuse(w *window, now time.Time) {
	var queues []*queue
	for q := w.take(now); q != nil; q = w.take(now) {
		queues = append(queues, q)
	}
	for _, q := range queues {
		w.failed(q, now)
	}
}

func TestRefusedLinesLeaveHalfOfTheRoomToOthers(t *testing.T) {
	t.Parallel()
	const room = 20
	for n := range room + 1 {
		w, now := newWindow(), time.Now()
		for i := range n {
			w.add(session.Event{Number: uint64(i + 1), Session: fmt.Sprint(i % 15)})
		}
		refuse(w, now)
		w.makeRoom(room)
		want := n
		if n >= room/2 {
			want = 0
		}
		if w.held != want {
			t.Errorf("%d lines are refused: %d texts stay, want %d where there is room for %d", n, w.held, want, room)
		}
		wantCounts(t, w, 0)
	}
}

func TestWhatIsBroughtForwardWasNotDueAndComesBehindWhatWasNotTried(t *testing.T) {
	t.Parallel()
	w, now := newWindow(), time.Now()
	for i, ref := range []string{"back", "back", "b", "c", "d"} {
		w.add(session.Event{Number: uint64(i + 1), Session: ref})
	}
	refuse(w, now)
	now = w.queues["back"].due
	for _, ref := range []string{"b", "c", "d"} { // not due at now, whatever chance has said
		w.queues[ref].due = now.Add(time.Second)
	}
	heap.Init(&w.later)
	q := w.take(now)
	w.add(session.Event{Number: 6, Session: "new"})
	w.add(session.Event{Number: 7, Session: "newer"})
	w.done(q)
	w.hurry(2, now)
	var got []string
	for q := w.take(now); q != nil; q = w.take(now) {
		got = append(got, q.key)
	}
	if want := []string{"back", "new", "newer", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("tried at once: %q, want %q", got, want)
	}
}
