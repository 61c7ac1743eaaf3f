package directory_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"curfew/directory"
)

// passwordPolicies are policies of withPassword. Passwords live for 90 days, and the strict one
// warns of the last 14 of them.
const passwordPolicies = `dn: cn=strict,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: strict
pwdAttribute: userPassword
pwdMaxAge: 7776000
pwdExpireWarning: 1209600
pwdMustChange: TRUE
pwdLockout: TRUE
pwdMaxFailure: 2

dn: cn=lenient,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: lenient
pwdAttribute: userPassword
pwdMaxAge: 7776000
pwdGraceAuthNLimit: 2

`

// withPassword is a person with the password right, which is so many days old.
func withPassword(uid, policy string, days int, more string) string {
	changed := time.Now().UTC().AddDate(0, 0, -days).Format("20060102150405Z")
	return fmt.Sprintf("dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: x\nsn: x\n"+
		"userPassword: right\npwdPolicySubentry: cn=%[3]s,%[2]s\npwdChangedTime: %[4]s\n%[5]s\n",
		uid, base, policy, changed, more)
}

func TestPasswordPolicyOfOpenLDAP(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.add(t, passwordPolicies+
		withPassword("fresh", "strict", 10, "")+
		withPassword("ending", "strict", 80, "")+
		withPassword("expired", "strict", 100, "")+
		withPassword("reset", "strict", 10, "pwdReset: TRUE\n")+
		withPassword("graced", "lenient", 100, ""))
	d := open(t, s.config())
	for _, name := range []string{"nobody", "fresh", "ending", "expired", "reset", "graced"} {
		_, err := d.Authenticate(t.Context(), name, "wrong", nil)
		if !errors.Is(err, directory.ErrBadCredentials) || errors.Is(err, directory.ErrPasswordExpired) ||
			errors.Is(err, directory.ErrPasswordMustChange) {
			t.Errorf("%s with a wrong password: %v, want what is said of an unknown name", name, err)
		}
	}
	for _, tt := range []struct {
		name string
		want error
		told *directory.PasswordWarning
	}{
		{"fresh", nil, nil},
		{"expired", directory.ErrPasswordExpired, nil},
		{"reset", directory.ErrPasswordMustChange, nil},
		{"graced", nil, &directory.PasswordWarning{Expired: true, SignIns: 1}},
		{"graced", nil, &directory.PasswordWarning{Expired: true, SignIns: 0}},
		{"graced", directory.ErrPasswordExpired, nil},
	} {
		e, err := d.Authenticate(t.Context(), tt.name, "right", nil)
		if told := e.PasswordWarning; !errors.Is(err, tt.want) || (told == nil) != (tt.told == nil) ||
			told != nil && *told != *tt.told {
			t.Errorf("%s: %+v, %v, want %+v, %v", tt.name, told, err, tt.told, tt.want)
		}
	}
	const ten = 10 * 24 * time.Hour
	e, err := d.Authenticate(t.Context(), "ending", "right", nil)
	if w := e.PasswordWarning; err != nil || w == nil || w.Expired || w.Left > ten || w.Left < ten-time.Hour {
		t.Errorf("ending: %+v, %v, want a warning of ten days", w, err)
	}
	// Two wrong passwords lock the account, and then nobody hears that the password has expired.
	for _, password := range []string{"wrong", "wrong", "right"} {
		_, err := d.Authenticate(t.Context(), "expired", password, nil)
		if !errors.Is(err, directory.ErrBadCredentials) || errors.Is(err, directory.ErrPasswordExpired) {
			t.Errorf("locked, with a %s password: %v, want what is said of an unknown name", password, err)
		}
	}
}
