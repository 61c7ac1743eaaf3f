package session

import "strings"

// Device names the browser and the system of a User-Agent, so that people recognise their own. It
// is a guess for their eyes; nothing is decided by it.
func Device(agent string) string {
	switch browser, system := browserAndSystem(agent); {
	case browser == "" && system == "":
		return "an unknown browser"
	case system == "":
		return browser
	case browser == "":
		return "a browser on " + system
	default:
		return browser + " on " + system
	}
}

// From tells where a session was signed in: device is [Device] in English, and address that of the
// browser. For other languages browser and system are names alone; one that is not known is absent.
func (r *Record) From() map[string]string {
	from := map[string]string{"device": Device(r.Agent), "address": r.Address}
	browser, system := browserAndSystem(r.Agent)
	if browser != "" {
		from["browser"] = browser
	}
	if system != "" {
		from["system"] = system
	}
	return from
}

// browserAndSystem guesses both from a User-Agent; empty for one that is not known.
func browserAndSystem(agent string) (browser, system string) {
	browser = firstOf(agent, [][2]string{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	})
	system = firstOf(agent, [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"}, {"Linux", "Linux"},
	})
	return browser, system
}

func firstOf(agent string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(agent, n[0]) {
			return n[1]
		}
	}
	return ""
}
