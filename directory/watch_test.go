package directory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/directory"
)

// watched stands for who is signed in, and notes what the directory says of them.
type watched struct {
	mu       sync.Mutex
	accounts []directory.Account
	news     chan string
	groups   map[string]string // as last told, so that only changes are news
	password map[string]string
}

func newWatched() *watched {
	return &watched{news: make(chan string, 100), groups: make(map[string]string), password: make(map[string]string)}
}

func (w *watched) Accounts() []directory.Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]directory.Account(nil), w.accounts...)
}

func (w *watched) Found(_ context.Context, a directory.Account, e directory.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	groups := strings.Join(e.Groups, "; ")
	if w.groups[a.Login] != groups {
		w.groups[a.Login] = groups
		for i := range w.accounts {
			if w.accounts[i].Login == a.Login {
				w.accounts[i].Groups = e.Groups
			}
		}
		w.news <- a.Login + " in " + groups
	}
	if w.password[a.Login] != e.PasswordChanged {
		w.password[a.Login] = e.PasswordChanged
		w.news <- a.Login + " changed the password"
	}
}

func (w *watched) Barred(_ context.Context, a directory.Account, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.accounts {
		if w.accounts[i].Login == a.Login {
			w.accounts = append(w.accounts[:i], w.accounts[i+1:]...)
			w.news <- a.Login + " barred: " + why
			return
		}
	}
}

func (w *watched) Lost(context.Context, error) { w.news <- "lost" }

// hears waits for the next news, within a limit.
func (w *watched) hears(t *testing.T, want string, within time.Duration) {
	t.Helper()
	select {
	case got := <-w.news:
		if !strings.Contains(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	case <-time.After(within):
		t.Errorf("heard nothing within %s, want %q", within, want)
	}
}

// watch signs people in and follows the directory for them.
func (s *slapd) watch(t *testing.T, mode directory.WatchMode, every time.Duration, logins ...string) *watched {
	t.Helper()
	d := open(t, s.config())
	w := newWatched()
	passwords := map[string]string{"ada": adaPW, "grace": "grace-demo", "linus": "linus-demo", "guess": "right"}
	for _, login := range logins {
		e, err := d.Authenticate(t.Context(), login, passwords[login], nil)
		if err != nil {
			t.Fatal(err)
		}
		w.accounts = append(w.accounts, directory.Account{Login: login, User: e.User, DN: e.DN, Identity: e.Identity, Groups: e.Groups})
		w.groups[login], w.password[login] = strings.Join(e.Groups, "; "), e.PasswordChanged
	}
	follow(t, directory.NewWatcher(d, mode, every, w, slog.New(slog.NewTextHandler(t.Output(), nil))))
	return w
}

// follow runs a watcher until the test ends.
func follow(t *testing.T, w *directory.Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

const person = "dn: uid=%s,ou=people,dc=example,dc=org\n"

func TestChangesAreNoticed(t *testing.T) {
	for _, tt := range []struct {
		mode   directory.WatchMode
		every  time.Duration
		within time.Duration
	}{
		{directory.WatchAuto, time.Hour, 2 * time.Second}, // by syncrepl, or it would take an hour
		{directory.WatchPoll, 100 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			s := startSlapd(t)
			w := s.watch(t, tt.mode, tt.every, "ada", "grace", "linus", "guess")
			// The first change proves that the watcher is at work; what comes before that is a matter of the first comparison.
			s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
			w.hears(t, "grace barred: locked", tt.within)
			s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\nmember: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "linus in ", tt.within)
			s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: modify\nadd: member\nmember: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "linus in staff", tt.within)
			run(t, "", "ldappasswd", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW, "-s", "new password", "uid=linus,ou=people,dc=example,dc=org")
			w.hears(t, "linus changed the password", tt.within)
			s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: delete\n")
			for range 2 {
				w.hears(t, " in ", tt.within) // ada and linus, in either order
			}
			s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
			w.hears(t, "linus barred: no longer in the directory", tt.within)
			s.modify(t, s.ldap, fmt.Sprintf(person, "Ada")+"changetype: modrdn\nnewrdn: uid=countess\ndeleteoldrdn: 1\n")
			w.hears(t, "ada barred", tt.within)
			// A failed bind is a change, too; it bars nobody.
			if _, err := open(t, s.config()).Authenticate(t.Context(), "guess", "wrong", nil); !errors.Is(err, directory.ErrBadCredentials) {
				t.Errorf("a wrong password gave %v", err)
			}
			s.modify(t, s.ldap, fmt.Sprintf(person, "guess")+"changetype: delete\n")
			w.hears(t, "guess barred: no longer", tt.within)
		})
	}
}

