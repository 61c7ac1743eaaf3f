// Package hubtest has the other end of a hub for tests: a [Page] that answers ticks and says what
// it expects, and a [Listener] in memory.
//
// A [Page] speaks the protocol of package wire over a real WebSocket. It knows no hub, so the same
// page tests a hub in its process, a server behind its handlers, and a program on a port:
//
//	synctest.Test(t, func(t *testing.T) {
//		listener := hubtest.Listen()
//		… // serve the hub on listener
//		page := hubtest.Open(t, hubtest.Options{
//			URL:    "ws://app.example/session/ws",
//			Client: listener.Client(),
//			Header: header, // with what names the session
//		})
//		page.Wants(wire.KindWarn, 9*time.Minute) // the bubble's time: the test takes milliseconds
//		page.WantsEnd(session.ReasonIdle, 10*time.Minute)
//	})
//
// In a bubble of testing/synctest all must stay in memory, or the bubble's time does not stand
// still: hence the Listener. Outside of a bubble a page waits in real time. There a wait ends after
// [Options.Limit], so that a failing test fails and does not hang.
//
// A page has two goroutines, one that reads and one that acknowledges. Both end with its socket. A
// page of [Open] is closed when its test ends.
package hubtest
