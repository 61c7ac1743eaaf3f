package views

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// What comes of a forced logout, in words. The page and its socket say the same, so that a page
// without script is told what one with it is told later.

// shownPeople is how many sessions the progress of a forced logout lists.
const shownPeople = 200

// progressView is how a forced logout stands.
type progressView struct {
	Type   string          `json:"type"` // progress
	ID     string          `json:"id"`
	State  hub.LogoutState `json:"state"`
	Word   string          `json:"word"`   // the state
	Lines  [][]piece       `json:"lines"`  // what has come of it, and what follows
	Action string          `json:"action"` // what can be done about it; empty for nothing
	Done   int             `json:"done"`   // tabs of which is known what became of them
	Total  int             `json:"total"`
	Said   string          `json:"said"` // the same in words
	Counts map[string]int  `json:"counts"`
	People []progressRow   `json:"people"`
	More   string          `json:"more"` // how many are not listed; empty for none
	// Rest is what became of a session that was listed and is so no more.
	Rest progressTab `json:"rest"`
}

// progressRow is a session that a forced logout ends.
type progressRow struct {
	Ref    string        `json:"ref"`
	Person string        `json:"person"`
	From   string        `json:"from"` // device and address
	Tabs   []progressTab `json:"tabs"`
}

// progressTab is what became of a tab. Several may share one, before they are told: Tab is empty
// then.
type progressTab struct {
	Tab   string `json:"tab"`
	State string `json:"state"`
	Word  string `json:"word"`
	Path  string `json:"path,omitempty"` // of its page, where that has told
}

// face is how a session is shown.
type face struct {
	person  string
	device  text
	address string
}

// from is where the session is, in a language.
func (f face) from(l *locale.Locale) string {
	return strings.TrimSpace(f.device.in(l) + " " + f.address)
}

func faceOf(r *session.Record) face {
	return face{personOf(r.User, r.Name), deviceText(r.From()), r.Address}
}

// faces are those of sessions that have ended: an open page asks for them several times a second.
type faces struct {
	mu    sync.Mutex
	known map[session.ID]face
}

// maxFaces is how many are kept.
const maxFaces = 5000

// face is that of a session, which may have ended. One that the store does not tell has none.
func (s *Server) face(ctx context.Context, id session.ID) (f face, ok bool) {
	s.consoles.faces.mu.Lock()
	f, ok = s.consoles.faces.known[id]
	s.consoles.faces.mu.Unlock()
	if ok {
		return f, true
	}
	record, err := s.hub.Lookup(ctx, id)
	if err != nil && !errors.Is(err, session.ErrEnded) {
		return face{}, false
	}
	f = faceOf(&record)
	s.consoles.faces.mu.Lock()
	defer s.consoles.faces.mu.Unlock()
	if s.consoles.faces.known == nil || len(s.consoles.faces.known) >= maxFaces {
		s.consoles.faces.known = make(map[session.ID]face)
	}
	s.consoles.faces.known[id] = f
	return f, true
}

// progressView says in a language how l stands.
func (s *Server) progressView(ctx context.Context, lang *locale.Locale, l hub.ForcedLogout) progressView {
	v := progressView{
		Type:  "progress",
		ID:    l.ID,
		State: l.State,
		Word:  text{key: "progress." + string(l.State)}.in(lang),
		Done:  l.Acked + l.Gone,
		Total: l.Acked + l.Gone + l.Unconfirmed + l.Open,
		Counts: map[string]int{
			"open":        l.Open,
			"acked":       l.Acked,
			"unconfirmed": l.Unconfirmed,
			"gone":        l.Gone,
		},
	}
	v.Said = tabsText(l, v.Total).in(lang)
	v.Lines, v.Action = s.progressLines(lang, l)
	v.People, v.More = s.progressRows(ctx, lang, l)
	key := map[hub.LogoutState]string{hub.LogoutCancelled: "progress.stays"}[l.State]
	v.Rest = progressTab{State: "ended", Word: text{key: cmp.Or(key, "progress.ended")}.in(lang)}
	return v
}

// tabsText says what became of the tabs.
func tabsText(l hub.ForcedLogout, total int) text {
	data := locale.Data{"Count": total, "Acked": l.Acked, "Gone": l.Gone}
	switch {
	case l.State == hub.LogoutCancelled:
		return text{key: "progress.noneBlank"}
	case total == 0:
		return text{key: "progress.noPages"}
	case l.State == hub.LogoutPending:
		return text{key: "progress.warned", data: data}
	case l.Gone > 0:
		return text{key: "progress.blankAndClosed", data: data}
	}
	return text{key: "progress.blank", data: data}
}

