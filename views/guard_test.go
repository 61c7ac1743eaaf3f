package views

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

func TestOmittedGroupsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		o := &omittedGroups{clock: session.RealClock{}, log: slog.New(slog.NewTextHandler(&text, nil))}
		for range 2 {
			for range 5 {
				o.tell("ada", 3)
				o.tell("grace", 1)
			}
			time.Sleep(tellEvery)
		}
		if n := strings.Count(text.String(), "user=ada left_out=3"); n != 2 || strings.Count(text.String(), "\n") != 4 {
			t.Errorf("within two minutes: %s", &text)
		}
	})
}
