package views

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/directory"
	"curfew/locale"
	"curfew/session"
)

// The audit trail in sentences. A line is a code with its data: see session.Event. Lines of earlier
// versions have no data; they get the sentence of their kind, and their English detail is shown.

// auditLine is a line as the audit page and the page of a session show it.
type auditLine struct {
	When     part
	Sentence sentence
	More     []sentence // what else there is to say
	Said     string     // by an administrator, as they wrote it
	Changes  []setting  // of a reload
	Detail   string     // in English, for who looks for a fault
	Address  string
	Request  string // the ID of the HTTP request that asked for it, if one did

	// links; empty where there is no such page
	Session string
	Earlier string // the session that a sign-in goes on from
	Logout  string
	Asked   string // all that the request has asked for
}

// setting is a setting that a reload has changed.
type setting struct {
	Group    string // empty for everybody
	Name     string
	Was, Now string // empty: there was, or is, none
}

// endSentences are the keys of the ends that need no data, by their reasons.
var endSentences = map[session.Reason]string{
	session.ReasonIdle:          "audit.endIdle",
	session.ReasonLifetime:      "audit.endLifetime",
	session.ReasonLogout:        "audit.endLogout",
	session.ReasonAdmin:         "audit.endAdmin",
	session.ReasonDirectory:     "audit.endDirectory",
	session.ReasonBrowserClosed: "audit.endBrowserClosed",
	session.ReasonReplaced:      "audit.endReplaced",
	session.ReasonPolicy:        "audit.endPolicy",
}

// causeSentences are the keys of ends whose data names a cause.
var causeSentences = map[string]string{
	string(directory.CauseUnknown):         "audit.endGone",
	string(directory.CauseGone):            "audit.endGone",
	string(directory.CauseAmbiguous):       "audit.endAmbiguous",
	string(directory.CauseLocked):          "audit.endLocked",
	string(directory.CauseNotAllowed):      "audit.endNotAllowed",
	string(directory.CauseOtherEntry):      "audit.endOtherEntry",
	string(directory.CausePasswordChanged): "audit.endPasswordChanged",
	string(directory.CausePasswordExpired): "audit.endPasswordExpired",
	session.CauseSignInFailed:              "audit.endSignInFailed",
	session.CauseSignInSlow:                "audit.endSignInSlow",
	session.CauseLost:                      "audit.endLost",
}

// failureSentences are the keys of sign-ins that failed, by their causes.
var failureSentences = map[string]string{
	string(directory.CauseWrongPassword):      "audit.failedWrongPassword",
	string(directory.CauseUnknown):            "audit.failedUnknown",
	string(directory.CauseAmbiguous):          "audit.failedAmbiguous",
	string(directory.CauseLocked):             "audit.failedLocked",
	string(directory.CausePasswordExpired):    "audit.failedPasswordExpired",
	string(directory.CausePasswordMustChange): "audit.failedPasswordMustChange",
	string(directory.CauseNotAllowed):         "audit.failedNotAllowed",
	session.CauseBlocked:                      "audit.failedBlocked",
}

// actSentences are the keys of forced logouts by their acts, each followed by the scope's.
var actSentences = map[string]string{
	session.ActOrdered:     "audit.logout",
	session.ActCalledOff:   "audit.calledOff",
	session.ActBlockLifted: "audit.lifted",
}

// scopeSuffixes are the ends of keys by the scope.
var scopeSuffixes = map[string]string{
	"user":     "User",
	"group":    "Group",
	"session":  "Session",
	"sessions": "Sessions",
	"everyone": "Everyone",
}

// teller puts lines of the audit trail into the words of a language.
type teller struct {
	l    *locale.Locale
	base string // of links
}

