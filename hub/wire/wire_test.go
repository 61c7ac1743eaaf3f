package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"curfew/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// told are the messages of the server.
var told = map[Kind]any{
	KindHello: Hello{
		Type:        KindHello,
		Seq:         1,
		Tab:         "Zm9vYmFyYmF6",
		User:        "ada",
		Who:         "pG3pQkYJd0y0xqv1kXbS7w",
		Rights:      "Vd1l0hGm8sJtq2o5cYwR9A",
		Handle:      "kLh2gXoK1Q0m9t3s6vYzPpA7uWcRbNdEfGjHiJlMnOq4xS8aTBVCwDZyUeFrI5kz",
		WarnInMS:    540_000,
		ExpireInMS:  600_000,
		KeepMS:      14_400_000,
		HeartbeatMS: 15_000,
		ExtendOn:    session.ExtendOnActivity,
	},
	KindActive: Active{KindActive, 2, 540_000, 600_000, 7_500, session.ExtendOnConfirm},
	KindWarn: Warn{
		Type:       KindWarn,
		Seq:        3,
		Reason:     session.ReasonIdle,
		ExpireInMS: 60_000,
		Message:    session.ReasonIdle.Warning(),
	},
	KindNotice: Notice{
		Type:    KindNotice,
		Seq:     6,
		ID:      "k3vq5ybz2m",
		Message: "The printer is back.",
	},
	KindPresence: Presence{KindPresence, 7, map[string]string{"grace": "active"}},
	KindTick:     Tick{KindTick, 4},
	KindExpire: Expire{
		Type:     KindExpire,
		Seq:      5,
		Reason:   session.ReasonLogout,
		Message:  session.ReasonLogout.Message(),
		Location: "/login",
	},
}

// worded are messages with what a page needs to put them into its own language.
var worded = map[string]any{
	"warn-admin": Warn{
		Type:       KindWarn,
		Seq:        8,
		Reason:     session.ReasonAdmin,
		ExpireInMS: 60_000,
		Message:    "Back at noon.",
		Text:       "Back at noon.",
	},
	"expire-admin": Expire{
		Type:     KindExpire,
		Seq:      9,
		Reason:   session.ReasonAdmin,
		Message:  "Back at noon.",
		Text:     "Back at noon.",
		Location: "/login",
	},
	"expire-replaced": Expire{
		Type:     KindExpire,
		Seq:      10,
		Reason:   session.ReasonReplaced,
		Message:  session.End{Reason: session.ReasonReplaced, Data: elsewhere}.Text(),
		Data:     elsewhere,
		Location: "/login",
		KeepMS:   14_400_000,
	},
	"notice-sign-in": Notice{
		Type:    KindNotice,
		Seq:     11,
		ID:      "k3vq5ybz2n",
		Message: "Your account has just signed in elsewhere: Firefox on Linux, 192.0.2.7.",
		Kind:    NoticeSignIn,
		Data:    elsewhere,
	},
	"notice-password": Notice{
		Type:    KindNotice,
		Seq:     12,
		ID:      "p7xw2m4kqd",
		Message: "Your password expires in 3 days. Please change it before then.",
		Kind:    NoticePassword,
		Data:    map[string]string{PasswordDays: "3"},
	},
}

var elsewhere = (&session.Record{Agent: "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", Address: "192.0.2.7"}).From()

