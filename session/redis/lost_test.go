package redis_test

import (
	"fmt"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// Somebody deletes one of a session's keys: what is left of it goes with its end.
func TestNothingIsLeftOfASessionThatLostAKey(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "part:")
	for _, key := range []string{"r", "t"} {
		r := signIn(t, s, "ada")
		if err := s.Save(t.Context(), r.ID, 0, []byte("values")); err != nil {
			t.Fatal(err)
		}
		slot, name := fmt.Sprintf("part:{%x}:", r.ID[:1]), redis.Name(r.ID)
		if n := count(t, server, "DEL "+slot+key+":"+name); n != 1 {
			t.Fatalf("the session has no key %s", key)
		}
		if list, err := s.Missing(t.Context(), []session.ID{r.ID}); err != nil || len(list) != 1 {
			t.Errorf("without key %s: Missing = %v, %v, want the session", key, list, err)
		}
		lost, err := s.EndLost(t.Context(), []session.Record{r}, logout)
		if err != nil || len(lost) != 1 {
			t.Fatalf("without key %s: EndLost = %v, %v, want the session", key, lost, err)
		}
		if n := count(t, server, "ZCARD "+slot+"live") + count(t, server, "EXISTS "+slot+"v:"+name); n != 0 {
			t.Errorf("without key %s: it is listed as live, or has values", key)
		}
		if n := count(t, server, "PTTL "+slot+"t:"+name); time.Duration(n)*time.Millisecond < session.TombstoneFor {
			t.Errorf("without key %s: the tombstone goes after %d ms", key, n)
		}
		wantIndex(t, s, "ada", 0)
	}
}
