package wire

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"curfew/session/exactjson"
)

// Incoming is a decoded message from a page. Of the fields below Kind only that of its kind is set.
type Incoming struct {
	Kind   Kind
	Idle   time.Duration // of activity
	Hidden bool          // of visibility
	Seq    int64         // of ack
	Users  []string      // of watch
}

// errMessage is the error of [Decode], joined with what is wrong.
var errMessage = errors.New("not a message of the protocol")

// maxIdle is the greatest idle_ms; greater ones count as that. No session is that old, and more
// would not fit into a duration.
const maxIdle = 100 * 365 * 24 * time.Hour

// Decode decodes a message from a page. Errors are unknown types, fields that are missing, of a
// wrong type, misspelt or there twice, and trailing data. Fields that the protocol does not know
// are ignored. Any error means that the page has broken the protocol.
func Decode(data []byte) (Incoming, error) {
	if in, ok := DecodeUsual(data); ok {
		return in, nil
	}
	var m struct {
		Type   Kind     `json:"type"`
		IdleMS *int64   `json:"idle_ms"`
		Hidden *bool    `json:"hidden"`
		Seq    *int64   `json:"seq"`
		Users  []string `json:"users"`
	}
	if err := exactjson.UnmarshalKnown(data, &m); err != nil {
		return Incoming{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	in := Incoming{Kind: m.Type}
	switch m.Type {
	case KindActivity:
		if m.IdleMS == nil || *m.IdleMS < 0 {
			return Incoming{}, fmt.Errorf("%w: activity needs idle_ms, 0 or more", errMessage)
		}
		in.Idle = time.Duration(min(*m.IdleMS, maxIdle.Milliseconds())) * time.Millisecond
	case KindVisibility:
		if m.Hidden == nil {
			return Incoming{}, fmt.Errorf("%w: visibility needs hidden", errMessage)
		}
		in.Hidden = *m.Hidden
	case KindAck:
		if m.Seq == nil {
			return Incoming{}, fmt.Errorf("%w: ack needs seq", errMessage)
		}
		in.Seq = *m.Seq
	case KindWatch:
		if m.Users == nil || len(m.Users) > MaxWatched {
			return Incoming{}, fmt.Errorf("%w: watch needs users, %d at most", errMessage, MaxWatched)
		}
		in.Users = m.Users
	case KindConfirm, KindSync:
	default:
		return Incoming{}, fmt.Errorf("%w: unknown type %q", errMessage, m.Type)
	}
	return in, nil
}

// DecodeUsual is [Decode] for the messages that come often, in the one spelling that curfew.js
// uses. ok is false for others, which Decode may know. It needs neither the JSON decoder nor a deep
// stack.
func DecodeUsual(data []byte) (in Incoming, ok bool) {
	if ms, ok := decodeNumber(data, `{"type":"activity","idle_ms":`); ok {
		return Incoming{Kind: KindActivity, Idle: time.Duration(ms) * time.Millisecond}, true
	}
	if seq, ok := decodeNumber(data, `{"type":"ack","seq":`); ok {
		return Incoming{Kind: KindAck, Seq: seq}, true
	}
	switch string(data) {
	case `{"type":"visibility","hidden":false}`:
		return Incoming{Kind: KindVisibility}, true
	case `{"type":"visibility","hidden":true}`:
		return Incoming{Kind: KindVisibility, Hidden: true}, true
	case `{"type":"confirm"}`:
		return Incoming{Kind: KindConfirm}, true
	case `{"type":"sync"}`:
		return Incoming{Kind: KindSync}, true
	}
	return Incoming{}, false
}

// decodeNumber decodes a message with one number.
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
