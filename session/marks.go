package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
)

// Marks makes opaque texts by which pages and cookies compare who is signed in, and with which
// rights, without being told more. The texts are the same on all nodes that share a key, and after
// a restart. Nobody without the key can make one or find out what one stands for. The zero value
// has an empty key.
type Marks struct{ macs *sync.Pool }

// NewMarks returns marks by a key, which is a secret of the store.
func NewMarks(key []byte) Marks { return Marks{newMACs(key)} }

// newMACs keeps HMACs of a key that are used again: half of the work of one is the key's.
func newMACs(key []byte) *sync.Pool {
	return &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}
}

// mac is an HMAC with what it needs room for, so that a mark costs one allocation.
type mac struct {
	hash.Hash
	in  []byte
	sum [sha256.Size]byte
	out [22]byte // 16 bytes in base64
}

// zeroMACs are those of the zero value.
var zeroMACs = newMACs(nil)

// Who is the mark of the user of a session: one for each user name and directory entry. A name that
// passes to another entry has another mark, and so has an entry that gets another name.
func (m Marks) Who(r *Record) string {
	return m.text("who", FoldName(r.User), entryOf(r))
}

// Rights is the mark of a set of groups, in any order and spelling.
func (m Marks) Rights(groups []string) string {
	folded := make([]string, len(groups))
	for i, name := range groups {
		folded[i] = FoldName(name)
	}
	slices.Sort(folded)
	return m.text("rights", slices.Compact(folded)...)
}

// Handle is an opaque text by which a page asks about its own session, whatever session the browser
// has by then. It is no use as a cookie.
func (m Marks) Handle(id ID) string {
	return base64.RawURLEncoding.EncodeToString(id[:]) + m.text("handle", string(id[:]))
}

// OfHandle returns the session that a handle was made for. ok is false for any text that
// [Marks.Handle] has not made.
func (m Marks) OfHandle(handle string) (id ID, ok bool) {
	cut := base64.RawURLEncoding.EncodedLen(len(id))
	if len(handle) <= cut {
		return id, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(handle[:cut])
	if err != nil {
		return id, false
	}
	copy(id[:], raw)
	return id, hmac.Equal([]byte(handle), []byte(m.Handle(id)))
}

// text is the mark of these parts. kind tells marks of one kind from those of another.
func (m Marks) text(kind string, parts ...string) string {
	macs := m.macs
	if macs == nil {
		macs = zeroMACs
	}
	mac := macs.Get().(*mac)
	defer macs.Put(mac)
	mac.in = append(mac.in[:0], kind...)
	for _, part := range parts {
		mac.in = binary.BigEndian.AppendUint64(mac.in, uint64(len(part)))
		mac.in = append(mac.in, part...)
	}
	mac.Reset()
	mac.Write(mac.in)
	base64.RawURLEncoding.Encode(mac.out[:], mac.Sum(mac.sum[:0])[:16])
	return string(mac.out[:])
}
