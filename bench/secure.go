package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Tabs over TLS, which ends at the server itself.

var serveTLS = flag.Bool("tls", false, "with -serve curfew or lean: over TLS")

// newCertificate is one that nobody checks, with the key that most sites have today.
func newCertificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{data}, PrivateKey: key}
}

// listen serves connections of a listener, over TLS where that is asked for.
func listen(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler}
	if !*serveTLS {
		go server.Serve(l)
		return
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{newCertificate()}}
	go server.ServeTLS(l, "", "")
}

// dialTLS opens a tab that a goroutine of its own reads: what tabs over TLS cost is measured in
// memory of the server alone.
func (s *server) dialTLS(cookie string) *tab {
	raw, err := net.DialTCP("tcp", &net.TCPAddr{IP: nextSource().AsSlice()}, net.TCPAddrFromAddrPort(s.addrPort()))
	check(err)
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	_, err = c.Write(s.speaks.handshake(cookie))
	check(err)
	status, early := readHandshake(c.Read)
	if status != http.StatusSwitchingProtocols {
		log.Fatalf("handshake: %d", status)
	}
	t := newTab(cookie, s.speaks)
	t.secure = c
	go t.readTLS(early)
	if s.greets {
		<-t.greeted
	}
	return t
}

func (t *tab) readTLS(early []byte) {
	defer close(t.closed)
	defer t.secure.NetConn().Close()
	for buffer := early; t.take(buffer, time.Now()); {
		buffer = make([]byte, 4096)
		n, err := t.secure.Read(buffer)
		if err != nil {
			return
		}
		buffer = buffer[:n]
	}
}
