package directory

import (
	"context"
	"slices"
	"sync"
)

// A comparison asks the directory about people who are signed in. Absence is no evidence
// (docs/decisions.md#absence-is-no-evidence). So an account is denied, or in other groups, only if
//
//   - the server shows that it would show what is missing: others' entries in the same place, other
//     groups;
//   - the server has signed the person in or has agreed about them since, or a server that has says
//     the same;
//   - it is not most of those checked, or a second check a while later finds the same.
//
// Everything else is trouble of the directory: nobody is signed out, and it is asked again.

// comparison is one check of many accounts.
type comparison struct {
	watcher *Watcher
	first   *serverView // the server that all are looked at on

	mu     sync.Mutex
	others map[int]*serverView
}

// workers is how many accounts are checked at once, on one connection.
const workers = 8

// compare checks each account the way a sign-in would, and stops as soon as the directory fails to
// answer. It reports what it concludes to the subscriber.
func (w *Watcher) compare(ctx context.Context, accounts []Account) error {
	if len(accounts) == 0 {
		return nil
	}
	conn, err := w.directory.service(ctx)
	if err != nil {
		return err
	}
	c := &comparison{watcher: w, first: &serverView{link: conn}, others: make(map[int]*serverView)}
	defer c.close()
	verdicts, err := c.checkAll(ctx, accounts)
	if err != nil {
		w.directory.avoid(conn.server)
		return err
	}
	w.doubtMany(verdicts)
	inParallel(len(verdicts), func(i int) { verdicts[i] = c.crossCheck(ctx, verdicts[i]) })
	w.awaitAbsence(verdicts)
	return w.report(ctx, conn.server, verdicts)
}

// avoid makes the next connection go to another server than this one, which fails to answer or
// shows too little.
func (d *Directory) avoid(server int) {
	d.lastGood.CompareAndSwap(int32(server), int32((server+1)%len(d.config.URLs)))
}

func (c *comparison) close() {
	c.first.Close()
	for _, v := range c.others {
		if v.err == nil {
			v.Close()
		}
	}
}

// checkAll checks accounts on the first server, and stops as soon as that fails to answer.
func (c *comparison) checkAll(ctx context.Context, accounts []Account) ([]verdict, error) {
	verdicts := make([]verdict, len(accounts))
	var once sync.Once
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inParallel(len(accounts), func(i int) {
		if ctx.Err() != nil {
			return
		}
		v, err := c.checkOn(c.first, accounts[i])
		if err != nil {
			once.Do(func() { failed = err; cancel() })
			return
		}
		verdicts[i] = v
	})
	if failed != nil {
		return nil, failed
	}
	return verdicts, ctx.Err()
}

// view returns another server, which is connected to once in a comparison.
func (c *comparison) view(ctx context.Context, server int) *serverView {
	if server == c.first.server {
		return c.first
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.others[server]
	if v == nil {
		v = &serverView{}
		v.link, v.err = c.watcher.directory.serviceAt(ctx, server)
		c.others[server] = v
	}
	return v
}

// crossCheck asks the server that signed the person in before a verdict of another server changes
// anything. If that server is not known, all must agree.
func (c *comparison) crossCheck(ctx context.Context, v verdict) verdict {
	d := c.watcher.directory
	agreed := c.watcher.agreed(v.account.Key)
	if v.outcome == inconclusive || len(d.config.URLs) == 1 || agreed[v.server] ||
		v.outcome == allowed && sameGroups(v.entry.Groups, v.account.Groups) {
		return v
	}
	missing, why := false, v.why
	for server := range d.config.URLs {
		if server == v.server || len(agreed) > 0 && !agreed[server] {
			continue
		}
		second, err := c.checkElsewhere(ctx, server, v.account)
		switch {
		case err != nil || second.outcome == inconclusive:
			missing = true
		case len(agreed) > 0:
			d.lastGood.CompareAndSwap(int32(v.server), int32(server)) // the other one lags, or shows less
			return second
		case second.outcome != v.outcome || v.outcome == allowed && !sameGroups(second.entry.Groups, v.entry.Groups):
			return v.with(inconclusive, "the servers do not agree: %s", why)
		}
	}
	if missing {
		return v.with(inconclusive, "only another server than that of the sign-in says so: %s", why)
	}
	return v
}

func (c *comparison) checkElsewhere(ctx context.Context, server int, a Account) (verdict, error) {
	on := c.view(ctx, server)
	if on.err != nil {
		return verdict{}, on.err
	}
	return c.checkOn(on, a)
}

// checkOn checks a on a server, with what was learned of a since. It returns an error if the server
// cannot answer any question.
func (c *comparison) checkOn(on *serverView, a Account) (verdict, error) {
	learned, seen := c.watcher.withLearned(a)
	v, err := c.watcher.directory.check(on, learned, seen)
	if err == nil && v.wouldShow != nil {
		v, err = c.watcher.directory.checkTwice(on, v, learned, seen)
	}
	v.account, v.server = a, on.server
	if err != nil && on.isAnswer(err) {
		return v.with(inconclusive, "%s", err), nil
	}
	return v, err
}

func sameGroups(a, b []string) bool {
	inOther := func(other []string) func(string) bool {
		return func(n string) bool { return !containsName(other, n) }
	}
	return !slices.ContainsFunc(a, inOther(b)) && !slices.ContainsFunc(b, inOther(a))
}

// inParallel calls f for each number below n, a few at once, and waits for all.
func inParallel(n int, f func(i int)) {
	queue := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range queue {
				f(i)
			}
		})
	}
	for i := range n {
		queue <- i
	}
	close(queue)
	wg.Wait()
}
