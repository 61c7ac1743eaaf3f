package directory

import (
	"fmt"
	"regexp"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// What the answer to a bind says of the password. It comes with the password policy control
// (draft-behera-ldap-password-policy §6.2) of OpenLDAP, 389-DS and others, or in the diagnostic
// message of Active Directory, which warns of nothing in a bind.

// PasswordWarning is what a directory tells of the end of a password with which it lets somebody
// in.
type PasswordWarning struct {
	Expired bool          // it has ended, and the directory still takes it a few times
	SignIns int           // how many times more, if it has expired; 0: this was the last time
	Left    time.Duration // until it expires, in whole seconds, if it has not
}

// policyAnswer is the password policy control of an answer; nil if there is none.
type policyAnswer ldap.ControlBeheraPasswordPolicy

func passwordPolicy(result *ldap.SimpleBindResult) *policyAnswer {
	if result == nil {
		return nil
	}
	control, _ := ldap.FindControl(result.Controls,
		ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	return (*policyAnswer)(control)
}

// refusal is why the policy keeps somebody out although the password was right; nil if it does not,
// or if nobody can know that the password was right.
//
// A bind that succeeds may be a refusal: with changeAfterReset it is good for nothing but changing
// the password. An expired password comes with the number of sign-ins left where a bind succeeds
// all the same, and where FreeIPA refuses one before it looks at the password: it counts 0 then.
func (p *policyAnswer) refusal() error {
	switch {
	case p == nil:
		return nil
	case p.Error == ldap.BeheraChangeAfterReset:
		return ErrPasswordMustChange
	case p.Error == ldap.BeheraPasswordExpired && p.Grace < 0:
		return ErrPasswordExpired
	}
	return nil
}

// maxInt of LDAP (RFC 4511 §4.1.1) bounds what a server may count.
const maxInt = 1<<31 - 1

// warning is what the policy tells of the password of a bind that it lets pass; nil for nothing.
func (p *policyAnswer) warning() *PasswordWarning {
	switch {
	case p == nil:
		return nil
	case p.Grace >= 0:
		return &PasswordWarning{Expired: true, SignIns: int(min(p.Grace, maxInt))}
	case p.Expire >= 0:
		return &PasswordWarning{Left: time.Duration(min(p.Expire, maxInt)) * time.Second}
	}
	return nil
}

// noteOnRefusal tells the log that a server has refused an account without checking the password: a
// locked account is refused with the right password and with a wrong one.
func noteOnRefusal(p *policyAnswer, err error) string {
	switch {
	case p != nil && p.Error == ldap.BeheraAccountLocked:
		return "account locked (ppolicy), whatever the password: "
	case p != nil && p.Error == ldap.BeheraPasswordExpired:
		return "password expired (FreeIPA), whatever the password: "
	case adCode(err) == "775":
		return "account locked (AD), whatever the password: "
	case !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		return err.Error() + ": "
	}
	return ""
}

var adSubcode = regexp.MustCompile(`\bAcceptSecurityContext error, data ([0-9a-f]+)\b`)

// adCode is the sub-code in the diagnostic message by which Active Directory refuses a bind; empty
// for any other answer.
func adCode(err error) string {
	match := adSubcode.FindStringSubmatch(err.Error())
	if match == nil || !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return ""
	}
	return match[1]
}

// adRefusal is why Active Directory keeps somebody out although the password was right: it gives
// these sub-codes for the right password only. It is nil for any other answer.
func adRefusal(err error) error {
	switch adCode(err) {
	case "530", "531":
		return fmt.Errorf("sign-in not permitted now or here: %w", ErrLocked)
	case "532":
		return ErrPasswordExpired
	case "533":
		return fmt.Errorf("account disabled: %w", ErrLocked)
	case "701":
		return fmt.Errorf("account expired: %w", ErrLocked)
	case "773":
		return ErrPasswordMustChange
	}
	return nil
}
