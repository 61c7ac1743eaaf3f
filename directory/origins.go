package directory

import (
	"cmp"
	"maps"
	"sync"
	"time"
)

// originFor is how long the server of a sign-in is remembered until a watcher asks for it, and
// maxOrigins for how many sign-ins.
const (
	originFor  = time.Minute
	maxOrigins = 10_000
)

// origins remembers which server has just signed somebody in. If that is not known, all servers
// must agree about them.
type origins struct {
	mu   sync.Mutex
	list map[string]origin // by identity, else DN
}

type origin struct {
	server int
	at     time.Time
}

func (o *origins) note(e Entry, server int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.list == nil {
		o.list = make(map[string]origin)
	}
	if len(o.list) >= maxOrigins {
		maps.DeleteFunc(o.list, func(_ string, at origin) bool { return time.Since(at.at) > originFor })
	}
	if len(o.list) < maxOrigins {
		o.list[cmp.Or(e.Identity, foldDN(e.DN))] = origin{server, time.Now()}
	}
}

// of says which server has just signed an account in.
func (o *origins) of(k Key) (server int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.list[cmp.Or(k.Identity, foldDN(k.DN))]
	return known.server, ok
}
