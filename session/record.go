package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors that callers branch on. Stores wrap them with where it happened.
var (
	ErrNotFound    = errors.New("no such session")                        // never was, or ended over 24 h ago
	ErrEnded       = errors.New("session has ended")                      // Record.End says why
	ErrConflict    = errors.New("session was changed by another request") // the version did not match
	ErrNotDue      = errors.New("session is not due to end")              // the activity the store knows keeps it
	ErrTooLate     = errors.New("the forced logout has taken effect, and no block of it is left")
	ErrExists      = errors.New("session exists")                                  // Create with an ID in use
	ErrNewerFormat = errors.New("record was written by a newer version of curfew") // refuse, never guess
)

// TombstoneFor is how long an ended session is remembered with its reason.
const TombstoneFor = 24 * time.Hour

// KnownFor is how long an address counts as one from which a name has signed in before.
const KnownFor = 30 * 24 * time.Hour

// Record is one session: one sign-in of one user in one browser. Its times are UTC in whole
// milliseconds. Its fields stand under one heading for each owner.
//
//nolint:structlen // it is copied and stored as a whole; a struct for each owner helps no use
type Record struct {
	// Set by the sign-in, and never changed.
	ID        ID
	Login     string // the name as it was typed, trimmed (folded in older records): the directory is asked by it again
	Address   string // of the browser
	Agent     string // User-Agent of the browser
	CreatedAt time.Time
	// last revocation from before the sign-in asked the directory; a higher one in scope ends the
	// session
	SeenRevocation int64
	Before         ID   // the session that the browser had before; the zero ID for none that is known
	Continues      bool // that one was of the same user

	// What the directory said of the user at the sign-in.
	User            string // canonical name
	Name            string // for display
	Email           string // may be empty
	DN              string // distinguished name of the entry
	Identity        string // stable identity (entryUUID, objectGUID), which outlives a rename
	PasswordChanged string // when the password was changed, as the directory writes it; empty if it does not say

	// The rules; see Store.SetRules.
	Groups   []Group       // of the user, as the directory last said
	Former   []FormerGroup // left by the user, while forced logouts of them may still end the session
	Policy   Policy        // what the settings say for these groups
	Revision int64         // of these three

	// What the hub observes; see Store.Touch and Store.Leave.
	LastActiveAt time.Time
	Tabs         TabTimes
	LeftAt       time.Time // when the last tab was closed; zero while a tab may be open. It follows from Tabs

	// Of the application; see Store.Save.
	Version int64 // of Values
	Values  []byte

	// The end.
	End *End // nil while the session lives
	// the one that ends the session first, nil if none does. It is not stored: whoever judges a
	// record looks it up among the revocations
	Revocation *Revocation
}

// Group is a group of a session's user.
type Group struct {
	Name string `json:"name"`
	// last revocation from before the user joined the group; a higher one of the group ends the
	// session
	SeenRevocation int64 `json:"seen_fact,omitempty"`
}

// FormerGroup is a group that a session's user has left. A forced logout from while the user was a
// member still ends the session: nobody evades one by leaving a group.
type FormerGroup struct {
	Name           string `json:"name"`
	SeenRevocation int64  `json:"seen_fact,omitempty"` // as in Group
	Until          int64  `json:"until,omitempty"`     // the last revocation that counts; 0 while unknown: all count
}

// Rules are what a session is judged by, apart from what its user does. A change in the directory
// or in the settings replaces them; see [Store.SetRules].
type Rules struct {
	Groups []Group
	Former []FormerGroup
	Policy Policy
}

// Rules returns the session's rules. They share memory with r.
func (r *Record) Rules() Rules { return Rules{r.Groups, r.Former, r.Policy} }

// Equal reports whether r and other are the same. Names count to the letter here.
func (r Rules) Equal(other Rules) bool {
	return r.Policy == other.Policy && slices.Equal(r.Groups, other.Groups) && slices.Equal(r.Former, other.Former)
}

// End says how a session ended. It is stored in the session's tombstone: as a code with its data,
// which each reader puts into words of their own language. Only what an administrator wrote is kept
// as text.
type End struct {
	Reason Reason    `json:"reason"`
	At     time.Time `json:"at"`              // a deadline, where the session ended by time
	Actor  string    `json:"actor,omitempty"` // who ended it, if a person did
	// plain text for the user, by whoever ended the session. Earlier versions kept their own
	// sentences here; see AdminText
	Message string `json:"message,omitempty"`
	// what a sentence for the user needs beside the reason. Copies of an end share it, so nobody
	// changes it. For replaced it is Record.From of the sign-in that took its place; DataBy says
	// what ended it where that is not plain from the reason
	Data map[string]string `json:"data,omitempty"`
	// for the audit trail alone: why the directory ended it, or which failure, in one word and in
	// English
	Cause  string `json:"cause,omitempty"`
	Detail string `json:"detail,omitempty"`
	// for the audit trail alone: the HTTP request that ended it, if one did; see WithRequest
	Request string `json:"request_id,omitempty"`
	// of a session that was replaced: its user goes on in the same browser
	Continued bool `json:"continued,omitempty"`
	// the user has signed out since, of a session that followed in the same browser: no page waits
	KeepOver bool `json:"keep_over,omitempty"`
}

// Text is what the user reads where nobody puts it into their language: the message, or a sentence
// of plain English.
func (e End) Text() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Reason == ReasonReplaced && e.Data["device"] != "" && e.Data[DataBy] != ByBrowser:
		return "You were signed out because of a newer sign-in: " + e.Data["device"] + ", " + e.Data["address"] + "."
	case e.Reason == ReasonLogout && e.Data[DataBy] == ByAccount:
		return "This session was ended from your account page, on another device or in another browser."
	case e.Reason == ReasonAdmin && e.Data[DataBy] == ByTesting:
		return "The server was reset for testing."
	}
	return e.Reason.Message()
}

