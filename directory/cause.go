package directory

import "errors"

// Cause says in one word why the directory lets somebody not in, or no longer. Audit trails keep
// it; the errors and the texts beside it say more, in English.
type Cause string

// The causes. Of those that end a session, CauseWrongPassword is none; of those that refuse a
// sign-in, the last four.
const (
	CauseWrongPassword   Cause = "wrong-password"
	CauseUnknown         Cause = "unknown"     // no entry has the name
	CauseAmbiguous       Cause = "ambiguous"   // several entries have it
	CauseLocked          Cause = "locked"      // as ErrLocked
	CauseNotAllowed      Cause = "not-allowed" // as ErrNotAllowed
	CauseOtherEntry      Cause = "other-entry" // the name belongs to another entry now
	CauseGone            Cause = "gone"        // no longer in the directory
	CausePasswordChanged Cause = "password-changed"
	CausePasswordExpired Cause = "password-expired" // it must be changed
)

// CauseOf is the cause of an error of [Directory.Authenticate]; empty for one that refuses nobody.
func CauseOf(err error) Cause {
	switch {
	case errors.Is(err, errNobody):
		return CauseUnknown
	case errors.Is(err, errSeveral):
		return CauseAmbiguous
	case errors.Is(err, ErrBadCredentials):
		return CauseWrongPassword
	case errors.Is(err, ErrLocked):
		return CauseLocked
	case errors.Is(err, ErrNotAllowed):
		return CauseNotAllowed
	}
	return ""
}