// tell is the line of e.
func (t teller) tell(e session.Event) auditLine {
	line := auditLine{When: instantPart(e.At), Said: e.Data[session.DataText], Address: e.Address}
	if e.Data == nil {
		line.Detail = e.Detail // of an earlier version, or all there is
	}
	if e.Session != "" {
		line.Session = t.session(e.Session)
	}
	if e.Request != "" {
		line.Request, line.Asked = e.Request, t.trail("request_id", e.Request)
	}
	if id := e.Data[session.DataLogout]; id != "" {
		line.Logout = t.base + "/admin/logouts/" + url.PathEscape(id)
	}
	switch e.Kind {
	case session.EventSignIn:
		line.Sentence = t.say("audit.signIn", e)
		if e.Continues != "" {
			line.Sentence, line.Earlier = t.say("audit.signInAgain", e), t.session(e.Continues)
		}
	case session.EventSignInFailed:
		t.tellFailure(e, &line)
	case session.EventSessionEnd:
		t.tellEnd(e, &line)
	case session.EventLogout:
		t.tellLogout(e, &line)
	case session.EventNotice:
		t.tellNotice(e, &line)
	case session.EventPolicy:
		line.Sentence = t.say("audit.policy", e)
		t.add(&line, "audit.changed", e, session.DataSessions)
		line.Changes = settingsOf(e.Data)
	case session.EventOriginRefused:
		line.Detail = ""
		line.Sentence = t.say("audit.originRefused", e, "Origin", part{Text: e.Detail, IsName: true})
		if e.Detail == "" {
			line.Sentence = t.say("audit.originMissing", e)
		}
	case session.EventDirectoryLost:
		line.Sentence = t.say("audit.directoryLost", e)
	default: // of a later version
		line.Sentence = t.say("audit.other", e, "Kind", part{Text: string(e.Kind), IsName: true})
		line.Detail = e.Detail
	}
	return line
}

func (t teller) tellFailure(e session.Event, line *auditLine) {
	key := failureSentences[e.Data[session.DataCause]]
	switch {
	case key == "" && e.Data == nil && e.Reason == session.ReasonAdmin:
		key = "audit.failedBlocked"
	case key == "":
		key, line.Detail = "audit.failed", e.Detail
	}
	line.Sentence = t.say(key, e)
}

func (t teller) tellEnd(e session.Event, line *auditLine) {
	by, cause := e.Data[session.DataBy], e.Data[session.DataCause]
	key := endSentences[e.Reason]
	var pairs []any
	switch {
	case causeSentences[cause] != "":
		key = causeSentences[cause]
	case cause != "" || key == "":
		line.Detail = e.Detail
	case e.Reason == session.ReasonLogout && by == session.ByAccount:
		key, line.Detail = "audit.endAccount", ""
	case e.Reason == session.ReasonLogout && e.Actor != "" && !session.SameName(e.Actor, e.User):
		key = "audit.endAdminBy"
	case e.Reason == session.ReasonAdmin && by == session.ByTesting:
		key = "audit.endTesting"
	case e.Reason == session.ReasonAdmin && e.Actor != "":
		key = "audit.endAdminBy"
	case e.Reason == session.ReasonReplaced && e.Actor != "" && !session.SameName(e.Actor, e.User):
		key = "audit.endOther"
	case e.Reason == session.ReasonReplaced && by == session.ByBrowser:
		key = "audit.endSameBrowser"
	case e.Reason == session.ReasonReplaced && e.Data["device"] != "":
		key = "audit.endReplacedBy"
		pairs = []any{"Device", deviceText(e.Data).in(t.l), "Address", part{Text: e.Data["address"], IsName: true}}
	}
	if key == "" {
		key = "audit.end" // for a reason of a later version
	}
	line.Sentence = t.say(key, e, pairs...)
}

