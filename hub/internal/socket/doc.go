// Package socket moves the bytes of one tab's WebSocket. It accepts the connection with small
// buffers, reads messages, limits how many frames a page may send, queues frames, and writes them
// without waiting for a slow peer. Package wire encodes data frames and close frames, once for all
// tabs that get them. The WebSocket library reads, and writes pongs and the answer to a close
// frame.
//
// The package knows no session, no hub and no store. It does not decide when a tab is closed, with
// one exception: a page that does not read is closed as slow.
//
// The caller that has accepted a [Conn] reads it, in one goroutine, and releases it by
// [Conn.CloseNow]. [Writers] writes in the goroutine of its caller. If the peer does not read, it
// starts one by Writers.Go, which the hub waits for.
//
// A Conn has two locks, and neither is taken while the other is held. That of the outbox is held
// for list work only. That of the stream is held while one frame is written, so that no other frame
// lands inside it.
package socket
