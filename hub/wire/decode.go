package wire

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"curfew/session/exactjson"
)

// Incoming is a decoded message from a page.
type Incoming struct {
	Kind   Kind
	Idle   time.Duration // of activity
	Hidden bool          // of visibility
	Seq    int64         // of ack
	Users  []string      // of watch
}

// ErrMessage is what [Decode] returns, wrapped with what is wrong. The page has broken the
// protocol.
var ErrMessage = errors.New("not a message of the protocol")

// maxIdle keeps idle_ms within what a duration holds. No session is that old.
const maxIdle = 100 * 365 * 24 * time.Hour

// Decode reads a message from a page. Unknown types, missing, mistyped or misspelt fields, those
// that stand twice and trailing data are errors; fields that the protocol does not know are passed
// over.
func Decode(data []byte) (Incoming, error) {
	if ms, ok := decodeNumber(data, `{"type":"activity","idle_ms":`); ok {
		return Incoming{Kind: KindActivity, Idle: time.Duration(ms) * time.Millisecond}, nil
	}
	if seq, ok := decodeNumber(data, `{"type":"ack","seq":`); ok {
		return Incoming{Kind: KindAck, Seq: seq}, nil
	}
	var m struct {
		Type   Kind     `json:"type"`
		IdleMS *int64   `json:"idle_ms"`
		Hidden *bool    `json:"hidden"`
		Seq    *int64   `json:"seq"`
		Users  []string `json:"users"`
	}
	if err := exactjson.UnmarshalKnown(data, &m); err != nil {
		return Incoming{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	in := Incoming{Kind: m.Type}
	switch m.Type {
	case KindActivity:
		if m.IdleMS == nil || *m.IdleMS < 0 {
			return Incoming{}, fmt.Errorf("%w: activity needs idle_ms, 0 or more", ErrMessage)
		}
		in.Idle = time.Duration(min(*m.IdleMS, maxIdle.Milliseconds())) * time.Millisecond
	case KindVisibility:
		if m.Hidden == nil {
			return Incoming{}, fmt.Errorf("%w: visibility needs hidden", ErrMessage)
		}
		in.Hidden = *m.Hidden
	case KindAck:
		if m.Seq == nil {
			return Incoming{}, fmt.Errorf("%w: ack needs seq", ErrMessage)
		}
		in.Seq = *m.Seq
	case KindWatch:
		if m.Users == nil || len(m.Users) > MaxWatched {
			return Incoming{}, fmt.Errorf("%w: watch needs users, %d at most", ErrMessage, MaxWatched)
		}
		in.Users = m.Users
	case KindConfirm, KindSync:
	default:
		return Incoming{}, fmt.Errorf("%w: unknown type %q", ErrMessage, m.Type)
	}
	return in, nil
}

// decodeNumber reads the messages that matter for speed, in the one spelling that curfew.js uses.
func decodeNumber(data []byte, prefix string) (int64, bool) {
	digits, ok := bytes.CutPrefix(data, []byte(prefix))
	if !ok {
		return 0, false
	}
	digits, ok = bytes.CutSuffix(digits, []byte(`}`))
	if !ok || len(digits) == 0 || len(digits) > 11 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// MaxMessage is the largest message in bytes that a page may send.
const MaxMessage = 4096

// MaxWatched is how many users one page may watch.
const MaxWatched = 100
