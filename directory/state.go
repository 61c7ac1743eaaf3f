package directory

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// stateAttributes tell that an account may not be used. They are asked for by name because most are operational.
var stateAttributes = []string{"pwdAccountLockedTime", "pwdEndTime", "userAccountControl", "accountExpires", "nsAccountLock", "krbPrincipalExpiration",
	"pwdChangedTime", "pwdLastSet", "krbLastPwdChange", "pwdUpdateTime"}

// passwordChanged is when the password was last changed, in the directory's own notation: OpenLDAP's ppolicy, Active
// Directory, FreeIPA, 389-DS. It serves to be compared only.
func passwordChanged(e *ldap.Entry) string {
	for _, name := range []string{"pwdChangedTime", "pwdLastSet", "krbLastPwdChange", "pwdUpdateTime"} {
		if at := e.GetEqualFoldAttributeValue(name); at != "" {
			return at
		}
	}
	return ""
}

// lockedBy reads the state of an account as OpenLDAP's ppolicy, Active Directory and 389-DS or FreeIPA write it. It is
// empty for an account in use.
func lockedBy(e *ldap.Entry) string {
	if at := e.GetEqualFoldAttributeValue("pwdAccountLockedTime"); at == "000001010000Z" {
		return "locked by an administrator (pwdAccountLockedTime)" // a lock for failed binds ends by itself: the bind has judged it
	}
	const accountDisabled = 0x2 // MS-ADTS 2.2.16
	if flags, err := strconv.ParseInt(e.GetEqualFoldAttributeValue("userAccountControl"), 10, 64); err == nil && flags&accountDisabled != 0 {
		return "disabled (userAccountControl)"
	}
	// accountExpires counts 100 ns from 1601; 0 and the highest value mean never (MS-ADTS, accountExpires).
	if ticks, err := strconv.ParseInt(e.GetEqualFoldAttributeValue("accountExpires"), 10, 64); err == nil && ticks > 0 && ticks < 1<<62 {
		if time.Now().After(time.Unix(ticks/1e7-11644473600, 0)) {
			return "expired (accountExpires)"
		}
	}
	if strings.EqualFold(e.GetEqualFoldAttributeValue("nsAccountLock"), "true") {
		return "disabled (nsAccountLock)"
	}
	for _, name := range []string{"pwdEndTime", "krbPrincipalExpiration"} {
		if at, err := time.Parse("20060102150405Z", e.GetEqualFoldAttributeValue(name)); err == nil && time.Now().After(at) {
			return "expired (" + name + ")"
		}
	}
	return ""
}

// refusedByPolicy reads the password policy control of a bind's answer (draft-behera-ldap-password-policy §6.2).
func refusedByPolicy(result *ldap.SimpleBindResult) string {
	if result == nil {
		return ""
	}
	control, ok := ldap.FindControl(result.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	if !ok {
		return ""
	}
	switch control.Error {
	case 0:
		return "password expired (ppolicy)"
	case 1:
		return "account locked (ppolicy)"
	case 2:
		return "password must be changed first (ppolicy)"
	}
	return ""
}

var adSubcode = regexp.MustCompile(`\bdata ([0-9a-f]+)\b`)

// adState reads the sub-code that Active Directory adds to error 49.
func adState(message string) string {
	match := adSubcode.FindStringSubmatch(message)
	if match == nil {
		return ""
	}
	switch match[1] {
	case "530", "531":
		return "sign-in not permitted now or here (AD)"
	case "532":
		return "password expired (AD)"
	case "533":
		return "account disabled (AD)"
	case "701":
		return "account expired (AD)"
	case "773":
		return "password must be changed first (AD)"
	case "775":
		return "account locked (AD)"
	}
	return ""
}
