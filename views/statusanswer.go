package views

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"curfew/hub"
	"curfew/session"
)

// What a page is told of its session. A page without a socket asks all the time, so the answer is
// written by hand, and what it says of a session again and again is remembered for some.

// statusAnswer tells a page how its session stands.
type statusAnswer struct {
	User       string    `json:"user"`
	Name       string    `json:"name"`
	State      hub.State `json:"state"`
	WarnInMS   int64     `json:"warn_in_ms"`
	ExpireInMS int64     `json:"expire_in_ms"`
	marks
	KeepMS int64   `json:"keep_ms"`         // how long the page waits after an end by time
	Own    *ownEnd `json:"ended,omitempty"` // of the session that the page asks about, where it is another one
	// What the socket's hello tells, for pages that can have none.
	HeartbeatMS int64            `json:"heartbeat_ms"`
	ExtendOn    session.ExtendOn `json:"extend_on"`
	Reason      session.Reason   `json:"reason,omitempty"`  // of the warning that stands
	Message     string           `json:"message,omitempty"` // of the warning that stands
	Text        string           `json:"text,omitempty"`    // of the warning, by an administrator
}

// marks are the opaque texts that a page is told of its session.
type marks struct {
	Who    string `json:"who"`    // see hub.Hub.Who
	Rights string `json:"rights"` // see hub.Hub.Rights
	Handle string `json:"handle"` // see hub.Hub.Handle
	CSRF   string `json:"csrf"`
}

func (s *Server) answer(st *hub.Status) statusAnswer {
	return statusAnswer{
		User:        st.Record.User,
		Name:        st.Record.Name,
		State:       st.State,
		WarnInMS:    st.WarnIn.Milliseconds(),
		ExpireInMS:  st.ExpireIn.Milliseconds(),
		marks:       s.marksOf(&st.Record),
		KeepMS:      st.Record.Policy.KeepPage.Milliseconds(),
		HeartbeatMS: st.Record.Policy.HeartbeatEvery().Milliseconds(),
		ExtendOn:    st.Record.Policy.ExtendOn,
		Reason:      st.Warning,
		Message:     st.Message,
		Text:        st.Text,
	}
}

// write sends a as JSON.
func (a *statusAnswer) write(w http.ResponseWriter) {
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	body.Write(append(a.append(body.AvailableBuffer()), '\n'))
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusOK)
	w.Write(body.Bytes())
}

// jsonType is the type of every answer here; nothing writes into the values of a header.
var jsonType = []string{"application/json"}

// append adds a as encoding/json writes it.
func (a *statusAnswer) append(to []byte) []byte {
	text := func(name, value string) { to = appendText(append(to, name...), value) }
	number := func(name string, value int64) { to = strconv.AppendInt(append(to, name...), value, 10) }
	text(`{"user":`, a.User)
	text(`,"name":`, a.Name)
	text(`,"state":`, string(a.State))
	number(`,"warn_in_ms":`, a.WarnInMS)
	number(`,"expire_in_ms":`, a.ExpireInMS)
	text(`,"who":`, a.Who)
	text(`,"rights":`, a.Rights)
	text(`,"handle":`, a.Handle)
	text(`,"csrf":`, a.CSRF)
	number(`,"keep_ms":`, a.KeepMS)
	if a.Own != nil {
		to = appendJSON(append(to, `,"ended":`...), a.Own)
	}
	number(`,"heartbeat_ms":`, a.HeartbeatMS)
	text(`,"extend_on":`, string(a.ExtendOn))
	if a.Reason != "" {
		text(`,"reason":`, string(a.Reason))
	}
	if a.Message != "" {
		text(`,"message":`, a.Message)
	}
	if a.Text != "" {
		text(`,"text":`, a.Text)
	}
	return append(to, '}')
}

// appendText adds a string of JSON. Of most there is nothing to escape.
func appendText(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendJSON(to, s)
		}
	}
	return append(append(append(to, '"'), s...), '"')
}

func appendJSON(to []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always encode
	}
	return append(to, text...)
}

// knownMarks remembers the marks of sessions that were asked for last: a page asks again and again,
// and each mark costs an HMAC. Marks follow from the session's ID, user and groups, and from keys
// that a process never changes. So what is remembered is compared with those, and with nothing that
// could be out of date. That they are remembered lets nobody in: a session is judged before.
//
// A session has one place, by its ID, which it shares with all others of that place.
type knownMarks [knownSessions]atomic.Pointer[knownMark]

// knownSessions is of how many sessions marks are remembered at most, in about 300 bytes each.
const knownSessions = 1024

// knownMark are the marks of a session, with what they were made from.
type knownMark struct {
	id                 session.ID
	user, identity, dn string
	groups             []session.Group
	marks
}

func (k *knownMarks) place(id session.ID) *atomic.Pointer[knownMark] {
	return &k[(int(id[0])<<8|int(id[1]))%knownSessions]
}

// isOf reports whether k was made from r as it is now.
func (k *knownMark) isOf(r *session.Record) bool {
	return k != nil && k.id == r.ID && k.user == r.User && k.identity == r.Identity && k.dn == r.DN &&
		slices.Equal(k.groups, r.Groups)
}

func (s *shared) marksOf(r *session.Record) marks {
	place := s.marks.place(r.ID)
	if known := place.Load(); known.isOf(r) {
		return known.marks
	}
	made := marks{Who: s.hub.Who(r), Rights: s.hub.Rights(r), Handle: s.hub.Handle(r.ID), CSRF: s.csrf(r.ID)}
	place.Store(&knownMark{r.ID, r.User, r.Identity, r.DN, r.Groups, made})
	return made
}
