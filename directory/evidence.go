package directory

import (
	"errors"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// serverView is one server as a comparison sees it: a connection, and what the server has been
// found to show. Whether something is missing, or hidden from the service account, is judged by
// that.
type serverView struct {
	*link
	err error // why it cannot be looked at

	mu            sync.Mutex
	provesAbsence *bool           // whether its answers tell what is absent from what is hidden
	ownDN         *string         // the folded DN of the service account's own entry; empty if not known
	peopleSeen    map[string]bool // by the folded DN of a place: whether anybody is shown there
	groupsSeen    *bool           // whether any group is shown
}

// showsPeople reports whether the server shows any person but the service account in the place in
// the tree where dn is or was. If it shows nobody there, an entry may be hidden as well as deleted.
func (v *serverView) showsPeople(d *Directory, dn string) (bool, error) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) < 2 {
		return false, nil
	}
	parsed.RDNs = parsed.RDNs[1:]
	place := parsed.String()
	v.mu.Lock()
	defer v.mu.Unlock()
	if seen, ok := v.peopleSeen[foldDN(place)]; ok {
		return seen, nil
	}
	seen, err := v.showsOtherLocked(d, place, d.peopleFilter())
	if err == nil && !seen {
		seen, err = v.isEmpty(place)
	}
	if err != nil {
		return false, err
	}
	if v.peopleSeen == nil {
		v.peopleSeen = make(map[string]bool)
	}
	v.peopleSeen[foldDN(place)] = seen
	return seen, nil
}

// peopleFilter is a filter that matches people.
func (d *Directory) peopleFilter() string {
	if filter, ok := wildcard(d.config.UserFilter); ok {
		return filter
	}
	return "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))"
}

// saysAbsent reports whether the server says that there is no entry at dn, by naming the nearest
// one above it (RFC 4511 §4.1.9), and shows other people below that one. OpenLDAP names it only if
// there is no entry at dn; if there is one that it hides, it names none. Other servers name it in
// either case, or never, so they are not asked.
func (v *serverView) saysAbsent(d *Directory, dn string) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if exact, err := v.provesAbsenceLocked(); err != nil || !exact {
		return false, err
	}
	_, err := v.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)", []string{"1.1"}, nil))
	var answer *ldap.Error
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || !errors.As(err, &answer) {
		if err != nil {
			err = unavailable("look at "+dn, err)
		}
		return false, err
	}
	here, err1 := ldap.ParseDN(dn)
	above, err2 := ldap.ParseDN(answer.MatchedDN)
	if err1 != nil || err2 != nil || len(above.RDNs) == 0 || !above.AncestorOfFold(here) {
		return false, nil
	}
	return v.showsOtherLocked(d, answer.MatchedDN, d.peopleFilter())
}

// provesAbsenceLocked reports whether the server is OpenLDAP, whose answers tell what is absent
// from what is hidden.
func (v *serverView) provesAbsenceLocked() (bool, error) {
	if v.provesAbsence == nil {
		dns, err := v.visible("", ldap.ScopeBaseObject, "(objectClass=OpenLDAProotDSE)", 1)
		if err != nil {
			return false, err
		}
		exact := len(dns) > 0
		v.provesAbsence = &exact
	}
	return *v.provesAbsence, nil
}

// showsGroups reports whether the server shows anybody's membership in a group, in the way in which
// the person's groups are found.
func (v *serverView) showsGroups(d *Directory, found *ldap.Entry) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.groupsSeen != nil {
		return *v.groupsSeen, nil
	}
	var seen bool
	var err error
	if d.config.GroupFilter == "" {
		if seen, err = v.showsAny(d.config.GroupBaseDN, "(objectClass=*)", false); err == nil && seen &&
			len(found.GetEqualFoldAttributeValues("memberOf")) == 0 {
			seen, err = v.showsOtherLocked(d, d.config.BaseDN, "(memberOf=*)")
		}
	} else {
		filter, ok := wildcard(d.config.GroupFilter)
		if !ok {
			filter = "(|(member=*)(uniqueMember=*)(memberUid=*))"
		}
		seen, err = v.showsAny(d.config.GroupBaseDN, filter, true)
		if err == nil && !seen {
			seen, err = v.isEmpty(d.config.GroupBaseDN)
		}
	}
	if err != nil {
		return false, err
	}
	v.groupsSeen = &seen
	return seen, nil
}

