package views

import (
	"curfew/locale"
	"curfew/session"
)

// endText is why a session has ended, as the user of it reads it. See session.End.Text, which says
// the same in English.
func endText(end session.End) text {
	by := end.Data[session.DataBy]
	switch {
	case end.Message != "":
		return text{said: end.Message}
	case end.Reason == session.ReasonReplaced && end.Data["device"] != "" && by != session.ByBrowser:
		return text{key: "reason.replacedBy", data: locale.Data{
			"Device":  deviceText(end.Data),
			"Address": end.Data["address"],
		}}
	case end.Reason == session.ReasonLogout && by == session.ByAccount:
		return text{key: "reason.logout-account"}
	}
	return reasonText(end.Reason)
}

// deviceText names the browser and the system of session.Record.From. See session.Device, which
// says the same in English.
func deviceText(from map[string]string) text {
	browser, system := from["browser"], from["system"]
	switch {
	case browser == "" && system == "":
		return text{key: "device.unknown"}
	case system == "":
		return text{said: browser}
	case browser == "":
		return text{key: "device.system", data: locale.Data{"System": system}}
	}
	return text{key: "device.both", data: locale.Data{"Browser": browser, "System": system}}
}

// reasonText is the sentence of a reason.
func reasonText(r session.Reason) text {
	return text{key: "reason." + string(r), data: locale.Data{}}
}
