package directory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/directory"
	"curfew/internal/freeport"
)

// watched stands for who is signed in, and notes what the directory says of them.
type watched struct {
	mu       sync.Mutex
	accounts []directory.Account
	news     chan string
	fails    int         // how many of the next calls fail
	looks    int         // how many calls there were
	asked    int         // how often it was asked who is signed in
	between  chan func() // what is done before a look begins
}

func newWatched() *watched {
	return &watched{news: make(chan string, 100), between: make(chan func())}
}

func (w *watched) Accounts() []directory.Account {
	select {
	case f := <-w.between:
		f()
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return slices.Clone(w.accounts)
}

var errStore = errors.New("store is out of reach")

func (w *watched) Allowed(_ context.Context, a directory.Account, e directory.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for i := range w.accounts {
		if w.accounts[i].Key != a.Key || slices.Equal(w.accounts[i].Groups, e.Groups) {
			continue
		}
		if w.fails > 0 {
			w.fails--
			w.news <- a.Login + " not stored"
			return errStore
		}
		w.accounts[i].Groups = e.Groups
		w.news <- a.Login + " in " + strings.Join(e.Groups, "; ")
	}
	return nil
}

func (w *watched) Denied(_ context.Context, a directory.Account, cause directory.Cause, why string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	for i := range w.accounts {
		if w.accounts[i].Key == a.Key {
			if w.fails > 0 {
				w.fails--
				w.news <- a.Login + " not stored"
				return errStore
			}
			w.accounts = append(w.accounts[:i], w.accounts[i+1:]...)
			w.news <- a.Login + " denied: " + string(cause) + ": " + why
			return nil
		}
	}
	return nil
}

func (w *watched) Unreachable(_ context.Context, err error) { w.news <- "unreachable: " + err.Error() }

func (w *watched) add(a directory.Account) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accounts = append(w.accounts, a)
}

// betweenLooks does something of which no look sees a part.
func (w *watched) betweenLooks(t *testing.T, do func()) {
	t.Helper()
	held, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	select {
	case w.between <- func() { close(held); <-done }:
	case <-time.After(15 * time.Second):
		t.Fatal("no look within 15 s")
	}
	<-held
	do()
}

// looksAgain waits until the watcher has told of so many more accounts.
func (w *watched) looksAgain(t *testing.T, times int) {
	t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.looks }
	until := count() + times
	waitFor(t, "looked again", func() bool { return count() >= until })
}

// waitFor polls for a condition, within a limit.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

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

// comesTo waits for news, and passes over what may be told besides: a group that gets another name
// is seen with both, or none, by a look in between.
func (w *watched) comesTo(t *testing.T, want string) {
	t.Helper()
	var heard []string
	for limit := time.After(15 * time.Second); ; {
		select {
		case got := <-w.news:
			if strings.Contains(got, want) {
				return
			}
			heard = append(heard, got)
		case <-limit:
			t.Fatalf("heard %q within 15 s, want %q", heard, want)
		}
	}
}

var passwords = map[string]string{"ada": adaPW, "grace": "grace-demo", "linus": "linus-demo", "guess": "right"}

// signIn is an account as of its sign-in.
func signIn(t *testing.T, d *directory.Directory, login, password string) directory.Account {
	t.Helper()
	e, err := d.Authenticate(t.Context(), login, password, nil)
	if err != nil {
		t.Fatalf("%s: %v", login, err)
	}
	key := directory.Key{
		Login:           login,
		User:            e.User,
		DN:              e.DN,
		Identity:        e.Identity,
		PasswordChanged: e.PasswordChanged,
	}
	return directory.Account{Key: key, Groups: e.Groups}
}

// watch signs people in and follows the directory for them.
func (s *slapd) watch(t *testing.T, mode directory.WatchMode, every time.Duration, logins ...string) *watched {
	t.Helper()
	return watchAs(t, s.config(), mode, every, logins...)
}

func watchAs(
	t *testing.T,
	c directory.Config,
	mode directory.WatchMode,
	every time.Duration,
	logins ...string,
) *watched {
	t.Helper()
	d := open(t, c)
	w := newWatched()
	for _, login := range logins {
		w.add(signIn(t, d, login, passwords[login]))
	}
	follow(t, directory.NewWatcher(d, mode, every, w, logger(t)))
	return w
}

