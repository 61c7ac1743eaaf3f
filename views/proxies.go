package views

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Proxies are the peers whose X-Forwarded-* headers are believed.
type Proxies struct {
	trusted []netip.Prefix
	ignored *atomic.Int64
}

// NewProxies trusts peers within these networks.
func NewProxies(trusted []netip.Prefix) Proxies { return Proxies{trusted, new(atomic.Int64)} }

// Ignored counts the requests whose X-Forwarded-* headers came from elsewhere.
func (p Proxies) Ignored() int64 { return p.ignored.Load() }

func peer(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}

func (p Proxies) trusts(ip netip.Addr) bool {
	for _, network := range p.trusted {
		if network.Contains(ip.WithZone("")) {
			return true
		}
	}
	return false
}

// notice counts and logs forwarding headers from peers that are not trusted: mostly a proxy that the settings forgot.
func (p Proxies) notice(r *http.Request, log *slog.Logger) {
	if p.trusts(peer(r)) {
		return
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			if p.ignored.Add(1) == 1 {
				log.Warn("forwarding header of a peer that is not trusted ignored; further ones are only counted", "header", name, "peer", peer(r))
			}
			return
		}
	}
}

// Address is where the browser is: the peer, or behind trusted proxies the last address that none of them is.
func (p Proxies) Address(r *http.Request) string {
	address := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(address); i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = ip.Unmap()
	}
	return address.String()
}

// Loopback says that a host name is this machine.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
