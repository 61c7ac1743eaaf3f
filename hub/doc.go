// Package hub holds the open tabs. It hears what people do in them, decides when a session warns
// and when it ends, and tells every tab of it.
//
// The file tree is the architecture: handshake.go lets a tab in and hears its messages, tab.go and
// conn.go move its bytes, wire.go is the protocol, live.go is one session that has not ended,
// deadlines.go wakes sessions in time, deciding.go judges them, leaving.go is the close grace,
// policies.go the reload, flush.go writes activity to the store, ticks.go probes the tabs, and
// hub.go puts them together.
package hub
