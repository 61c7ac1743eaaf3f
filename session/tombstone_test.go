package session_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"curfew/session"
)

// What an end makes of a record without decoding it reads as what decoding and encoding make of it.
func FuzzAppendEnded(f *testing.F) {
	f.Add("ada", "192.0.2.1", `x","end":{"reason":"idle"},"values":"`, []byte("values"), int64(900_000), int64(7), true)
	f.Add(`a"da\`, `\`, `"last_active_at":1,`, []byte(nil), int64(0), int64(1), false)
	f.Add("Ünïcode <&>\u2028", "", "{}[],:\x00\xff", []byte{0}, int64(1), int64(0), true)
	f.Fuzz(func(t *testing.T, user, address, text string, values []byte, keep, active int64, full bool) {
		at := session.FromUnixMilli(1_800_000_000_000)
		r := session.Record{
			ID:           session.NewToken().ID(),
			User:         user,
			Address:      address,
			Agent:        text,
			Policy:       session.Policy{KeepPage: time.Duration(keep)},
			Values:       values,
			CreatedAt:    at,
			LastActiveAt: at,
		}
		end := session.End{Reason: session.ReasonIdle, At: at}
		if full {
			r.Name, r.Email, r.DN, r.Identity, r.Login, r.PasswordChanged = text, text, text, text, text, text
			r.Groups = []session.Group{{Name: text, SeenRevocation: 1}, {Name: user}}
			r.Former = []session.FormerGroup{{Name: text, SeenRevocation: 2, Until: 3}}
			r.Policy.ExtendOn, r.Policy.MaxSessions, r.Version, r.Revision = session.ExtendOn(text), 3, 4, 5
			r.Before, r.Continues, r.LeftAt = r.ID, true, at
			r.Tabs = session.TabTimes{OpenedAt: at, AskedAt: at, ClosedAt: at}
			end = session.End{Reason: session.ReasonReplaced, At: at, Actor: text, Message: text,
				Data: map[string]string{"address": text, "user": user}, Cause: text, Detail: text, Continued: true}
		}
		live, err := r.Encode()
		if err != nil {
			t.Skip(err)
		}
		if r, err = session.Decode(r.ID, live); err != nil { // as it reads again, with what cannot be written replaced
			t.Fatal(err)
		}
		r.LastActiveAt = session.FromUnixMilli(active)
		got, told, err := session.AppendEnded([]byte("before"), r.ID, live, r.LastActiveAt, end)
		if err != nil {
			t.Fatal(err)
		}
		r.End, r.Values = &end, nil
		if !bytes.HasPrefix(got, []byte("before")) {
			t.Errorf("%s: what was in the buffer is gone", got)
		}
		stored := again(t, r.ID, got[len("before"):])
		if want := again(t, r.ID, encode(t, r)); !reflect.DeepEqual(stored, want) {
			t.Errorf("got  %+v\nwant %+v", stored, want)
		}
		gotLine, _ := json.Marshal(session.EndEvent(told, end))
		wantLine, _ := json.Marshal(session.EndEvent(r, end))
		if !bytes.Equal(gotLine, wantLine) || !told.KeepUntil().Equal(r.KeepUntil()) {
			t.Errorf("the line is %s, want %s; pages wait until %s, want %s", gotLine, wantLine,
				told.KeepUntil(), r.KeepUntil())
		}
	})
}

func encode(t *testing.T, r session.Record) []byte {
	t.Helper()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// again is a record as it reads from the store.
func again(t *testing.T, id session.ID, data []byte) session.Record {
	t.Helper()
	r, err := session.Decode(id, data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return r
}

// Records that Encode of today does not write are decoded.
func TestARecordThatIsNotAsTodayEndsAsWell(t *testing.T) {
	id, at := session.NewToken().ID(), session.FromUnixMilli(1_800_000_000_000)
	end := session.End{Reason: session.ReasonAdmin, At: at}
	data := []byte(`{"user": "ada", "v": 1, "values":"AA==", "unknown": true, "last_active_at": 5, "created_at": 3}`)
	got, told, err := session.AppendEnded(nil, id, data, at, end)
	if err != nil {
		t.Fatal(err)
	}
	r, err := session.Decode(id, got)
	if err != nil || r.User != "ada" || r.Values != nil || !r.LastActiveAt.Equal(at) || r.End == nil ||
		told.User != "ada" {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, data := range []string{`{"v":2,"user":"ada","last_active_at":5}`, `{"v":1,"user":"ada`, ``} {
		if got, _, err := session.AppendEnded(nil, id, []byte(data), at, end); err == nil {
			t.Errorf("%s became %s, want an error", data, got)
		}
	}
}
