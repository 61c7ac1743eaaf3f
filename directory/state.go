package directory

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// passwordAttributes say when a password was last changed: in OpenLDAP with ppolicy, Active
// Directory, FreeIPA and 389-DS.
var passwordAttributes = []string{"pwdChangedTime", "pwdLastSet", "krbLastPwdChange", "pwdUpdateTime"}

// stateAttributes say whether an account may be used. They are requested by name because most are
// operational.
var stateAttributes = append([]string{"pwdAccountLockedTime", "pwdStartTime", "pwdEndTime", "userAccountControl",
	"accountExpires", "nsAccountLock", "krbPrincipalExpiration", "shadowExpire"}, passwordAttributes...)

// passwordChanges lists when the password was last changed, in the directory's own notation, by
// each attribute that says so.
func passwordChanges(e *ldap.Entry) []string {
	var list []string
	for _, name := range passwordAttributes {
		if at := e.GetEqualFoldAttributeValue(name); at != "" {
			list = append(list, at)
		}
	}
	return list
}

// changedSince reports whether a password was changed after before, as far as the values of now can
// tell. A value says nothing if it is empty, cannot be read or has another notation. An older time
// comes from a server that lags behind.
func changedSince(was string, now []string) bool {
	before, written := passwordTime(was)
	if written == none || slices.Contains(now, was) {
		return false
	}
	moved := false
	for _, value := range now {
		at, n := passwordTime(value)
		if n != written {
			continue
		}
		if n == general && (before.Nanosecond() == 0 || at.Nanosecond() == 0) { // not every server writes fractions
			at, before = at.Truncate(time.Second), before.Truncate(time.Second)
		}
		if at.Equal(before) {
			return false
		}
		moved = moved || at.After(before)
	}
	return moved
}

// notation is how a time is written.
type notation int

const (
	none    notation = iota // no time
	general                 // generalizedTime
	counted                 // ticks
)

func passwordTime(value string) (time.Time, notation) {
	if at, err := generalizedTime(value); err == nil {
		return at, general
	}
	if at, ok := ticks(value); ok {
		return at, counted
	}
	return time.Time{}, none
}

// mustChange reports whether Active Directory demands a new password before the next sign-in:
// pwdLastSet is 0, and the password may expire. At a sign-in the bind decides that; here it matters
// for those who are signed in.
func mustChange(e *ldap.Entry) bool {
	const dontExpirePassword = 0x10000 // MS-ADTS 2.2.16
	flags, _ := strconv.ParseInt(e.GetEqualFoldAttributeValue("userAccountControl"), 10, 64)
	return e.GetEqualFoldAttributeValue("pwdLastSet") == "0" && flags&dontExpirePassword == 0
}

// lockedBy says why an account may not be used at now, as OpenLDAP with ppolicy, Active Directory,
// 389-DS, FreeIPA and shadow accounts record it. It is empty if the account may be used. What is
// missing or cannot be read says nothing.
func lockedBy(e *ldap.Entry, now time.Time) string {
	value := e.GetEqualFoldAttributeValue
	if at, err := generalizedTime(value("pwdAccountLockedTime")); err == nil && at.Year() == 0 {
		// a lock for failed binds ends by itself: the bind has judged it
		return "locked by an administrator (pwdAccountLockedTime)"
	}
	const accountDisabled = 0x2 // MS-ADTS 2.2.16
	if flags, err := strconv.ParseInt(value("userAccountControl"), 10, 64); err == nil && flags&accountDisabled != 0 {
		return "disabled (userAccountControl)"
	}
	if strings.EqualFold(value("nsAccountLock"), "true") {
		return "disabled (nsAccountLock)"
	}
	if at, ok := ticks(value("accountExpires")); ok && !now.Before(at) {
		return "expired (accountExpires)"
	}
	for _, name := range []string{"pwdEndTime", "krbPrincipalExpiration"} {
		// Kerberos writes 1970 for never
		if at, err := generalizedTime(value(name)); err == nil && !now.Before(at) && at.Unix() != 0 {
			return "expired (" + name + ")"
		}
	}
	if at, ok := days(value("shadowExpire")); ok && !now.Before(at) {
		return "expired (shadowExpire)"
	}
	if at, err := generalizedTime(value("pwdStartTime")); err == nil && now.Before(at) {
		return "not in use yet (pwdStartTime)"
	}
	return ""
}
