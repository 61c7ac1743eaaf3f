package delivery

import (
	"container/heap"
	"strconv"
	"time"

	"curfew/session"
)

// window has the lines that were read and not yet accepted, in queues: one of each session, and one
// of each line that belongs to none. Only the first line of a queue may be sent.
type window struct {
	queues map[string]*queue
	idle   byDue // those whose first line is not under way
	size   int
}

// queue has the lines of one session, in their order.
type queue struct {
	key      string
	lines    []session.Event
	attempts int       // of the first line, that failed
	due      time.Time // when it is tried again
}

func newWindow() *window { return &window{queues: make(map[string]*queue)} }

// add takes a line that was read.
func (w *window) add(e session.Event) {
	key := e.Session
	if key == "" {
		key = "line " + strconv.FormatUint(e.Number, 10)
	}
	w.size++
	if q := w.queues[key]; q != nil {
		q.lines = append(q.lines, e)
		return
	}
	q := &queue{key: key, lines: []session.Event{e}}
	w.queues[key] = q
	heap.Push(&w.idle, q)
}

// take takes a queue whose first line may be sent at now; nil if there is none. The line is under
// way until [window.accepted] or [window.failed].
func (w *window) take(now time.Time) *queue {
	if len(w.idle) == 0 || w.idle[0].due.After(now) {
		return nil
	}
	return heap.Pop(&w.idle).(*queue)
}

// due is when the next line may be sent; zero if none waits for that.
func (w *window) due() time.Time {
	if len(w.idle) == 0 {
		return time.Time{}
	}
	// never zero: a line that was not tried is due since long ago
	return w.idle[0].due.Add(1)
}

// accepted removes the first line of a queue.
func (w *window) accepted(q *queue) {
	w.size--
	q.lines, q.attempts, q.due = q.lines[1:], 0, time.Time{}
	if len(q.lines) == 0 {
		delete(w.queues, q.key)
		return
	}
	heap.Push(&w.idle, q)
}

// failed has the first line of a queue tried again after a while.
func (w *window) failed(q *queue, now time.Time) {
	q.attempts++
	q.due = now.Add(backoff(q.attempts))
	heap.Push(&w.idle, q)
}

// hurry has all lines tried again at once: the receiver is back.
func (w *window) hurry() {
	for _, q := range w.idle {
		q.due = time.Time{}
	}
	heap.Init(&w.idle)
}

// byDue is a heap: first the queue that is due first, and of several the one with the oldest line.
type byDue []*queue

func (b byDue) Len() int { return len(b) }
func (b byDue) Less(i, j int) bool {
	if !b[i].due.Equal(b[j].due) {
		return b[i].due.Before(b[j].due)
	}
	return b[i].lines[0].Number < b[j].lines[0].Number
}
func (b byDue) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b *byDue) Push(q any)   { *b = append(*b, q.(*queue)) }
func (b *byDue) Pop() any {
	last := len(*b) - 1
	q := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return q
}
