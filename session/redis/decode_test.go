package redis

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// FuzzStored reads any texts that Redis may hold, whoever wrote them: names of sessions, forced
// logouts, lines of the trail. What is taken is written again as the same.
func FuzzStored(f *testing.F) {
	f.Add(name(session.ID{1}), `7 {"id":"r","scope":{"everyone":true}}`, "12-0", `{"event":"sign-in"}`)
	f.Add("", "", "", "")
	f.Add("AAAA", "7", "-0", "{}")
	f.Add("AAAA", "7", "0", "{}")
	f.Add(strings.Repeat("_", 43), "-7 {}", "x", `{"n":1}`)
	f.Add("a", " {}", "18446744073709551616-0", "null")
	f.Fuzz(func(t *testing.T, id, logout, line, event string) {
		if parsed, err := parseName(id); err == nil {
			if again, err := parseName(name(parsed)); err != nil || again != parsed {
				t.Errorf("the session %q is %s, and written anew %s, %v", id, parsed, again, err)
			}
		}
		if r, err := decodeRevocation(logout); err == nil {
			written, err := json.Marshal(r)
			if err != nil {
				t.Fatalf("the forced logout %q cannot be written: %v", logout, err)
			}
			again, err := decodeRevocation(strconv.FormatInt(r.Number, 10) + " " + string(written))
			if err != nil || !reflect.DeepEqual(normal(again), normal(r)) {
				t.Errorf("the forced logout %q is %+v, and written anew %+v, %v", logout, r, again, err)
			}
		}
		entry := rueidis.XRangeEntry{ID: line, FieldValues: map[string]string{"e": event, "h": line}}
		if e, err := eventOf(entry); err == nil {
			number, ok := strings.CutSuffix(line, "-0")
			if n, err := strconv.ParseUint(number, 10, 64); !ok || err != nil || n != e.Number {
				t.Errorf("the line %q has the number %d", line, e.Number)
			}
			highestOf(entry, e)
		}
	})
}

// normal is r with its times as instants alone.
func normal(r session.Revocation) session.Revocation {
	for _, at := range []*time.Time{&r.At, &r.EffectiveAt, &r.BlockUntil, &r.CancelledAt} {
		*at = at.UTC()
	}
	return r
}
