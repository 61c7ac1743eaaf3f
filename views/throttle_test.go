package views

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/directory"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

// guesser tries to sign in against a throttle over a real store.
type guesser struct {
	t     *testing.T
	store *bolt.Store
	throttle
}

func newGuesser(t *testing.T) *guesser {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &guesser{t, store, throttle{failures: store, clock: session.RealClock{}}}
}

// crowded is what try reports where too many sign-ins are under way.
const crowded = time.Hour

// try reports how long a sign-in has to wait; 0 if it was made. takes is how long the directory
// takes.
func (g *guesser) try(login, address string, right bool, takes time.Duration) time.Duration {
	leave, refused, err := g.enter(context.Background(), login, address, true)
	if errors.Is(err, errCrowded) {
		return crowded
	}
	if err != nil {
		g.t.Error(err)
	}
	if refused.wait > 0 {
		return refused.wait
	}
	defer leave()
	pass(takes)
	if !right {
		if err := g.store.Append(context.Background(), session.Event{
			At:      time.Now(),
			Kind:    session.EventSignInFailed,
			User:    login,
			Address: address,
		}); err != nil {
			g.t.Error(err)
		}
	}
	return 0
}

// pass lets time pass in a bubble, where that takes none.
func pass(d time.Duration) { time.Sleep(d) }

// known has the login sign in from the address.
func (g *guesser) known(login, address string) {
	g.t.Helper()
	r := storetest.Record(login)
	r.Address, r.CreatedAt = address, time.Now()
	if _, err := g.store.Create(g.t.Context(), r, 0); err != nil {
		g.t.Fatal(err)
	}
}

func TestThrottleOfOneNameFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for i := range 5 {
			if wait := g.try("ada", "192.0.2.1", false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
			pass(time.Second)
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 55*time.Second {
			t.Errorf("the right password waits %s, want until the first failure is a minute old", wait)
		}
		if wait := g.try("ada", "192.0.2.2", true, 0); wait != 0 {
			t.Errorf("from elsewhere it waits %s", wait)
		}
		if wait := g.try("grace", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("another name waits %s", wait)
		}
		pass(55 * time.Second)
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("a minute after the first failure it waits %s", wait)
		}
	})
}

func TestThrottleOfOneAddressAndOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		g.known("ada", "192.0.2.1")
		for i := range 50 {
			if wait := g.try(fmt.Sprint("user", i), "192.0.2.1", false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
		}
		if wait := g.try("stranger", "192.0.2.1", true, 0); wait == 0 {
			t.Error("after fifty failures from an address a name new to it need not wait")
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("ada has signed in from there and waits %s", wait)
		}
		for i := range 30 {
			if wait := g.try("ada", fmt.Sprintf("198.51.100.%d", i), false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
		}
		if wait := g.try("ada", "203.0.113.1", true, 0); wait == 0 {
			t.Error("after thirty failures of a name an address new to it need not wait")
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("failures elsewhere keep ada out of her own address for %s", wait)
		}
	})
}

func TestGuessesAtOnceWinNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		made := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if g.try("ada", "192.0.2.1", false, time.Second) == 0 {
					mu.Lock()
					made++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if made != 5 {
			t.Errorf("%d guesses at once were made, want 5", made)
		}
	})
}

func TestManyRightPasswordsAtOnceAllPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if wait := g.try("shared", "192.0.2.1", true, time.Second); wait != 0 {
					t.Errorf("a right password was refused for %s", wait)
				}
			})
		}
		wg.Wait()
	})
}

// counting counts how often failures are read.
type counting struct {
	session.Store
	reads atomic.Int64
}

func (c *counting) Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error) {
	c.reads.Add(1)
	return c.Store.Failures(ctx, login, address, since)
}

func TestSignInsOfOthersMakeNobodyReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		store := &counting{Store: g.store}
		g.failures = store
		var wg sync.WaitGroup
		for i := range 40 { // at once, from one address each
			wg.Go(func() { g.try(fmt.Sprint("user", i), fmt.Sprintf("192.0.2.%d", i), i%2 == 0, time.Second) })
		}
		wg.Wait()
		if n := store.reads.Load(); n != 40 {
			t.Errorf("%d reads for 40 sign-ins of others, want one each", n)
		}
		store.reads.Store(0)
		for range 50 {
			wg.Go(func() { g.try("ada", "192.0.2.1", true, time.Second) })
		}
		wg.Wait()
		if n := store.reads.Load(); n > 50*maxPairFails {
			t.Errorf("%d reads for 50 sign-ins of one name at once, want those of the first %d in the line only", n,
				maxPairFails)
		}
		if len(g.lines) != 0 {
			t.Errorf("%d lines are left", len(g.lines))
		}
	})
}

func TestSignInsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var refused atomic.Int64
		var wg sync.WaitGroup
		for range maxUnderWay + 20 {
			wg.Go(func() {
				if g.try("ada", "192.0.2.1", true, time.Second) == crowded {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if n := refused.Load(); n != 20 {
			t.Errorf("%d sign-ins were refused, want the 20 beyond the bound", n)
		}
	})
}

func TestACrowdElsewhereKeepsNobodyOutOfAnAddressOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		g.known("grace", "192.0.2.1")
		var wg sync.WaitGroup
		for i := range maxUnderWay {
			wg.Go(func() { g.try("grace", fmt.Sprintf("198.51.100.%d", i), true, time.Minute) })
		}
		synctest.Wait()
		if wait := g.try("grace", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("grace waits %s at an address that she has signed in from", wait)
		}
		if wait := g.try("grace", "203.0.113.1", true, 0); wait != crowded {
			t.Errorf("from elsewhere she waits %s, want that it is crowded", wait)
		}
		wg.Wait()
	})
}

func TestManyWhoSignInAtOnceFromOneAddressAreNoGuessers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		store := &counting{Store: g.store}
		g.failures = store
		var wg sync.WaitGroup
		for i := range maxUnderWay {
			wg.Go(func() {
				if wait := g.try(fmt.Sprint("pupil", i), "192.0.2.1", true, time.Second); wait != 0 {
					t.Errorf("pupil %d waits %s though nobody has failed", i, wait)
				}
			})
		}
		wg.Wait()
		if n := store.reads.Load(); n > 3*maxUnderWay {
			t.Errorf("%d reads for %d sign-ins", n, maxUnderWay)
		}
	})
}

func TestNobodyWaitsLongerThanAMinute(t *testing.T) {
	now := time.Now()
	ahead := now.Add(15 * time.Millisecond) // dated by a node whose clock is ahead
	if d := throttled(session.Failures{Pair: []time.Time{ahead, ahead, ahead, ahead, ahead}},
		now); d.wait != throttleWindow || !d.own {
		t.Errorf("throttled = %+v, want a minute", d)
	}
}

// nameBook is a directory in which several names lead to one entry.
type nameBook struct {
	entries  map[string]string // by folded name: the entry's
	password string
	asked    atomic.Int64
	binds    atomic.Int64
	finds    atomic.Int64
}

func (b *nameBook) Find(_ context.Context, username string) (directory.Entry, error) {
	b.finds.Add(1)
	user, ok := b.entries[session.FoldName(username)]
	if !ok {
		return directory.Entry{}, directory.ErrBadCredentials
	}
	return directory.Entry{User: user}, nil
}

func (b *nameBook) People(context.Context, int) ([]directory.Entry, error) { return nil, nil }

func (b *nameBook) Authenticate(_ context.Context, username, password string,
	found func(string) error) (directory.Entry, error) {
	b.asked.Add(1)
	user, ok := b.entries[session.FoldName(username)]
	if !ok {
		return directory.Entry{}, directory.ErrBadCredentials
	}
	if err := found(user); err != nil {
		return directory.Entry{}, err
	}
	if b.binds.Add(1); password != b.password {
		return directory.Entry{}, directory.ErrBadCredentials
	}
	return directory.Entry{User: user}, nil
}

// server is one that asks the book.
func (g *guesser) server(book *nameBook) *Server {
	return &Server{shared: &shared{
		authenticator: book,
		people:        book,
		signIns:       newSignIns(g.store, session.RealClock{}),
	}}
}

// typing signs in as somebody types it, and counts what fails.
func (g *guesser) typing(s *Server, typed, password, address string) (wait time.Duration) {
	g.t.Helper()
	a := &attempt{typed: typed, password: password, address: address}
	_, err := s.authenticate(g.t.Context(), a)
	if a.leave != nil {
		defer a.leave()
	}
	switch {
	case a.refused.wait > 0:
	case errors.Is(err, directory.ErrBadCredentials):
		if err := g.store.Append(g.t.Context(), session.Event{
			At:      time.Now(),
			Kind:    session.EventSignInFailed,
			User:    a.name,
			Address: address,
		}); err != nil {
			g.t.Fatal(err)
		}
	case err != nil:
		g.t.Fatal(err)
	}
	return a.refused.wait
}