func TestMessagesAreTheGoldenOnes(t *testing.T) {
	samples := maps.Clone(worded)
	for kind, message := range told {
		samples[string(kind)] = message
	}
	for name, message := range samples {
		file := filepath.Join("testdata", name+".json")
		got := append(Frame(message)[2:], '\n')
		if got[0] != '{' {
			got = got[2:] // a longer frame has a longer header
		}
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %s, want %s (%v)", name, got, want, err)
		}
	}
	for _, kind := range []Kind{KindActivity, KindConfirm, KindVisibility, KindSync, KindWatch, KindAck} {
		data, err := os.ReadFile(filepath.Join("testdata", string(kind)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if in, err := Decode(bytes.TrimSpace(data)); err != nil || in.Kind != kind {
			t.Errorf("%s: %+v, %v", kind, in, err)
		}
	}
}

// TestAsyncAPIMatchesTheCode compares the fields of every message with the reference.
func TestAsyncAPIMatchesTheCode(t *testing.T) {
	data, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Messages map[Kind]struct {
				Payload struct {
					Required   []string
					Properties map[string]any
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	sorted := func(list []string) []string { slices.Sort(list); return list }
	for kind, described := range doc.Components.Messages {
		var fields, required []string
		if message, ok := told[kind]; ok {
			for i := range reflect.TypeOf(message).NumField() {
				name, optional, _ := strings.Cut(reflect.TypeOf(message).Field(i).Tag.Get("json"), ",")
				fields = append(fields, name)
				if optional == "" {
					required = append(required, name)
				}
			}
		} else {
			sample, err := os.ReadFile(filepath.Join("testdata", string(kind)+".json"))
			if err != nil {
				t.Errorf("%s: described, and without a sample", kind)
				continue
			}
			var m map[string]any
			if err := json.Unmarshal(sample, &m); err != nil {
				t.Fatal(err)
			}
			for name := range m {
				fields, required = append(fields, name), append(required, name)
			}
		}
		var properties []string
		for name := range described.Payload.Properties {
			properties = append(properties, name)
		}
		if !slices.Equal(sorted(fields), sorted(properties)) ||
			!slices.Equal(sorted(required), sorted(described.Payload.Required)) {
			t.Errorf("%s: the code has %v, of which %v always; the reference %v, of which %v", kind, fields, required,
				properties, described.Payload.Required)
		}
	}
	if len(doc.Components.Messages) != len(told)+6 {
		t.Errorf("%d messages are described, want %d", len(doc.Components.Messages), len(told)+6)
	}
}

// FuzzDecode holds the decoder against one that reads names exactly, into no struct. A message that
// is taken says the same there; and what was understood, written anew, is understood again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"type":"activity","idle_ms":0}`, `{"type":"confirm"}`,
		`{"type":"visibility","hidden":true}`, `{"type":"sync"}`, `{"type":"ack","seq":7}`, `{"type":"ack","seq":-7}`,
		`{"type":"watch","users":["ada","\u00fc"]}`, `{"type":"watch","users":[]}`, `{"type":"ack","seq":00}`,
		`{"type":"activity","idle_ms":9223372036854775807}`, `{"type":"activity","idle_ms":1e3}`, ` {"type":"sync"} `,
		`{"type":"sync","Type":"ack"}`, `{"type":"ack","seq":1,"seq":2}`,
		`{"type":"activity","idle_ms":99999999999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Decode(data)
		if err != nil {
			return
		}
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		if err := d.Decode(&m); err != nil || !json.Valid(data) {
			t.Fatalf("%q is taken, but not by encoding/json: %v", data, err)
		}
		written := map[string]any{"type": in.Kind}
		agrees := true
		number := func(name string, value int64) {
			n, _ := m[name].(json.Number)
			told, err := n.Int64()
			agrees = agrees && err == nil && (told == value || told > value && value == maxIdle.Milliseconds())
			written[name] = value
		}
		switch in.Kind {
		case KindActivity:
			number("idle_ms", in.Idle.Milliseconds())
			agrees = agrees && in.Idle >= 0
		case KindAck:
			number("seq", in.Seq)
		case KindVisibility:
			agrees, written["hidden"] = m["hidden"] == in.Hidden, in.Hidden
		case KindWatch:
			list, _ := m["users"].([]any)
			agrees, written["users"] = len(list) == len(in.Users) && len(list) <= MaxWatched, in.Users
			for i, user := range in.Users {
				agrees = agrees && (list[i] == user || list[i] == nil && user == "") // JSON's null says nothing
			}
		}
		if !agrees || m["type"] != string(in.Kind) {
			t.Errorf("%q is taken as %+v", data, in)
		}
		text, err := json.Marshal(written)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(text); err != nil || !reflect.DeepEqual(again, in) {
			t.Errorf("%q is taken as %+v, and %s as %+v, %v", data, in, text, again, err)
		}
	})
}

func TestHandParserAgreesWithJSON(t *testing.T) {
	for _, s := range []string{`{"type":"activity","idle_ms":0}`, `{"type":"activity","idle_ms":12345}`,
		`{"type":"activity","idle_ms":00}`, `{"type":"activity","idle_ms":}`, `{"type":"activity","idle_ms":-0}`,
		`{"type":"activity","idle_ms":1e3}`, `{"type":"activity","idle_ms":99999999999}`} {
		ms, ok := decodeNumber([]byte(s), `{"type":"activity","idle_ms":`)
		var m struct {
			IdleMS int64 `json:"idle_ms"`
		}
		err := json.Unmarshal([]byte(s), &m)
		if ok && (err != nil || ms != m.IdleMS) {
			t.Errorf("%s: hand parser %v, JSON %d, %v", s, ms, m.IdleMS, err)
		}
	}
}
