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

// facesWait is how long a look may take to read the faces that are not known.
const facesWait = time.Second

// face is that of a session, which may have ended. One that the store does not know has an empty
// one; ok is false where it does not tell, or not before the end of ctx.
func (s *Server) face(ctx context.Context, id session.ID) (f face, ok bool) {
	s.consoles.faces.mu.Lock()
	f, ok = s.consoles.faces.known[id]
	s.consoles.faces.mu.Unlock()
	if ok {
		return f, true
	}
	if ctx.Err() != nil {
		return face{}, false
	}
	switch record, err := s.hub.Lookup(ctx, id); {
	case errors.Is(err, session.ErrNotFound): // asked for once, not at each look
	case err != nil && !errors.Is(err, session.ErrEnded):
		return face{}, false
	default:
		f = faceOf(&record)
	}
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
	ctx, cancel := context.WithTimeout(ctx, facesWait)
	defer cancel()
	list := progressList{rows: []progressRow{}, locale: lang}
	hidden := 0
	if l.State == hub.LogoutPending {
		warned := remembered(func(tabs int) string {
			return text{key: "progress.tabsWarned", data: locale.Data{"Count": tabs}}.in(lang)
		})
		var first []*hub.Session
		first, hidden = s.inScope(&l.Revocation, shownPeople)
		for _, one := range first {
			list.add(one.Record.ID, func() face { return faceOf(one.Record) },
				func() progressTab { return progressTab{State: "pending", Word: warned(one.Tabs)} })
		}
	}
	word := remembered(func(o hub.Outcome) string { return text{key: "progress." + string(o)}.in(lang) })
	for _, tab := range l.Tabs {
		list.add(tab.Session, func() face {
			f, _ := s.face(ctx, tab.Session)
			f.person = cmp.Or(f.person, tab.User)
			return f
		}, func() progressTab { return progressTab{tab.Tab, string(tab.Outcome), word(tab.Outcome), tab.Path} })
	}
	if n := hidden + len(list.left); n > 0 {
		more = text{key: "progress.more", data: locale.Data{"Count": n}}.in(lang)
	}
	return list.rows, more
}

// progressList is the rows for the first shownPeople sessions. The zero value but for the locale is
// empty.
type progressList struct {
	rows   []progressRow
	places map[session.ID]int
	left   map[session.ID]bool // sessions without a row
	locale *locale.Locale
}

// add puts a tab into the row of its session. find and tell are called only where there is one: a
// forced logout may end a hundred thousand sessions, and a page looks at it four times a second.
func (p *progressList) add(id session.ID, find func() face, tell func() progressTab) {
	place, ok := p.places[id]
	if !ok {
		if place = len(p.rows); place >= shownPeople {
			if p.left == nil {
				p.left = make(map[session.ID]bool)
			}
			p.left[id] = true
			return
		}
		if p.places == nil {
			p.places = make(map[session.ID]int)
		}
		f := find()
		p.places[id] = place
		p.rows = append(p.rows, progressRow{Ref: id.Ref(), Person: f.person, From: f.from(p.locale)})
	}
	p.rows[place].Tabs = append(p.rows[place].Tabs, tell())
}

// remembered is say, asked once for each k.
func remembered[K comparable](say func(K) string) func(K) string {
	known := make(map[K]string)
	return func(k K) string {
		said, ok := known[k]
		if !ok {
			said = say(k)
			known[k] = said
		}
		return said
	}
}

// inScope lists the first of the live sessions that a forced logout ends, in the order of their
// users: so many at most. more is how many there are beside them.
func (s *Server) inScope(f *session.Revocation, most int) (first []*hub.Session, more int) {
	target := f.Scope.Target()
	order := func(a, b *hub.Session) int {
		return cmp.Or(strings.Compare(a.Record.User, b.Record.User), strings.Compare(a.Names.Ref, b.Names.Ref))
	}
	all := s.hub.Sessions(hub.Filter{User: f.User})
	for i := range all {
		one := &all[i]
		if !f.EndsNames(target, one.Names) {
			continue
		}
		if len(first) == most {
			more++
			if order(one, first[most-1]) > 0 {
				continue
			}
			first = first[:most-1]
		}
		place, _ := slices.BinarySearchFunc(first, one, order)
		first = slices.Insert(first, place, one)
	}
	return first, more
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
