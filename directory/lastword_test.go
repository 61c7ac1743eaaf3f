package directory_test

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestLastWordIsAnAnswerOfAServer(t *testing.T) {
	t.Parallel()
	server := startSlapd(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, as a server does that hangs
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, what := range []string{"a service account", "nobody"} {
		config := server.config()
		if what == "nobody" {
			config.BindDN, config.BindPassword = "", ""
		}
		d := open(t, config)
		if !d.LastWord().IsZero() {
			t.Errorf("%s: it has spoken before it was asked", what)
		}
		before := time.Now()
		if err := d.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		word := d.LastWord()
		if word.Before(before) {
			t.Errorf("%s: last word at %s, want it after %s", what, word, before)
		}
		if _, err := d.Authenticate(t.Context(), "ada", "wrong", nil); err == nil {
			t.Errorf("%s: a wrong password was taken", what)
		}
		if !d.LastWord().After(word) {
			t.Errorf("%s: a refusal is no word", what)
		}
		config.URLs = []string{"ldap://" + mute.Addr().String()}
		d = open(t, config)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := d.Ping(ctx)
		cancel()
		if err == nil || !d.LastWord().IsZero() {
			t.Errorf("%s at a server that hangs: %v, last word %s", what, err, d.LastWord())
		}
	}
}
