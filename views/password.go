package views

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/hub/wire"
	"curfew/locale"
	"curfew/session"
)

// What people are told of the end of their password: on the sign-in page where it keeps them out,
// and on the first page after a sign-in where it will. That page is told by the cookie of toasts if
// it is Curfew's own, and by its socket if it is the application's.

// passwordWarningFor is how long the first page after a sign-in may take to come, in seconds.
const passwordWarningFor = 600

// passwordUnits are the texts that warn of a password's end, with what their Count is in a notice.
// It is 0 for a text without one.
var passwordUnits = map[string]string{
	"page.passwordDays":    wire.PasswordDays,
	"page.passwordHours":   wire.PasswordHours,
	"page.passwordSoon":    wire.PasswordHours,
	"page.passwordSignIns": wire.PasswordSignIns,
	"page.passwordLast":    wire.PasswordSignIns,
}

// passwordToast says when a password ends, and promises nobody too much time.
func passwordToast(of directory.PasswordWarning) told {
	hours := int(of.Left / time.Hour)
	switch {
	case of.Expired && of.SignIns == 0:
		return told{Key: "page.passwordLast"}
	case of.Expired:
		return told{"page.passwordSignIns", locale.Pairs("Count", of.SignIns)}
	case hours == 0:
		return told{Key: "page.passwordSoon"}
	case hours < 48:
		return told{"page.passwordHours", locale.Pairs("Count", hours)}
	}
	return told{"page.passwordDays", locale.Pairs("Count", hours/24)}
}

// passwordNotice is what the first page after a sign-in has to tell of the password's end, where
// the page that opens a socket may be that one; nil for nothing. The answer then takes the cookie
// away that brought it.
func (s *Server) passwordNotice(w http.ResponseWriter, r *http.Request, id session.ID) *hub.PasswordNotice {
	t, ok := s.readToast(r, id)
	unit := passwordUnits[t.Key]
	if !ok || unit == "" {
		return nil
	}
	count, _ := t.Data["Count"].(int)
	http.SetCookie(w, newToastCookie("", -1))
	return &hub.PasswordNotice{
		Message: text{key: t.Key, data: t.Data}.in(locale.English()),
		Data:    map[string]string{unit: strconv.Itoa(count)},
	}
}

// helpFor is where there is help with what a refusal asks for; empty for other refusals.
func (s *Server) helpFor(refusal error) string {
	if !isAboutPassword(refusal) {
		return ""
	}
	return s.site.HelpURL
}

// isAboutPassword reports whether a right password was refused because it has to be changed.
func isAboutPassword(err error) bool {
	return errors.Is(err, directory.ErrPasswordExpired) || errors.Is(err, directory.ErrPasswordMustChange)
}
