package session

import (
	"errors"
	"fmt"
	"time"
)

// ExtendOn says what withdraws an idle warning.
type ExtendOn string

// The values of ExtendOn. Before the warning, acts extend the session in both.
const (
	ExtendOnActivity ExtendOn = "activity" // any act of the person
	ExtendOnConfirm  ExtendOn = "confirm"  // only the button, or Escape
)

// Policy says when a session warns and when it ends. A record carries its own copy, which a reload
// of the settings replaces. The zero value is no valid policy; see [Policy.Validate]. Stores keep
// the durations in whole milliseconds.
type Policy struct {
	// idle time until the warning; at least 20s before the end for real users (WCAG 2.2, SC 2.2.1)
	WarnAfter   time.Duration `json:"warn_after"`
	ExpireAfter time.Duration `json:"expire_after"`           // idle time until the end
	MaxLifetime time.Duration `json:"max_lifetime,omitempty"` // since sign-in; activity does not move it; 0 for none
	// how long the session outlives the closing of its last tab; 0 turns this off
	CloseGrace time.Duration `json:"close_grace,omitempty"`
	ExtendOn   ExtendOn      `json:"extend_on"`
	// of one user; the oldest ends when one too many signs in; 0 for no limit
	MaxSessions int `json:"max_sessions,omitempty"`
	// how long a page waits after an end by time for its user to sign in again; 0: not at all
	KeepPage time.Duration `json:"keep_page,omitempty"`
}

// MaxKeepPage is the longest that a page may wait: as long as a session is known after its end.
const MaxKeepPage = TombstoneFor

// MinLead is the least time that a person must have between a warning and the end (WCAG 2.2, SC
// 2.2.1).
const MinLead = 20 * time.Second

// Validate reports every mistake of p, joined. With testing, warnings may be shorter than
// [MinLead].
func (p Policy) Validate(testing bool) error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.WarnAfter <= 0 {
		refuse("warn-after %s: must be more than 0", p.WarnAfter)
	}
	switch lead := p.Lead(); {
	case lead <= 0:
		refuse("expire-after %s: must be more than warn-after (%s)", p.ExpireAfter, p.WarnAfter)
	case lead < MinLead && !testing:
		refuse("warn-after %s: must be at least %s before expire-after (%s), so that people can react (WCAG 2.2.1)",
			p.WarnAfter, MinLead, p.ExpireAfter)
	case p.MaxLifetime != 0 && p.MaxLifetime <= lead && !testing:
		refuse("max-lifetime %s: must be 0 or more than the time from warning to end (%s)", p.MaxLifetime, lead)
	}
	if p.MaxLifetime < 0 {
		refuse("max-lifetime %s: must be 0 (no limit) or more", p.MaxLifetime)
	}
	if p.CloseGrace < 0 {
		refuse("close-grace %s: must be 0 (off) or more", p.CloseGrace)
	}
	if p.MaxSessions < 0 {
		refuse("max-sessions %d: must be 0 (no limit) or more", p.MaxSessions)
	}
	if p.KeepPage < 0 || p.KeepPage > MaxKeepPage {
		refuse("keep-page %s: must be from 0 (pages do not wait) to %s", p.KeepPage, MaxKeepPage)
	}
	if p.ExtendOn != ExtendOnActivity && p.ExtendOn != ExtendOnConfirm {
		refuse("extend-on %q: must be activity or confirm", p.ExtendOn)
	}
	return errors.Join(errs...)
}

// Lead is the time from a warning to the end it warns of. It is the same for the idle timeout and
// the lifetime.
func (p Policy) Lead() time.Duration { return p.ExpireAfter - p.WarnAfter }

// HeartbeatEvery is the shortest time between two reports of activity by a page: a quarter of the
// time to the warning or of the lead, whichever is shorter, and 15 s at most.
func (p Policy) HeartbeatEvery() time.Duration {
	return max(time.Millisecond, min(15*time.Second, p.WarnAfter/4, p.Lead()/4))
}

// Slack is how far the deadlines that a tab knows may lie behind the true ones before the hub tells
// it the new ones.
func (p Policy) Slack() time.Duration { return min(time.Minute, p.ExpireAfter/10) }

// Phase is where a session stands.
type Phase int

