package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificate is a TLS certificate that is read again when its file has changed.
type certificate struct {
	cert, key string

	mu       sync.Mutex
	current  *tls.Certificate
	modified time.Time
	checked  time.Time
}

// get is [tls.Config.GetCertificate]. It looks at the file once a second at most.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && c.current != nil && info.ModTime().Equal(c.modified) {
		return c.current, nil
	}
	loaded, loadErr := tls.LoadX509KeyPair(c.cert, c.key)
	if err := errors.Join(err, loadErr); err != nil {
		if c.current != nil {
			return c.current, nil // half a change: the old one serves until the new one is whole
		}
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	c.current, c.modified = &loaded, info.ModTime()
	return c.current, nil
}
