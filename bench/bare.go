package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// What a guard is compared with: the WebSocket library alone. It is used as its examples do, which
// read in the handler, or in the leanest way known: the handler returns, and a goroutine with
// buffers of 256 bytes reads.

var (
	bareHello = flag.Int("hello", 0, "with -serve handler or lean: the size of a first message")
	bareTicks = flag.Duration("ticks", 0, "with -serve lean: how often each tab is ticked")
	bareTells = flag.Bool("tells", false, "with -serve lean: POST /tell writes to all")
)

// bare is a server that accepts whatever comes, and drops what it reads.
type bare struct {
	lean  bool
	hello []byte
	keeps bool // the connections

	mu    sync.Mutex
	conns []net.Conn
}

func newBare(lean bool) http.Handler {
	b := &bare{lean: lean, keeps: *bareTells || *bareTicks > 0}
	if *bareHello > 0 {
		b.hello = helloOf(*bareHello)
	}
	if *bareTicks > 0 {
		go b.tick(*bareTicks)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /session/ws", b.accept)
	mux.HandleFunc("POST /tell", b.tell)
	return mux
}

// helloOf is a hello of so many bytes.
func helloOf(size int) []byte {
	const format = `{"type":"hello","seq":1,"expire_in_ms":600000,"tab":"%s"}`
	return fmt.Appendf(nil, format, strings.Repeat("x", size+len("%s")-len(format)))
}

func (b *bare) accept(w http.ResponseWriter, r *http.Request) {
	keep := &slim{ResponseWriter: w}
	if b.lean {
		w = keep
	}
	c, err := websocket.Accept(w, r,
		&websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	if b.keeps {
		b.mu.Lock()
		b.conns = append(b.conns, keep.conn)
		b.mu.Unlock()
	}
	if len(b.hello) > 0 && c.Write(r.Context(), websocket.MessageText, b.hello) != nil {
		return
	}
	if b.lean {
		go read(c)
	} else {
		read(c)
	}
}

var readBuffers = sync.Pool{New: func() any { return new([wire.MaxMessage]byte) }}

// read reads each message into a pooled buffer, and does nothing else.
func read(c *websocket.Conn) {
	defer c.CloseNow()
	for {
		_, r, err := c.Reader(context.Background())
		if err != nil {
			return
		}
		buffer := readBuffers.Get().(*[wire.MaxMessage]byte)
		_, err = io.ReadFull(r, buffer[:])
		readBuffers.Put(buffer)
		if err != io.ErrUnexpectedEOF { // a message is smaller
			return
		}
	}
}

// slim gives the library small buffers in place of the HTTP server's.
type slim struct {
	http.ResponseWriter
	conn net.Conn // set by Hijack
}

func (s *slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, _, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.conn = c
	return c, bufio.NewReadWriter(bufio.NewReaderSize(c, 256), bufio.NewWriterSize(c, 256)), nil
}

// bareFrame is a text frame of a server (RFC 6455 §5.2), which the bare connections are written.
func bareFrame(body []byte) []byte {
	if len(body) < 126 {
		return append([]byte{0x81, byte(len(body))}, body...)
	}
	return append([]byte{0x81, 126, byte(len(body) >> 8), byte(len(body))}, body...)
}

// tell is the bare library's best way to tell many: one frame, encoded once, is written to the bare
// connections by so many writers.
func (b *bare) tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	check(err)
	f := bareFrame(body)
	b.mu.Lock()
	conns := slices.Clone(b.conns)
	b.mu.Unlock()
	writers := runtime.GOMAXPROCS(0)
	if n := r.URL.Query().Get("writers"); n != "" {
		writers, err = strconv.Atoi(n)
		check(err)
	}
	for part := range slices.Chunk(conns, (len(conns)+writers-1)/writers) {
		go func() {
			for _, c := range part {
				c.Write(f) // the browser may be gone
			}
		}()
	}
}

// tickSlots is over how many moments of a round the ticks are spread, as Curfew spreads its own.
const tickSlots = 100

// tick writes to each connection once in a round what Curfew writes, and has its answer read.
func (b *bare) tick(round time.Duration) {
	f := bareFrame([]byte(`{"type":"tick","seq":2}`))
	ticker := time.NewTicker(round / tickSlots)
	for n := 0; ; n++ {
		<-ticker.C
		b.mu.Lock()
		for i := n % tickSlots; i < len(b.conns); i += tickSlots {
			b.conns[i].Write(f)
		}
		b.mu.Unlock()
	}
}
