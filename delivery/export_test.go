package delivery

import "time"

// Settle changes how long a connection must live on until a line counts as accepted.
func (s *Syslog) Settle(d time.Duration) { s.settle = d }
