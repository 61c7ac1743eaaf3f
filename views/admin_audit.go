package views

import (
	"encoding/csv"
	"encoding/json"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"curfew/session"
)

// The audit trail: a page, and its export.

type auditPage struct {
	layout
	Events []auditRow
	Kinds  []session.EventKind
	Asked  map[string]string
	Older  string // link; empty on the last page
	CSV    string
	JSON   string
}

var auditTemplate = parse("audit.html")

func (auditPage) template() *template.Template { return auditTemplate }

type auditRow struct {
	At    string
	Event session.Event
}

// auditParams are what the page's form asks for, as parameters of the API's list.
func auditParams(values url.Values) *listParams {
	for name, v := range values { // an empty field of the form asks for nothing
		if len(v) == 1 && v[0] == "" {
			delete(values, name)
		}
	}
	if since := values.Get("since"); since != "" {
		if at, err := time.Parse("2006-01-02T15:04", since); err == nil { // as browsers send it
			values.Set("since", at.Format(time.RFC3339))
		}
	}
	return &listParams{values: values}
}

func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	q := auditParams(r.URL.Query())
	format := q.text("format")
	q.values.Del("format")
	query := q.eventQuery()
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
	limit := query.Limit
	query.Limit++
	events, err := s.trail.Events(r.Context(), query)
	if err != nil {
		return storeError{err}
	}
	p := auditPage{
		layout: s.sessionLayout(r, "audit.title"),
		Kinds:  session.EventKinds(),
		Asked:  make(map[string]string),
	}
	for name := range q.values {
		p.Asked[name] = q.text(name)
	}
	link := func(name, v string) string {
		other := make(url.Values)
		maps.Copy(other, q.values)
		other.Set(name, v)
		return s.base + "/admin/audit?" + other.Encode()
	}
	if len(events) > limit {
		events = events[:limit]
		p.Older = link("cursor", cursorOf(events[limit-1].Number))
	}
	for _, e := range events {
		p.Events = append(p.Events, auditRow{e.At.UTC().Format("2006-01-02 15:04:05"), e})
	}
	p.Asked["since"] = strings.TrimSuffix(p.Asked["since"], ":00Z")
	p.CSV, p.JSON = link("format", "csv"), link("format", "json")
	return s.render(w, http.StatusOK, p)
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
		c.Write([]string{"at", "event", "user", "actor", "session", "address", "reason", "detail", "continues"})
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
