package main

import (
	"math"
	"syscall"
)

// maxTabs is how many tabs this process may hold: each needs a file descriptor. Some are left for
// all else: requests, the store, the directory, and the sockets of those who are told that there is
// no room.
func maxTabs() int {
	var limit syscall.Rlimit
	// The runtime has raised it to the hard limit.
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return tabsWithin(limit.Cur)
}

func tabsWithin(descriptors uint64) int {
	reserve := min(max(256, descriptors/10), descriptors/2)
	return int(min(descriptors-reserve, math.MaxInt32))
}
