package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"curfew/session"
	"curfew/session/exactjson"
)

// The protocol on top of RFC 6455, subprotocol curfew.v1: text frames of one JSON object each.
// Times are durations in whole milliseconds; no clock time crosses the wire.
//
//	page                                   server
//	  | ------ GET /session/ws ------------> |   Origin, subprotocol and session are checked before the upgrade
//	  | <----- hello ----------------------- |   always first; a standing warning follows
//	  | ------ activity, confirm, --------> |   a person acted, pressed 'Stay signed in',
//	  |        visibility, sync, watch      |   hid or showed the tab; the page wants the truth, or others' presence
//	  | <----- active, warn, tick --------- |   the deadlines moved, a warning stands, are you there
//	  | <----- notice, presence ----------- |   an admin tells something; who is here
//	  | ------ ack -----------------------> |   the page has done what message seq told it
//	  | <----- expire --------------------- |   it is over; the page blanks itself, then acks
//	  | <----- close 4001 ------------------ |
const Subprotocol = "curfew.v1"

// Kind is the type of a message.
type Kind string

// Messages from the page.
const (
	KindActivity   Kind = "activity"
	KindConfirm    Kind = "confirm"
	KindVisibility Kind = "visibility"
	KindSync       Kind = "sync"
	KindWatch      Kind = "watch"
	KindAck        Kind = "ack"
)

// Messages from the server.
const (
	KindHello    Kind = "hello"
	KindActive   Kind = "active"
	KindWarn     Kind = "warn"
	KindNotice   Kind = "notice"
	KindPresence Kind = "presence"
	KindTick     Kind = "tick"
	KindExpire   Kind = "expire"
)

// Close codes (RFC 6455 §7.4): they tell the page what to do.
const (
	StatusLeft    = 4000 // from the page: it is going; the reason says how
	StatusExpired = 4001 // final: the session has ended, the reason names the Reason
	StatusSlow    = 4101 // the page did not read; it reconnects after a jittered wait
	StatusRestart = 1012 // so does it here
	StatusFull    = 1013 // and here: there are too many tabs, or the store could not be asked
	StatusBreach  = 1008
)

// LeftNavigate is the reason of StatusLeft where a link, a form or a script took the page
// elsewhere. Any other means closed.
const LeftNavigate = "navigate"

// maxMessage is the largest message in bytes that a page may send.
const maxMessage = 4096

// hello is the first frame of a tab.
type hello struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	Tab         string           `json:"tab"`
	User        string           `json:"user"`
	WarnInMS    int64            `json:"warn_in_ms"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	HeartbeatMS int64            `json:"heartbeat_ms"`
	ExtendOn    session.ExtendOn `json:"extend_on"`
}

// active tells the deadlines. HeartbeatMS and ExtendOn are there where a reload changed them.
type active struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	WarnInMS    int64            `json:"warn_in_ms"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	HeartbeatMS int64            `json:"heartbeat_ms,omitempty"`
	ExtendOn    session.ExtendOn `json:"extend_on,omitempty"`
}