// looked tells when a watcher first asks who is signed in.
type looked struct {
	*watched
	once  sync.Once
	first chan struct{}
}

func (l *looked) Accounts() []directory.Account {
	defer l.once.Do(func() { close(l.first) })
	return l.watched.Accounts()
}

func TestSignInDuringTheFirstComparisonIsLookedAt(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	d := open(t, s.config())
	began := time.Now()
	e, err := d.Authenticate(t.Context(), "grace", "grace-demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
	w := &looked{watched: newWatched(), first: make(chan struct{})}
	watcher := directory.NewWatcher(d, directory.WatchSyncrepl, time.Hour, w, slog.New(slog.NewTextHandler(t.Output(), nil)))
	follow(t, watcher)
	select {
	case <-w.first:
	case <-time.After(5 * time.Second):
		t.Fatal("the watcher has not compared")
	}
	grace := directory.Account{Login: "grace", User: e.User, DN: e.DN, Identity: e.Identity, Groups: e.Groups}
	w.mu.Lock()
	w.accounts = append(w.accounts, grace) // admitted only now
	w.mu.Unlock()
	watcher.Recheck(grace, began)
	w.hears(t, "grace barred: locked", 2*time.Second)
}

func TestNothingIsMissedWhileTheDirectoryIsAway(t *testing.T) {
	for _, mode := range []directory.WatchMode{directory.WatchSyncrepl, directory.WatchPoll} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := startSlapd(t)
			w := s.watch(t, mode, 100*time.Millisecond, "ada", "grace", "linus")
			s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\nmember: uid=grace,ou=people,dc=example,dc=org\n")
			w.hears(t, "grace in ", 5*time.Second)
			for _, name := range []string{"grace", "linus"} { // the second time the watcher has a cookie
				s.stop()
				w.hears(t, "lost", 5*time.Second)
				elsewhere := fmt.Sprintf("ldap://127.0.0.1:%d", freePort(t))
				s.start(t, elsewhere)
				s.modify(t, elsewhere, fmt.Sprintf(person, name)+"changetype: delete\n")
				s.stop()
				s.start(t, s.ldap+" "+s.ldaps)
				w.hears(t, name+" barred: no longer", 15*time.Second)
				s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=not "+name+"\ndeleteoldrdn: 1\n")
				w.hears(t, "ada in", 5*time.Second) // the comparison before is over
				s.modify(t, s.ldap, "dn: cn=not "+name+",dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=staff\ndeleteoldrdn: 1\n")
				w.hears(t, "ada in", 5*time.Second)
			}
			if n := len(w.Accounts()); n != 1 {
				t.Errorf("%d are signed in, want ada alone: nobody is ended by an outage", n)
			}
		})
	}
}

func TestServiceAccountThatSeesNothingSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	w := s.watch(t, directory.WatchPoll, 50*time.Millisecond, "ada")
	run(t, "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\nolcAccess: to * by * none\n",
		"ldapmodify", "-x", "-H", s.ldap, "-D", "cn=config", "-w", "configpw")
	w.hears(t, "lost", 5*time.Second)
	if n := len(w.Accounts()); n != 1 {
		t.Errorf("%d are signed in, want ada", n)
	}
}

func TestDirectoryThatRefusesToBeFollowedIsPolled(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	run(t, "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcLimits\nolcLimits: {0}dn.exact=\"cn=svc,dc=example,dc=org\" size=3\n",
		"ldapmodify", "-x", "-H", s.ldap, "-D", "cn=config", "-w", "configpw")
	w := s.watch(t, directory.WatchAuto, 100*time.Millisecond, "grace")
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
	w.hears(t, "grace barred: locked", 5*time.Second)
}
