package views

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Proxies are the peers whose X-Forwarded-* headers are believed, and who may tell the doors of an
// original request.
type Proxies struct {
	trusted []netip.Prefix
	ignored *tally // requests with headers that are not believed
	untold  *tally // checks at a door that came without an original request to believe
}

// NewProxies trusts peers within these networks.
func NewProxies(trusted []netip.Prefix) Proxies { return Proxies{trusted, new(tally), new(tally)} }

// Ignored counts the requests whose X-Forwarded-* headers came from elsewhere.
func (p Proxies) Ignored() int64 { return p.ignored.n.Load() }

// Untold counts the checks at a door of which only the session could be judged.
func (p Proxies) Untold() int64 { return p.untold.n.Load() }

// tally counts what anybody can cause, and has the log told of it now and then.
type tally struct {
	n    atomic.Int64
	told atomic.Int64 // when the log was told, in Unix milliseconds
}

// tellEvery is how often the log is told at most.
const tellEvery = time.Minute

// add counts one more, and reports whether the log is to be told.
func (t *tally) add() (n int64, tell bool) {
	n, told, now := t.n.Add(1), t.told.Load(), time.Now().UnixMilli()
	return n, now-told >= tellEvery.Milliseconds() && t.told.CompareAndSwap(told, now)
}

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

// notice counts and logs forwarding headers from peers that are not trusted: mostly a proxy that
// the settings forgot.
func (p Proxies) notice(r *http.Request, log *slog.Logger) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			if p.trusts(peer(r)) {
				return
			}
			if n, tell := p.ignored.add(); tell {
				log.Warn("forwarding header of a peer that is not trusted ignored; told once a minute", "header",
					name, "peer", peer(r), "ignored_so_far", n)
			}
			return
		}
	}
}

// Address is where the browser is: the peer, or behind trusted proxies the last address that none
// of them is.
func (p Proxies) Address(r *http.Request) string {
	address := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(address); i-- {
		ip, err := parseHop(hops[i])
		if err != nil {
			break
		}
		address = ip.Unmap().WithZone("") // a zone means something on that machine alone (RFC 4007 §6)
	}
	return address.String()
}

// parseHop reads an address of X-Forwarded-For. Some proxies add a port, put an IPv6 address into
// brackets, or quote it all, as Forwarded does (RFC 7239, section 6).
func parseHop(text string) (netip.Addr, error) {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr(), nil
	}
	if inside, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inside, "]")
	}
	return netip.ParseAddr(text)
}
