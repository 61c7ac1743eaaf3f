package bolt

import (
	"fmt"
	"testing"
	"time"
)

func TestFailedSignInsAreBounded(t *testing.T) {
	var f failures
	at := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	for i := range 80_000 { // each is of a name and an address of its own, within five minutes
		f.add(fmt.Sprintf("user%d", i), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255),
			at.Add(time.Duration(i)*time.Millisecond), false)
		if n := len(f.byKey); n > 100_000 {
			t.Fatalf("%d keys after %d failures", n, i+1)
		}
	}
	since := at.Add(-time.Second)
	if n := len(f.since("user79999", "10.1.56.127", since).Pair); n != 1 {
		t.Errorf("%d failures of the last name, want 1", n)
	}
	if n := len(f.since("user0", "10.0.0.0", since).Pair); n != 0 {
		t.Errorf("%d failures of the first name, want it forgotten", n)
	}
}
