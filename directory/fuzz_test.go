package directory

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// FuzzFilter fills filters with any names. What the server would search for is exactly that name:
// no part of it is read as a filter.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"ada", "*", "a)(uid=*", `\2a`, "\x00", "{dn}", "{username}", "ü", "\xff", "a*b", "",
		"("} {
		f.Add(s, "cn="+s)
	}
	f.Fuzz(func(t *testing.T, username, dn string) {
		filter := fill("(&(uid={username})(member={dn}))", username, dn)
		packet, err := ldap.CompileFilter(filter)
		if err != nil {
			t.Fatalf("%q and %q give %q: %v", username, dn, filter, err)
		}
		if len(packet.Children) != 2 {
			t.Fatalf("%q and %q give %d parts", username, dn, len(packet.Children))
		}
		for i, want := range []string{username, dn} {
			part := packet.Children[i]
			if part.Tag != ldap.FilterEqualityMatch || len(part.Children) != 2 ||
				part.Children[1].Data.String() != want {
				t.Errorf("%q becomes %q, which looks for another name", want, filter)
			}
		}
	})
}

// FuzzDiagnostics reads what a server says of a refused bind. Only a sub-code of Active Directory
// that stands for itself tells something, and only where the credentials are what was refused.
func FuzzDiagnostics(f *testing.F) {
	const before = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, "
	for _, s := range []string{
		"data 532, v2580", "data 52e", "data 773", "data 5321", "xdata 532",
		"data  532", "DATA 532", "data 532data 533", "data 775", "",
	} {
		f.Add(uint16(ldap.LDAPResultInvalidCredentials), before+s)
		f.Add(uint16(ldap.LDAPResultUnwillingToPerform), before+s)
		f.Add(uint16(ldap.LDAPResultInvalidCredentials), s)
	}
	whole := regexp.MustCompile(`AcceptSecurityContext error, data (530|531|532|533|701|773)($|[^0-9A-Za-z_])`)
	f.Fuzz(func(t *testing.T, code uint16, message string) {
		err := ldap.NewError(code, errors.New(message))
		why := adRefusal(err)
		if why != nil && (code != ldap.LDAPResultInvalidCredentials || !whole.MatchString(message)) {
			t.Errorf("%d %q means %v", code, message, why)
		}
		if code == ldap.LDAPResultInvalidCredentials && strings.HasPrefix(message, before+"data 532,") &&
			!errors.Is(why, ErrPasswordExpired) {
			t.Errorf("%q means %v", message, why)
		}
	})
}

// FuzzAccount reads what a directory holds of an account. A lock that has begun does not end by
// time, but for an account that is not in use yet; and of two values of a password's change at most
// one is the later one.
func FuzzAccount(f *testing.F) {
	for i := range stateAttributes {
		for _, value := range []string{"000001010000Z", "20260102030405Z", "514", "TRUE", "133000000000000000", "1",
			"0", "x"} {
			f.Add(i, value, value, int64(1_800_000_000))
		}
	}
	f.Fuzz(func(t *testing.T, attribute int, value, other string, unix int64) {
		name := stateAttributes[uint(attribute)%uint(len(stateAttributes))]
		e := ldap.NewEntry("cn=x", map[string][]string{strings.ToUpper(name): {value}})
		now := time.Unix(unix%(1<<33), 0)
		why := lockedBy(e, now)
		if why != "" && !strings.Contains(why, name) {
			t.Errorf("%s %q: %s", name, value, why)
		}
		if why != "" && name != "pwdStartTime" && lockedBy(e, now.Add(time.Hour)) != why {
			t.Errorf("%s %q: %s, and no more an hour later", name, value, why)
		}
		if changedSince(value, []string{value}) || changedSince(value, []string{other}) && changedSince(other,
			[]string{value}) {
			t.Errorf("%q and %q are each later than the other", value, other)
		}
	})
}
