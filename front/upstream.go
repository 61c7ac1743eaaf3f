package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
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

const (
	dialLimit  = 5 * time.Second // for a connection, and as much for its TLS handshake
	maxIdle    = 256             // connections that wait for the next request
	idleLimit  = 30 * time.Second
	maxHeaders = 1 << 20 // bytes of an answer's header
)

// transport makes the connections to the application.
func (u *Upstream) transport(timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: dialLimit}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if u.socket != "" {
				network, address = "unix", u.socket
			}
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{RootCAs: u.CA, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialLimit,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleLimit,
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeaders,
	}
}
