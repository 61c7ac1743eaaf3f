package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"curfew/directory"
	"curfew/session"
)

// errOtherEntry ends a sign-in whose name leads to another entry than the one that it is counted
// for, where it cannot go on as that one's.
var errOtherEntry = errors.New("the name leads to another entry")

// signIns are the sign-ins that are under way, and what is known of those that were.
type signIns struct {
	throttle  throttle
	resolving chan struct{} // a place for each look-up of resolve
	entries   foundEntries
}

func newSignIns(failures failureReader, clock session.Clock) signIns {
	return signIns{
		throttle:  throttle{failures: failures, clock: clock},
		resolving: make(chan struct{}, resolversAtOnce),
	}
}

// attempt is a try to sign in.
type attempt struct {
	typed, password, address string
	next                     string // where to go once it has succeeded
	inWindow                 bool   // that a waiting page has opened
	isScript                 bool   // which wants JSON

	name    string // that it is counted for: the entry's, else what was typed
	leave   func() // to be called after a failure was counted; nil where the sign-in was refused
	refused delay
	said    string // by an administrator, to those who are refused
	why     error  // the directory's refusal
}

// authenticate asks the directory once the attempt has its turn. Failures count for the entry that
// the name leads to, however it is typed; only what leads to none counts as it was typed. So the
// directory is asked whose name it is where it is not the entry's own: before the password is
// tried, and before somebody is refused for what others did who may have signed in from there by
// another name. errCrowded, storeError, and the errors of the directory.
//
// What it does may not tell by its time whether a name exists, also not as another spelling of an
// entry's: whatever is asked of the directory is asked for all names alike.
func (s *Server) authenticate(ctx context.Context, a *attempt) (entry directory.Entry, err error) {
	name, isKnown := s.signIns.entries.of(a.typed)
	a.name = name
	err = s.takeTurn(ctx, a, true)
	if err == nil && a.refused.wait > 0 && !a.refused.own && !isKnown {
		err = s.resolve(ctx, a)
	}
	for range maxEntries {
		if err != nil || a.refused.wait > 0 {
			return directory.Entry{}, err
		}
		entry, err = s.authenticator.Authenticate(ctx, a.typed, a.password, s.finder(ctx, a))
		if !errors.Is(err, errOtherEntry) {
			return entry, err
		}
		if a.refused.wait == 0 {
			err = s.takeTurn(ctx, a, true)
		}
	}
	return directory.Entry{}, fmt.Errorf("%w: the name leads to another entry each time", directory.ErrUnavailable)
}

// maxEntries is how often a name may lead to another entry than before: once, unless it is given
// away at that moment.
const maxEntries = 3

func (s *Server) takeTurn(ctx context.Context, a *attempt, mayWait bool) (err error) {
	a.leave, a.refused, err = s.signIns.throttle.enter(ctx, a.name, a.address, mayWait)
	if err != nil && !errors.Is(err, errCrowded) && !errors.Is(err, errMustWait) {
		return storeError{err}
	}
	return err
}

// isOf notes whose name was typed, and reports whether the attempt is counted for them already.
func (s *Server) isOf(a *attempt, canonical string) bool {
	same := session.SameName(canonical, a.name)
	a.name = canonical
	s.signIns.entries.note(a.typed, canonical)
	return same
}

// finder is told whose name was typed. Where that is not whom the attempt is counted for, it gives
// its turn back and takes one of theirs. It refuses to go on where that one is refused, or would
// have to wait: connections to the directory are not kept for that.
func (s *Server) finder(ctx context.Context, a *attempt) func(canonical string) error {
	return func(canonical string) error {
		if s.isOf(a, canonical) {
			return nil
		}
		a.leave()
		err := s.takeTurn(ctx, a, false)
		if errors.Is(err, errMustWait) || err == nil && a.refused.wait > 0 {
			return errOtherEntry
		}
		return err
	}
}

// Look-ups of resolve: so many at once, and for how long others wait for them.
const (
	resolversAtOnce = 8
	resolverWait    = 5 * time.Second
)

// resolve finds out whose name was typed, and takes its turn where it is not the one that was
// refused: the refusal may not concern them. errCrowded where too many ask at once.
func (s *Server) resolve(ctx context.Context, a *attempt) error {
	timer := time.NewTimer(resolverWait)
	defer timer.Stop()
	select {
	case s.signIns.resolving <- struct{}{}:
		defer func() { <-s.signIns.resolving }()
	case <-timer.C:
		return errCrowded
	case <-ctx.Done():
		return ctx.Err()
	}
	entry, err := s.people.Find(ctx, a.typed)
	if err != nil {
		s.signIns.entries.note(a.typed, a.name) // it leads to none
		return nil                              // the refusal stands
	}
	if s.isOf(a, cmp.Or(entry.User, entry.DN)) {
		return nil // likewise
	}
	return s.takeTurn(ctx, a, true)
}

// foundEntries remember which entry a typed name has led to, for some minutes: whoever is refused
// makes the directory work once. A name that is given to somebody else meanwhile is found out by
// the directory at the next sign-in. The zero value is ready.
type foundEntries struct {
	mu         sync.Mutex
	young, old map[string]string // by folded name: the entry's, or the same name where it has led to none
	turned     time.Time
}

// The younger half of the names becomes the older one when it is so old, or when there are so many.
const (
	entriesFor = time.Minute
	maxFound   = 10_000
)

// of is the name of the entry that a typed one leads to, as far as that is known; else what was
// typed, folded.
func (f *foundEntries) of(typed string) (name string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	typed = session.FoldName(typed)
	for _, names := range []map[string]string{f.young, f.old} {
		if name, ok := names[typed]; ok {
			return name, true
		}
	}
	return typed, false
}

func (f *foundEntries) note(typed, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); f.young == nil || len(f.young) >= maxFound || now.Sub(f.turned) > entriesFor {
		f.old, f.young, f.turned = f.young, make(map[string]string), now
	}
	f.young[session.FoldName(typed)] = name
}
