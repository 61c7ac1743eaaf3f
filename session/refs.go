package session

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"
)

// Refs is a set of refs (see [ID.Ref]) that a [Scope] names one by one. It is one string, so that
// scopes can be compared and be keys of maps: a comma, and then each ref with a comma behind it, in
// their order. So a set without a ref is not the zero value, which says that no refs are named. In
// JSON it is a list of strings.
type Refs string

// refSize is how long a ref is: 10 bytes in base32.
const refSize = 16

const refStep = refSize + 1

// NewRefs makes a set. One that is given twice is in it once. strange is how many of those given
// cannot be the ref of any session; they are left out.
func NewRefs(list []string) (refs Refs, strange int) {
	list = slices.Clone(list)
	slices.Sort(list)
	list = slices.Compact(list)
	var b strings.Builder
	b.Grow(1 + refStep*len(list))
	b.WriteByte(',')
	for _, ref := range list {
		if !isRef(ref) {
			strange++
			continue
		}
		b.WriteString(ref)
		b.WriteByte(',')
	}
	return Refs(b.String()), strange
}

// isRef reports whether s looks like what [ID.Ref] returns.
func isRef(s string) bool {
	return len(s) == refSize && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Len is how many refs are in the set.
func (rs Refs) Len() int { return len(rs) / refStep }

func (rs Refs) at(i int) string { return string(rs[1+refStep*i:][:refSize]) }

// Has reports whether a ref is in the set.
func (rs Refs) Has(ref string) bool {
	n := rs.Len()
	i := sort.Search(n, func(i int) bool { return rs.at(i) >= ref })
	return i < n && rs.at(i) == ref
}

// All iterates over the refs in their order.
func (rs Refs) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range rs.Len() {
			if !yield(rs.at(i)) {
				return
			}
		}
	}
}

// First returns a set of the first n refs at most.
func (rs Refs) First(n int) Refs {
	if rs.Len() <= n {
		return rs
	}
	return rs[:1+refStep*n]
}

// MarshalJSON implements [json.Marshaler].
func (rs Refs) MarshalJSON() ([]byte, error) {
	list := make([]string, 0, rs.Len())
	return json.Marshal(slices.AppendSeq(list, rs.All()))
}

// UnmarshalJSON implements [json.Unmarshaler]. It refuses a list with anything else than refs.
func (rs *Refs) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	set, strange := NewRefs(list)
	if strange > 0 {
		return errors.New("a ref of a session is malformed")
	}
	*rs = set
	return nil
}