func (t teller) tellLogout(e session.Event, line *auditLine) {
	act, known := actSentences[e.Data[session.DataAct]]
	suffix := scopeSuffixes[e.Data[session.DataScope]]
	if !known || suffix == "" {
		line.Sentence, line.Detail = t.say("audit.logout", e), e.Detail
		return
	}
	line.Sentence = t.say(act+suffix, e, t.scope(e)...)
	if e.Data[session.DataAct] != session.ActOrdered {
		return
	}
	t.addReach(line, e)
	t.add(line, "audit.waiting", e, session.DataWaiting)
	t.add(line, "audit.skipped", e, session.DataSkipped)
	if ms, err := strconv.ParseInt(e.Data[session.DataGrace], 10, 64); err == nil && ms > 0 {
		grace := inWords(t.l, time.Duration(ms)*time.Millisecond)
		line.More = append(line.More, t.say("audit.grace", e, "Time", grace))
	}
	if until, err := time.Parse(time.RFC3339, e.Data[session.DataBlock]); err == nil {
		line.More = append(line.More, t.say("audit.block", e, "Time", instantPart(until)))
	}
}

func (t teller) tellNotice(e session.Event, line *auditLine) {
	suffix := scopeSuffixes[e.Data[session.DataScope]]
	if suffix == "" {
		line.Sentence, line.Detail = t.say("audit.notice", e), e.Detail
		return
	}
	line.Sentence = t.say("audit.notice"+suffix, e, t.scope(e)...)
	t.addReach(line, e)
}

// scope names whom a forced logout or a notice concerned.
func (t teller) scope(e session.Event) []any {
	name := e.Data[session.DataName]
	p := part{Text: name, IsName: true}
	switch e.Data[session.DataScope] {
	case "user":
		p.Link = t.trail("user", name)
	case "session":
		p.Link = t.session(name)
	}
	n, _ := strconv.Atoi(name)
	return []any{"Name", p, "Count", n}
}

// addReach adds how many sessions and tabs were concerned.
func (t teller) addReach(line *auditLine, e session.Event) {
	sessions, err := strconv.Atoi(e.Data[session.DataSessions])
	tabs, err2 := strconv.Atoi(e.Data[session.DataTabs])
	if err != nil || err2 != nil {
		return
	}
	line.More = append(line.More, t.say("audit.reach", e,
		"Sessions", text{key: "count.sessions", data: locale.Data{"Count": sessions}}.in(t.l),
		"Tabs", text{key: "count.openTabs", data: locale.Data{"Count": tabs}}.in(t.l)))
}

// add adds the sentence of a number in the data of e, where it has one.
func (t teller) add(line *auditLine, key string, e session.Event, name string) {
	if n, err := strconv.Atoi(e.Data[name]); err == nil && n >= 0 {
		line.More = append(line.More, t.say(key, e, "Count", n))
	}
}

// say says a text in which the user and the actor of e may stand, and further values.
func (t teller) say(key string, e session.Event, pairs ...any) sentence {
	data := locale.Data{"User": t.person("user", e.User), "Actor": t.person("actor", e.Actor)}
	maps.Copy(data, locale.Pairs(pairs...))
	return text{key: key, data: data}.sentenceIn(t.l)
}

// person is a name that leads to the lines in which it stands as that.
func (t teller) person(as, name string) part {
	if name == "" {
		return part{Text: text{key: "audit.nameless"}.in(t.l)}
	}
	return part{Text: name, IsName: true, Link: t.trail(as, name)}
}

func (t teller) trail(as, name string) string {
	return t.base + "/admin/audit?" + url.Values{as: {name}}.Encode()
}

func (t teller) session(ref string) string { return t.base + "/admin/sessions/" + url.PathEscape(ref) }

// settingsOf are the settings that a reload has changed, in order. See session.Event.
func settingsOf(data map[string]string) []setting {
	changes := make(map[string]setting)
	for name, v := range data {
		when, whose, found := strings.Cut(name, " ")
		if !found || when != "was" && when != "now" {
			continue
		}
		one := changes[whose]
		of, rest, _ := strings.Cut(whose, " ")
		one.Name = rest
		if at := strings.LastIndex(rest, " "); of == "group" && at >= 0 {
			one.Group, one.Name = rest[:at], rest[at+1:]
		}
		if when == "was" {
			one.Was = v
		} else {
			one.Now = v
		}
		changes[whose] = one
	}
	var list []setting
	for _, whose := range slices.Sorted(maps.Keys(changes)) {
		list = append(list, changes[whose])
	}
	return list
}