// The phases, in the order in which a quiet session passes them.
const (
	Active Phase = iota
	Warning
	Expired
)

// At reports the phase of r at now, and the instant at which to look again: the end, or the
// beginning of a warning before it. Deadlines are inclusive: at the deadline itself r is Expired,
// and next is zero because nothing can happen to it any more. Whoever judges a session calls At; r
// must have its Revocation set.
func (p Policy) At(r *Record, now time.Time) (phase Phase, next time.Time) {
	end, _ := p.EndsAt(r)
	if r.Revocation.proven() || !now.Before(end) {
		return Expired, time.Time{}
	}
	if _, _, ok := p.Warning(r, now); ok {
		phase = Warning
	}
	own, _ := p.idleOrLifetime(r)
	if warn := own.Add(-p.Lead()); now.Before(warn) && warn.Before(end) {
		return phase, warn
	}
	return phase, end // nobody is warned of the end of a closed browser
}

// EndsAt is the instant at which r ends if nothing more happens, and the reason for that. A forced
// logout without a grace, or one that was seen to take effect, has ended it already, whatever
// instant it names; see [Policy.At].
//
// The rule without its forced logout stands again in Lua, where Redis judges by its own clock: due,
// in redis/scripts.go. session/bolt calls this function. storetest.DueRows holds all three to the
// same answers.
func (p Policy) EndsAt(r *Record) (end time.Time, why Reason) {
	if r.Revocation.proven() {
		return r.Revocation.EffectiveAt, ReasonAdmin
	}
	end, why = p.WarnedEnd(r)
	if p.CloseGrace > 0 && !r.LeftAt.IsZero() {
		if at := r.LeftAt.Add(p.CloseGrace); at.Before(end) {
			return at, ReasonBrowserClosed
		}
	}
	return end, why
}

// WarnedEnd is the end that people are warned of: the earliest of the idle timeout, the absolute
// lifetime and a forced logout.
func (p Policy) WarnedEnd(r *Record) (end time.Time, why Reason) {
	end, why = p.idleOrLifetime(r)
	if r.Revocation != nil && !r.Revocation.EffectiveAt.After(end) {
		return r.Revocation.EffectiveAt, ReasonAdmin
	}
	return end, why
}

// idleOrLifetime is the earlier of the idle timeout and the absolute lifetime.
func (p Policy) idleOrLifetime(r *Record) (end time.Time, why Reason) {
	end, why = r.LastActiveAt.Add(p.ExpireAfter), ReasonIdle
	if p.MaxLifetime > 0 {
		if at := r.CreatedAt.Add(p.MaxLifetime); at.Before(end) {
			return at, ReasonLifetime
		}
	}
	return end, why
}

// Warning is the warning that shows at now: of several, the one of the earliest end. The warning of
// a forced logout shows from its beginning. ok is false if none shows.
func (p Policy) Warning(r *Record, now time.Time) (why Reason, end time.Time, ok bool) {
	end, why = p.idleOrLifetime(r)
	if r.Revocation.proven() {
		return why, end, false // it is over: nobody is warned
	}
	ok = !now.Before(end.Add(-p.Lead())) && now.Before(end)
	f := r.Revocation
	if f != nil && now.Before(end) && now.Before(f.EffectiveAt) && (!ok || !f.EffectiveAt.After(end)) {
		return ReasonAdmin, f.EffectiveAt, true
	}
	return why, end, ok
}

// Stricter returns the stricter one of each value of p and q: the smaller one, where 0 means
// unlimited but for KeepPage, and confirm rather than activity.
func (p Policy) Stricter(q Policy) Policy {
	return Policy{
		WarnAfter:   min(p.WarnAfter, q.WarnAfter),
		ExpireAfter: min(p.ExpireAfter, q.ExpireAfter),
		MaxLifetime: leastLimit(p.MaxLifetime, q.MaxLifetime),
		CloseGrace:  leastLimit(p.CloseGrace, q.CloseGrace),
		ExtendOn:    strictest(p.ExtendOn, q.ExtendOn),
		MaxSessions: leastLimit(p.MaxSessions, q.MaxSessions),
		KeepPage:    min(p.KeepPage, q.KeepPage),
	}
}

func leastLimit[T time.Duration | int](a, b T) T {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	}
	return min(a, b)
}

