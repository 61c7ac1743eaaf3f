package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/hub/internal/revocation"
	"curfew/session"
)

// The rules of live sessions: their groups, as the directory has them, and the policy that follows
// from the groups. changeRules alone stores new rules: it reads the stored ones, computes the new
// ones, and stores those only if no node has changed the rules meanwhile. replaceRules alone
// changes the rules that a live session is judged by.

// Reload applies policies to all live sessions and tells their tabs. changed counts the sessions
// that got other rules. A session that is due by its new policy ends with the reason policy. A
// session that was due by its old policy already ends for the reason of that. After an error it may
// be called again with the same policies: sign-ins use them by then, and sessions that have them
// are skipped.
func (h *Hub) Reload(ctx context.Context, policies session.Policies) (changed int, err error) {
	if err := h.flush(ctx); err != nil {
		return 0, err
	}
	h.policies.Store(&policies)
	var count atomic.Int64
	err = parallel.Each(rulesAtOnce, h.store.Live(ctx), func(r session.Record) error {
		isNew, err := h.applyPolicy(ctx, r, policies)
		if isNew && err == nil {
			count.Add(1)
		}
		return err
	})
	changed = int(count.Load())
	if err != nil {
		return changed, fmt.Errorf("apply policies: %w", err)
	}
	if err := h.settleFormers(ctx); err != nil {
		h.log.Warn("groups that users have left not settled", "error", err)
	}
	return changed, nil
}

// rulesAtOnce is how many sessions Reload gives other rules at the same time. They share the
// transactions of the store.
const rulesAtOnce = 500

// applyPolicy is Reload for one session, as it was read from the store.
func (h *Hub) applyPolicy(ctx context.Context, r session.Record, policies session.Policies) (changed bool, err error) {
	s := h.ensureLive(ctx, r)
	if !h.cluster.Alone() {
		h.actedElsewhere(s, r.LastActiveAt) // first: it may keep the session by the new policy
		h.applyRules(s, r.Rules(), r.Revision)
	}
	if changed = r.Policy != policies.For(r.GroupNames()) || s.unconfirmed.Load(); changed {
		if err := h.changeRules(ctx, s, keepGroups); err != nil {
			return true, err
		}
	}
	h.awaitFormer(s)
	return changed, nil
}

// Policies returns the policies in force, those of the last [Hub.Reload].
func (h *Hub) Policies() session.Policies { return *h.policies.Load() }

// setGroups replaces the groups of a session by those that the directory has. The policy and the
// rights of the session's tabs follow. A forced logout of a group ends the session if it was
// answered while the user was a member: for that each group has the number of the last revocation
// before the user joined it, and a group that the user has left is remembered; see settleFormer.
// The error is session.ErrNotFound; any other means that the caller must try again.
func (h *Hub) setGroups(ctx context.Context, id session.ID, names []string) error {
	s := h.lookup(id)
	if s == nil {
		return session.ErrNotFound
	}
	last, err := h.LastRevocation(ctx)
	if err != nil {
		return err
	}
	if err := h.changeRules(ctx, s,
		func(now session.Rules, _ int64) session.Rules { return regrouped(now, names, last) }); err != nil {
		return err
	}
	h.settleFormer(ctx, s)
	return nil
}

// regrouped returns rules with other groups. A user who joins one has seen all revocations up to
// last.
func regrouped(rules session.Rules, names []string, last int64) session.Rules {
	var groups []session.Group
	for _, name := range names {
		joined := session.Group{Name: name, SeenRevocation: last}
		i := slices.IndexFunc(rules.Groups, func(g session.Group) bool { return session.SameName(g.Name, name) })
		if i >= 0 {
			joined.SeenRevocation = rules.Groups[i].SeenRevocation
		}
		groups = append(groups, joined)
	}
	former := slices.Clone(rules.Former)
	for _, g := range rules.Groups {
		if !slices.ContainsFunc(names, func(name string) bool { return session.SameName(g.Name, name) }) {
			former = append(former, session.FormerGroup{Name: g.Name, SeenRevocation: g.SeenRevocation})
		}
	}
	return session.Rules{Groups: groups, Former: former, Policy: rules.Policy}
}

