package wire

import (
	"time"

	"curfew/session"
)

// Subprotocol names the protocol in the handshake (RFC 6455 §1.9). A page that does not offer it is
// refused.
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
	StatusTooBig  = 1009
	StatusAway    = 1001 // from the browser: it leaves the page, or closes
)

// LeftNavigate is the reason of StatusLeft where a link, a form or a script took the page
// elsewhere. Any other means closed.
const LeftNavigate = "navigate"

// Hello is the first frame of a tab.
type Hello struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	Tab         string           `json:"tab"`
	User        string           `json:"user"`
	Who         string           `json:"who"`    // session.Marks.Who
	Rights      string           `json:"rights"` // session.Marks.Rights
	Handle      string           `json:"handle"` // session.Marks.Handle
	WarnInMS    int64            `json:"warn_in_ms"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	KeepMS      int64            `json:"keep_ms"` // how long the page waits after an end by time
	HeartbeatMS int64            `json:"heartbeat_ms"`
	ExtendOn    session.ExtendOn `json:"extend_on"`
}

// Active tells the deadlines. HeartbeatMS and ExtendOn are set after a reload, which may have
// changed them.
type Active struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	WarnInMS    int64            `json:"warn_in_ms"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	HeartbeatMS int64            `json:"heartbeat_ms,omitempty"`
	ExtendOn    session.ExtendOn `json:"extend_on,omitempty"`
}

// Warn tells that the session will end. HeartbeatMS and ExtendOn are set after a reload, which may
// have changed them.
type Warn struct {
	Type        Kind             `json:"type"`
	Seq         int64            `json:"seq"`
	Reason      session.Reason   `json:"reason"`
	ExpireInMS  int64            `json:"expire_in_ms"`
	Message     string           `json:"message"`        // the text, else a sentence of plain English
	Text        string           `json:"text,omitempty"` // by the administrator, if there is any
	HeartbeatMS int64            `json:"heartbeat_ms,omitempty"`
	ExtendOn    session.ExtendOn `json:"extend_on,omitempty"`
}

// Notice tells a message of an administrator, or something of the user's account. It ends no
// session.
type Notice struct {
	Type    Kind   `json:"type"`
	Seq     int64  `json:"seq"`
	ID      string `json:"id"`
	Message string `json:"message"` // by the administrator, or a sentence of plain English about Kind
	// of what is no message of an administrator, and what a sentence about it needs: for
	// NoticeSignIn session.Record.From, for NoticePassword one of its data
	Kind NoticeKind        `json:"kind,omitempty"`
	Data map[string]string `json:"data,omitempty"`
}

// NoticeKind says what a notice is about. It is empty for a message of an administrator.
type NoticeKind string

// The kinds.
const (
	NoticeSignIn   NoticeKind = "sign-in"  // a new sign-in of the user, in another browser
	NoticePassword NoticeKind = "password" // the end of the password with which the user has signed in
)

// Data of NoticePassword, a whole number each.
const (
	PasswordDays    = "days"     // until it expires
	PasswordHours   = "hours"    // until it expires; 0: less than one
	PasswordSignIns = "sign_ins" // it has expired, and is good for so many more; 0: this was the last
)

// Presence tells the states of watched users: hub.State by name. The answer to watch has all of
// them, later messages those that have changed.
type Presence struct {
	Type  Kind              `json:"type"`
	Seq   int64             `json:"seq"`
	Users map[string]string `json:"users"`
}

// Tick asks whether the page is there.
type Tick struct {
	Type Kind  `json:"type"`
	Seq  int64 `json:"seq"`
}

// Expire tells that the session is over. The page blanks itself before it acks.
type Expire struct {
	Type     Kind              `json:"type"`
	Seq      int64             `json:"seq"`
	Reason   session.Reason    `json:"reason"`
	Message  string            `json:"message"`        // session.End.Text
	Text     string            `json:"text,omitempty"` // session.End.AdminText
	Data     map[string]string `json:"data,omitempty"` // session.End.Data
	Location string            `json:"location"`
	KeepMS   int64             `json:"keep_ms"` // how long the page may wait; 0: not at all
}

// Millis returns a duration in milliseconds, rounded up so that no page takes a deadline for
// earlier than it is. A negative one is 0.
func Millis(d time.Duration) int64 {
	return max(0, int64((d+time.Millisecond-1)/time.Millisecond))
}
