package session_test

import (
	"testing"

	"curfew/session"
)

func TestMarksTellPeopleApart(t *testing.T) {
	marks := session.NewMarks([]byte("a key"))
	ada := session.Record{User: "Ada", Identity: "5f3a-1", DN: "uid=ada,ou=people"}
	for _, c := range []struct {
		what string
		r    session.Record
		same bool
	}{
		{"another sign-in", session.Record{ID: session.NewToken().ID(), User: "Ada", Identity: "5f3a-1"}, true},
		{"another spelling", session.Record{User: " aDA ", Identity: "5F3A-1"}, true},
		{"an entry that was moved", session.Record{User: "Ada", Identity: "5f3a-1", DN: "uid=ada,ou=former"}, true},
		{"the name of another entry", session.Record{User: "Ada", Identity: "5f3a-2", DN: "uid=ada,ou=people"}, false},
		{"another name of the entry", session.Record{User: "ada2", Identity: "5f3a-1", DN: "uid=ada,ou=people"}, false},
		{"an entry without an identity", session.Record{User: "Ada", DN: "uid=ada,ou=people"}, false},
		{"no entry", session.Record{User: "Ada"}, false},
		{"a name that continues in the entry", session.Record{User: "Ada5f3a-1"}, false},
	} {
		if same := marks.Who(&c.r) == marks.Who(&ada); same != c.same {
			t.Errorf("%s has the mark of ada: %v, want %v", c.what, same, c.same)
		}
	}
	byDN := session.Record{User: "Ada", DN: "uid=Ada,ou=people"}
	same := session.Record{User: "ada", DN: "UID=ada,ou=people"}
	other := session.Record{User: "ada", DN: "uid=ada,ou=former"}
	if marks.Who(&byDN) != marks.Who(&same) || marks.Who(&byDN) == marks.Who(&other) {
		t.Error("without an identity the place of an entry does not tell entries apart")
	}
	if session.NewMarks([]byte("another key")).Who(&ada) == marks.Who(&ada) {
		t.Error("two keys make the same mark")
	}
}

func TestMarksTellSetsOfGroupsApart(t *testing.T) {
	marks := session.NewMarks(nil)
	staff := marks.Rights([]string{"staff", "admins"})
	for _, c := range []struct {
		what   string
		groups []string
		same   bool
	}{
		{"another order", []string{"admins", "staff"}, true},
		{"another spelling", []string{"ADMINS", " Staff"}, true},
		{"one that stands twice", []string{"admins", "staff", "Admins"}, true},
		{"fewer", []string{"staff"}, false},
		{"more", []string{"admins", "staff", "kiosk"}, false},
		{"none", nil, false},
		{"names that are written together", []string{"adminsstaff"}, false},
	} {
		if same := marks.Rights(c.groups) == staff; same != c.same {
			t.Errorf("%s: the same mark %v, want %v", c.what, same, c.same)
		}
	}
	if marks.Rights(nil) == marks.Who(&session.Record{}) {
		t.Error("marks of two kinds are the same")
	}
}