// keepGroups is a change that leaves the groups as they are: only the policy may change.
func keepGroups(rules session.Rules, _ int64) session.Rules { return rules }

// settleFormer finds out which revocations were written before the user of s left a group: those up
// to the number that is read after the change was stored. The group is remembered only if one of
// them concerns the session. If the number cannot be read now, it is tried again; until then every
// forced logout of the group ends the session.
func (h *Hub) settleFormer(ctx context.Context, s *liveSession) {
	r := s.record.Load()
	if !slices.ContainsFunc(r.Former, isOpen) {
		return
	}
	if last, err := h.LastRevocation(ctx); err != nil || h.settleFormerUpTo(ctx, s, r.Revision, last) != nil {
		h.awaitFormer(s)
	}
}

// isOpen reports whether it is not known yet when the user left the group.
func isOpen(g session.FormerGroup) bool { return g.Until == 0 }

// settleFormerUpTo notes that the open groups in the rules of that revision were left by the number
// last, which was read afterwards. If the rules have changed meanwhile, a group may have been left
// after that number, and s is queued again.
func (h *Hub) settleFormerUpTo(ctx context.Context, s *liveSession, revision, last int64) error {
	err := h.changeRules(ctx, s, func(now session.Rules, stored int64) session.Rules {
		if stored == revision {
			now.Former = h.closeFormer(now.Former, last)
		}
		return now
	})
	if err == nil {
		h.awaitFormer(s)
	}
	return err
}

// closeFormer notes that the open groups of a list were left by the number last. It keeps the
// groups that a forced logout was about before the user left them.
func (h *Hub) closeFormer(former []session.FormerGroup, last int64) (kept []session.FormerGroup) {
	for _, g := range former {
		if g.Until == 0 {
			g.Until = last
		}
		if h.revocations.OfFormer(g) {
			kept = append(kept, g)
		}
	}
	return kept
}

// formerQueue are the sessions with a group that is open, each with the revision of its rules.
type formerQueue struct {
	mu        sync.Mutex
	revisions map[*liveSession]int64 // bounded by the live ones
}

func (q *formerQueue) add(s *liveSession, revision int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.revisions == nil {
		q.revisions = make(map[*liveSession]int64)
	}
	q.revisions[s] = revision
}

func (q *formerQueue) take() map[*liveSession]int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.revisions
	q.revisions = nil
	return taken
}

// awaitFormer queues s for settleFormers, if it has a group that is open.
func (h *Hub) awaitFormer(s *liveSession) {
	if r := s.record.Load(); slices.ContainsFunc(r.Former, isOpen) && s.shard.lookup(s.id) == s {
		h.former.add(s, r.Revision)
	}
}

// settleFormerEvery is how soon settleFormers is called again, in real time.
const settleFormerEvery = time.Second

// formerLoop settles, from time to time, what could not be settled at once.
func (h *Hub) formerLoop() {
	for h.wait(settleFormerEvery) {
		if err := h.settleFormers(h.ctx); err != nil && h.ctx.Err() == nil {
			h.log.Warn("groups that users have left not settled", "error", err)
		}
	}
}