func TestFailuresCountForTheEntryHoweverItIsTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		book := &nameBook{
			entries:  map[string]string{"grace": "Grace", "grace@corp.example": "Grace"},
			password: "right",
		}
		s := g.server(book)
		spellings := []string{"grace", "GRACE", "ｇrace", "gra\u00adce", "Grace@corp.example", " grace "}
		for i := range maxNameFails {
			if wait := g.typing(s, spellings[i%len(spellings)], "wrong", fmt.Sprintf("198.51.100.%d", i)); wait != 0 {
				t.Fatalf("guess %d had to wait %s", i+1, wait)
			}
		}
		binds := book.binds.Load()
		for i, typed := range spellings {
			if wait := g.typing(s, typed, "right", fmt.Sprintf("203.0.113.%d", i)); wait == 0 {
				t.Errorf("after %d failures %q is tried", maxNameFails, typed)
			}
		}
		if n := book.binds.Load(); n != binds {
			t.Errorf("%d passwords were tried although the name is throttled", n-binds)
		}
		asked := book.asked.Load() + book.finds.Load()
		for i := range 10 { // whose they are is known by now
			for _, typed := range spellings {
				g.typing(s, typed, "wrong", fmt.Sprintf("203.0.113.%d", i))
			}
		}
		if n := book.asked.Load() + book.finds.Load() - asked; n != 0 {
			t.Errorf("attempts that were refused made the directory work %d times", n)
		}
	})
}

// TestTheDirectoryIsAskedForAllNamesAlike holds what would else tell by its time which names exist:
// one question for each attempt, whether the name is an entry's own, another one of its, or
// nobody's; and while the address is refused one look-up without a password.
func TestTheDirectoryIsAskedForAllNamesAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		book := &nameBook{entries: make(map[string]string), password: "right"}
		for i := range 10 {
			user := fmt.Sprint("user", i)
			book.entries[user], book.entries[user+"@corp.example"] = user, user
		}
		s := g.server(book)
		n := 0
		work := func(typed string) string {
			n++
			asked, finds, binds := book.asked.Load(), book.finds.Load(), book.binds.Load()
			g.typing(s, typed, "wrong", "192.0.2.1")
			if binds = book.binds.Load() - binds; binds > 1 {
				t.Errorf("%s: %d passwords are tried", typed, binds)
			}
			return fmt.Sprintf("asked %d, found %d", book.asked.Load()-asked, book.finds.Load()-finds)
		}
		for _, typed := range []string{"user0", "user1@corp.example", "nobody1"} {
			if got := work(typed); got != "asked 1, found 0" {
				t.Errorf("%s: %s, want one question", typed, got)
			}
		}
		for n < maxAddressFails {
			work(fmt.Sprint("other", n))
		}
		for _, typed := range []string{"user2", "user3@corp.example", "nobody2"} {
			if got := work(typed); got != "asked 0, found 1" {
				t.Errorf("%s, while the address is throttled: %s, want one look-up", typed, got)
			}
		}
	})
}

// TestASignInByAnotherNameWaitsForThoseOfTheEntry has two at once: guesses by another name of an
// entry do not go past those by its own.
func TestASignInByAnotherNameWaitsForThoseOfTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		book := &nameBook{
			entries:  map[string]string{"grace": "Grace", "grace@corp.example": "Grace"},
			password: "right",
		}
		s := g.server(book)
		var leaves []func()
		for range maxPairFails {
			leave, _, err := s.signIns.throttle.enter(t.Context(), "Grace", "192.0.2.1", true)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		waited := make(chan time.Duration)
		go func() { waited <- g.typing(s, "grace@corp.example", "right", "192.0.2.1") }()
		synctest.Wait()
		if n := book.binds.Load(); n != 0 {
			t.Errorf("%d passwords are tried ahead of %d that are under way", n, maxPairFails)
		}
		for _, leave := range leaves {
			leave() // and none has failed
		}
		if wait := <-waited; wait != 0 || book.binds.Load() != 1 {
			t.Errorf("after them it waits %s, and %d passwords were tried, want one", wait, book.binds.Load())
		}
	})
}

func TestNobodyIsKeptOutOfAnAddressOfTheirOwnByAnotherNameOfTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		book := &nameBook{
			entries:  map[string]string{"grace": "Grace", "grace@corp.example": "Grace"},
			password: "right",
		}
		s := g.server(book)
		g.known("Grace", "192.0.2.1")
		for i := range maxNameFails {
			g.typing(s, "grace", "wrong", fmt.Sprintf("198.51.100.%d", i))
		}
		for i := range maxAddressFails {
			g.typing(s, fmt.Sprint("nobody", i), "wrong", "192.0.2.1")
		}
		for _, typed := range []string{"grace@corp.example", "grace", "grace@corp.example"} {
			if wait := g.typing(s, typed, "right", "192.0.2.1"); wait != 0 {
				t.Errorf("%s waits %s at an address that she has signed in from", typed, wait)
			}
		}
		if wait := g.typing(s, "stranger", "right", "192.0.2.1"); wait == 0 {
			t.Error("a name that is new to the address need not wait")
		}
	})
}