// progressLines are what has happened and what will, and the action that can be taken.
func (s *Server) progressLines(lang *locale.Locale, l hub.ForcedLogout) (lines [][]piece, action string) {
	now := s.clock.Now()
	say := func(key string, data locale.Data) {
		lines = append(lines, []piece{{Text: text{key: key, data: data}.in(lang)}})
	}
	timed := func(key string, t time.Time) { lines = append(lines, timed(lang, key, instantIn(t, now, time.UTC))) }
	isBlocking := now.Before(l.BlockUntil) && l.CancelledAt.IsZero()
	switch l.State {
	case hub.LogoutPending:
		timed("progress.takesEffect", l.EffectiveAt)
		action = text{key: "progress.callOff"}.in(lang)
	case hub.LogoutCancelled:
		timed("progress.calledOff", l.CancelledAt)
	default:
		say("progress.signedOut", locale.Data{"Count": l.Sessions})
	}
	if l.Unconfirmed > 0 {
		say("progress.silent", locale.Data{"Count": l.Unconfirmed})
	}
	if l.Waiting > 0 && l.State != hub.LogoutCancelled {
		say("progress.waiting", locale.Data{"Count": l.Waiting})
	}
	switch {
	case isBlocking:
		timed(map[bool]string{true: "progress.blocksLater", false: "progress.blocks"}[l.State == hub.LogoutPending],
			l.BlockUntil)
		if action == "" {
			action = text{key: "progress.lift"}.in(lang)
		}
	case l.State == hub.LogoutEffective && !l.CancelledAt.IsZero():
		timed("progress.lifted", l.CancelledAt)
	}
	return lines, action
}

// progressRows are the sessions that l ends, with what became of their tabs. more says how many are
// not listed.
func (s *Server) progressRows(ctx context.Context, lang *locale.Locale, l hub.ForcedLogout) (rows []progressRow,
	more string) {
	rows = []progressRow{}
	places := make(map[string]int)
	left := make(map[string]bool)
	add := func(ref string, find func() face, tab progressTab) {
		place, ok := places[ref]
		if !ok {
			if place = len(rows); place >= shownPeople {
				left[ref] = true
				return
			}
			f := find()
			places[ref] = place
			rows = append(rows, progressRow{Ref: ref, Person: f.person, From: f.from(lang)})
		}
		rows[place].Tabs = append(rows[place].Tabs, tab)
	}
	if l.State == hub.LogoutPending {
		for _, one := range s.inScope(&l.Revocation) {
			word := text{key: "progress.tabsWarned", data: locale.Data{"Count": one.Tabs}}.in(lang)
			add(one.Names.Ref, func() face { return faceOf(one.Record) }, progressTab{State: "pending", Word: word})
		}
	}
	for _, tab := range l.Tabs {
		find := func() face {
			f, ok := s.face(ctx, tab.Session)
			if !ok {
				f.person = tab.User
			}
			return f
		}
		word := text{key: "progress." + string(tab.Outcome)}.in(lang)
		add(tab.Session.Ref(), find, progressTab{tab.Tab, string(tab.Outcome), word, tab.Path})
	}
	if n := len(left); n > 0 {
		more = text{key: "progress.more", data: locale.Data{"Count": n}}.in(lang)
	}
	return rows, more
}

// inScope lists the live sessions that a forced logout ends, in the order of their users.
func (s *Server) inScope(f *session.Revocation) []hub.Session {
	target := f.Scope.Target()
	list := slices.DeleteFunc(s.hub.Sessions(hub.Filter{User: f.User}), func(one hub.Session) bool {
		return !f.EndsNames(target, one.Names)
	})
	slices.SortFunc(list, func(a, b hub.Session) int {
		return cmp.Or(strings.Compare(a.Record.User, b.Record.User), strings.Compare(a.Names.Ref, b.Names.Ref))
	})
	return list
}

type progressPage struct {
	layout
	progressView
	Message string
	By      []piece // who has ordered it, and when
}

var progressTemplate = parse("progress.html")

func (progressPage) template() *template.Template { return progressTemplate }

func (s *Server) followLogout(w http.ResponseWriter, r *http.Request) error {
	l, err := s.hub.ForcedLogout(r.PathValue("id"))
	if err != nil {
		return errNoPage
	}
	p := progressPage{
		layout:       s.sessionLayout(r, "progress.title"),
		progressView: s.progressView(r.Context(), s.locale(r), l),
		Message:      l.Message,
	}
	n := 1
	if l.Refs != "" {
		n = l.Refs.Len()
	}
	p.Title = ofScope("progress.of", l.Scope, n).in(p.Locale)
	if n == 1 && len(p.People) == 1 && l.OfSessions() {
		p.Title = text{key: "progress.ofUser", data: locale.Data{"Name": p.People[0].Person}}.in(p.Locale)
	}
	p.By = timed(p.Locale, "progress.by", instantIn(l.At, s.clock.Now(), time.UTC), "Name", l.Actor)
	return s.render(w, http.StatusOK, p)
}