// warn tells that the session will end. HeartbeatMS and ExtendOn are there where a reload changed
// them.
type warn struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	Reason      session.Reason   `json:"reason"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	Message     string           `json:"message"`
	HeartbeatMS int64            `json:"heartbeat_ms,omitempty"`
	ExtendOn    session.ExtendOn `json:"extend_on,omitempty"`
}

// notice tells what an admin has to say, or a new sign-in. Nobody is signed out by it.
type notice struct {
	Type    Kind   `json:"type"`
	Seq     int64  `json:"seq"`
	ID      string `json:"id"`
	Message string `json:"message"`
}

// presence tells the states of watched users: all of them once, then those that changed.
type presence struct {
	Type  Kind             `json:"type"`
	Seq   int64            `json:"seq"`
	Users map[string]State `json:"users"`
}

// tick asks whether the page is there.
type tick struct {
	Type Kind  `json:"type"`
	Seq  int64 `json:"seq"`
}

// expire tells that it is over.
type expire struct {
	Type     Kind           `json:"type"`
	Seq      int64          `json:"seq"`
	Reason   session.Reason `json:"reason"`
	Message  string         `json:"message"`
	Location string         `json:"location"`
}

// millis rounds a duration up, so that no page thinks a deadline earlier than it is. Past ones are
// 0.
func millis(d time.Duration) int64 {
	return max(0, int64((d+time.Millisecond-1)/time.Millisecond))
}

// frame encodes a message as an unmasked text frame (RFC 6455 §5.2).
func frame(message any) []byte {
	body, err := json.Marshal(message)
	if err != nil {
		panic(err) // the types above always encode
	}
	return appendFrame(make([]byte, 0, len(body)+4), opText, body)
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
)

// pingFrame is an empty ping (RFC 6455 §5.5.2).
var pingFrame = appendFrame(nil, opPing, nil)

func appendFrame(b []byte, opcode byte, body []byte) []byte {
	const fin = 0x80
	switch {
	case len(body) < 126:
		b = append(b, fin|opcode, byte(len(body)))
	case len(body) < 1<<16:
		b = append(b, fin|opcode, 126, byte(len(body)>>8), byte(len(body)))
	default:
		panic("no message is that long")
	}
	return append(b, body...)
}

// closeFrame encodes a close frame; the reason is cut to what a control frame holds (RFC
// 6455 §5.5).
func closeFrame(code int, reason string) []byte {
	body := append([]byte{byte(code >> 8), byte(code)}, reason[:min(len(reason), 123)]...)
	return appendFrame(nil, opClose, body)
}

// incoming is a decoded message from a page.
type incoming struct {
	kind   Kind
	idle   time.Duration // of activity
	hidden bool          // of visibility
	seq    int64         // of ack
	users  []string      // of watch
}

var errMessage = errors.New("not a message of the protocol")

// maxIdle keeps idle_ms within what a duration holds. No session is that old.
const maxIdle = 100 * 365 * 24 * time.Hour

// decode reads a message from a page. Unknown types, missing, mistyped or misspelt fields, those
// that stand twice and trailing data are errors; fields that the protocol does not know are passed
// over.
func decode(data []byte) (incoming, error) {
	if ms, ok := decodeNumber(data, `{"type":"activity","idle_ms":`); ok {
		return incoming{kind: KindActivity, idle: time.Duration(ms) * time.Millisecond}, nil
	}
	if seq, ok := decodeNumber(data, `{"type":"ack","seq":`); ok {
		return incoming{kind: KindAck, seq: seq}, nil
	}
	var m struct {
		Type   Kind     `json:"type"`
		IdleMS *int64   `json:"idle_ms"`
		Hidden *bool    `json:"hidden"`
		Seq    *int64   `json:"seq"`
		Users  []string `json:"users"`
	}
	if err := exactjson.UnmarshalKnown(data, &m); err != nil {
		return incoming{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	in := incoming{kind: m.Type}
	switch m.Type {
	case KindActivity:
		if m.IdleMS == nil || *m.IdleMS < 0 {
			return incoming{}, fmt.Errorf("%w: activity needs idle_ms, 0 or more", errMessage)
		}
		in.idle = time.Duration(min(*m.IdleMS, maxIdle.Milliseconds())) * time.Millisecond
	case KindVisibility:
		if m.Hidden == nil {
			return incoming{}, fmt.Errorf("%w: visibility needs hidden", errMessage)
		}
		in.hidden = *m.Hidden
	case KindAck:
		if m.Seq == nil {
			return incoming{}, fmt.Errorf("%w: ack needs seq", errMessage)
		}
		in.seq = *m.Seq
	case KindWatch:
		if m.Users == nil || len(m.Users) > maxWatched {
			return incoming{}, fmt.Errorf("%w: watch needs users, %d at most", errMessage, maxWatched)
		}
		in.users = m.Users
	case KindConfirm, KindSync:
	default:
		return incoming{}, fmt.Errorf("%w: unknown type %q", errMessage, m.Type)
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
