package views

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// The page of one session, for administrators. While the session lives, its script asks for the
// page again and takes over what is marked as live. After the end the page tells how it ended, by
// the audit trail.

type sessionPage struct {
	layout
	Ref     string
	Of      string // its user; empty if none is known
	Console string // link
	Trail   string // link: all lines of the user

	// Live is nil once the session is over. Then the line of its end is there, if the trail has it.
	Live *liveFacts
	End  *auditLine

	Others []otherSession
	Lines  []auditLine // its history, newest first; none where only the rest was asked for

	IsUnsearched bool // the history ends before older lines were looked at

	Graces []option // of a forced logout
}

var sessionTemplate = parseTrail("session.html")

func (sessionPage) template() *template.Template { return sessionTemplate }

// liveFacts are what there is to know of a live session.
type liveFacts struct {
	Name     string
	Groups   string
	Device   string
	Agent    string
	Address  string
	Node     string // where there are several
	State    badge
	SignedIn part
	Since    string // how long ago that was
	Active   string // how long ago
	Warns    sentence
	Ends     sentence
	Tabs     []tabRow
}

// badge is a state in words.
type badge struct {
	State hub.State
	Text  string
}

type tabRow struct {
	Path        string // empty where the page did not tell
	Opened      string
	Hidden      bool
	Unconfirmed bool
	Node        string
}

// otherSession is another live session of the same user.
type otherSession struct {
	Link    string
	Device  string
	Address string
	State   badge
	Since   string
	Tabs    string
}

// historyBack is how far back a history is looked for, further each time until the line of the
// sign-in is found. After the last, all of the trail is.
var historyBack = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 31 * 24 * time.Hour}

// historyTime is how long that may take: a trail of years is read line by line.
const historyTime = 3 * time.Second

// historyLimit is how many lines a history has at most.
const historyLimit = 50

func (s *Server) consoleSession(w http.ResponseWriter, r *http.Request) error {
	ref := r.PathValue("ref")
	p := sessionPage{layout: s.sessionLayout(r, "session.title"), Ref: ref, Console: s.base + "/admin"}
	p.Here = "admin"
	if _, strange := session.NewRefs([]string{ref}); strange > 0 {
		return errSessionOver
	}
	var began time.Time
	if found := s.hub.Sessions(hub.Filter{Ref: ref}); len(found) == 1 {
		if err := s.liveFacts(r, found[0], &p); err != nil {
			return err
		}
		began = found[0].Record.CreatedAt
	}
	if p.Live == nil || r.URL.Query().Get("part") != "live" {
		if err := s.history(r, began, &p); err != nil {
			return err
		}
	}
	if p.Of != "" {
		s.others(&p)
		p.Title = text{key: "session.of", data: locale.Data{"User": p.Of}}.in(p.Locale)
	}
	p.Trail = s.base + "/admin/audit?" + url.Values{"user": {p.Of}}.Encode()
	p.Graces = []option{{"0", text{key: "session.now"}.in(p.Locale)}}
	for _, d := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		said := text{key: "session.in", data: locale.Data{"Time": p.InWords(d)}}.in(p.Locale)
		p.Graces = append(p.Graces, option{fmt.Sprint(int(d.Seconds())), said})
	}
	return s.render(w, http.StatusOK, p)
}

// liveFacts fills in what is known of a live session. One that ends meanwhile has none.
func (s *Server) liveFacts(r *http.Request, one hub.Session, p *sessionPage) error {
	record, l, now := one.Record, p.Locale, s.clock.Now()
	status, err := s.hub.Check(r.Context(), record.ID)
	switch {
	case isSessionError(err):
		return nil
	case err != nil:
		return storeError{err}
	}
	f := &liveFacts{
		Name:     record.Name,
		Groups:   strings.Join(record.GroupNames(), ", "),
		Device:   capital(deviceText(record.From()).in(l)),
		Agent:    record.Agent,
		Address:  record.Address,
		State:    badgeOf(l, one.State),
		SignedIn: instantPart(record.CreatedAt),
		Since:    ago(l, now.Sub(record.CreatedAt)),
		Active:   ago(l, now.Sub(one.LastActiveAt)),
	}
	say := func(key string, left time.Duration) sentence {
		return text{key: key, data: locale.Data{"Time": leftPart(left)}}.sentenceIn(l)
	}
	f.Warns = say("session.warnsIn", status.WarnIn)
	if status.Warning != "" {
		f.Warns = text{key: "session.isWarned"}.sentenceIn(l)
	}
	f.Ends = say("session.endsIn", status.ExpireIn)
	lifetime, age := record.Policy.MaxLifetime, now.Sub(record.CreatedAt)
	if status.Warning == session.ReasonAdmin || lifetime > 0 && age+status.ExpireIn >= lifetime {
		f.Ends = say("session.endsSurely", status.ExpireIn)
	}
	several := s.hub.Stats().Nodes > 1
	if several {
		f.Node = one.Node
	}
	slices.SortFunc(one.OpenTabs, func(a, b hub.Tab) int { return b.OpenedAt.Compare(a.OpenedAt) })
	for _, t := range one.OpenTabs {
		row := tabRow{shownPath(t.Path), ago(l, now.Sub(t.OpenedAt)), t.Hidden, t.Unconfirmed, ""}
		if several {
			row.Node = t.Node
		}
		f.Tabs = append(f.Tabs, row)
	}
	p.Live, p.Of = f, record.User
	return nil
}

