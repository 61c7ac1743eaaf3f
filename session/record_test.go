package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func TestNewerRecordIsRefused(t *testing.T) {
	if _, err := Decode(ID{}, []byte(`{"v":2,"user":"ada"}`)); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("Decode = %v, want ErrNewerFormat", err)
	}
}

// FuzzDecode reads any bytes of a store. What is taken is written again as the same record, and a
// tombstone stays one.
func FuzzDecode(f *testing.F) {
	live := at(0, 0)
	good, _ := live.Encode()
	live.End = &End{Reason: ReasonIdle, At: live.CreatedAt, Data: map[string]string{"device": "x"}}
	tombstone, _ := live.Encode()
	for _, seed := range []string{string(good), string(tombstone), `{"v":2}`, `{"v":1,"END":{"reason":"idle"}}`,
		`{"v":1,"end":{}}`, `{"v":1,"left_at":-1,"closed_at":9223372036854775807}`, `{"v":1,"before":"AAAA"}`,
		`{"v":1,"groups":[{"name":"a\ud800"}],"values":"AA=="}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(ID{1}, data)
		if err != nil {
			return
		}
		var end struct{ End json.RawMessage }
		if err := json.Unmarshal(data, &end); err != nil {
			t.Fatalf("%q is no JSON: %v", data, err)
		}
		if isOver := end.End != nil && string(end.End) != "null"; isOver != (r.End != nil) {
			t.Errorf("%q: the record has the end %v", data, r.End)
		}
		written, err := r.Encode()
		if err != nil {
			t.Fatalf("a decoded record does not encode: %v", err)
		}
		again, err := Decode(ID{1}, written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, written) {
			t.Errorf("%q is written as %s, and after that as %s, %v", data, written, twice, err)
		}
	})
}
