package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/session"
	"curfew/views"
)

// reloader reads the settings again at each hangup, and applies those that need no restart.
// Mistakes in them change nothing. Passive paths and API tokens lie in memory and hold at once, so
// that a leaked token dies even while the store is away. Policies are stored with each session:
// applying them is tried until it works. [reloader.run] is its only entry point, and owns its
// goroutine.
type reloader struct {
	load  func() (*config, error)
	hub   *hub.Hub
	web   *views.Server
	trail views.AuditTrail
	clock session.Clock
	log   *slog.Logger

	told    session.Policies  // the policies that the audit trail has been told of
	wanted  *session.Policies // policies to be applied; nil once all sessions have them
	changed int               // sessions that the wanted policies have changed so far
	failed  bool              // the log has been told that applying is tried again
}

// reloadAgain is how long after a failure the policies are applied again.
const reloadAgain = 2 * time.Second

// run reloads at each hangup, until ctx ends. Policies are applied in a goroutine beside it, so
// that it hears the next hangup at once, also while the store is slow. It waits for that goroutine.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	again := time.NewTimer(0)
	defer again.Stop()
	var applied chan error // nil: nothing is under way
	var policies *session.Policies
	for {
		select {
		case <-ctx.Done():
			if applied != nil {
				<-applied
			}
			return
		case <-hangup:
			if r.read() {
				again.Reset(0)
			}
		case <-again.C:
			if applied == nil && r.wanted != nil {
				policies, applied = r.wanted, make(chan error, 1)
				go func() { applied <- r.apply(ctx, *policies) }()
			}
		case err := <-applied:
			applied = nil
			again.Reset(r.settle(policies, err))
		}
	}
}

// read reads the settings and applies what needs no store. It reports whether they had no mistakes.
func (r *reloader) read() bool {
	cfg, err := r.load()
	if err != nil {
		r.log.Error("settings not reloaded: they have mistakes", "error", err)
		return false
	}
	r.web.SetPassive(cfg.sessions.passivePaths)
	r.web.SetTokens(cfg.operation.tokens)
	r.wanted = &cfg.sessions.policies
	return true
}

// settle takes note of how applying policies went. It returns after how long run applies the wanted
// ones, which may be newer.
func (r *reloader) settle(policies *session.Policies, err error) time.Duration {
	if err != nil {
		if !r.failed {
			r.log.Error("policies not applied to all sessions: that is tried until it works", "error", err)
		}
		r.failed = true
		return reloadAgain
	}
	r.log.Info("settings reloaded: policies, passive paths and API tokens; all others need a restart",
		"sessions_changed", r.changed)
	r.failed, r.changed = false, 0
	if r.wanted == policies {
		r.wanted = nil
	}
	return 0
}

// apply gives policies to all sessions, and writes to the audit trail what has changed.
func (r *reloader) apply(ctx context.Context, policies session.Policies) error {
	changed, err := r.hub.Reload(ctx, policies)
	r.changed += changed
	if err != nil {
		return err
	}
	if what, data := policyChanges(r.told, policies); what != "" {
		data[session.DataSessions] = strconv.Itoa(r.changed)
		e := session.Event{
			At:     session.Millis(r.clock.Now()),
			Kind:   session.EventPolicy,
			Detail: fmt.Sprintf("%s; %d sessions changed", what, r.changed),
			Data:   data,
		}
		if err := r.trail.Append(ctx, e); err != nil {
			return fmt.Errorf("audit line not stored: %w", err)
		}
	}
	r.told = policies
	return nil
}

// policyChanges tells what a reload has changed, in one line, empty if nothing, and as the data of
// an audit line.
func policyChanges(before, after session.Policies) (what string, data map[string]string) {
	old, now := policyValues(before), policyValues(after)
	var changes []string
	data = make(map[string]string)
	for name, v := range now {
		if old[name] != v {
			data["now "+name] = v
			if was, known := old[name]; known {
				data["was "+name] = was
			}
			changes = append(changes, fmt.Sprintf("%s %s became %s", name, cmp.Or(old[name], "(none)"), v))
		}
	}
	for name, v := range old {
		if _, stays := now[name]; !stays {
			data["was "+name] = v
			changes = append(changes, fmt.Sprintf("%s %s was removed", name, v))
		}
	}
	slices.Sort(changes)
	return strings.Join(changes, ", "), data
}

// policyValues are the values of all policies, each under the name of its policy and its setting.
func policyValues(ps session.Policies) map[string]string {
	values := make(map[string]string)
	note := func(of string, p session.Policy) {
		values[of+" warn-after"] = p.WarnAfter.String()
		values[of+" expire-after"] = p.ExpireAfter.String()
		values[of+" max-lifetime"] = p.MaxLifetime.String()
		values[of+" close-grace"] = p.CloseGrace.String()
		values[of+" extend-on"] = string(p.ExtendOn)
		values[of+" max-sessions"] = strconv.Itoa(p.MaxSessions)
		values[of+" keep-page"] = p.KeepPage.String()
	}
	note("global", ps.Global)
	for _, g := range ps.Groups {
		note("group "+g.Group, g.Policy)
	}
	return values
}