// history reads the lines of the session, and of one that is over who its user was and how it
// ended. A session of which nothing is known there is not. began is when the session began, zero if
// that is not known.
func (s *Server) history(r *http.Request, began time.Time, p *sessionPage) error {
	events, complete, err := s.searchHistory(r.Context(), p.Ref, began)
	if err != nil {
		return storeError{err}
	}
	p.IsUnsearched = !complete
	tell := teller{p.Locale, s.base}
	for _, e := range events {
		line := tell.tell(e)
		if e.Kind == session.EventSessionEnd && p.Live == nil {
			p.End = &line
		}
		if p.Of == "" && (e.Kind == session.EventSignIn || e.Kind == session.EventSessionEnd) {
			p.Of = e.User
		}
		line.Session = "" // this page
		p.Lines = append(p.Lines, line)
	}
	if p.Of == "" && complete {
		return errSessionOver
	}
	return nil
}

// searchHistory looks for the lines of a session, newest first, no further back than it must. It
// returns what it has found, and not complete, once historyTime is over.
func (s *Server) searchHistory(ctx context.Context, ref string, began time.Time) (events []session.Event,
	complete bool, err error) {
	limited, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	now := s.clock.Now()
	var starts []time.Time
	for _, back := range historyBack {
		if at := now.Add(-back); at.After(began) {
			starts = append(starts, at)
		}
	}
	for _, since := range append(starts, began) {
		query := session.EventQuery{Session: ref, Limit: historyLimit, Since: since}
		found, err := s.trail.Events(limited, query)
		switch {
		case err != nil && limited.Err() != nil && ctx.Err() == nil:
			return events, false, nil
		case err != nil:
			return nil, false, err
		}
		events = found
		isSignIn := func(e session.Event) bool { return e.Kind == session.EventSignIn }
		if len(events) == historyLimit || slices.ContainsFunc(events, isSignIn) {
			break
		}
	}
	return events, true, nil
}

var errSessionOver = newProblem(http.StatusNotFound, "not-found", "error.sessionOver")

// others lists the other live sessions of the user, newest first.
func (s *Server) others(p *sessionPage) {
	now := s.clock.Now()
	list := s.hub.Sessions(hub.Filter{User: p.Of})
	slices.SortFunc(list, func(a, b hub.Session) int { return b.Record.CreatedAt.Compare(a.Record.CreatedAt) })
	for _, one := range list {
		ref := one.Record.ID.Ref()
		if ref == p.Ref {
			continue
		}
		p.Others = append(p.Others, otherSession{
			Link:    s.base + "/admin/sessions/" + ref,
			Device:  capital(deviceText(one.Record.From()).in(p.Locale)),
			Address: one.Record.Address,
			State:   badgeOf(p.Locale, one.State),
			Since:   ago(p.Locale, now.Sub(one.Record.CreatedAt)),
			Tabs:    p.Locale.Number(one.Tabs),
		})
	}
}

func badgeOf(l *locale.Locale, state hub.State) badge {
	return badge{state, text{key: "presence." + string(state)}.in(l)}
}

// shownPath is the path of a page as people read it.
func shownPath(path string) string {
	if plain, err := url.PathUnescape(path); err == nil {
		return plain
	}
	return path
}

// capital begins a text with a capital letter, where it stands alone.
func capital(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:size]) + s[size:]
}
