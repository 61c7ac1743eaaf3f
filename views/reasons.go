package views

import (
	"curfew/locale"
	"curfew/session"
)

// endText is why a session has ended, as the user of it reads it.
func endText(end session.End) text {
	if end.Message != "" {
		return text{said: end.Message}
	}
	return reasonText(end.Reason)
}

// reasonText is the sentence of a reason.
func reasonText(r session.Reason) text {
	return text{key: "reason." + string(r), data: locale.Data{}}
}
