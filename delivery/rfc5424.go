package delivery

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"curfew/session"
)

// Priorities of RFC 5424, section 6.2.1: the facility is authpriv (10).
const (
	facility        = 10 * 8
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

// severity is how much a line deserves attention.
func severity(e session.Event) int {
	switch e.Kind {
	case session.EventSignInFailed, session.EventOriginRefused, session.EventDirectoryLost:
		return severityWarning
	case session.EventLogout, session.EventNotice, session.EventPolicy:
		return severityNotice
	case session.EventSessionEnd:
		if e.Reason == session.ReasonAdmin || e.Reason == session.ReasonDirectory {
			return severityNotice
		}
	}
	return severityInfo
}

// appendSyslog appends a message of RFC 5424 in the frame of RFC 6587, section 3.4.1, which is that
// of RFC 5425: its length, a space, and the message. The text of the message is item, which is
// JSON, with all that is not ASCII escaped: so it needs no byte order mark, and is JSON for whoever
// reads it.
func appendSyslog(to []byte, host string, pid int, e session.Event, item []byte) []byte {
	message := fmt.Appendf(nil, "<%d>1 %s %s curfew %d %s - ", facility+severity(e),
		e.At.UTC().Format("2006-01-02T15:04:05.000Z"), host, pid, e.Kind)
	message = appendASCII(message, item)
	to = strconv.AppendInt(to, int64(len(message)), 10)
	to = append(to, ' ')
	return append(to, message...)
}

// appendASCII appends JSON with each letter that is not ASCII as \uXXXX. Such letters stand in
// texts only.
func appendASCII(to, json []byte) []byte {
	for len(json) > 0 {
		r, size := utf8.DecodeRune(json)
		switch {
		case r < utf8.RuneSelf:
			to = append(to, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			to = fmt.Appendf(to, `\u%04x\u%04x`, high, low)
		default:
			to = fmt.Appendf(to, `\u%04x`, r)
		}
		json = json[size:]
	}
	return to
}

// headerName is a name as the header of a message may have it: up to 255 printable letters of
// ASCII, or a dash for none.
func headerName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	if name == "" {
		return "-"
	}
	return name[:min(len(name), 255)]
}
