package main

import (
	"math"
	"testing"
)

func TestTabsLeaveDescriptorsForAllElse(t *testing.T) {
	for _, c := range []struct {
		descriptors uint64
		want        int
	}{{256, 128}, {1024, 768}, {20_000, 18_000}, {1 << 20, 943_719}, {math.MaxUint64, math.MaxInt32}} {
		if got := tabsWithin(c.descriptors); got != c.want {
			t.Errorf("of %d descriptors tabs may have %d, want %d", c.descriptors, got, c.want)
		}
	}
}
