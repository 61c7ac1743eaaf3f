// Package delivery sends the audit trail to receivers outside: to a webhook, and to a syslog
// server.
//
// Each line is sent at least once over all nodes: what waits stands in the store (session.Outbox),
// and a line waits until its receiver has accepted it. [Webhook] sends the next line of a session
// only after the last was accepted, and lines of different sessions side by side. [Syslog] sends
// all lines in the order of the trail.
//
// A receiver that is slow or dead delays nobody and costs a bounded piece of memory: it is read for
// at the pace at which it accepts. A sender has one goroutine, [Webhook.Run] or [Syslog.Run], and
// those that it starts and waits for.
package delivery
