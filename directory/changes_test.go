package directory

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func TestBacklogNeverWaitsAndIsBounded(t *testing.T) {
	b := newBacklog()
	for range maxBacklog {
		b.add(change{dn: "x"}) // nobody takes any
	}
	<-b.ready
	if list, all := b.take(); len(list) != maxBacklog || all {
		t.Errorf("%d changes, all %v, want %d", len(list), all, maxBacklog)
	}
	for range 2*maxBacklog + 5 {
		b.add(change{})
	}
	<-b.ready
	if list, all := b.take(); len(list) > 0 || !all {
		t.Errorf("%d changes, all %v, want everybody to be looked at", len(list), all)
	}
	b.add(change{})
	<-b.ready
	if list, all := b.take(); len(list) != 1 || all {
		t.Errorf("%d changes, all %v, want one", len(list), all)
	}
}

func TestBacklogOfLargeGroupsIsBounded(t *testing.T) {
	b := newBacklog()
	large := change{members: make(map[string]bool)}
	for i := range maxBacklog / 2 {
		large.members[strconv.Itoa(i)] = true
	}
	for i, want := range []bool{false, true, true} {
		b.add(large)
		if b.overflow != want {
			t.Errorf("after %d groups of %d: everybody %v, want %v", i+1, len(large.members), b.overflow, want)
		}
	}
}

func TestChangesAffectWhomTheyName(t *testing.T) {
	ada := Account{Key: Key{User: "Ada", DN: "uid=Ada,ou=people,dc=x", Identity: "AB-1"}, Groups: []string{"Staff"}}
	for name, tt := range map[string]struct {
		change change
		want   bool
	}{
		"her entry":               {change{dn: foldDN("UID=ada, OU=People,DC=x")}, true},
		"another entry":           {change{dn: foldDN("uid=bob,ou=people,dc=x"), identity: "ab-2"}, false},
		"her identity elsewhere":  {change{dn: "uid=zoe,", identity: "ab-1"}, true},
		"a group that she was in": {change{dn: "cn=staff,", name: "staff"}, true},
		"a group that she is in": {change{
			dn:      "cn=x,",
			members: map[string]bool{foldDN("uid=ADA,ou=people,dc=x"): true},
		}, true},
		"a group of names": {change{dn: "cn=x,", members: map[string]bool{"ada": true}}, true},
	} {
		if got := len(affectedBy([]change{{dn: "other"}, tt.change}, []Account{ada})) == 1; got != tt.want {
			t.Errorf("%s: affected %v, want %v", name, got, tt.want)
		}
	}
	unknown := Account{Key: Key{DN: "uid=x"}}
	if got := affectedBy([]change{{dn: "other"}}, []Account{unknown}); len(got) > 0 {
		t.Error("an account without an identity is affected by a change without one")
	}
}

func TestOnlyIdentitiesThatAreKnownDiffer(t *testing.T) {
	const uuid, other, guid = "6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c0001", "6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c0002",
		"000102030405060708090a0b0c0d0e0f"
	for _, tt := range []struct {
		before string
		now    []string
		want   bool
	}{
		{uuid, []string{uuid}, false},
		{uuid, []string{other}, true},
		{uuid, []string{"6F0B6D0E-5A55-4A8F-8F5B-0A1D8F2C0001"}, false},
		{uuid, nil, false},
		{"", []string{uuid}, false},
		{uuid, []string{guid}, false},
		{guid, []string{other, guid}, false}, // another kind has come to be readable
		{guid, []string{uuid, "ff0102030405060708090a0b0c0d0e0f"}, true},
	} {
		if got := isDifferentEntry(tt.before, tt.now); got != tt.want {
			t.Errorf("%q and %q: %v, want %v", tt.before, tt.now, got, tt.want)
		}
	}
}

func TestSecretThatWasRefusedRestsUntilItsFileChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("no"))
	synctest.Test(t, func(t *testing.T) {
		s := newServicePassword("", file)
		wants := func(what, text string) password {
			t.Helper()
			p, err := s.forServer(0)
			if (text == "") != errors.Is(err, errPasswordRefused) || p.text != text {
				t.Errorf("%s: %q, %v, want %q", what, p.text, err, text)
			}
			return p
		}
		s.tried(0, wants("at first", "old"), refused)
		wants("when it was refused", "")
		if p, err := s.forServer(1); err != nil || p.text != "old" {
			t.Errorf("at another server: %q, %v", p.text, err)
		}
		<-time.After(refusedFor)
		s.tried(0, wants("after a rest", "old"), refused)
		<-time.After(refusedFor)
		wants("after as long a rest again", "")
		<-time.After(refusedFor)
		s.tried(0, wants("after a rest of twice that", "old"), errors.New("connection reset"))
		wants("where nothing was said of it", "old")
		if err := os.WriteFile(file, []byte("newer\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.tried(0, wants("when the file has changed", "newer"), refused)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		wants("when the file is gone", "")
		if err := os.WriteFile(file, []byte("newer\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.tried(0, wants("when the same was written again", "newer"), nil)
		wants("when it was taken", "newer")
	})
}
