package delivery

import (
	"container/heap"
	"slices"
	"strconv"
	"time"

	"curfew/session"
)

// window has the lines that were read and not yet accepted, in queues: one of each session, and one
// of each line that belongs to none. Only the first line of a queue may be sent.
//
// A queue whose first line was refused is failing. Of one that fails the window may keep no more
// than the numbers of its lines, so that lines of others can be read; see [window.makeRoom].
type window struct {
	queues  map[string]*queue
	ready   byDue // those whose first line may be sent, and is not under way
	later   byDue // those that are failing, and wait until they are due
	known   int   // lines
	held    int   // lines that are in memory with their text
	failing int   // queues
	behind  int   // lines of those
	refused int   // and those of them that are in memory with their text
}

// queue has the lines of one session, in their order.
type queue struct {
	key      string
	lines    []line
	attempts int       // of the first line, that failed
	due      time.Time // when it is tried again; zero: at once
}

// line is a line of the trail.
type line struct {
	number uint64
	event  *session.Event // nil: only the store has it
}

func newWindow() *window { return &window{queues: make(map[string]*queue)} }

// keyOf names the queue of a line.
func keyOf(e session.Event) string {
	if e.Session == "" {
		return "line " + strconv.FormatUint(e.Number, 10)
	}
	return e.Session
}

// add takes a line that was read.
func (w *window) add(e session.Event) {
	w.known++
	key := keyOf(e)
	q := w.queues[key]
	if q == nil {
		q = &queue{key: key}
		w.queues[key] = q
		defer func() { w.putBack(q) }()
	}
	l := line{number: e.Number}
	if q.attempts > 0 {
		w.behind++
	} else {
		l.event = &e
		w.held++
	}
	q.lines = append(q.lines, l)
}

// makeRoom forgets the text of all lines of queues that are failing, where these take half of the
// room or more. So half of it is for others, and a look at all queues comes after that many texts.
func (w *window) makeRoom(room int) {
	if 2*w.refused < room {
		return
	}
	for _, idle := range []byDue{w.ready, w.later} {
		for _, q := range idle {
			if q.attempts == 0 {
				continue
			}
			for i := range q.lines {
				n := q.lines[i].forget()
				w.held -= n
				w.refused -= n
			}
		}
	}
}

// forget forgets the text of a line, and returns how many texts that were.
func (l *line) forget() int {
	if l.event == nil {
		return 0
	}
	l.event = nil
	return 1
}

// texts is how many lines of a queue are in memory with their text.
func (q *queue) texts() int {
	n := 0
	for _, l := range q.lines {
		if l.event != nil {
			n++
		}
	}
	return n
}

// fill takes texts of lines that were read once more, where they may be sent soon.
func (w *window) fill(events []session.Event, now time.Time) {
	for _, e := range events {
		q := w.queues[keyOf(e)]
		if q == nil || q.due.After(now) {
			continue
		}
		i, ok := slices.BinarySearchFunc(q.lines, e.Number, func(l line, n uint64) int {
			return int(int64(l.number) - int64(n))
		})
		if ok && q.lines[i].event == nil {
			q.lines[i].event = &e
			w.held++
			if q.attempts > 0 {
				w.refused++
			}
		}
	}
}

// take takes a queue whose first line may be sent at now; nil if there is none. The line is under
// way until [window.done], [window.failed] or [window.putBack].
func (w *window) take(now time.Time) *queue {
	w.ripen(now)
	if len(w.ready) == 0 {
		return nil
	}
	return heap.Pop(&w.ready).(*queue)
}

// ripen moves the queues that are due by now to those that may be sent.
func (w *window) ripen(now time.Time) {
	for len(w.later) > 0 && !w.later[0].due.After(now) {
		heap.Push(&w.ready, heap.Pop(&w.later))
	}
}

// putBack has a queue wait for its turn.
func (w *window) putBack(q *queue) {
	if q.due.IsZero() {
		heap.Push(&w.ready, q)
	} else {
		heap.Push(&w.later, q)
	}
}

// due is when the next line may be sent; zero if none waits for that.
func (w *window) due() time.Time {
	switch {
	case len(w.ready) > 0:
		return time.Time{}.Add(1) // since long ago
	case len(w.later) > 0:
		return w.later[0].due
	default:
		return time.Time{}
	}
}

// done removes the first line of a queue: it was accepted, or the store has given it up.
func (w *window) done(q *queue) {
	w.works(q)
	w.known--
	w.held -= q.lines[0].forget()
	q.lines, q.due = q.lines[1:], time.Time{}
	if len(q.lines) == 0 {
		delete(w.queues, q.key)
		return
	}
	w.putBack(q)
}

// works notes that a queue fails no longer.
func (w *window) works(q *queue) {
	if q.attempts > 0 {
		w.failing--
		w.behind -= len(q.lines)
		w.refused -= q.texts()
	}
	q.attempts = 0
}

// failed has the first line of a queue tried again after a while. The more queues are failing the
// longer it is, so that however many lines are refused for ever, attempts do not become more.
func (w *window) failed(q *queue, now time.Time) {
	if q.attempts == 0 {
		w.failing++
		w.behind += len(q.lines)
		w.refused += q.texts()
	}
	q.attempts++
	q.due = now.Add(max(backoff(q.attempts), time.Duration(w.failing)*failingPace))
	w.putBack(q)
}

// forgive removes what the store has given up, which are all lines up to a number.
func (w *window) forgive(upTo uint64) {
	idle := slices.Concat(w.ready, w.later)
	w.ready, w.later = nil, nil
	for _, q := range idle {
		n := 0
		for n < len(q.lines) && q.lines[n].number <= upTo {
			n++
		}
		if n > 0 {
			w.works(q)
			for i := range n {
				w.held -= q.lines[i].forget()
			}
			w.known -= n
			q.lines, q.due = slices.Clone(q.lines[n:]), time.Time{}
		}
		if len(q.lines) == 0 {
			delete(w.queues, q.key)
			continue
		}
		w.putBack(q)
	}
}

// hurry has up to n queues tried at once that are not due at now, those first that are due first:
// the receiver takes what it refused before.
func (w *window) hurry(n int, now time.Time) {
	w.ripen(now)
	for range min(n, len(w.later)) {
		q := heap.Pop(&w.later).(*queue)
		q.due = time.Time{}
		heap.Push(&w.ready, q)
	}
}

// byDue is a heap: first what was not tried yet, so that nothing waits for what is refused for
// ever. Then comes the queue that is due first, and of several the one with the oldest line.
type byDue []*queue

func (b byDue) Len() int { return len(b) }
func (b byDue) Less(i, j int) bool {
	if tried := b[i].attempts > 0; tried != (b[j].attempts > 0) {
		return !tried
	}
	if !b[i].due.Equal(b[j].due) {
		return b[i].due.Before(b[j].due)
	}
	return b[i].lines[0].number < b[j].lines[0].number
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
