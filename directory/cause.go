package directory

import "errors"

// Cause says in one word why the directory lets somebody not in, or no longer. Audit trails keep
// it; the errors and the texts beside it say more, in English.
type Cause string

// The causes. CauseOf says which of them refuse a sign-in; CauseWrongPassword and
// CausePasswordMustChange end no session.
const (
	CauseWrongPassword   Cause = "wrong-password"
	CauseUnknown         Cause = "unknown"     // no entry has the name
	CauseAmbiguous       Cause = "ambiguous"   // several entries have it
	CauseLocked          Cause = "locked"      // as ErrLocked
	CauseNotAllowed      Cause = "not-allowed" // as ErrNotAllowed
	CauseOtherEntry      Cause = "other-entry" // the name belongs to another entry now
	CauseGone            Cause = "gone"        // no longer in the directory
	CausePasswordChanged Cause = "password-changed"
	// as ErrPasswordExpired; of a session: its user must change the password
	CausePasswordExpired    Cause = "password-expired"
	CausePasswordMustChange Cause = "password-must-change" // as ErrPasswordMustChange
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
	case errors.Is(err, ErrPasswordExpired):
		return CausePasswordExpired
	case errors.Is(err, ErrPasswordMustChange):
		return CausePasswordMustChange
	case errors.Is(err, ErrNotAllowed):
		return CauseNotAllowed
	}
	return ""
}
