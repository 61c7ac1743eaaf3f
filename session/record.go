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
// milliseconds.
type Record struct {
	ID       ID
	User     string        // canonical name, from the directory
	Name     string        // for display
	Email    string        // may be empty
	DN       string        // where the directory keeps the user
	Identity string        // stable identity in the directory (entryUUID, objectGUID); outlives a rename
	Groups   []Group       // of the user, as the directory last told
	Former   []FormerGroup // groups that the user has left while forced logouts of them may still be theirs
	Revision int64         // of Groups, Former and Policy; see Store.SetRules
	// when the password was last changed, as the directory writes it; empty if it does not say
	PasswordChanged string
	// the name as it was typed, trimmed (folded in older records); the directory is asked by it
	// again
	Login   string
	Address string // of the browser
	Agent   string // its User-Agent

	Policy Policy
	// number of the last revocation before the directory was asked; a higher one in scope ends
	// the session
	SeenRevocation int64
	CreatedAt      time.Time

	LastActiveAt time.Time
	LeftAt       time.Time // when its last tab was closed; zero while a tab may be open. It follows from Tabs
	Tabs         TabTimes

	Version int64  // of Values; see Store.Save
	Values  []byte // belongs to the application

	End *End // nil while the session lives

	// Revocation is the forced logout that ends the session first, nil if none covers it. It is not
	// stored: whoever judges a record looks it up among the revocations that cover it.
	Revocation *Revocation
}

// Group is a group of a session's user, with the number of the last revocation when the user
// joined it.
type Group struct {
	Name           string `json:"name"`
	SeenRevocation int64  `json:"seen_fact,omitempty"`
}

// FormerGroup is a group that a session's user has left. A forced logout that was answered while
// the user was a member ends the session all the same: leaving a group is no way round it.
type FormerGroup struct {
	Name           string `json:"name"`
	SeenRevocation int64  `json:"seen_fact,omitempty"` // as that of [Group]
	// number of the last revocation when the user had left; 0: that is not yet known, and every
	// revocation counts
	Until int64 `json:"until,omitempty"`
}

// Rules are what a session is judged by, beside what its person does: a change in the directory or
// in the settings replaces them.
type Rules struct {
	Groups []Group
	Former []FormerGroup
	Policy Policy
}

// Rules are those of the session.
func (r *Record) Rules() Rules { return Rules{r.Groups, r.Former, r.Policy} }

// Equal reports whether r and other are the same, names to the letter.
func (r Rules) Equal(other Rules) bool {
	return r.Policy == other.Policy && slices.Equal(r.Groups, other.Groups) && slices.Equal(r.Former, other.Former)
}

// End tells how a session ended.
type End struct {
	Reason  Reason    `json:"reason"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor,omitempty"`   // who ended it, where that was a person
	Message string    `json:"message,omitempty"` // plain text for the user; empty: the reason's own sentence
	Detail  string    `json:"detail,omitempty"`  // for the audit trail
}

// Text is what the user is told.
func (e End) Text() string {
	if e.Message != "" {
		return e.Message
	}
	return e.Reason.Message()
}

// GroupNames lists the names of the user's groups.
func (r Record) GroupNames() []string {
	names := make([]string, len(r.Groups))
	for i, g := range r.Groups {
		names[i] = g.Name
	}
	return names
}

// Activity says that the person of a session acted at a time.
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
