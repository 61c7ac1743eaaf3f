package directory

import (
	"slices"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// change is an entry that was added, changed or deleted.
type change struct {
	dn       string // folded
	name     string // folded value of its RDN: a group's name
	identity string
	members  map[string]bool // folded DNs and names, where it is a group
}

func newChange(r ldap.Response) change {
	e := r.Entry()
	c := change{dn: foldDN(e.DN), members: make(map[string]bool)}
	if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		c.name = fold(dn.RDNs[0].Attributes[0].Value)
	}
	for _, control := range r.Controls() {
		if state, ok := control.(*ldap.ControlSyncState); ok {
			c.identity = state.EntryUUID.String()
		}
	}
	for _, name := range []string{"member", "uniqueMember"} {
		for _, v := range e.GetEqualFoldAttributeValues(name) {
			c.members[foldDN(v)] = true
		}
	}
	for _, v := range e.GetEqualFoldAttributeValues("memberUid") {
		c.members[fold(v)] = true
	}
	return c
}

// affectedBy selects the accounts that the changes may concern.
func affectedBy(changes []change, accounts []Account) []Account {
	return slices.DeleteFunc(accounts, func(a Account) bool {
		dn, user := foldDN(a.DN), fold(a.User)
		return !slices.ContainsFunc(changes, func(c change) bool {
			// A change in a group names the group's entry only: those are affected who were in it,
			// and those who are now.
			return a.Identity != "" && strings.EqualFold(a.Identity, c.identity) || dn == c.dn || c.members[dn] ||
				c.members[user] || slices.ContainsFunc(a.Groups, func(g string) bool { return fold(g) == c.name })
		})
	})
}

// maxBacklog bounds the changes that wait to be looked into; each member of a changed group counts
// as one. Beyond it everybody is checked instead.
const maxBacklog = 50_000

// backlog holds changes that the watcher has heard of and not looked into yet. Adding never waits.
type backlog struct {
	ready chan struct{} // holds one while there are any

	mu       sync.Mutex
	list     []change
	size     int  // of list, with members
	overflow bool // more than are kept
}

func newBacklog() *backlog { return &backlog{ready: make(chan struct{}, 1)} }

func (b *backlog) add(c change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size += 1 + len(c.members); b.size <= maxBacklog && !b.overflow {
		b.list = append(b.list, c)
	} else {
		b.list, b.overflow = nil, true
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take empties the backlog, so that a burst of changes, as of failed binds, leads to one check.
func (b *backlog) take() (list []change, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, all = b.list, b.overflow
	b.list, b.size, b.overflow = nil, 0, false
	return list, all
}
