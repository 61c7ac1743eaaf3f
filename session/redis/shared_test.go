package redis_test

import (
	"fmt"
	"testing"

	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

func TestSharedStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.RunShared(t, func(t *testing.T, nodes int) (list []storetest.Node) {
		t.Parallel()
		prefix := fmt.Sprintf("test%d:", prefixes.Add(1))
		for range nodes {
			list = append(list, openWith(t, server.URL(), prefix))
		}
		return list
	})
}
