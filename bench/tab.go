package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tab is a browser's end of a socket, as small as can be: it acknowledges what it is told. Tabs
// have machines of their own; here they run on the cores of the server, and must not take those
// from it. So there is no goroutine for each tab, but one thread that reads what epoll(7) finds
// readable and one that writes what is to be acknowledged; see giveWay. When a message arrived is
// told by the kernel's stamp (SO_TIMESTAMPNS, socket(7)), not by when the thread came to read it.
type tab struct {
	cookie  string
	speaks  *dialect
	hello   time.Time // when it arrived; zero until then
	due     time.Time // the end, by the server's hello
	late    time.Duration
	greeted chan struct{} // closed when hello and due are known
	expired chan struct{} // closed when late is known
	told    atomic.Int64  // when a notice or the end arrived, Unix ns
	ended   time.Time     // when the close frame arrived, or the connection broke
	closed  chan struct{} // closed with the connection, when ended is known

	helloSize int // bytes of its message

	rest []byte // the beginning of a frame; used by readTabs alone

	secure *tls.Conn // instead of fd, over TLS

	mu   sync.Mutex // held while fd is used
	fd   int
	gone bool // fd is closed
}

// frame is a masked text frame (RFC 6455 §5.2), under the mask of zeros.
func frame(body []byte) []byte {
	head := []byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}
	if len(body) > 125 {
		head = []byte{0x81, 0x80 | 126, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0}
	}
	return append(head, body...)
}

// watch is what epoll looks after.
type watch struct {
	epoll int
	mu    sync.Mutex
	tabs  map[int32]*tab // by descriptor
}

var watched = newWatch()

func newWatch() *watch {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	check(err)
	return &watch{epoll: fd, tabs: make(map[int32]*tab)}
}

func (w *watch) add(t *tab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tabs[int32(t.fd)] = t
	check(syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, t.fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(t.fd)}))
}

// pageThreads are the two threads of the tabs, by their IDs.
var pageThreads = make(chan int, 2)

func lockPageThread() {
	runtime.LockOSThread()
	pageThreads <- unix.Gettid()
}

// giveWay leaves to the tabs only what the server does not need of the cores, from now on: see
// SCHED_IDLE in sched(7). There is no way back for a process without rights.
func giveWay() {
	both := []int{<-pageThreads, <-pageThreads} // they may just be starting
	for _, thread := range both {
		check(unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0))
		pageThreads <- thread
	}
}

// arrival is when the newest part of what was read arrived: now, if the kernel has not stamped it.
// It begins to a little after the first socket asks for it.
func arrival(control []byte) time.Time {
	messages, err := syscall.ParseSocketControlMessage(control)
	check(err)
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SCM_TIMESTAMPNS {
			var at syscall.Timespec
			_, err := binary.Decode(m.Data, binary.NativeEndian, &at)
			check(err)
			return time.Unix(at.Unix())
		}
	}
	return time.Now()
}

// readTabs reads what arrives for all tabs.
func (w *watch) readTabs() {
	lockPageThread()
	events := make([]syscall.EpollEvent, 256)
	buffer, control := make([]byte, 1<<16), make([]byte, 128)
	for {
		n, err := syscall.EpollWait(w.epoll, events, -1)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		check(err)
		for _, e := range events[:n] {
			w.mu.Lock()
			t := w.tabs[e.Fd]
			w.mu.Unlock()
			n, stamp, _, _, err := syscall.Recvmsg(t.fd, buffer, control, 0)
			if errors.Is(err, syscall.EAGAIN) {
				continue
			}
			at := arrival(control[:max(stamp, 0)])
			if err == nil && n > 0 && t.take(buffer[:n], at) {
				continue
			}
			t.ended = at
			w.mu.Lock()
			delete(w.tabs, e.Fd)
			w.mu.Unlock()
			t.mu.Lock()
			t.gone = true
			syscall.Close(t.fd)
			t.mu.Unlock()
			close(t.closed)
		}
	}
}

// send writes a frame. net.ErrClosed, or that of write(2).
func (t *tab) send(frame []byte) error {
	if t.secure != nil {
		_, err := t.secure.Write(frame)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.gone {
		n, err := syscall.Write(t.fd, frame)
		if errors.Is(err, syscall.EAGAIN) {
			runtime.Gosched()
			continue
		}
		if err != nil {
			return err
		}
		if frame = frame[n:]; len(frame) == 0 {
			return nil
		}
	}
	return net.ErrClosed
}

// close has the connection closed by who reads it.
func (t *tab) close() {
	if t.secure != nil {
		t.secure.NetConn().Close()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gone {
		syscall.Shutdown(t.fd, syscall.SHUT_RDWR)
	}
}

// take takes in what has arrived; false at the end of the messages.
func (t *tab) take(data []byte, at time.Time) bool {
	if len(t.rest) > 0 {
		data = append(t.rest, data...)
	}
	for {
		head, n := 2, 0
		if len(data) >= head {
			if n = int(data[1]); n == 126 {
				head = 4
				if len(data) >= head {
					n = int(binary.BigEndian.Uint16(data[2:4]))
				}
			}
		}
		if len(data) < head+n {
			t.rest = append([]byte(nil), data...)
			return true
		}
		if data[0] != 0x81 {
			return false
		}
		t.speaks.hear(t, data[head:head+n], at)
		data = data[head+n:]
	}
}

// ack is an acknowledgement on its way.
type ack struct {
	tab   *tab
	frame []byte
	heard time.Time
}

var acks = make(chan ack, 1<<16)

func writeAcks() {
	lockPageThread()
	for a := range acks {
		pause(time.Until(a.heard.Add(*roundTrip)))
		a.tab.send(a.frame) // the server may be gone
	}
}
