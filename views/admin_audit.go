package views

import (
	"encoding/csv"
	"encoding/json"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"curfew/session"
)

// The audit trail: a page, and its export.

type auditPage struct {
	layout
	Lines    []auditLine
	Kinds    []option
	Periods  []period
	Asked    map[string]string
	Page     int
	Newer    string // links; empty where there is no such page
	Older    string
	Sessions string // of the user who is asked for
	CSV      string
	JSON     string
}

var auditTemplate = parseTrail("audit.html")

func (auditPage) template() *template.Template { return auditTemplate }

// parseTrail is parse for a page that shows lines of the trail.
func parseTrail(name string) *template.Template {
	return template.Must(parse(name).ParseFS(pageFiles, "pages/trail.html"))
}

// option is one of a select.
type option struct{ Value, Text string }

// period is a preset of the filter.
type period struct {
	Name, Text string
	Link       string
	IsAsked    bool
}

// periods are how far back the presets go. That of today begins at midnight: the script names it in
// local time, and without it that of UTC counts.
var periods = []struct {
	name, key string
	back      time.Duration
}{
	{"", "audit.periodAll", 0},
	{"hour", "audit.periodHour", time.Hour},
	{"today", "audit.periodToday", 24 * time.Hour},
	{"week", "audit.periodWeek", 7 * 24 * time.Hour},
	{"month", "audit.periodMonth", 30 * 24 * time.Hour},
}

// inputFormat is that of an instant in a field of the form.
const inputFormat = "2006-01-02T15:04"

// auditParams are what the page's form asks for, as parameters of the API's list.
func auditParams(values url.Values, now time.Time) *listParams {
	for name, v := range values { // an empty field of the form asks for nothing
		if len(v) == 1 && v[0] == "" {
			delete(values, name)
		}
	}
	for _, name := range []string{"since", "until"} {
		if at, err := time.Parse(inputFormat, values.Get(name)); err == nil { // as browsers send it
			values.Set(name, at.Format(time.RFC3339))
		}
	}
	since, err := time.Parse(time.RFC3339, values.Get("since"))
	isToday := values.Get("period") == "today" && err == nil && now.Sub(since) < 26*time.Hour // where a day has 25
	if (values.Has("since") && !isToday) || values.Has("until") {
		values.Del("period") // the range of the form goes before
	}
	return &listParams{values: values}
}

// periodSince is when the period that is asked for began.
func (q *listParams) periodSince(now time.Time) time.Time {
	name := q.text("period")
	if name == "today" {
		return now.UTC().Truncate(24 * time.Hour)
	}
	for _, p := range periods {
		if p.name == name {
			return now.Add(-p.back)
		}
	}
	q.refuse("period %q: must be hour, today, week or month", name)
	return now
}

// deepest is how many lines are read for one page at most. Older ones are reached by a page that is
// the first again.
const deepest = 5000

func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	now := s.clock.Now()
	q := auditParams(r.URL.Query(), now)
	format := q.text("format")
	q.values.Del("format")
	q.values.Del("lang") // a cookie has it from now on
	query := q.eventQuery()
	if query.Since.IsZero() && q.values.Has("period") {
		query.Since = q.periodSince(now)
	}
	if q.err != nil {
		return q.err
	}
	switch format {
	case "csv", "json":
		return s.exportAudit(w, r, query, format)
	case "":
	default:
		return unprocessable("format %q: must be csv or json", format)
	}
	p := auditPage{layout: s.sessionLayout(r, "audit.title"), Asked: make(map[string]string)}
	if err := s.auditLines(r, q, query, &p); err != nil {
		return err
	}
	for _, kind := range session.EventKinds() {
		p.Kinds = append(p.Kinds, option{string(kind), text{key: kindKey(kind)}.in(p.Locale)})
	}
	for name := range q.values {
		p.Asked[name] = q.text(name)
	}
	for _, one := range periods {
		isAsked := q.text("period") == one.name && (one.name != "" || !q.values.Has("since") && !q.values.Has("until"))
		link := s.auditLink(q, "period", one.name, "since", "", "until", "", "cursor", "", "page", "")
		p.Periods = append(p.Periods, period{one.name, text{key: one.key}.in(p.Locale), link, isAsked})
	}
	for name, at := range map[string]time.Time{"since": query.Since, "until": query.Until} {
		p.Asked[name] = ""
		if !at.IsZero() && !q.values.Has("period") {
			p.Asked[name] = at.UTC().Format(inputFormat)
		}
	}
	if len(q.values) == 0 {
		p.Asked = nil
	}
	p.Sessions = s.base + "/admin?" + url.Values{"user": {query.User}}.Encode()
	p.CSV, p.JSON = s.auditLink(q, "format", "csv", "page", ""), s.auditLink(q, "format", "json", "page", "")
	return s.render(w, http.StatusOK, p)
}

