package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestTestClockFiresInOrderStandingAtEachDueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock TestClock
		start := clock.Now()
		var fired []time.Duration
		note := func() { fired = append(fired, clock.Now().Sub(start)) }
		clock.AfterFunc(3*time.Minute, note)
		clock.AfterFunc(time.Minute, func() {
			note()
			clock.AfterFunc(time.Minute, note) // falls due within the same leap
		})
		stopped := clock.AfterFunc(time.Minute, note)
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop must report true once")
		}
		clock.AfterFunc(time.Hour, note)
		if now := clock.Advance(10 * time.Minute); now.Sub(start) != 10*time.Minute {
			t.Errorf("after the leap it is %s, want 10m", now.Sub(start))
		}
		pass(50 * time.Minute)
		synctest.Wait()
		want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, time.Hour}
		if fmt.Sprint(fired) != fmt.Sprint(want) {
			t.Errorf("fired at %v, want %v", fired, want)
		}
	})
}

func TestSyncedClockIsSetOnlyAsFarAsIsProved(t *testing.T) {
	tests := []struct {
		name  string
		skew  time.Duration // of this clock
		there time.Duration // of the way, until the other clock is read
		back  time.Duration
		wants time.Duration // how far off this clock is afterwards
	}{
		{"a clock that is right stays", 0, time.Millisecond, time.Millisecond, 0},
		{"a clock that is wrong is set right", 2 * time.Second, time.Millisecond, time.Millisecond, 0},
		{"... also by a little", -15 * time.Millisecond, time.Millisecond, time.Millisecond, 0},
		{"a slow answer moves nothing that may be right", 0, 400 * time.Millisecond, 0, 0},
		{"... whichever way was slow", 0, 0, 400 * time.Millisecond, 0},
		{"... nor what is wrong by less than it proves", 100 * time.Millisecond, 400 * time.Millisecond, 0,
			100 * time.Millisecond},
		{"a slow answer sets a clock only to where it may be right", 2 * time.Second, 0, 400 * time.Millisecond, 0},
		{"... which may be off by the time it took", 2 * time.Second, 400 * time.Millisecond, 0,
			400 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				skewed := &SkewedClock{Clock: RealClock{}}
				skewed.SetSkew(test.skew)
				clock := &SyncedClock{Clock: skewed, Wall: skewed.Wall}
				asked := time.Now()
				time.Sleep(test.there)
				now := Millis(time.Now())
				time.Sleep(test.back)
				clock.Sync(now, asked, time.Since(asked))
				if off := time.Until(clock.Now()); (off - test.wants).Abs() > 2*time.Millisecond {
					t.Errorf("%s off, want %s", off, test.wants)
				}
			})
		})
	}
}
