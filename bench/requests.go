package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// keptAlive is a connection over which one request is sent again and again. It costs little, so
// that the cores are the servers'.
type keptAlive struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

// script is a request as a script of a page makes it, and navigation one of a person.
const (
	script = "Accept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
	person = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n" +
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
)

func keepAlive(address, host, path, kind, cookies string) *keptAlive {
	conn, err := net.Dial("tcp", address)
	check(err)
	return &keptAlive{
		conn:   conn,
		reader: bufio.NewReaderSize(conn, 16<<10),
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; "+
			"rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept-Language: en-US,en;q=0.5\r\n"+
			"Accept-Encoding: gzip, deflate, br\r\nCookie: %s\r\n%s\r\n", path, host, cookies, kind),
	}
}

// get sends the request and reads the answer, which must be 200 and not empty.
func (c *keptAlive) get() {
	_, err := c.conn.Write(c.request)
	check(err)
	line, err := c.reader.ReadSlice('\n')
	check(err)
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		log.Fatalf("answered %q", line)
	}
	length, chunked := int64(-1), false
	for {
		line, err = c.reader.ReadSlice('\n')
		check(err)
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.ParseInt(string(value), 10, 64)
			check(err)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	switch {
	case chunked:
		c.skipChunks()
	case length > 0:
		c.skip(length)
	default:
		log.Fatal("an answer without a length, or empty")
	}
}

func (c *keptAlive) skip(n int64) {
	_, err := c.reader.Discard(int(n))
	check(err)
}

func (c *keptAlive) skipChunks() {
	for {
		line, err := c.reader.ReadSlice('\n')
		check(err)
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		check(err)
		c.skip(n + 2)
		if n == 0 {
			return
		}
	}
}

// asFastAsTheyGo sends requests over all connections at once, each after the answer to the last,
// and returns how many were answered a second.
func asFastAsTheyGo(conns []*keptAlive, d time.Duration) float64 {
	var answered atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for _, c := range conns {
		wg.Go(func() {
			n := int64(0)
			for time.Since(begin) < d {
				c.get()
				n++
			}
			answered.Add(n)
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(begin).Seconds()
}

// steadily sends so many requests a second, each over a connection that is free, and returns the
// milliseconds that each took, with what it waited for such a connection.
func steadily(conns []*keptAlive, perSecond int, d time.Duration) (ms []float64) {
	free := make(chan *keptAlive, len(conns))
	for _, c := range conns {
		free <- c
	}
	took := make(chan float64, perSecond*int(d/time.Second+1))
	var wg sync.WaitGroup
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	begin := time.Now()
	for sent := 0; time.Since(begin) < d; {
		<-ticker.C
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due; sent++ {
			asked := time.Now()
			c := <-free
			wg.Go(func() {
				c.get()
				took <- time.Since(asked).Seconds() * 1000
				free <- c
			})
		}
	}
	wg.Wait()
	close(took)
	for t := range took {
		ms = append(ms, t)
	}
	return ms
}
