package views

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Origins: what one is, and which requests must come from ours. A handshake of a tab is judged by
// [hub.Hub.Accept], since further origins may open one; that of the console, and every unsafe
// request, is judged here.

// hostNames turns host names into what browsers make of them (URL Standard, "domain to ASCII"):
// other letters into punycode, large ones into small ones. Underscores and odd hyphens pass, as
// they do there.
var hostNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckHyphens(false),
	idna.StrictDomainName(false))

// ParseOrigin reads scheme://host[:port] as somebody writes it, and returns it as browsers send it.
func ParseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" && u.Path != "/" ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("must be an origin as https://app.example.org")
	}
	host, err := asciiHost(u.Hostname())
	if errors.Is(err, errShortAddress) {
		return nil, errors.New("must have an IPv4 address as four decimal numbers from 0 to 255 without leading " +
			"zeros, as http://127.0.0.1, which is how browsers write it")
	}
	if err != nil {
		return nil, errors.New("must have a host name that browsers know, as https://app.example.org")
	}
	port, err := portOf(u)
	if err != nil {
		return nil, errors.New("must have a port from 1 to 65535, or none")
	}
	return &url.URL{Scheme: u.Scheme, Host: host + port}, nil
}

// asciiHost is a host as browsers write it; an IPv6 address comes without its brackets, and gets
// them.
func asciiHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", errors.New("has a zone")
		}
		if b := ip.As16(); ip.Is4In6() {
			return fmt.Sprintf("[::ffff:%x:%x]", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15])), nil
		}
		if ip.Is6() {
			return "[" + ip.String() + "]", nil
		}
		return ip.String(), nil
	}
	if !utf8.ValidString(host) {
		return "", errors.New("is no text")
	}
	name, err := hostNames.ToASCII(host)
	if err != nil {
		return "", err
	}
	if name == "" || strings.ContainsAny(name, " #%/:<>?@[\\]^|\x7f") {
		return "", errors.New("is no host name")
	}
	if endsInNumber(name) {
		return "", errShortAddress
	}
	return name, nil
}

// errShortAddress is the error for an IPv4 address in a spelling that browsers turn into another
// one: 127.1, 0x7f.0.0.1.
var errShortAddress = errors.New("is an IPv4 address that browsers write otherwise")

// endsInNumber says that browsers take a name for an IPv4 address, or refuse it (URL Standard,
// "ends in a number checker").
func endsInNumber(name string) bool {
	name = strings.TrimSuffix(name, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits, isHex := strings.CutPrefix(strings.ToLower(last), "0x")
	if isHex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// portOf is the port of u with its colon; empty if it is the scheme's own.
func portOf(u *url.URL) (string, error) {
	if u.Port() == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case err != nil || n == 0:
		return "", errors.New("is no port")
	case u.Scheme == "https" && n == 443, u.Scheme == "http" && n == 80:
		return "", nil
	}
	return ":" + strconv.FormatUint(n, 10), nil
}

// Origin is the origin of a URL as browsers send it; empty where it has none.
func Origin(u *url.URL) string {
	o, err := ParseOrigin(u.Scheme + "://" + u.Host)
	if err != nil {
		return ""
	}
	return o.Scheme + "://" + o.Host
}

// Loopback says that a host name is this machine.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// sameOrigin says that a page of ours, or no page, sent an unsafe request.
func (s *Server) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return len(r.Header.Values("Origin")) == 0 || s.hasOrigin(r)
}

// hasOrigin says that the browser names our origin as the one that the request comes from. A
// handshake of a WebSocket is a GET, which browsers let any page send, so it needs this.
func (s *Server) hasOrigin(r *http.Request) bool {
	origin := r.Header.Values("Origin")
	return len(origin) == 1 && origin[0] == s.origin
}

// fromHere lets only forms pass that a page of this site has sent, or no page.
func (s *Server) fromHere(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !s.sameOrigin(r) {
			return errCrossSite
		}
		if err := parseForm(w, r); err != nil {
			return err
		}
		return h(w, r)
	}
}

// referer is path and query of the page that a request came from, if that is one of this origin.
func (s *Server) referer(r *http.Request) (string, bool) {
	u, err := url.Parse(r.Referer())
	if err != nil || Origin(u) != s.origin {
		return "", false
	}
	return u.RequestURI(), true
}

// cameFrom is the page that a form was on, if it is one of this site; else the home page.
func (s *Server) cameFrom(r *http.Request) string {
	if from, ok := s.referer(r); ok {
		return s.safeNext(from)
	}
	return s.home
}

// wayBack is the page that a request came from, if it is one of this site and leads anywhere but
// home; else home, in the caller's words.
func (s *Server) wayBack(r *http.Request, home string) string {
	if from := s.cameFrom(r); from != s.home {
		return from
	}
	return home
}
