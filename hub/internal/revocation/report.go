package revocation

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// OutcomeReport is what a node tells others of the tabs that a forced logout has ended there. Each
// report is complete, so that one that is lost or comes twice does no harm.
type OutcomeReport struct {
	Logout string `json:"logout"` // ID of the revocation
	OutcomeCounts
	Tabs []TabOutcome `json:"tabs,omitempty"` // the first maxReported of them
}

// Reports returns what other nodes are to be told at now: the outcomes that have changed since the
// last call. With again it adds those that have changed within retold, in case a message was lost.
// There are none without [Register.Shared].
func (r *Register) Reports(now time.Time, again bool, retold time.Duration) (list []OutcomeReport) {
	for _, o := range r.news.list() {
		if report, ok := o.report(now, again, retold); ok {
			list = append(list, report)
		}
	}
	return list
}

// report returns the report of o. ok is false if no node needs to be told.
func (o *Outcomes) report(now time.Time, again bool, retold time.Duration) (_ OutcomeReport, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tabs == nil {
		return OutcomeReport{}, false
	}
	counts := o.tabs.counts
	changed, old := counts != o.tabs.sent, now.Sub(o.tabs.sentAt) >= retold
	if !changed && old {
		o.news.remove(o)
	}
	if counts.All == 0 || !changed && (old || !again) {
		return OutcomeReport{}, false
	}
	if changed {
		o.tabs.sent, o.tabs.sentAt = counts, now
	}
	return OutcomeReport{o.logout, counts, o.tabs.first(maxReported)}, true
}

// news are the outcomes that have changed, or that are told again. A nil news notes nothing. Its
// lock is the innermost of the package.
type news struct {
	mu       sync.Mutex
	outcomes map[*Outcomes]struct{}
}

func (n *news) add(o *Outcomes) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outcomes == nil {
		n.outcomes = make(map[*Outcomes]struct{})
	}
	n.outcomes[o] = struct{}{}
}

func (n *news) remove(o *Outcomes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.outcomes, o)
}

func (n *news) list() []*Outcomes {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.outcomes))
}

func (n *news) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outcomes = nil
}
