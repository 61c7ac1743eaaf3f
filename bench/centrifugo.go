package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Centrifugo, which holds sockets and tells them what an application says, with its defaults. It
// has no sessions: a token says who a tab's user is, and which channels the tab gets. Here these
// are one of the user and one of everybody, because that is whom Curfew tells.

// centrifugo is the program, built once, out of a module of its own.
var centrifugo = sync.OnceValue(func() (path string) {
	path, err := filepath.Abs("bin/centrifugo")
	check(err)
	build := exec.Command("go", "build", "-C", "bench/centrifugo", "-o", path, "github.com/centrifugal/centrifugo/v6")
	build.Stderr = os.Stderr
	check(build.Run())
	return path
})

const centrifugoConfig = `{
	"http_server": {"address": "127.0.0.1", "port": %s},
	"client": {"allowed_origins": [%q], "token": {"hmac_secret_key": %q}},
	"channel": {"without_namespace": {"allow_publish_for_client": true}},
	"http_api": {"key": %q},
	"log": {"level": "error"},
	"usage_stats": {"disabled": true}
}`

func startCentrifugo() *server {
	address := freePort()
	p := startProcess(func(folder string) *exec.Cmd {
		file := filepath.Join(folder, "config.json")
		_, port, _ := net.SplitHostPort(address)
		check(os.WriteFile(file, fmt.Appendf(nil, centrifugoConfig, port, origin, token, token), 0o600))
		return exec.Command(centrifugo(), "--config", file)
	})
	await("centrifugo", func() bool { return answers(address) })
	return &server{cmd: p.cmd, address: address, speaks: theirs, greets: true, foreign: p}
}

// theirs is what Centrifugo speaks: version 2 of its protocol in JSON, as its client for browsers
// does.
var theirs = &dialect{
	handshake: func(string) []byte { return upgrade("/connection/websocket", "") },
	first: func(token string) []byte {
		return frame(fmt.Appendf(nil, `{"id":1,"connect":{"token":%q}}`, token))
	},
	// There is no message that needs no answer. This is a publication to a channel of nobody.
	heartbeat: frame([]byte(`{"id":2,"publish":{"channel":"acts","data":{"type":"activity","idle_ms":0}}}`)),
	hear:      (*tab).hearCentrifugo,
}

// The answer to a probe, and what acknowledges a publication.
var (
	centrifugoPong = frame([]byte(`{}`))
	centrifugoAck  = frame([]byte(`{"id":3,"publish":{"channel":"acks","data":{"type":"ack","seq":20001}}}`))
)

// hearCentrifugo takes in a frame, which may hold several messages.
func (t *tab) hearCentrifugo(body []byte, at time.Time) {
	for line := range bytes.Lines(body) {
		switch line = bytes.TrimSpace(line); {
		case bytes.Equal(line, []byte(`{}`)):
			acks <- ack{t, centrifugoPong, at}
		case bytes.HasPrefix(line, []byte(`{"id":1,"connect":`)):
			t.hello, t.helloSize = at, len(line)
			close(t.greeted)
		case bytes.HasPrefix(line, []byte(`{"push":`)):
			t.told.Store(at.UnixNano())
			acks <- ack{t, centrifugoAck, at}
		case bytes.Contains(line, []byte(`"error":`)):
			check(fmt.Errorf("centrifugo answered %s", line))
		}
	}
}

// centrifugoTokens are n tokens, of one user or of a user each.
func centrifugoTokens(command string, n int) []string {
	list := make([]string, n)
	encode := base64.RawURLEncoding.EncodeToString
	for i := range list {
		user := "many"
		if command != "of-one-user" {
			user = "user" + strconv.Itoa(i)
		}
		signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
			encode(fmt.Appendf(nil, `{"sub":%q,"channels":["of-%s","everyone"]}`, user, user))
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(signed))
		list[i] = signed + "." + encode(mac.Sum(nil))
	}
	return list
}