// auditLink leads to what q asks for with other parameters: pairs of a name and a value, which is
// empty for none.
func (s *Server) auditLink(q *listParams, pairs ...string) string {
	other := maps.Clone(q.values)
	for i := 0; i < len(pairs); i += 2 {
		other.Del(pairs[i])
		if pairs[i+1] != "" {
			other.Set(pairs[i], pairs[i+1])
		}
	}
	return strings.TrimSuffix(s.base+"/admin/audit?"+other.Encode(), "?")
}

// auditLines reads the page that is asked for. All pages count from the line that was the newest on
// the first, so that none moves on while somebody reads.
func (s *Server) auditLines(r *http.Request, q *listParams, query session.EventQuery, p *auditPage) error {
	limit := query.Limit
	page, _ := strconv.Atoi(q.text("page"))
	p.Page = min(max(1, page), max(1, deepest/limit))
	query.Limit = limit*p.Page + 1
	events, err := s.trail.Events(r.Context(), query)
	if err != nil {
		return storeError{err}
	}
	if len(events) == 0 && query.Before == 0 {
		return nil
	}
	for p.Page > 1 && len(events) <= limit*(p.Page-1) { // there are not so many any more
		p.Page--
	}
	anchor := q.text("cursor")
	if anchor == "" {
		anchor = cursorOf(events[0].Number + 1)
	}
	shown := events[limit*(p.Page-1):]
	if len(shown) > limit {
		shown = shown[:limit]
		p.Older = s.auditLink(q, "cursor", anchor, "page", strconv.Itoa(p.Page+1))
		if limit*(p.Page+1) > deepest {
			p.Older = s.auditLink(q, "cursor", cursorOf(shown[limit-1].Number), "page", "")
		}
	}
	switch {
	case p.Page > 2:
		p.Newer = s.auditLink(q, "cursor", anchor, "page", strconv.Itoa(p.Page-1))
	case p.Page == 2, q.values.Has("cursor"):
		p.Newer = s.auditLink(q, "cursor", "", "page", "")
	}
	tell := teller{p.Locale, s.base}
	for _, e := range shown {
		p.Lines = append(p.Lines, tell.tell(e))
	}
	return nil
}

// kindKey is the key of the text of a kind.
func kindKey(kind session.EventKind) string {
	key := "audit.kind"
	for word := range strings.SplitSeq(string(kind), "-") {
		key += strings.ToUpper(word[:1]) + word[1:]
	}
	return key
}

// byteOrderMark tells spreadsheets that a file is UTF-8: without it they take umlauts for an old
// code page.
const byteOrderMark = "\ufeff"

// stallLimit is how long whoever downloads may take nothing. It is long, because the kernel lets a
// writer go on only once a third of its buffer has been sent: of four megabytes, over a line of 3
// KB a second, that takes seven minutes.
const stallLimit = 10 * time.Minute

// download is an answer that may take as long as it takes, unlike a page, but may not stand still.
type download struct {
	http.ResponseWriter
	limits *http.ResponseController
}

func newDownload(w http.ResponseWriter) download {
	return download{w, http.NewResponseController(w)}
}

func (d download) Write(p []byte) (int, error) {
	d.limits.SetWriteDeadline(time.Now().Add(stallLimit)) // where there are no deadlines, nothing is cut
	return d.ResponseWriter.Write(p)
}

// exportAudit writes all that is asked for, page by page. An error in the middle ends the
// connection, so that nobody takes a part for the whole.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request, query session.EventQuery, format string) error {
	query.Limit = maxLimit
	events, err := s.trail.Events(r.Context(), query)
	if err != nil {
		return storeError{err}
	}
	h := w.Header()
	h.Set("Content-Disposition", `attachment; filename="curfew-audit.`+format+`"`)
	out := newDownload(w)
	var line func(session.Event) error
	flush := func() {}
	if format == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		io.WriteString(out, byteOrderMark) // an error shows at the next line
		c := csv.NewWriter(out)
		c.Write([]string{
			"at", "event", "user", "actor", "session", "address", "reason", "detail", "continues", "request_id",
		})
		line = func(e session.Event) error {
			return c.Write([]string{
				e.At.UTC().Format(time.RFC3339Nano),
				string(e.Kind),
				plain(e.User),
				plain(e.Actor),
				e.Session,
				e.Address,
				string(e.Reason),
				plain(e.Detail),
				e.Continues,
				plain(e.Request),
			})
		}
		flush = c.Flush
	} else {
		h.Set("Content-Type", "application/x-ndjson")
		encoder := json.NewEncoder(out)
		line = func(e session.Event) error { return encoder.Encode(eventOf(e)) }
	}
	for {
		for _, e := range events {
			if err := line(e); err != nil {
				return nil // the browser has gone
			}
		}
		if len(events) < maxLimit {
			flush()
			return nil
		}
		query.Before = events[len(events)-1].Number
		if events, err = s.trail.Events(r.Context(), query); err != nil {
			s.log.Error("audit export broken off", "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// plain keeps a spreadsheet from taking what somebody typed for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
