package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

func TestEventDispatcherHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []uint64
		read := make(chan struct{})
		f := session.NewEventDispatcher(func(e session.Event) {
			<-read // as a reader of the log that stands still
			told = append(told, e.Number)
		})
		f.Dispatch(session.Event{Number: 1})
		synctest.Wait() // the first is being told
		for i := range 20_000 {
			f.Dispatch(session.Event{Number: uint64(i + 2)})
		}
		began := time.Now()
		f.Close()
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Close waited %s for a reader that stands still, want a second", waited)
		}
		close(read)
		synctest.Wait()
		if len(told) != 10_001 {
			t.Fatalf("%d lines were told, want that under way and 10,000 that waited", len(told))
		}
		for i, n := range told {
			if n != uint64(i+1) {
				t.Fatalf("line %d was told in the place of %d", n, i+1)
			}
		}
	})
}

func TestEventDispatcherPassesAllOnBeforeItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		f := session.NewEventDispatcher(func(session.Event) { time.Sleep(time.Millisecond); told++ })
		for range 500 {
			f.Dispatch(session.Event{})
		}
		f.Close()
		if told != 500 {
			t.Errorf("%d of 500 lines were told", told)
		}
	})
}
