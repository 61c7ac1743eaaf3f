package hub

import (
	"context"
	"sync"
)

// endQueue are ends that tabs were told and that the store was asked for. What follows from its
// answers is done in their order, in a goroutine that runs while there are any.
type endQueue struct {
	mu      sync.Mutex
	waiting []func() // each waits for an answer, and does what follows
	working bool
	idle    sync.Cond // of mu: waited for until working is false or a context ends
}

// add queues what waits for an answer. It returns start where the caller must have work run.
func (q *endQueue) add(outcome func()) (start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, outcome)
	start, q.working = !q.working, true
	return start
}

// work runs until no answer is waited for.
func (q *endQueue) work() {
	for {
		q.mu.Lock()
		taken := q.waiting
		q.waiting = nil
		if len(taken) == 0 {
			q.working = false
			q.idle.Broadcast()
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, outcome := range taken {
			outcome()
		}
	}
}

// busy reports whether answers are waited for.
func (q *endQueue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.working
}

// await returns once no answer is waited for, or ctx has ended.
func (q *endQueue) await(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock() // or else it could come between the look at ctx and Wait
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.working && ctx.Err() == nil {
		q.idle.Wait()
	}
}
