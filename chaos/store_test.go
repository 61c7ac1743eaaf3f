//go:build chaos

package chaos

import (
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

func TestStoreInACluster(t *testing.T) {
	proveStore(t, redistest.Cluster(t, 3)[0].URL())
}

func TestStoreUnderSentinel(t *testing.T) {
	proveStore(t, redistest.Sentinel(t).URL())
}

func proveStore(t *testing.T, url string) {
	var opened atomic.Int64
	open := func(t *testing.T) *redis.Store {
		t.Helper()
		s, err := redis.Open(t.Context(), url, "test"+strconv.FormatInt(opened.Add(1), 10)+":", nil,
			slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	storetest.Run(t, func(t *testing.T) session.Store { return open(t) })
	storetest.RunOutbox(t, func(t *testing.T) storetest.OutboxStore { return open(t) })
}
