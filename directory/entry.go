package directory

import (
	"cmp"
	"encoding/hex"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// attributes are what is asked of a person's entry.
func (d *Directory) attributes() []string {
	return append([]string{d.config.UserAttribute, "cn", "displayName", "mail", "title", "telephoneNumber", "memberOf",
		"entryUUID", "objectGUID", "nsUniqueId"}, stateAttributes...)
}

// entry reads a person's entry. Groups are left out.
func (d *Directory) entry(e *ldap.Entry) Entry {
	found := Entry{
		User: choose(e, d.config.UserAttribute), Name: cmp.Or(choose(e, "displayName"), choose(e, "cn")), Email: choose(e, "mail"),
		Title: choose(e, "title"), Phone: choose(e, "telephoneNumber"), DN: e.DN, Identity: identity(e),
	}
	if changes := passwordChanges(e); len(changes) > 0 {
		found.PasswordChanged = changes[0]
	}
	return found
}

// identity is what stays the same of an entry whatever it is called, empty if it cannot be read.
func identity(e *ldap.Entry) string {
	guid := ""
	for _, raw := range e.GetEqualFoldRawAttributeValues("objectGUID") {
		if text := hex.EncodeToString(raw); guid == "" || text < guid {
			guid = text
		}
	}
	return cmp.Or(choose(e, "entryUUID"), guid, choose(e, "nsUniqueId"))
}

// groups are the names of the user's groups, by search and by memberOf. A group base that is not there, or not to be read, says
// nothing about anybody's groups: ErrUnavailable.
func (d *Directory) groups(conn *ldap.Conn, found *ldap.Entry, user string) ([]string, error) {
	var names []string
	add := func(dn string) {
		if name, ok := d.groupName(dn); ok {
			names = append(names, name)
		}
	}
	if d.config.GroupFilter != "" {
		result, err := conn.SearchWithPaging(ldap.NewSearchRequest(d.config.GroupBaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
			0, int(requestTimeout.Seconds()), false, fill(d.config.GroupFilter, user, found.DN), []string{"cn"}, nil), 500)
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
