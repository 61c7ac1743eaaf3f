package session

import "context"

// Reason says why a session ended. It is part of the wire protocol, the audit trail and the
// tombstone.
type Reason string

// The reasons of an end.
const (
	ReasonIdle          Reason = "idle"           // nobody acted for Policy.ExpireAfter
	ReasonLifetime      Reason = "lifetime"       // the absolute lifetime has passed
	ReasonLogout        Reason = "logout"         // the user signed out
	ReasonAdmin         Reason = "admin"          // an administrator ended it
	ReasonDirectory     Reason = "directory"      // the directory no longer lets the user in
	ReasonBrowserClosed Reason = "browser-closed" // the last tab, or the browser, was closed
	ReasonReplaced      Reason = "replaced"       // a newer sign-in took its place
	ReasonPolicy        Reason = "policy"         // a changed policy made it too old
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{ReasonIdle, ReasonLifetime, ReasonLogout, ReasonAdmin, ReasonDirectory, ReasonBrowserClosed,
		ReasonReplaced, ReasonPolicy}
}

// DataBy is the name in End.Data of one of the values below.
const DataBy = "by"

// Values of DataBy: what ended a session, where that is not plain from the reason.
const (
	ByBrowser = "browser" // of replaced: the newer sign-in was in the same browser
	ByAccount = "account" // the account page of another session
	ByTesting = "testing" // a reset for testing
)

// Causes of an end, beside those of the directory, and of a failed sign-in.
const (
	CauseSignInFailed = "sign-in-failed" // the sign-in could not be completed
	CauseSignInSlow   = "sign-in-slow"   // it took so long that others no longer counted it
	CauseLost         = "lost"           // the store has lost the session
	CauseBlocked      = "blocked"        // of a failed sign-in: a forced logout refuses new ones
)

// Message tells the user, in a sentence of plain English, why the session ended. It is empty for an
// unknown reason.
func (r Reason) Message() string {
	switch r {
	case ReasonIdle:
		return "You were signed out because there was no activity for a while."
	case ReasonLifetime:
		return "You were signed out because your session had reached its longest allowed time."
	case ReasonLogout:
		return "You have signed out."
	case ReasonAdmin:
		return "You were signed out by an administrator."
	case ReasonDirectory:
		return "You were signed out because your account has changed."
	case ReasonBrowserClosed:
		return "You were signed out because the last tab was closed."
	case ReasonReplaced:
		return "You were signed out because of a newer sign-in."
	case ReasonPolicy:
		return "You were signed out because the rules for sessions have changed."
	}
	return ""
}

// Warning tells the user, in plain English, why the session is about to end.
func (r Reason) Warning() string {
	switch r {
	case ReasonIdle:
		return "There has been no activity for a while."
	case ReasonLifetime:
		return "Your session has nearly reached its longest allowed time. Save your work and sign in again."
	case ReasonAdmin:
		return "An administrator is signing you out. Save your work."
	}
	return ""
}

// ReplacedBy is the end of the session old that a newer sign-in of its user displaces. ctx is that
// of the sign-in.
func ReplacedBy(ctx context.Context, newer Record, old ID) End {
	return End{
		Reason:    ReasonReplaced,
		At:        newer.CreatedAt,
		Actor:     newer.User,
		Data:      newer.From(),
		Request:   RequestOf(ctx),
		Continued: newer.Continued(old),
	}
}
