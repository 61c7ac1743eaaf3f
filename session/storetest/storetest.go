package storetest

import (
	"errors"
	"testing"
	"time"

	"curfew/session"
)

// start is a time in whole milliseconds, as stores keep it.
var start = time.Date(2026, 3, 29, 1, 59, 59, 987e6, time.UTC)

var policy = session.Policy{
	WarnAfter: 9 * time.Minute, ExpireAfter: 10 * time.Minute, MaxLifetime: 22 * time.Hour,
	CloseGrace: 20 * time.Second, ExtendOn: session.ExtendOnActivity,
}

// Record is a live session of a user, signed in at a fixed time.
func Record(user string) session.Record {
	return session.Record{
		ID:              session.NewToken().ID(),
		User:            user,
		Name:            "Name of " + user,
		Email:           user + "@example.org",
		DN:              "uid=" + user + ",dc=example",
		Identity:        "11111111-2222-3333-4444-555555555555",
		PasswordChanged: "20260101000000Z",
		Groups:          []session.Group{{Name: "staff", SeenRevocation: 7}, {Name: "Ünïcode, with comma"}},
		Login:           user,
		Address:         "192.0.2.1",
		Agent:           "Browser/1.0",
		Policy:          policy,
		SeenRevocation:  42,
		CreatedAt:       start,
		LastActiveAt:    start,
	}
}

// Run proves a store. open is called once for each case and must return an empty store; it may use
// t.Cleanup to close it.
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	cases := []struct {
		name string
		run  func(*testing.T, session.Store)
	}{
		{"a session comes back as it was created", roundTrip},
		{"an ID is used once, even after the end", createTwice},
		{"an unknown session is not found by any method", unknown},
		{"two ends: one is the first, and the first reason stays", endTwice},
		{"the sentence of an earlier version is kept, and is not the administrator's", formerEnd},
		{"many ends at once: exactly one is the first, with one audit line", endRace},
		{"an end that waits for its deadline leaves a session that is not due", endIfDue},
		{"a session is due when its policy says so, to the millisecond", dueRows},
		{"whatever happens to a session, in any order and at any times, follows the rules", states},
		{"nothing changes an ended session", endedIsFinal},
		{"a slow save cannot revive a session", saveRacesEnd},
		{"save needs the version that was read", saveConflict},
		{"touches arrive in any order, the later time wins", touchOrder},
		{"a touch after the deadline does not reach past the end", touchTooLate},
		{"touches racing an end", touchRacesEnd},
		{"pages of an ended session wait no longer once that is noted", endKeep},
		{"one more sign-in than the limit ends the oldest", limit},
		{"ends racing sign-ins leave nobody in the index who has ended", indexRace},
		{"sign-ins at once never exceed the limit", limitRace},
		{"a user is one user however the name is written", spellings},
		{"leaving and coming back", leave},
		{"rules can be replaced by whoever has read the newest", setRules},
		{"rules that are replaced at once are replaced one after the other", rulesRace},
		{"forced logouts are numbered and kept, with one audit line each", revocations},
		{"forced logouts at once get different numbers", revocationRace},
		{"a forced logout gets a number above all that its caller knows", revocationKnown},
		{"a forced logout is cancelled once", cancelRevocation},
		{"a forced logout that has taken effect is not cancelled, whatever the caller's clock says", cancelLate},
		{"a forced logout is forgotten when no session is older", pruneRevocations},
		{"a forced logout is kept as long as a page may wait that it takes away", pruneGraced},
		{"a forced logout of many sessions is one", revocationOfMany},
		{"the audit trail can be filtered", filteredAudit},
		{"live sessions are listed, ended ones not", live},
		{"ended sessions are listed as long as their pages wait", waiting},
		{"ended sessions of a user are listed however the name is written", waitingOfUser},
		{"ended sessions that are named are listed", waitingOfSessions},
		{"housekeeping forgets that pages wait when they wait no longer, not before", waitingPruned},
		{"the audit trail is numbered and pages backwards", audit},
		{"an audit line names the request that asked for what it tells of", auditRequests},
		{"what came since an instant is found beside lines of any date", auditOutOfOrder},
		{"failed sign-ins count by name, by address and by both", failures},
		{"an IPv6 network counts as one address", failuresIPv6},
		{"secrets are drawn once", secrets},
		{"housekeeping forgets tombstones and audit lines when their time has come, not before", prune},
		{"a session is aged alone, and judged and listed by its new age", age},
		{"an ended session is aged, and forgotten by its new age", ageEnded},
		{"a reset forgets all but the secrets", reset},
		{"a cancelled context is an error, not an answer", cancelled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func create(t *testing.T, s session.Store, r session.Record) session.Record {
	t.Helper()
	if displaced, err := s.Create(t.Context(), r, 0); err != nil || len(displaced) > 0 {
		t.Fatalf("Create = %v, %v, want none displaced and no error", displaced, err)
	}
	return r
}

func get(t *testing.T, s session.Store, id session.ID) session.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

func end(reason session.Reason, after time.Duration) session.End {
	return session.End{Reason: reason, At: start.Add(after)}
}

func mustEnd(t *testing.T, s session.Store, id session.ID, e session.End) {
	t.Helper()
	if first, err := s.End(t.Context(), id, e, time.Time{}); err != nil || !first {
		t.Fatalf("End = %v, %v, want the first end", first, err)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}
