package views

import (
	"errors"

	"curfew/directory"
)

// Refusal is why a request was refused, for [Options.Refused].
type Refusal string

// What is refused.
const (
	RefusedCredentials Refusal = "credentials" // a sign-in by a wrong name or password
	RefusedLocked      Refusal = "locked"      // a right password of an account that may not be used
	RefusedPassword    Refusal = "password"    // a right password that has expired or must be changed
	RefusedNotAllowed  Refusal = "not-allowed" // a right password of somebody whom this server does not let in
	RefusedThrottled   Refusal = "throttled"   // a sign-in after too many failures
	RefusedCrowded     Refusal = "crowded"     // a sign-in while too many are under way
	RefusedBlocked     Refusal = "blocked"     // a sign-in that a forced logout refuses
	RefusedOrigin      Refusal = "origin"      // a request or a socket of a page of another origin
	RefusedCSRF        Refusal = "csrf"        // a form without the token of its session
	RefusedToken       Refusal = "token"       // a bearer token that nobody has
	RefusedRights      Refusal = "rights"      // what an administrator may do, or a token of another scope
)

// Refusals lists all kinds.
func Refusals() []Refusal {
	return []Refusal{RefusedCredentials, RefusedLocked, RefusedPassword, RefusedNotAllowed, RefusedThrottled,
		RefusedCrowded, RefusedBlocked, RefusedOrigin, RefusedCSRF, RefusedToken, RefusedRights}
}

// refusals are the problems that are refusals, by their codes.
var refusals = map[string]Refusal{
	errCrossSite.code: RefusedOrigin,
	errNoToken.code:   RefusedCSRF,
	errBadToken.code:  RefusedToken,
	errReadOnly.code:  RefusedRights,
	errNotAdmin.code:  RefusedRights,
	errElsewhere.code: RefusedRights,
}

// refusalOf is what the directory's refusal of a sign-in counts as.
func refusalOf(err error) Refusal {
	switch {
	case errors.Is(err, directory.ErrLocked):
		return RefusedLocked
	case errors.Is(err, directory.ErrNotAllowed):
		return RefusedNotAllowed
	case isAboutPassword(err):
		return RefusedPassword
	}
	return RefusedCredentials
}
