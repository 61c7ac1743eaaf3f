package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Large downloads and uploads through Curfew: how much memory they take.

const transferBytes = 1 << 30

// measureTransfers passes a download and an upload, and tells by how much the memory of the process
// grew at most.
func measureTransfers() {
	app := startServer("-serve", "application")
	defer app.stop()
	own := startSite("127.0.0.1:0", "--upstream", "http://"+app.address)
	defer own.stop()
	cookies := own.signIn()
	for range 200 { // what the first requests cost once is not the cost of a transfer
		c := keepAlive(own.address, own.host, "/small", script, cookies)
		c.get()
		c.conn.Close()
	}
	fmt.Println()
	for _, t := range []struct {
		name string
		pass func(s *site, cookies string)
	}{{"download", download}, {"upload", uploadTo}} {
		pid := own.cmd.Process.Pid
		before := residentOf(pid)
		check(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)) // the peak begins anew
		begin := time.Now()
		t.pass(own, cookies)
		took := time.Since(begin)
		fmt.Printf("%s of 1 GB: %.1f MB more memory at most, %.0f MB a second\n", t.name,
			(memoryOf(pid, "VmHWM:")-before)/(1<<20), transferBytes/took.Seconds()/(1<<20))
	}
}

// exchange sends the header of a request with its body, and returns the answer.
func exchange(s *site, cookies, line string, body io.Reader) (*http.Response, net.Conn) {
	conn, err := net.Dial("tcp", s.address)
	check(err)
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Length: %d\r\n%s\r\n", line, s.host,
		cookies, lengthOf(body), script)
	check(err)
	if body != nil {
		_, err = io.Copy(conn, body)
		check(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 64<<10), nil)
	check(err)
	if response.StatusCode != http.StatusOK {
		log.Fatalf("%s: %s", line, response.Status)
	}
	return response, conn
}

func lengthOf(body io.Reader) int {
	if body == nil {
		return 0
	}
	return transferBytes
}

func download(s *site, cookies string) {
	response, conn := exchange(s, cookies, "GET /download?bytes="+strconv.Itoa(transferBytes), nil)
	defer conn.Close()
	n, err := io.Copy(io.Discard, response.Body)
	check(err)
	if n != transferBytes {
		log.Fatalf("%d bytes were downloaded", n)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func uploadTo(s *site, cookies string) {
	response, conn := exchange(s, cookies, "POST /upload", io.LimitReader(zeros{}, transferBytes))
	defer conn.Close()
	answer, err := io.ReadAll(response.Body)
	check(err)
	if strings.TrimSpace(string(answer)) != strconv.Itoa(transferBytes) {
		log.Fatalf("%s bytes were uploaded", answer)
	}
}
