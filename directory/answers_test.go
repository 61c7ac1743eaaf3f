package directory

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestSubCodesOfActiveDirectory reads messages as servers from Windows 2003 to 2022 and Samba write
// them, with the NUL that some end with.
func TestSubCodesOfActiveDirectory(t *testing.T) {
	const why = ", comment: AcceptSecurityContext error, "
	for _, tt := range []struct {
		message string
		want    error
	}{
		{"80090308: LdapErr: DSID-0C09042A" + why + "data 532, v3839", ErrPasswordExpired},
		{"80090308: LdapErr: DSID-0C090569" + why + "data 532, v4563\x00", ErrPasswordExpired},
		{"80090308: LdapErr: DSID-0C09042F" + why + "data 773, v2580", ErrPasswordMustChange},
		{"80090308: LdapErr: DSID-0C090334" + why + "data 773, vece", ErrPasswordMustChange},
		{"80090308: LdapErr: DSID-0C090434" + why + "data 533, v4f7c\x00", ErrLocked},
		{"80090308: LdapErr: DSID-0C090434" + why + "data 701, v4f7c\x00", ErrLocked},
		{"80090308: LdapErr: DSID-0C09030B" + why + "data 530, v893", ErrLocked},
		{"80090308: LdapErr: DSID-0C09030B" + why + "data 531, v893", ErrLocked},
		// whatever the password
		{"80090308: LdapErr: DSID-0C0903A9" + why + "data 52e, v1db1", nil},
		{"80090308: LdapErr: DSID-0C09030B" + why + "data 525, v893", nil},
		{"80090308: LdapErr: DSID-0C09044E" + why + "data 775, v2580", nil},
		// of no bind of Active Directory
		{"0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0", nil},
		{"no data 532 of ours", nil},
		{"", nil},
	} {
		refused := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New(tt.message))
		if got := adRefusal(refused); !errors.Is(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.message, got, tt.want)
		}
		if got := adRefusal(ldap.NewError(ldap.LDAPResultBusy, errors.New(tt.message))); got != nil {
			t.Errorf("%q with another result: %v", tt.message, got)
		}
	}
}

// TestPasswordPolicyOfOtherServers has the answers of servers that are not at hand here.
func TestPasswordPolicyOfOtherServers(t *testing.T) {
	for _, tt := range []struct {
		name          string
		failed        int8
		left, signIns int64
		refusal       error
		warned        PasswordWarning
		isNoted       bool
	}{
		{name: "389-DS: no sign-in left", failed: ldap.BeheraPasswordExpired, left: -1, signIns: -1,
			refusal: ErrPasswordExpired},
		{name: "389-DS: an expired password with sign-ins left", failed: ldap.BeheraPasswordExpired, left: -1,
			signIns: 4, warned: PasswordWarning{Expired: true, SignIns: 4}},
		{name: "FreeIPA: no sign-in left, and the password was not looked at", failed: ldap.BeheraPasswordExpired,
			left: -1, signIns: 0, isNoted: true},
		{name: "a count that is none", failed: -1, left: 1 << 62, signIns: -1,
			warned: PasswordWarning{Left: maxInt * time.Second}},
	} {
		p := &policyAnswer{Error: tt.failed, Expire: tt.left, Grace: tt.signIns}
		if got := p.refusal(); !errors.Is(got, tt.refusal) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.refusal)
		}
		if got := p.warning(); tt.warned != (PasswordWarning{}) && (got == nil || *got != tt.warned) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.warned)
		}
		refused := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New(""))
		note := noteOnRefusal(p, refused)
		if tt.isNoted && !strings.Contains(note, "whatever the password") {
			t.Errorf("%s: the log hears %q", tt.name, note)
		}
	}
}
