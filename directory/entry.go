package directory

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// attributes lists the attributes that are requested of a person's entry.
func (d *Directory) attributes() []string {
	return append([]string{d.config.UserAttribute, "cn", "displayName", "mail", "title", "telephoneNumber", "memberOf",
		"entryUUID", "objectGUID", "nsUniqueId"}, stateAttributes...)
}

// entry reads a person's entry, without their groups.
func (d *Directory) entry(e *ldap.Entry) Entry {
	found := Entry{
		User:  chooseValue(e, d.config.UserAttribute),
		Name:  cmp.Or(chooseValue(e, "displayName"), chooseValue(e, "cn")),
		Email: chooseValue(e, "mail"),
		Title: chooseValue(e, "title"),
		Phone: chooseValue(e, "telephoneNumber"),
		DN:    e.DN,
	}
	if ids := identities(e); len(ids) > 0 {
		found.Identity = ids[0]
	}
	if changes := passwordChanges(e); len(changes) > 0 {
		found.PasswordChanged = changes[0]
	}
	return found
}

// identities lists the values that an entry keeps when it is renamed, as far as they can be read.
// The first one is reported.
func identities(e *ldap.Entry) []string {
	list := e.GetEqualFoldAttributeValues("entryUUID")
	for _, raw := range e.GetEqualFoldRawAttributeValues("objectGUID") {
		list = append(list, hex.EncodeToString(raw))
	}
	return append(list, e.GetEqualFoldAttributeValues("nsUniqueId")...)
}

// isDifferentEntry reports whether an entry with the identities of now is known to be another one
// than before. An identity that cannot be read, or is of another kind, says nothing.
func isDifferentEntry(before string, now []string) bool {
	other := false
	for _, id := range now {
		if strings.EqualFold(before, id) {
			return false
		}
		other = other || before != "" && len(before) == len(id) && strings.Count(before, "-") == strings.Count(id, "-")
	}
	return other
}

// groups lists the names of a user's groups, by search and by memberOf. If the group base does not
// exist or cannot be read, it fails with ErrUnavailable: that says nothing about anybody's groups.
func (d *Directory) groups(conn *ldap.Conn, found *ldap.Entry, user string) ([]string, error) {
	var names []string
	add := func(dn string) {
		if name, ok := d.groupName(dn); ok {
			names = append(names, name)
		}
	}
	if d.config.GroupFilter != "" {
		result, err := conn.SearchWithPaging(ldap.NewSearchRequest(d.config.GroupBaseDN, ldap.ScopeWholeSubtree,
			ldap.NeverDerefAliases, 0, int(requestTimeout.Seconds()), false, fill(d.config.GroupFilter, user, found.DN),
			[]string{"cn"}, nil), 500)
		if err != nil {
			return nil, unavailable(fmt.Sprintf("search groups below %q", d.config.GroupBaseDN), err)
		}
		for _, e := range result.Entries {
			add(e.DN)
		}
	}
	for _, dn := range found.GetEqualFoldAttributeValues("memberOf") {
		add(dn)
	}
	return uniqueNames(names), nil
}
