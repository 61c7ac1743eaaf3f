package cluster

import (
	"encoding/json"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Messages between nodes, as JSON. During an upgrade nodes of two versions exchange them. So a name
// never changes its meaning, and a node ignores names that it does not know. What must not be
// ignored gets a higher messageVersion.

// messageVersion is the oldest version that understands what this one sends. A node ignores
// messages of a later version, and finds by its pulse what they told.
const messageVersion = 1

// message is several events of one node.
type message struct {
	Version int     `json:"v"` // this and the next three are of every version, and come first
	Node    string  `json:"node"`
	Name    string  `json:"name"`
	Number  int64   `json:"n"` // one more each time
	Events  []event `json:"events"`
}

// eventKind says what an event tells. Unknown kinds are ignored.
type eventKind string

const (
	eventPing     eventKind = "here"  // nothing but that messages arrive
	eventSignedIn eventKind = "begun" // a session
	eventEnded    eventKind = "ended" // a session
	eventActed    eventKind = "acted" // activities, which are stored
	// when tabs were opened and closed: the last one was closed, one is open again, a page was
	// asked for
	eventLeft       eventKind = "left"
	eventRules      eventKind = "rules" // groups or policy of a session have changed
	eventRevocation eventKind = "fact"  // a forced logout was made or cancelled
	eventOutcomes   eventKind = "fates" // what became of tabs that a forced logout has ended on a node
	eventNotice     eventKind = "notice"
	eventTabs       eventKind = "tabs"    // tab reports
	eventDeparts    eventKind = "departs" // a node stops
	eventFlush      eventKind = "flush"   // a call: store what is not stored, the clock will be moved
	eventAdvance    eventKind = "leap"    // a call: the clock was moved
	eventAge        eventKind = "age"     // a call: a session was aged
	eventReset      eventKind = "reset"   // a call: everything was reset
	eventDone       eventKind = "done"    // a call was answered
)

// event is one thing that a node tells. Which fields it has depends on its kind.
type event struct {
	Kind       eventKind                 `json:"kind"`
	ID         *session.ID               `json:"id,omitempty"`
	Record     json.RawMessage           `json:"record,omitempty"`
	End        *session.End              `json:"end,omitempty"`
	At         int64                     `json:"at,omitempty"`    // Unix ms
	Times      *tabTimes                 `json:"times,omitempty"` // of eventLeft; an older version tells At alone
	Acts       map[session.ID]int64      `json:"acts,omitempty"`
	Revocation *session.Revocation       `json:"fact,omitempty"`
	Outcomes   *revocation.OutcomeReport `json:"fates,omitempty"`
	Notice     *Notice                   `json:"notice,omitempty"`
	Tabs       map[session.ID]string     `json:"tabs,omitempty"`
	Call       string                    `json:"call,omitempty"`
	Ahead      int64                     `json:"ahead,omitempty"` // ms
}

// weight is how much of a message an event takes up, 1 or more.
func (e *event) weight() int {
	w := 1 + len(e.Tabs) + len(e.Acts)/5
	if e.Revocation != nil {
		w += e.Revocation.Refs.Len() / 5
	}
	if e.Outcomes != nil {
		w += len(e.Outcomes.Tabs)
	}
	return w
}

// messageWeight is the greatest weight of a message of several events.
const messageWeight = 200

// tabTimes is a session.TabTimes in Unix ms.
type tabTimes struct {
	Opened int64 `json:"opened,omitempty"`
	Asked  int64 `json:"asked,omitempty"`
	Closed int64 `json:"closed,omitempty"`
}

// Notice is a notice to users, as nodes tell it each other.
type Notice struct {
	ID      string            `json:"id"`
	Message string            `json:"message"`
	Kind    string            `json:"kind,omitempty"` // wire.NoticeKind; an older version tells the message alone
	Data    map[string]string `json:"data,omitempty"` // of the kind
	Scope   session.Scope     `json:"scope"`
	Except  session.ID        `json:"except"`
	At      time.Time         `json:"at"`
}

// TabReport describes the tabs that a node has of a session. A node sends it to the others, and
// leaves it in the store for nodes that missed the message.
type TabReport struct {
	Instance    string `json:"-"` // the run of the process that has the tabs
	Node        string `json:"node"`
	Tabs        int    `json:"tabs"`
	Hidden      int    `json:"hidden,omitempty"`
	Unconfirmed int    `json:"unconfirmed,omitempty"`
	Opened      int64  `json:"opened,omitempty"` // when the newest was opened, Unix ms
	Closed      bool   `json:"closed,omitempty"` // the last one was closed, and not lost
	List        []Tab  `json:"list,omitempty"`   // at most ReportedTabs of them
}

// ReportedTabs is how many tabs a report describes one by one at most.
const ReportedTabs = 20

// Tab is one of the tabs of a report.
type Tab struct {
	ID          string    `json:"tab"`
	Node        string    `json:"node"`
	Hidden      bool      `json:"hidden,omitempty"`
	Unconfirmed bool      `json:"unconfirmed,omitempty"` // it has not answered its last tick
	OpenedAt    time.Time `json:"opened_at"`
	Path        string    `json:"path,omitempty"` // of its page
}
