package front

import (
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Upstream is the address of an application. [ParseUpstream] reads one.
type Upstream struct {
	text         string
	scheme, host string // of requests
	socket       string // path of a Unix socket; empty: host is dialled
	// CA has the certificates that an https upstream is checked against, for the host of its URL;
	// nil: those of the system.
	CA *x509.CertPool
}

// ParseUpstream reads http://HOST:PORT, https://HOST:PORT or unix:/PATH.
func ParseUpstream(text string) (*Upstream, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return nil, errors.New("must name a socket by its full path, as unix:/run/app.sock")
		}
		return &Upstream{text: text, scheme: "http", host: "localhost", socket: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("must be http://HOST:PORT, https://HOST:PORT or unix:/PATH, without a path of the URL")
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return nil, errors.New("must have a port between 1 and 65535")
	}
	return &Upstream{text: text, scheme: u.Scheme, host: u.Host}, nil
}

// String is the address as it was written.
func (u *Upstream) String() string { return u.text }

// IsTLS reports whether the application is spoken to over TLS.
func (u *Upstream) IsTLS() bool { return u.scheme == "https" }

// URL is the address as an application may name it; nil for a Unix socket.
func (u *Upstream) URL() *url.URL {
	if u.socket != "" {
		return nil
	}
	return &url.URL{Scheme: u.scheme, Host: u.host}
}

// address is what is dialled.
func (u *Upstream) address() (network, address string) {
	if u.socket != "" {
		return "unix", u.socket
	}
	return "tcp", net.JoinHostPort(u.hostname(), u.port())
}

// hostname is the host of the address, without its port.
func (u *Upstream) hostname() string { return (&url.URL{Host: u.host}).Hostname() }

func (u *Upstream) port() string {
	if port := (&url.URL{Host: u.host}).Port(); port != "" {
		return port
	}
	return defaultPort(u.scheme)
}
