package faulty_test

import (
	"errors"
	"iter"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/storetest"
)

func open(t *testing.T, f *faulty.Faults) session.Store {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return faulty.Store{Store: store, Faults: f}
}

func TestEveryMethodOfAStoreCanFail(t *testing.T) {
	passing := []string{"Age", "Close", "Ping", "Prune", "Reset", "Secret"}
	f := faulty.New(1)
	f.Set(faulty.All, faulty.Rule{Before: 1})
	store := reflect.ValueOf(open(t, f))
	methods := reflect.TypeFor[session.Store]()
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		if slices.Contains(passing, m.Name) {
			continue
		}
		arguments := []reflect.Value{reflect.ValueOf(t.Context())}
		for a := 1; a < m.Type.NumIn(); a++ {
			arguments = append(arguments, reflect.Zero(m.Type.In(a)))
		}
		results := store.MethodByName(m.Name).Call(arguments)
		if wait := results[0]; wait.Type() == reflect.TypeFor[func() (bool, error)]() {
			results = wait.Call(nil)
		}
		err := results[len(results)-1].Interface()
		if all, ok := err.(iter.Seq2[session.Record, error]); ok {
			for _, each := range all {
				err = each
			}
		}
		if err, _ := err.(error); !errors.Is(err, faulty.ErrInjected) {
			t.Errorf("%s = %v, want it made to fail", m.Name, err)
		}
	}
}

func TestFaults(t *testing.T) {
	f := faulty.New(1)
	store := open(t, f)
	r := storetest.Record("ada")
	f.Set("Create", faulty.Rule{Before: 1, Times: 1})
	if _, err := store.Create(t.Context(), r, 0); !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("Create = %v, want it made to fail", err)
	}
	if _, err := store.Get(t.Context(), r.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after an error before: %v, want nothing done", err)
	}
	if _, err := store.Create(t.Context(), r, 0); err != nil {
		t.Errorf("the second Create = %v, want it to pass", err)
	}
	why := session.End{Reason: session.ReasonIdle, At: r.CreatedAt}
	f.Set("End", faulty.Rule{NotDue: 1})
	if _, err := store.End(t.Context(), r.ID, why, time.Now().Add(time.Hour)); !errors.Is(err, session.ErrNotDue) {
		t.Errorf("End = %v, want not due", err)
	}
	f.Set("End", faulty.Rule{After: 1})
	if first, err := store.End(t.Context(), r.ID, why, time.Time{}); first || !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("End = %v, %v, want it made to fail", first, err)
	}
	if got, err := store.Get(t.Context(), r.ID); err != nil || got.End == nil {
		t.Errorf("after an error after: %+v, %v, want it done", got.End, err)
	}
	f.Heal()
	if first, err := store.End(t.Context(), r.ID, why, time.Time{}); first || err != nil {
		t.Errorf("End when healed = %v, %v", first, err)
	}
	got := f.Injected()
	if got["error before, Create"] != 1 || got["not due, End"] != 1 || got["error after, End"] != 1 {
		t.Errorf("injected: %v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		f := faulty.New(1)
		store := open(t, f)
		f.Set(faulty.All, faulty.Rule{Slow: 1, By: time.Minute})
		began := time.Now()
		if _, err := store.Get(t.Context(), r.ID); !errors.Is(err, session.ErrNotFound) || time.Since(began) == 0 {
			t.Errorf("a slow Get = %v after %s", err, time.Since(began))
		}
	})
}

func TestFaultsOfEndsThatAreNotWaitedForPassTogetherAndKeepTheirOrder(t *testing.T) {
	for _, rule := range []faulty.Rule{{After: 1}, {Slow: 1, By: time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			f := faulty.New(1)
			store := open(t, f)
			var waits []func() (bool, error)
			began := time.Now()
			for range 5 {
				r := storetest.Record("ada")
				if _, err := store.Create(t.Context(), r, 0); err != nil {
					t.Fatal(err)
				}
				f.Set("End", rule)
				why := session.End{Reason: session.ReasonIdle, At: r.CreatedAt}
				waits = append(waits, store.EndSoon(t.Context(), r.ID, why, time.Time{}))
				displaced, err := store.Create(t.Context(), storetest.Record("ada"), 1)
				if err != nil || slices.Contains(displaced, r.ID) {
					t.Errorf("%+v: a sign-in displaces who had ended by then: %v, %v", rule, displaced, err)
				}
			}
			for i, wait := range waits {
				first, err := wait()
				if first != (rule.Slow > 0) || errors.Is(err, faulty.ErrInjected) != (rule.After > 0) {
					t.Errorf("%+v: end %d: %v, %v", rule, i, first, err)
				}
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%+v: the answers took %s", rule, took)
			}
		})
	}
}
