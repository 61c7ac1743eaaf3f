package directory

import (
	"errors"
	"fmt"
	"testing"
)

func TestCauseOfARefusal(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Cause
	}{
		{fmt.Errorf("bind: %w", ErrBadCredentials), CauseWrongPassword},
		{errNobody, CauseUnknown},
		{errSeveral, CauseAmbiguous},
		{fmt.Errorf("disabled: %w", ErrLocked), CauseLocked},
		{fmt.Errorf("refused by AD: %w", ErrPasswordExpired), CausePasswordExpired},
		{fmt.Errorf("refused by AD: %w", ErrPasswordMustChange), CausePasswordMustChange},
		{ErrNotAllowed, CauseNotAllowed},
		{ErrUnavailable, ""},
		{errors.New("no error of the directory"), ""},
		{nil, ""},
	} {
		if got := CauseOf(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}
