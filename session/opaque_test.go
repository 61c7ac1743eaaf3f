package session

import (
	"encoding/base32"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// FuzzHandle changes what pages ask by. A handle means the session that it was made for, and no
// other text means any.
func FuzzHandle(f *testing.F) {
	f.Add([]byte("key"), []byte("id"), "", 0, byte(1))
	f.Add([]byte(""), []byte{}, "AAAA", 42, byte('\n'))
	f.Add([]byte("k"), []byte("another"), "=", 43, byte(0x20))
	f.Fuzz(func(t *testing.T, key, id []byte, more string, at int, change byte) {
		m, want := NewMarks(key), ID{}
		copy(want[:], id)
		handle := m.Handle(want)
		if got, ok := m.OfHandle(handle); !ok || got != want {
			t.Errorf("the handle of %s means %s, %t", want, got, ok)
		}
		changed := []byte(handle)
		changed[uint(at)%uint(len(changed))] ^= change
		for _, other := range []string{string(changed), handle + more, more, more + handle, handle[:uint(at)%64]} {
			if got, ok := m.OfHandle(other); ok && other != handle {
				t.Errorf("%q is not %q and means %s", other, handle, got)
			}
		}
	})
}

// FuzzRefs reads lists of refs. A list is taken if each of its texts is ten bytes in base32, and is
// the same set after it was written.
func FuzzRefs(f *testing.F) {
	for _, seed := range []string{`[]`, `null`, `["aaaaaaaaaaaaaaaa"]`, `["a2","aaaaaaaaaaaaaaaa"]`,
		`["AAAAAAAAAAAAAAAA"]`,
		`["aaaaaaaaaaaaaaab","aaaaaaaaaaaaaaaa","aaaaaaaaaaaaaaab"]`, `["aaaaaaaaaaaaaaa,"]`, `[null]`, `{}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []string
		isList := json.Unmarshal(data, &list) == nil
		for _, ref := range list {
			raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(ref))
			isList = isList && err == nil && len(raw) == 10 && ref == strings.ToLower(ref)
		}
		var refs Refs
		if err := json.Unmarshal(data, &refs); (err == nil) != isList {
			t.Fatalf("%q: %v", data, err)
		} else if err != nil {
			return
		}
		slices.Sort(list)
		list = slices.Compact(list)
		if got := slices.Collect(refs.All()); !slices.Equal(got, list) || refs.Len() != len(list) {
			t.Errorf("%q has %q", data, got)
		}
		for _, ref := range list {
			if !refs.Has(ref) || refs.Has(ref[1:]) {
				t.Errorf("%q: %s is missing, or a part of it is there", data, ref)
			}
		}
		written, err := json.Marshal(refs)
		var again Refs
		if err != nil || json.Unmarshal(written, &again) != nil || again != refs {
			t.Errorf("%q is written as %s, %v", data, written, err)
		}
	})
}
