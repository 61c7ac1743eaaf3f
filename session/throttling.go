package session

import (
	"net/netip"
	"time"
)

// Failures is what a store knows of failed sign-ins for a name and an address. The throttle of the
// sign-in page decides by it. The times are those of the failures, oldest first. An address counts
// by its [Network].
type Failures struct {
	Pair    []time.Time // of the name from the address
	Address []time.Time // from the address, by names that had not signed in from there
	Name    []time.Time // of the name, from addresses where it had not signed in
	Known   bool        // the name has signed in from the address within KnownFor
}

// What a store keeps of failed sign-ins at least. Throttling looks back a shorter time and asks for
// fewer failures. A store need not keep more.
const (
	FailuresFor  = 5 * time.Minute // how long a failure is kept
	FailuresKept = 64              // how many are kept of one name, of one network, and of one name from one network
)

// Network is the part of an address by which throttling counts: all of an IPv4 address, and the /64
// of an IPv6 address. Text that is no address counts as it is.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
