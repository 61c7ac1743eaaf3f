package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// A new connection is not used for any decision until the Sentinels have confirmed that it leads to
// the master: all that answer, and most of them. See
// docs/decisions.md#a-new-connection-is-believed-when-the-sentinels-agree.

// errNoMaster is returned until the Sentinels have confirmed the connection.
var errNoMaster = errors.New("the Sentinels do not agree which server is the master")

type sentinelCheck struct {
	sentinels []rueidis.ClientOption // of each; none where there is no Sentinel

	dialled   atomic.Int64 // connections that were ever made
	confirmed atomic.Int64 // dialled, when the master was last confirmed

	mu sync.Mutex // held while Sentinels are asked
}

// watch counts the connections that o makes.
func (c *sentinelCheck) watch(o *rueidis.ClientOption) {
	if o.Sentinel.MasterSet == "" {
		return
	}
	for _, address := range o.InitAddress {
		c.sentinels = append(c.sentinels, rueidis.ClientOption{
			InitAddress:         []string{address},
			Username:            o.Sentinel.Username,
			Password:            o.Sentinel.Password,
			TLSConfig:           o.Sentinel.TLSConfig,
			Dialer:              o.Dialer,
			ForceSingleClient:   true,
			DisableCache:        true,
			DisableRetry:        true,
			PipelineMultiplex:   -1,
			ReadBufferEachConn:  4 << 10,
			WriteBufferEachConn: 4 << 10,
		})
	}
	o.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		c.dialled.Add(1)
		if config != nil {
			return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
		}
		return dialer.DialContext(ctx, "tcp", address)
	}
}

// trusted runs f over connections that are known to lead to the master. If a new one was made
// meanwhile, what f found counts only after that one is confirmed, too.
func (s *Store) trusted(ctx context.Context, f func()) error {
	if len(s.master.sentinels) == 0 {
		f()
		return nil
	}
	if err := s.verifyMaster(ctx); err != nil {
		return err
	}
	before := s.master.dialled.Load()
	f()
	if s.master.dialled.Load() == before {
		return nil
	}
	return s.verifyMaster(ctx)
}

func (s *Store) verifyMaster(ctx context.Context) error {
	c := &s.master
	if c.dialled.Load() == c.confirmed.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	dialled := c.dialled.Load()
	if dialled == c.confirmed.Load() {
		return nil
	}
	named, answers := "", 0
	for _, o := range c.sentinels {
		address, err := askSentinel(ctx, o, s.masterSet)
		if err != nil {
			continue
		}
		answers++
		if named != "" && address != named {
			return fmt.Errorf("%w: %s or %s", errNoMaster, named, address)
		}
		named = address
	}
	if 2*answers <= len(c.sentinels) {
		return fmt.Errorf("%w: %d of %d answer", errNoMaster, answers, len(c.sentinels))
	}
	if _, connected := s.client.Nodes()[named]; !connected {
		return fmt.Errorf("%w: it is %s, to which there is no connection yet", errNoMaster, named)
	}
	c.confirmed.Store(dialled)
	return nil
}

func askSentinel(ctx context.Context, o rueidis.ClientOption, masterSet string) (address string, err error) {
	client, err := rueidis.NewClient(o)
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer, err := client.Do(ctx, client.B().SentinelGetMasterAddrByName().Master(masterSet).Build()).AsStrSlice()
	if err != nil || len(answer) != 2 {
		return "", errors.Join(err, errUnexpected)
	}
	return net.JoinHostPort(answer[0], answer[1]), nil
}
