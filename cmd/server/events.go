package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"curfew/delivery"
	"curfew/views"
)

// eventsConfig says who is told of each line of the audit trail.
type eventsConfig struct {
	webhook       *url.URL // nil: nobody
	webhookSecret string   // path of the file
	webhookCA     *x509.CertPool
	shortSecret   bool
	syslog        *url.URL // nil: nobody
	syslogCA      *x509.CertPool
}

// goodSecret is from how many bytes on a secret of a webhook cannot be guessed, whatever is in it.
const goodSecret = 32

func (c *eventsConfig) settings() []setting {
	return []setting{
		{
			name: "webhook-url",
			meaning: "where each line of the audit trail is posted as JSON: `https://…`, or `http://…` on loopback; " +
				"see `docs/events.md`",
			set: func(v value) (err error) {
				c.webhook, err = parseWebhook(v.text)
				return err
			},
		},
		{
			name:    "webhook-secret-file",
			meaning: "file with the secret that signs these requests; read again when it changes",
			kind:    aFile,
			set: contents(func(path string, data []byte) error {
				secret, err := delivery.ParseSecret(data)
				c.webhookSecret, c.shortSecret = path, len(secret) < goodSecret
				return err
			}),
		},
		{
			name:    "webhook-ca-file",
			meaning: "certificates (PEM) that the webhook's is checked against",
			unset:   "the system's",
			kind:    aFile,
			set:     certificates(&c.webhookCA),
		},
		{
			name: "audit-syslog",
			meaning: "syslog server that gets each line of the audit trail (RFC 5424): `syslog+tls://HOST:PORT`, or " +
				"`syslog+tcp://HOST:PORT` on loopback",
			set: func(v value) (err error) {
				c.syslog, err = parseSyslog(v.text)
				return err
			},
		},
		{
			name:    "audit-syslog-ca-file",
			meaning: "certificates (PEM) that the syslog server's is checked against",
			unset:   "the system's",
			kind:    aFile,
			set:     certificates(&c.syslogCA),
		},
	}
}

// parseWebhook reads a URL to which lines may be posted.
func parseWebhook(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("must be an address as https://app.example.org/curfew/events")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("must have neither an account nor a fragment: the signature proves who sends")
	case u.Scheme == "http" && !views.Loopback(u.Hostname()):
		return nil, errors.New("must be https unless its host is loopback: the lines tell who does what")
	}
	return u, validatePort(u)
}

// Ports of syslog servers where none is given: RFC 5425, and what IANA has for syslog over TCP.
const (
	syslogTLSPort = "6514"
	syslogTCPPort = "601"
)

// parseSyslog reads where a syslog server is. Its scheme is tls or tcp afterwards, and it has a
// port.
func parseSyslog(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" ||
		u.Fragment != "" {
		return nil, errors.New("must be an address as syslog+tls://logs.example.org:6514")
	}
	port := ""
	switch u.Scheme = strings.TrimPrefix(u.Scheme, "syslog+"); u.Scheme {
	case "tls":
		port = syslogTLSPort
	case "tcp":
		port = syslogTCPPort
		if !views.Loopback(u.Hostname()) {
			return nil, errors.New("must be syslog+tls:// unless its host is loopback: the lines tell who does what")
		}
	default:
		return nil, errors.New("must begin with syslog+tls://, or on loopback with syslog+tcp://")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, validatePort(u)
}

// validatePort refuses a port that there is not.
func validatePort(u *url.URL) error {
	if u.Port() == "" {
		return nil
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return fmt.Errorf("has port %q: it must be 1 to 65535", u.Port())
	}
	return nil
}

// validate refuses what is half of something. given has what sources have for settings.
func (c *eventsConfig) validate(given map[string]value) (mistakes []error) {
	has := func(name string) bool { return given[name].text != "" }
	if has("webhook-url") != has("webhook-secret-file") {
		mistakes = append(mistakes, errors.New("webhook-url and webhook-secret-file: must be set together"))
	}
	if c.webhookCA != nil && !has("webhook-url") {
		mistakes = append(mistakes, errors.New("webhook-ca-file: needs webhook-url"))
	}
	if c.syslogCA != nil && (!has("audit-syslog") || c.syslog != nil && c.syslog.Scheme != "tls") {
		mistakes = append(mistakes, errors.New("audit-syslog-ca-file: needs audit-syslog with syslog+tls://"))
	}
	return mistakes
}

// newSenders makes the senders that are set, and has their receivers get what is written from now
// on.
func (s *server) newSenders(ctx context.Context) error {
	c, options := &s.cfg.events, delivery.Options{
		Outbox: s.outbox,
		Node:   s.node + "/" + rand.Text(), // a name may be that of the run before
		Encode: views.AuditItem,
		Log:    s.log,
	}
	var senders []delivery.Sender
	if c.webhook != nil {
		webhook, err := delivery.NewWebhook(options, delivery.WebhookOptions{
			URL:        c.webhook,
			SecretFile: c.webhookSecret,
			CA:         c.webhookCA,
		})
		if err != nil {
			return err
		}
		senders = append(senders, webhook)
	}
	if c.syslog != nil {
		o := delivery.SyslogOptions{Address: c.syslog.Host}
		if c.syslog.Scheme == "tls" {
			o.TLS = &tls.Config{RootCAs: c.syslogCA, ServerName: c.syslog.Hostname(), MinVersion: tls.VersionTLS12}
		}
		senders = append(senders, delivery.NewSyslog(options, o))
	}
	for _, one := range senders {
		if err := one.Follow(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", one.Name(), err)
		}
	}
	s.senders = senders
	s.toWake.Store(&senders)
	return nil
}

// wakeSenders tells senders of a new line.
func (s *server) wakeSenders() {
	if senders := s.toWake.Load(); senders != nil {
		for _, one := range *senders {
			one.Wake()
		}
	}
}
