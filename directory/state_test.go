package directory

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func TestStatesOfAccounts(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	tests := []struct{ name, attribute, value, want string }{
		{"in use", "mail", "a@example.org", ""},
		{"OpenLDAP: locked by an administrator", "pwdAccountLockedTime", "000001010000Z", "administrator"},
		{"OpenLDAP: locked by an administrator, in full", "pwdAccountLockedTime", "00000101000000Z", "administrator"},
		{"OpenLDAP: locked for a while, which the bind judges", "pwdAccountLockedTime", "20260101000000Z", ""},
		{"OpenLDAP: expired", "pwdEndTime", "20200101000000Z", "expired"},
		{"OpenLDAP: expires now", "pwdEndTime", "20260102000000Z", "expired"},
		{"OpenLDAP: expires in a second", "pwdEndTime", "20260102000001Z", ""},
		{"OpenLDAP: expired, without seconds", "pwdEndTime", "202001010000Z", "expired"},
		{"OpenLDAP: expired, with a fraction", "pwdEndTime", "20200101000000.0Z", "expired"},
		{"OpenLDAP: expired elsewhere on the globe", "pwdEndTime", "20260102005959+0100", "expired"},
		{"OpenLDAP: expires much later", "pwdEndTime", "29990101000000Z", ""},
		{"OpenLDAP: not in use yet", "pwdStartTime", "20260102000001Z", "not in use yet"},
		{"OpenLDAP: in use since now", "pwdStartTime", "20260102000000Z", ""},
		{"AD: normal account", "userAccountControl", "512", ""},
		{"AD: disabled", "userAccountControl", "514", "disabled"},
		{"AD: a number that is none", "userAccountControl", "x", ""},
		{"AD: never expires", "accountExpires", "9223372036854775807", ""},
		{"AD: never expires, the other way", "accountExpires", "0", ""},
		{"AD: expires in a far time", "accountExpires", "9223372036854775806", ""},
		{"AD: expired in 2020", "accountExpires", "132223104000000000", "expired"},
		{"389-DS: disabled", "nsAccountLock", "TRUE", "disabled"},
		{"389-DS: not disabled", "nsAccountLock", "false", ""},
		{"FreeIPA: expired", "krbPrincipalExpiration", "20200101000000Z", "expired"},
		{"FreeIPA: never expires, as Kerberos writes it", "krbPrincipalExpiration", "19700101000000Z", ""},
		{"shadow: expired", "shadowExpire", "1", "expired"},
		{"shadow: expired, as chage -E 0 writes it", "shadowExpire", "0", "expired"},
		{"shadow: expires today", "shadowExpire", "20455", "expired"},
		{"shadow: expires tomorrow", "shadowExpire", "20456", ""},
		{"shadow: never", "shadowExpire", "-1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lockedBy(ldap.NewEntry("cn=x", map[string][]string{tt.attribute: {tt.value}}), now)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPasswordChangesAreReadInEveryNotation(t *testing.T) {
	for name, value := range map[string]string{
		"pwdChangedTime":   "20260101000000Z",
		"pwdLastSet":       "133484736000000000",
		"krbLastPwdChange": "20260101000000Z",
		"pwdUpdateTime":    "20260101000000Z",
	} {
		got := passwordChanges(ldap.NewEntry("cn=x", map[string][]string{strings.ToUpper(name): {value}}))
		if !slices.Equal(got, []string{value}) {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if got := passwordChanges(ldap.NewEntry("cn=x", nil)); len(got) > 0 {
		t.Errorf("without any: got %q", got)
	}
}

func TestOnlyALaterPasswordIsAnotherOne(t *testing.T) {
	const general, tick = "20260101000000Z", "133484736000000000"
	tests := []struct {
		name string
		was  string
		now  []string
		want bool
	}{
		{"the same", general, []string{general}, false},
		{"the same in another form", general, []string{"202601010000Z"}, false},
		{"the same with a fraction", general, []string{"20260101000000.250Z"}, false},
		{"a second later", general, []string{"20260101000001Z"}, true},
		{"a quarter of a second later, where both have fractions", "20260101000000.25Z", []string{"20260101000000.5Z"},
			true},
		{"older: the server lags behind", general, []string{"20251231235959Z"}, false},
		{"it cannot be read any more", general, nil, false},
		{"it could not be read", "", []string{general}, false},
		{"another attribute of the same time", general, []string{"20260102000000Z", general}, false},
		{"another notation", general, []string{tick}, false},
		{"AD: the same", tick, []string{tick}, false},
		{"AD: later", tick, []string{"133484736000000001"}, true},
		{"AD: older", tick, []string{"133484735000000000"}, false},
		{"AD: must be changed, which is no time", tick, []string{"0"}, false},
		{"AD: never, which is no time", tick, []string{"9223372036854775807"}, false},
		{"nonsense", "x", []string{"y"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := changedSince(tt.was, tt.now); got != tt.want {
				t.Errorf("from %q to %q: %v, want %v", tt.was, tt.now, got, tt.want)
			}
		})
	}
}

func TestWhoMustChangeThePassword(t *testing.T) {
	for _, tt := range []struct {
		set, flags string
		want       bool
	}{{"0", "512", true}, {"0", "", true}, {"0", "66048", false}, {"133484736000000000", "512", false},
		{"", "512", false}} {
		attributes := map[string][]string{"pwdLastSet": {tt.set}, "userAccountControl": {tt.flags}}
		if got := mustChange(ldap.NewEntry("cn=x", attributes)); got != tt.want {
			t.Errorf("pwdLastSet %q, userAccountControl %q: %v, want %v", tt.set, tt.flags, got, tt.want)
		}
	}
}
