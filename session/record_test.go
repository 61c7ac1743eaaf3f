package session

import (
	"errors"
	"testing"
)

func TestNewerRecordIsRefused(t *testing.T) {
	if _, err := Decode(ID{}, []byte(`{"v":2,"user":"ada"}`)); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("Decode = %v, want ErrNewerFormat", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := at(0, 0).Encode()
	f.Add(good)
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := Decode(ID{}, data); err == nil {
			if _, err := r.Encode(); err != nil {
				t.Errorf("a decoded record does not encode: %v", err)
			}
		}
	})
}
