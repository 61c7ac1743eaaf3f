package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openers is how many tabs are opened at once.
const openers = 8

// open opens a tab for each cookie.
func (s *server) open(cookies []string) []*tab {
	// An opener waits in read(2), which keeps its P: the others need some of their own.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(openers + runtime.NumCPU()))
	list := make([]*tab, len(cookies))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range openers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(cookies) {
					return
				}
				if s.secure {
					list[i] = s.dialTLS(cookies[i])
				} else {
					list[i] = s.dial(cookies[i])
				}
				s.opened.Add(1)
			}
		})
	}
	wg.Wait()
	return list
}

func (s *server) dial(cookie string) *tab {
	t, status := s.tryDial(cookie)
	if t == nil {
		log.Fatalf("handshake: %d", status)
	}
	return t
}

// tryDial opens a tab, and waits for its hello where the server writes one; nil where it is
// refused. It makes the fewest system calls, because the load runs on the cores of the server.
func (s *server) tryDial(cookie string) (t *tab, status int) {
	fd := connect(s.addrPort())
	check(writeAll(fd, s.speaks.handshake(cookie)))
	status, early := readHandshake(func(buffer []byte) (int, error) { return readSome(fd, buffer) })
	if status != http.StatusSwitchingProtocols {
		check(syscall.Close(fd))
		return nil, status
	}
	t = newTab(cookie, s.speaks)
	t.fd = fd
	if s.speaks.first != nil {
		check(writeAll(fd, s.speaks.first(cookie)))
	}
	t.take(early, time.Now())
	for buffer := make([]byte, 4096); s.greets && t.hello.IsZero(); {
		n, err := readSome(fd, buffer)
		check(err)
		if !t.take(buffer[:n], time.Now()) {
			log.Fatalf("closed instead of greeted: %q", buffer[:n])
		}
	}
	check(syscall.SetNonblock(fd, true))
	check(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1))
	watched.add(t)
	return t, status
}

func newTab(cookie string, speaks *dialect) *tab {
	return &tab{
		cookie:  cookie,
		speaks:  speaks,
		greeted: make(chan struct{}),
		expired: make(chan struct{}),
		closed:  make(chan struct{}),
	}
}

// sources counts the connections. Each comes from another of four addresses: one address has too
// few ports, and the kernel searches long for the last of them.
var sources atomic.Uint32

func nextSource() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + sources.Add(1)%4)}) }

func (s *server) addrPort() netip.AddrPort { return netip.MustParseAddrPort(s.address) }

// connect makes a connection whose reads block, but not for ever.
func connect(to netip.AddrPort) (fd int) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(err)
	check(syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
	check(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1))
	check(syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 30}))
	check(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: nextSource().As4()}))
	check(syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
	return fd
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Write(fd, data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// readSome reads what has arrived, or waits for it. An end is an error.
func readSome(fd int, buffer []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, buffer)
		switch {
		case err == syscall.EINTR:
			continue
		case err == nil && n == 0:
			return 0, fmt.Errorf("the server has closed the connection")
		}
		return n, err
	}
}

// readHandshake reads the answer to a handshake. early is what came with it.
func readHandshake(read func([]byte) (int, error)) (status int, early []byte) {
	buffer := make([]byte, 4096)
	for n := 0; ; {
		more, err := read(buffer[n:])
		check(err)
		n += more
		head, rest, whole := bytes.Cut(buffer[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		const prefix = "HTTP/1.1 "
		status, err := strconv.Atoi(string(head[len(prefix) : len(prefix)+3]))
		check(err)
		return status, rest
	}
}