// settleFormers is settleFormer for all sessions in the queue. They share one number, which is read
// after they were taken from it. A session for which it fails is queued again.
func (h *Hub) settleFormers(ctx context.Context) error {
	waiting := h.former.take()
	if len(waiting) == 0 {
		return nil
	}
	last, err := h.LastRevocation(ctx)
	if err != nil {
		for s := range waiting {
			h.awaitFormer(s)
		}
		return err
	}
	var failed atomic.Pointer[error]
	parallel.Do(endsAtOnce, slices.Collect(maps.Keys(waiting)), func(chunk []*liveSession) {
		for _, s := range chunk {
			if s.shard.lookup(s.id) != s {
				continue
			}
			if err := h.settleFormerUpTo(ctx, s, waiting[s], last); err != nil {
				failed.Store(&err)
				h.awaitFormer(s)
			}
		}
	})
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// changeRules stores new rules of s, applies them and tells tabs. change returns the new groups; it
// is given the stored rules and their revision. The policy follows from the groups. If another
// caller or node changes the rules meanwhile, or the policies are reloaded, changeRules begins
// again. A session that has ended is no error.
func (h *Hub) changeRules(
	ctx context.Context,
	s *liveSession,
	change func(now session.Rules, revision int64) session.Rules,
) error {
	for {
		if over, err := h.endIfDue(ctx, s); over || err != nil {
			return err
		}
		r, err := h.store.Get(ctx, s.id)
		if err == nil && r.End != nil {
			err = session.ErrEnded
		}
		if err != nil {
			return unlessOver(err)
		}
		s.sameAge(&r)
		h.actedElsewhere(s, r.LastActiveAt)
		rules := change(r.Rules(), r.Revision)
		rules.Policy = h.policyOf(rules.Groups)
		if !rules.Equal(r.Rules()) || s.unconfirmed.Load() {
			s.unconfirmed.Store(true) // the store may do it and yet return an error
			revision, err := h.store.SetRules(ctx, s.id, r.Revision, rules)
			if errors.Is(err, session.ErrConflict) {
				continue
			}
			if err != nil {
				return unlessOver(err)
			}
			s.unconfirmed.Store(false)
			h.cluster.TellRules(s.id)
			r.Revision = revision
		}
		h.applyRules(s, rules, r.Revision)
		if rules.Policy == h.policyOf(rules.Groups) {
			return nil
		}
	}
}

func (h *Hub) policyOf(groups []session.Group) session.Policy {
	return h.Policies().For(session.Record{Groups: groups}.GroupNames())
}

// unlessOver returns err, or nil if err says that the session has ended: nothing is left to do
// then.
func unlessOver(err error) error {
	if errors.Is(err, session.ErrEnded) || errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

// applyRules applies rules that are stored, unless newer ones are known here.
func (h *Hub) applyRules(s *liveSession, rules session.Rules, revision int64) {
	if revision > s.record.Load().Revision {
		h.replaceRules(s, rules, revision, func(known int64) bool { return revision > known })
	}
}

// replaceRules applies rules if newer returns true for the revision of those that are known here.
// The right to watch and the forced logouts of the groups follow: a revocation that is added
// meanwhile either finds the new groups, or is found here.
func (h *Hub) replaceRules(s *liveSession, rules session.Rules, revision int64, newer func(known int64) bool) {
	var changed rulesChange
	h.revocations.View(func(v revocation.View) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if newer(s.record.Load().Revision) {
			changed = s.setRulesLocked(rules, revision, v, h.clock.Now())
		}
	})
	h.index.touch(s)
	if changed.groups {
		h.rightsChanged(s)
	}
	what := tellState
	switch {
	case changed.policy:
		what = tellPolicy
	case !changed.forced:
		return
	}
	if alive := h.tell(s, what); !alive {
		h.expire(h.ctx, s)
	}
}

// rulesChange says what has changed with the rules of a session.
type rulesChange struct {
	groups bool
	policy bool
	forced bool // which forced logout ends it first
}

// setRulesLocked gives s other rules. If they alone make s due, it is due from now on.
func (s *liveSession) setRulesLocked(
	rules session.Rules,
	revision int64,
	v revocation.View,
	now time.Time,
) rulesChange {
	r := *s.record.Load()
	before := *s.policy.Load()
	wasDue, _ := s.phaseLocked(&before, now)
	changed := rulesChange{groups: !slices.Equal(r.Groups, rules.Groups), policy: rules.Policy != before}
	r.Groups, r.Former, r.Revision, r.Policy = rules.Groups, rules.Former, revision, rules.Policy
	s.setRecord(r)
	first := v.First(&r)
	if changed.forced = first != s.revocation && !s.ending; changed.forced {
		s.revocation = first
		s.warned.Store(true) // see act
	}
	isDue, _ := s.phaseLocked(&rules.Policy, now)
	s.overBy = 0
	if isDue == session.Expired && wasDue != session.Expired && !changed.forced {
		s.overBy = momentOf(now)
	}
	return changed
}