// AdminText is what the administrator who ended the session wrote to its user; empty if they wrote
// nothing, or if nobody of the kind ended it.
func (e End) AdminText() string {
	if e.Reason != ReasonAdmin {
		return "" // a message is a sentence of an earlier version
	}
	return e.Message
}

// GroupNames lists the names of the user's groups.
func (r Record) GroupNames() []string {
	names := make([]string, len(r.Groups))
	for i, g := range r.Groups {
		names[i] = g.Name
	}
	return names
}

// Activity says that the user of a session acted at a time.
type Activity struct {
	ID ID
	At time.Time
}

// Millis cuts t to what a store keeps: UTC, whole milliseconds.
func Millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// recordFormat is the version that Encode writes. A reader refuses higher ones, because it cannot
// know what they mean.
const recordFormat = 1

// stored is a record at rest: times in Unix milliseconds, 0 for none.
//
//nolint:structlen // it is one flat JSON object, and has a field for each name there
type stored struct {
	Format          int           `json:"v"`
	User            string        `json:"user"`
	Name            string        `json:"name,omitempty"`
	Email           string        `json:"email,omitempty"`
	DN              string        `json:"dn,omitempty"`
	Identity        string        `json:"identity,omitempty"`
	Groups          []Group       `json:"groups,omitempty"`
	Former          []FormerGroup `json:"former_groups,omitempty"`
	Revision        int64         `json:"revision,omitempty"`
	PasswordChanged string        `json:"password_at,omitempty"`
	Login           string        `json:"login,omitempty"`
	Address         string        `json:"address,omitempty"`
	Agent           string        `json:"agent,omitempty"`
	Policy          Policy        `json:"policy"`
	SeenRevocation  int64         `json:"seen_fact,omitempty"`
	Before          []byte        `json:"before,omitempty"`
	Continues       bool          `json:"continues,omitempty"`
	CreatedAt       int64         `json:"created_at"`
	LastActiveAt    int64         `json:"last_active_at"`
	LeftAt          int64         `json:"left_at,omitempty"`
	OpenedAt        int64         `json:"opened_at,omitempty"`
	AskedAt         int64         `json:"asked_at,omitempty"`
	ClosedAt        int64         `json:"closed_at,omitempty"`
	Version         int64         `json:"version,omitempty"`
	Values          []byte        `json:"values,omitempty"`
	End             *End          `json:"end,omitempty"`
}

// Encode writes r for a store. The ID is the store's key and not part of it.
func (r Record) Encode() ([]byte, error) {
	var before []byte
	if r.Before != (ID{}) {
		before = r.Before[:]
	}
	return json.Marshal(stored{
		Format:          recordFormat,
		User:            r.User,
		Name:            r.Name,
		Email:           r.Email,
		DN:              r.DN,
		Identity:        r.Identity,
		Groups:          r.Groups,
		PasswordChanged: r.PasswordChanged,
		Former:          r.Former,
		Revision:        r.Revision,
		Login:           r.Login,
		Address:         r.Address,
		Agent:           r.Agent,
		Policy:          r.Policy,
		SeenRevocation:  r.SeenRevocation,
		Before:          before,
		Continues:       r.Continues,
		CreatedAt:       UnixMilli(r.CreatedAt),
		LastActiveAt:    UnixMilli(r.LastActiveAt),
		LeftAt:          UnixMilli(r.LeftAt),
		OpenedAt:        UnixMilli(r.Tabs.OpenedAt),
		AskedAt:         UnixMilli(r.Tabs.AskedAt),
		ClosedAt:        UnixMilli(r.Tabs.ClosedAt),
		Version:         r.Version,
		Values:          r.Values,
		End:             r.End,
	})
}

// Decode reads what [Record.Encode] wrote, of this version or an older one. ErrNewerFormat for a
// newer one.
func Decode(id ID, data []byte) (Record, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return Record{}, fmt.Errorf("decode session record: %w", err)
	}
	if s.Format > recordFormat {
		return Record{}, fmt.Errorf("decode session record of format %d: %w", s.Format, ErrNewerFormat)
	}
	if s.Format < 1 {
		return Record{}, fmt.Errorf("decode session record: no format")
	}
	tabs := TabTimes{FromUnixMilli(s.OpenedAt), FromUnixMilli(s.AskedAt), FromUnixMilli(s.ClosedAt)}
	tabs = tabs.Agreeing(FromUnixMilli(s.LeftAt))
	var before ID
	copy(before[:], s.Before)
	return Record{
		ID:              id,
		User:            s.User,
		Name:            s.Name,
		Email:           s.Email,
		DN:              s.DN,
		Identity:        s.Identity,
		Groups:          s.Groups,
		PasswordChanged: s.PasswordChanged,
		Former:          s.Former,
		Revision:        s.Revision,
		Login:           s.Login,
		Address:         s.Address,
		Agent:           s.Agent,
		Policy:          s.Policy,
		SeenRevocation:  s.SeenRevocation,
		Before:          before,
		Continues:       s.Continues,
		CreatedAt:       FromUnixMilli(s.CreatedAt),
		LastActiveAt:    FromUnixMilli(s.LastActiveAt),
		LeftAt:          FromUnixMilli(s.LeftAt),
		Tabs:            tabs,
		Version:         s.Version,
		Values:          s.Values,
		End:             s.End,
	}, nil
}

// UnixMilli is t as stores keep it: Unix milliseconds, 0 for the zero time.
func UnixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromUnixMilli reads what [UnixMilli] wrote.
func FromUnixMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
