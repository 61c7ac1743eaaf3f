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

// The rules of live sessions: their groups, as the directory tells them, and the policy that
// follows from the groups. Both change in changeRules alone: it reads what the store has, computes
// what is to be, and stores that only if nobody has changed the rules meanwhile, on whichever node.
// What a session was judged by is replaced in applyRules alone, and only by what is newer.

// Reload applies policies to all live sessions and tells their tabs. A session that is over by its
// new policy ends with the reason policy; one that had come due by its old one ends for that
// reason. After an error it may be called again with the same policies: new sign-ins have them, and
// the sessions that have them are passed over.
func (h *Hub) Reload(ctx context.Context, policies session.Policies) (changed int, err error) {
	if err := h.flush(ctx); err != nil {
		return 0, err
	}
	h.policies.Store(&policies)
	for r, err := range h.store.Live(ctx) {
		if err != nil {
			return changed, fmt.Errorf("apply policies: %w", err)
		}
		s := h.ensureLive(ctx, r)
		if !h.cluster.Alone() {
			h.actedElsewhere(s, r.LastActiveAt) // first: it may keep the session by the new policy
			h.applyRules(s, r.Rules(), r.Revision)
		}
		if r.Policy != policies.For(r.GroupNames()) || s.unconfirmed.Load() {
			if err := h.changeRules(ctx, s, keepGroups); err != nil {
				return changed, fmt.Errorf("apply policies: %w", err)
			}
			changed++
		}
		h.awaitFormer(s)
	}
	if err := h.settleFormers(ctx); err != nil {
		h.log.Warn("groups that users have left not settled", "error", err)
	}
	return changed, nil
}

// Policies are the ones in force.
func (h *Hub) Policies() session.Policies { return *h.policies.Load() }

// setGroups replaces the groups of a user's session, as the directory tells them: the policy
// follows, and so do the rights of its tabs. A group that the session has keeps the number at which
// its user joined it. Forced logouts of a group that were answered before the user joined it are
// none of theirs; those that were answered before the user left it are. session.ErrNotFound; any
// other error means that the change is to be told again.
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

// regrouped are rules with other groups. Who joins one has seen all revocations up to last.
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

func keepGroups(rules session.Rules, _ int64) session.Rules { return rules }

// settleFormer finds out which revocations were written before the user of s left a group: those up
// to the number that is read after the leaving was stored. Only where one of them ends the session
// the group is remembered. What cannot be found out now is tried again: until then every forced
// logout of the group ends the session.
func (h *Hub) settleFormer(ctx context.Context, s *liveSession) {
	r := s.record.Load()
	if !slices.ContainsFunc(r.Former, isOpen) {
		return
	}
	if last, err := h.LastRevocation(ctx); err != nil || h.settleFormerUpTo(ctx, s, r.Revision, last) != nil {
		h.awaitFormer(s)
	}
}

func isOpen(g session.FormerGroup) bool { return g.Until == 0 }

// settleFormerUpTo has the groups that the rules of that revision tell left be left at the number
// last, which was read since. Where the rules have changed meanwhile, a group may have been left
// after that number: it waits for another one.
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

// closeFormer are the groups of a list that a forced logout is about, when those that are open were
// left at the number last.
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

// formerQueue are the sessions of which it is not known yet when their users left a group, each
// with the revision of the rules that tell it.
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

// awaitFormer has settleFormers look at s, if it has a group that is open.
func (h *Hub) awaitFormer(s *liveSession) {
	if r := s.record.Load(); slices.ContainsFunc(r.Former, isOpen) && s.shard.lookup(s.id) == s {
		h.former.add(s, r.Revision)
	}
}

// settleFormerEvery is how soon it is tried again to find out when groups were left. It is real
// time.
const settleFormerEvery = time.Second

// formerLoop settles what could not be settled at once.
func (h *Hub) formerLoop() {
	for h.wait(settleFormerEvery) {
		if err := h.settleFormers(h.ctx); err != nil && h.ctx.Err() == nil {
			h.log.Warn("groups that users have left not settled", "error", err)
		}
	}
}

// settleFormers is settleFormer for all sessions that wait for it. They share one number, which is
// read after they are taken from the queue. What fails waits for the next call.
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
	parallel.Do(endsAtOnce, slices.Collect(maps.Keys(waiting)), func(share []*liveSession) {
		for _, s := range share {
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

// changeRules stores what change makes of the groups of s, with the policy that follows from them,
// and tells the tabs what they must know of it. change is told the revision of the rules that it is
// given, too. Where they were changed meanwhile it begins anew, and so it does where the policies
// were reloaded.
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
		h.actedElsewhere(s, r.LastActiveAt)
		rules := change(r.Rules(), r.Revision)
		rules.Policy = h.policyOf(rules.Groups)
		if !rules.Equal(r.Rules()) || s.unconfirmed.Load() {
			s.unconfirmed.Store(true) // the store may have it and say that it could not make sure
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

// unlessOver is err, but nil where it says that a session is over: nothing is left to do for it.
func unlessOver(err error) error {
	if errors.Is(err, session.ErrEnded) || errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

// applyRules takes over rules that are stored, unless it knows newer ones. Rights follow from them,
// and the forced logouts of the groups: one that is written meanwhile is seen here, or sees them.
func (h *Hub) applyRules(s *liveSession, rules session.Rules, revision int64) {
	if revision > s.record.Load().Revision {
		h.replaceRules(s, rules, revision, func(known int64) bool { return revision > known })
	}
}

// replaceRules takes over rules, if those that are known have a revision for which newer is true,
// and does what follows from them.
func (h *Hub) replaceRules(s *liveSession, rules session.Rules, revision int64, newer func(known int64) bool) {
	var changed rulesChange
	h.revocations.View(func(v revocation.View) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if newer(s.record.Load().Revision) {
			changed = s.setRulesLocked(rules, revision, v, h.clock.Now())
		}
	})
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

// rulesChange says what other rules have changed of a session.
type rulesChange struct {
	groups bool
	policy bool
	forced bool // another forced logout ends it first, or none does any more
}

// setRulesLocked gives s other rules. A session that is over by them alone is over from now on.
func (s *liveSession) setRulesLocked(
	rules session.Rules,
	revision int64,
	v revocation.View,
	now time.Time,
) rulesChange {
	r := *s.record.Load()
	before := *s.policy.Load()
	wasDue, _ := before.At(s.recordLocked(), now)
	changed := rulesChange{groups: !slices.Equal(r.Groups, rules.Groups), policy: rules.Policy != before}
	r.Groups, r.Former, r.Revision, r.Policy = rules.Groups, rules.Former, revision, rules.Policy
	s.setRecord(&r)
	s.policy.Store(&rules.Policy)
	first := v.First(&r)
	if changed.forced = first != s.revocation && !s.ending; changed.forced {
		s.revocation = first
		s.warned.Store(true) // see act
	}
	isDue, _ := rules.Policy.At(s.recordLocked(), now)
	s.overBy = time.Time{}
	if isDue == session.Expired && wasDue != session.Expired && !changed.forced {
		s.overBy = now
	}
	return changed
}