func logger(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// follow runs a watcher until the test ends.
func follow(t *testing.T, w *directory.Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

const person = "dn: uid=%s,ou=people,dc=example,dc=org\n"

func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
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
			// The first change proves that the watcher is at work; what comes before that is a
			// matter of the first comparison.
			s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\n"+
				"pwdAccountLockedTime: 000001010000Z\n")
			w.hears(t, "grace denied: locked: locked", tt.within)
			s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\n"+
				"member: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "linus in ", tt.within)
			s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: modify\nadd: member\n"+
				"member: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "linus in staff", tt.within)
			run(t, "", "ldappasswd", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW, "-s", "new password",
				"uid=linus,ou=people,dc=example,dc=org")
			w.hears(t, "linus denied: password-changed: the password was changed", tt.within)
			linus := signIn(t, open(t, s.config()), "linus", "new password")
			w.add(linus)
			s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: delete\n")
			for range 2 {
				w.hears(t, " in ", tt.within) // ada and linus, in either order
			}
			s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
			w.hears(t, "linus denied: gone: no longer in the directory", tt.within)
			s.modify(t, s.ldap, fmt.Sprintf(person, "Ada")+"changetype: modrdn\nnewrdn: uid=countess\n"+
				"deleteoldrdn: 1\n")
			w.hears(t, "ada denied", tt.within)
			// A failed bind is a change, too; it bars nobody.
			_, err := open(t, s.config()).Authenticate(t.Context(), "guess", "wrong", nil)
			if !errors.Is(err, directory.ErrBadCredentials) {
				t.Errorf("a wrong password gave %v", err)
			}
			s.modify(t, s.ldap, fmt.Sprintf(person, "guess")+"changetype: delete\n")
			w.hears(t, "guess denied: gone: no longer", tt.within)
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
	grace := signIn(t, d, "grace", "grace-demo")
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\n"+
		"pwdAccountLockedTime: 000001010000Z\n")
	w := &looked{watched: newWatched(), first: make(chan struct{})}
	watcher := directory.NewWatcher(d, directory.WatchSyncrepl, time.Hour, w, logger(t))
	follow(t, watcher)
	select {
	case <-w.first:
	case <-time.After(5 * time.Second):
		t.Fatal("the watcher has not compared")
	}
	w.add(grace) // admitted only now
	watcher.Recheck(grace, began)
	w.hears(t, "grace denied: locked: locked", 2*time.Second)
}

func TestNothingIsMissedWhileTheDirectoryIsAway(t *testing.T) {
	t.Parallel()
	for _, mode := range []directory.WatchMode{directory.WatchSyncrepl, directory.WatchPoll} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := startSlapd(t)
			w := s.watch(t, mode, 100*time.Millisecond, "ada", "grace", "linus")
			s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\n"+
				"member: uid=grace,ou=people,dc=example,dc=org\n")
			w.hears(t, "grace in ", 5*time.Second)
			for _, name := range []string{"grace", "linus"} { // the second time the watcher has a cookie
				s.stop()
				w.comesTo(t, "unreachable")
				elsewhere := fmt.Sprintf("ldap://127.0.0.1:%d", freeport.Reserve(t))
				s.start(t, elsewhere)
				s.modify(t, elsewhere, fmt.Sprintf(person, name)+"changetype: delete\n")
				s.stop()
				s.start(t, s.ldap+" "+s.ldaps)
				w.comesTo(t, name+" denied: gone: no longer")
				s.modify(t, s.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: modrdn\n"+
					"newrdn: cn=not "+name+"\ndeleteoldrdn: 1\n")
				w.comesTo(t, "not "+name) // the comparison before is over
				s.modify(t, s.ldap, "dn: cn=not "+name+",dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=staff\n"+
					"deleteoldrdn: 1\n")
				w.comesTo(t, "; staff")
			}
			if n := len(w.Accounts()); n != 1 {
				t.Errorf("%d are signed in, want ada alone: nobody is ended by an outage", n)
			}
		})
	}
}

func TestDirectoryThatRefusesToBeFollowedIsPolled(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	run(t, "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcLimits\n"+
		"olcLimits: {0}dn.exact=\"cn=svc,dc=example,dc=org\" size=3\n",
		"ldapmodify", "-x", "-H", s.ldap, "-D", "cn=config", "-w", "configpw")
	w := s.watch(t, directory.WatchAuto, 100*time.Millisecond, "grace")
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nadd: pwdAccountLockedTime\n"+
		"pwdAccountLockedTime: 000001010000Z\n")
	w.hears(t, "grace denied: locked: locked", 5*time.Second)
}

// counting is a context that counts what waits for its end.
type counting struct {
	context.Context
	waiting atomic.Int64
}

// Value hides the context behind this one, so that who waits for its end asks AfterFunc.
func (c *counting) Value(any) any { return nil }

func (c *counting) AfterFunc(f func()) func() bool {
	c.waiting.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		stopped := stop()
		if stopped {
			c.waiting.Add(-1)
		}
		return stopped
	}
}

func TestConnectionsOfThePastAreForgotten(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	d := open(t, s.config())
	w := newWatched()
	w.add(signIn(t, d, "grace", "grace-demo"))
	ctx, cancel := context.WithCancel(t.Context())
	counted := &counting{Context: ctx}
	var wg sync.WaitGroup
	wg.Go(func() { directory.NewWatcher(d, directory.WatchPoll, 5*time.Millisecond, w, logger(t)).Run(counted) })
	defer wg.Wait()
	defer cancel()
	w.polls(t, 50)
	if n := counted.waiting.Load(); n > 5 {
		t.Errorf("after 50 comparisons the watcher's context remembers %d connections and contexts", n)
	}
}
