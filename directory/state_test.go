package directory

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestStatesOfAccounts(t *testing.T) {
	tests := []struct{ name, attribute, value, want string }{
		{"in use", "mail", "a@example.org", ""},
		{"OpenLDAP: locked by an administrator", "pwdAccountLockedTime", "000001010000Z", "administrator"},
		{"OpenLDAP: locked for a while, which the bind judges", "pwdAccountLockedTime", "20260101000000Z", ""},
		{"OpenLDAP: expired", "pwdEndTime", "20200101000000Z", "expired"},
		{"OpenLDAP: expires much later", "pwdEndTime", "29990101000000Z", ""},
		{"AD: normal account", "userAccountControl", "512", ""},
		{"AD: disabled", "userAccountControl", "514", "disabled"},
		{"AD: never expires", "accountExpires", "9223372036854775807", ""},
		{"AD: never expires, the other way", "accountExpires", "0", ""},
		{"AD: expired in 2020", "accountExpires", "132223104000000000", "expired"},
		{"389-DS: disabled", "nsAccountLock", "TRUE", "disabled"},
		{"389-DS: not disabled", "nsAccountLock", "false", ""},
		{"FreeIPA: expired", "krbPrincipalExpiration", "20200101000000Z", "expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lockedBy(ldap.NewEntry("cn=x", map[string][]string{tt.attribute: {tt.value}}))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for code, want := range map[string]string{"52e": "", "533": "disabled", "701": "expired", "775": "locked", "773": "changed"} {
		message := "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data " + code + ", v4563"
		if got := adState(message); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("AD data %s: %q, want %q", code, got, want)
		}
	}
}

func TestPasswordChangesAreReadInEveryNotation(t *testing.T) {
	for name, value := range map[string]string{
		"pwdChangedTime": "20260101000000Z", "pwdLastSet": "133484736000000000", "krbLastPwdChange": "20260101000000Z", "pwdUpdateTime": "20260101000000Z",
	} {
		if got := passwordChanged(ldap.NewEntry("cn=x", map[string][]string{strings.ToUpper(name): {value}})); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if got := passwordChanged(ldap.NewEntry("cn=x", nil)); got != "" {
		t.Errorf("without any: got %q", got)
	}
}
