package parallel

import (
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errBroken = errors.New("broken")

// upTo yields the numbers below n, and then err if that is not nil.
func upTo(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestEachTakesAllWithSoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			n     int
			err   error
			takes time.Duration
		}{{0, nil, 0}, {1, nil, time.Second}, {10, nil, time.Second}, {95, nil, 10 * time.Second},
			{95, errBroken, 10 * time.Second}} {
			var sum atomic.Int64
			began := time.Now()
			err := Each(10, upTo(tt.n, tt.err), func(i int) error {
				time.Sleep(time.Second)
				sum.Add(int64(i))
				return nil
			})
			if took := time.Since(began); err != tt.err || took != tt.takes || sum.Load() != int64(tt.n*(tt.n-1)/2) {
				t.Errorf("%d, %v: %v after %s, with the sum %d", tt.n, tt.err, err, took, sum.Load())
			}
		}
	})
}

func TestEachStopsAtAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		err := Each(10, upTo(1000, nil), func(i int) error {
			time.Sleep(time.Second)
			calls.Add(1)
			if i == 5 {
				return errBroken
			}
			return nil
		})
		if n := calls.Load(); err != errBroken || n > 20 {
			t.Errorf("%v after %d calls, want the error after two turns", err, n)
		}
	})
}
