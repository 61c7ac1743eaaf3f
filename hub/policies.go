package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"curfew/session"
)

// Policies, and their reload onto live sessions.

// Reload applies policies to all live sessions and tells their tabs. A session that is over by its new policy ends with
// the reason policy; one that had come due by its old one ends for that reason.
func (h *Hub) Reload(ctx context.Context, policies session.Policies) (changed int, err error) {
	if err := h.flush(ctx); err != nil {
		return 0, err
	}
	h.mu.Lock()
	h.policies = policies
	h.flushEvery = min(cond(h.nodes == nil, flushAtMost, flushAtMostShared), policies.MinLead()/10)
	h.mu.Unlock()
	for r, err := range h.store.Live(ctx) {
		if err != nil {
			return changed, fmt.Errorf("apply policies: %w", err)
		}
		s := h.adopt(ctx, r)
		if h.nodes != nil {
			h.takeRules(s, r)
		}
		p := policies.For(r.GroupNames())
		if p == r.Policy {
			continue
		}
		if err := h.setPolicy(ctx, s, p); err != nil {
			return changed, fmt.Errorf("apply policies: %w", err)
		}
		changed++
	}
	return changed, nil
}

func (h *Hub) setPolicy(ctx context.Context, s *live, p session.Policy) error {
	return h.setRules(ctx, s, p, func() error { return h.store.SetPolicy(ctx, s.id, p) })
}

// SetGroups replaces the groups of a user's session, as the directory tells them: the policy follows, and so do the rights
// of its tabs. Forced logouts of a group that the user joins now are none of his.
func (h *Hub) SetGroups(ctx context.Context, id session.ID, names []string) error {
	s := h.live(id)
	if s == nil {
		return session.ErrNotFound
	}
	last, err := h.LastFact(ctx)
	if err != nil {
		return err
	}
	var groups []session.Group
	old := s.record.Load().Groups
	for _, name := range names {
		g := session.Group{Name: name, SeenFact: last}
		if i := slices.IndexFunc(old, func(o session.Group) bool { return o.Name == name }); i >= 0 {
			g = old[i]
		}
		groups = append(groups, g)
	}
	p := h.Policies().For(names)
	return h.setRules(ctx, s, p, func() error {
		if err := h.store.SetGroups(ctx, s.id, groups, p); err != nil {
			return err
		}
		h.regroup(s, groups)
		return nil
	})
}

// regroup takes over the groups of s as they are stored. Rights follow, and the forced logouts of those groups: one that was written
// meanwhile is seen here, or sees them.
func (h *Hub) regroup(s *live, groups []session.Group) {
	h.forced.mu.RLock()
	s.mu.Lock()
	r := *s.record.Load()
	r.Groups = groups
	s.record.Store(&r)
	l := h.forced.coveringLocked(&r)
	changed := l != s.forced && !s.ending
	if changed {
		s.forced = l
		s.warned.Store(true) // see act
	}
	s.mu.Unlock()
	h.forced.mu.RUnlock()
	h.rightsChanged(s)
	if changed {
		h.tell(s, tellAnyway)
		h.schedule(s)
	}
}

// setRules stores a policy and tells the tabs what they must know of it.
func (h *Hub) setRules(ctx context.Context, s *live, p session.Policy, store func() error) error {
	now := h.clock.Now()
	s.mu.Lock()
	before, _ := s.policy.Load().At(s.recordLocked(), now)
	s.mu.Unlock()
	if before == session.Expired {
		h.expire(ctx, s)
		return nil
	}
	if err := store(); err != nil {
		if errors.Is(err, session.ErrEnded) || errors.Is(err, session.ErrNotFound) {
			return nil
		}
		return err
	}
	h.emit(event{Kind: eventRules, ID: &s.id})
	if p == *s.policy.Load() {
		return nil
	}
	s.mu.Lock()
	s.policy.Store(&p)
	s.mu.Unlock()
	if !h.tell(s, tellRules) {
		_, err := h.End(ctx, s.id, session.End{Reason: session.ReasonPolicy, At: session.Millis(h.clock.Now())})
		return err
	}
	h.schedule(s)
	return nil
}

// Policies are the ones in force.
func (h *Hub) Policies() session.Policies {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.policies
}
