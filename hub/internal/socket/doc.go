// Package socket moves the bytes of one tab's WebSocket: it accepts the connection with small
// buffers, reads messages, counts frames against floods, queues frames and writes them without
// waiting for a slow peer. Data frames and close frames are encoded once, by package wire, for all
// tabs that get them. The WebSocket library reads, and writes pongs and the answer to a close
// frame.
//
// The package knows no session, no hub and no store. It does not decide when a tab is closed,
// except that a page which does not read is closed as slow.
//
// It owns no goroutine for long. Whoever accepted a [Conn] reads it, from one goroutine, and
// releases it by [Conn.CloseNow]. [Writers] writes in the goroutine of its caller, and where the
// peer does not read, in one that the hub waits for.
//
// Two locks follow each other: that of the outbox is held for list work only, and that of the
// stream for one frame, so that no frame lands inside another.
package socket
