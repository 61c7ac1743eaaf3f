package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// WebSockets of the application, through Curfew: how soon a forced logout cuts them.

const (
	cutSockets  = 5000
	cutSessions = 5 // of the one user whose sockets they are
	cutRounds   = 5
)

// applicationSocket is the browser's end of a WebSocket of the application.
type applicationSocket struct {
	conn   net.Conn
	closed time.Time // once gone is done
}

// openSocket opens one, and waits for its end in the background.
func openSocket(s *site, cookies string, gone *sync.WaitGroup) *applicationSocket {
	conn, err := net.Dial("tcp", s.address)
	check(err)
	_, err = fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: %s\r\nCookie: %s\r\n\r\n",
		s.host, s.url, cookies)
	check(err)
	reader := bufio.NewReaderSize(conn, 512)
	response, err := http.ReadResponse(reader, nil)
	check(err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		log.Fatalf("a socket of the application: %s", response.Status)
	}
	socket := &applicationSocket{conn: conn}
	gone.Go(func() {
		for err == nil {
			_, err = reader.ReadByte()
		}
		socket.closed = time.Now()
	})
	return socket
}

// measureCut opens sockets of one user, signs them out, and tells when they were cut.
func measureCut() {
	app := startServer("-serve", "application")
	defer app.stop()
	own := startSite("127.0.0.1:0", "--upstream", "http://"+app.address)
	defer own.stop()
	fmt.Printf("\n%d WebSockets of the application, of one user with %d sessions, cut by a forced logout, %d rounds\n",
		cutSockets, cutSessions, cutRounds)
	var sinceCall, sinceAnswer, spread []float64
	for range cutRounds {
		var cookies []string
		for range cutSessions {
			cookies = append(cookies, own.signIn())
		}
		sockets := make([]*applicationSocket, cutSockets)
		var gone, opening sync.WaitGroup
		for part := range cutSessions {
			opening.Go(func() {
				for i := part; i < len(sockets); i += cutSessions {
					sockets[i] = openSocket(own, cookies[part], &gone)
				}
			})
		}
		opening.Wait()
		pause(time.Second)
		called, answered := own.forceLogout()
		gone.Wait()
		first, last := sockets[0].closed, sockets[0].closed
		for _, s := range sockets {
			if s.closed.Before(called) {
				log.Fatal("a socket was closed before the logout")
			}
			first, last = slices.MinFunc([]time.Time{first, s.closed}, time.Time.Compare),
				slices.MaxFunc([]time.Time{last, s.closed}, time.Time.Compare)
			s.conn.Close()
		}
		ms := func(from time.Time) float64 { return last.Sub(from).Seconds() * 1000 }
		sinceCall, sinceAnswer, spread = append(sinceCall, ms(called)), append(sinceAnswer, ms(answered)),
			append(spread, ms(first))
	}
	fmt.Printf("  the last is cut %.0f ms after the call and %.0f ms after its answer; first to last %.0f ms\n",
		middle(sinceCall), middle(sinceAnswer), middle(spread))
	fmt.Printf("  after the call at most %.0f ms, in the slowest round\n", slices.Max(sinceCall))
}