// showsAny reports whether the server shows an entry at base or, if below is set, anywhere from
// there down.
func (v *serverView) showsAny(base, filter string, below bool) (bool, error) {
	scope := ldap.ScopeBaseObject
	if below {
		scope = ldap.ScopeWholeSubtree
	}
	dns, err := v.visible(base, scope, filter, 1)
	return len(dns) > 0, err
}

// visible lists the DNs of at most so many entries that the server shows at base, or below it.
func (v *serverView) visible(base string, scope int, filter string, most int) ([]string, error) {
	result, err := v.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, most,
		int(requestTimeout.Seconds()), false, filter, []string{"1.1"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, nil
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, unavailable("look at "+base, err)
	case result == nil:
		return nil, nil
	}
	var dns []string
	for _, e := range result.Entries {
		dns = append(dns, e.DN)
	}
	return dns, nil
}

// showsOtherLocked reports whether the server shows an entry from base down that is not the service
// account's own. Many servers show an account itself whatever else they hide, so that is no
// evidence. If the own entry is not known, a single entry may be it.
func (v *serverView) showsOtherLocked(d *Directory, base, filter string) (bool, error) {
	dns, err := v.visible(base, ldap.ScopeWholeSubtree, filter, 2)
	if err != nil || len(dns) != 1 || d.config.BindDN == "" {
		return len(dns) > 0, err
	}
	if v.ownDN == nil {
		own := v.whoAmI(d.config.BindDN)
		v.ownDN = &own
	}
	return *v.ownDN != "" && foldDN(dns[0]) != *v.ownDN, nil
}

// whoAmI is the folded DN of the service account's own entry: the name that it binds as or, if that
// is no DN, as with Active Directory, what the server says (RFC 4532). It is empty if the server
// says no DN.
func (v *serverView) whoAmI(bindDN string) string {
	if parsed, err := ldap.ParseDN(bindDN); err == nil && len(parsed.RDNs) > 0 {
		return foldDN(bindDN)
	}
	answer, err := v.WhoAmI(nil)
	if err != nil {
		return ""
	}
	dn, ok := strings.CutPrefix(answer.AuthzID, "dn:")
	if parsed, err := ldap.ParseDN(dn); !ok || err != nil || len(parsed.RDNs) == 0 {
		return ""
	}
	return foldDN(dn)
}

// isEmpty reports whether the server says that nothing is below base, not even entries that it
// hides.
func (v *serverView) isEmpty(base string) (bool, error) {
	result, err := v.Search(ldap.NewSearchRequest(base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1,
		int(requestTimeout.Seconds()), false, "(objectClass=*)",
		[]string{"hasSubordinates", "numSubordinates", "msDS-Approx-Immed-Subordinates"}, nil))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return false, nil
	case err != nil:
		return false, unavailable("look at "+base, err)
	case len(result.Entries) != 1:
		return false, nil
	}
	e := result.Entries[0]
	return strings.EqualFold(e.GetEqualFoldAttributeValue("hasSubordinates"), "false") ||
		e.GetEqualFoldAttributeValue("numSubordinates") == "0" ||
		e.GetEqualFoldAttributeValue("msDS-Approx-Immed-Subordinates") == "0", nil
}

// isAnswer reports whether err is the server's answer to one question, so that other questions may
// still be answered.
func (v *serverView) isAnswer(err error) bool {
	var answer *ldap.Error
	return !v.IsClosing() && errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork &&
		!ldap.IsErrorAnyOf(err, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultOperationsError)
}
