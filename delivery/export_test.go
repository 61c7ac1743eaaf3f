package delivery

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Settle changes how long a connection must live on until a line counts as accepted.
func (s *Syslog) Settle(d time.Duration) { s.settle = d }

// Limits changes how many lines a webhook has in memory, and how many wait for it.
func (w *Webhook) Limits(room, keep int) { w.room, w.keep = room, keep }

// Dial changes how a webhook is reached.
func (w *Webhook) Dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	w.client.Transport.(*http.Transport).DialContext = dial
}