func strictest(a, b ExtendOn) ExtendOn {
	if a == ExtendOnConfirm || b == ExtendOnConfirm {
		return ExtendOnConfirm
	}
	return ExtendOnActivity
}

// Policies are the policy for everybody and those of groups.
type Policies struct {
	Global Policy
	Groups []GroupPolicy
}

// GroupPolicy is the policy of a group. Values that its entry leaves out are filled in from the
// global policy already.
type GroupPolicy struct {
	Group string
	Policy
}

// For returns the policy of a user with these groups: the global one if no group has an entry,
// otherwise the strictest of each value among the entries, even if that is laxer than the global
// one.
func (ps Policies) For(groups []string) Policy {
	var p Policy
	found := false
	for _, entry := range ps.Groups {
		switch {
		case !HasName(groups, entry.Group):
		case !found:
			p, found = entry.Policy, true
		default:
			p = p.Stricter(entry.Policy)
		}
	}
	if !found {
		return ps.Global
	}
	return p
}

// Validate checks what the entries of several groups give together for a user who is in all of
// them. It reports each smallest set of groups whose mixture is a mistake although every entry is
// valid. Only the lifetime can go wrong so: that of one group may be shorter than the time from the
// warning of a second to the end of a third.
func (ps Policies) Validate(testing bool) error {
	var errs []error
	refused := make(map[[2]int]bool)
	together := func(i, j, k int) {
		p := ps.Groups[i].Stricter(ps.Groups[j].Policy).Stricter(ps.Groups[k].Policy)
		err := p.Validate(testing)
		if err == nil || refused[[2]int{i, j}] || refused[[2]int{i, k}] || refused[[2]int{j, k}] {
			return
		}
		names := fmt.Sprintf("%s and %s", ps.Groups[i].Group, ps.Groups[k].Group)
		if j == k {
			refused[[2]int{i, k}] = true
		} else {
			names = fmt.Sprintf("%s, %s and %s", ps.Groups[i].Group, ps.Groups[j].Group, ps.Groups[k].Group)
		}
		errs = append(errs, fmt.Errorf("members of the groups %s at once: %w", names, err))
	}
	for i := range ps.Groups {
		for j := range i {
			together(j, i, i)
		}
	}
	for i := range ps.Groups {
		for j := range i {
			for k := range j {
				together(k, j, i)
			}
		}
	}
	return errors.Join(errs...)
}

// MinLead is the shortest time from warning to end of all policies.
func (ps Policies) MinLead() time.Duration {
	lead := ps.Global.Lead()
	for _, g := range ps.Groups {
		lead = min(lead, g.Lead())
	}
	return lead
}

// A Profile is a named preset of the seven values of a policy.
type Profile struct {
	Name string
	Policy
}

// DefaultProfile is the profile of a server that names none.
const DefaultProfile = "default"

// Profiles are the presets, in the order in which they are documented. Sources: NIST SP
// 800-63B-4 §2.2.3 and §2.3.3, PCI DSS 4.0.1 8.2.8, HIPAA 45 CFR 164.312(a)(2)(iii).
func Profiles() []Profile {
	const keep = 4 * time.Hour
	preset := func(name string, warn, expire, lifetime, keep time.Duration) Profile {
		return Profile{name, Policy{
			WarnAfter:   warn,
			ExpireAfter: expire,
			MaxLifetime: lifetime,
			CloseGrace:  20 * time.Second,
			ExtendOn:    ExtendOnActivity,
			KeepPage:    keep,
		}}
	}
	kiosk := preset("kiosk", 90*time.Second, 2*time.Minute, 8*time.Hour, 0)
	kiosk.ExtendOn, kiosk.MaxSessions = ExtendOnConfirm, 1
	return []Profile{
		preset(DefaultProfile, 9*time.Minute, 10*time.Minute, 22*time.Hour, keep),
		preset("nist-aal2", 55*time.Minute, 60*time.Minute, 22*time.Hour, keep),
		preset("nist-aal3", 13*time.Minute, 15*time.Minute, 12*time.Hour, 0),
		preset("pci", 13*time.Minute, 15*time.Minute, 12*time.Hour, keep),
		preset("hipaa", 13*time.Minute, 15*time.Minute, 12*time.Hour, 0),
		kiosk,
	}
}
