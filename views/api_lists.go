package views

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
)

// What the lists of the API are asked for: filters, and which page of them.

// listParams reads the parameters of a request. The first mistake stays in err.
type listParams struct {
	values url.Values
	err    error
}

// readListParams allows the parameters of a list and those named.
func readListParams(r *http.Request, names ...string) *listParams {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &listParams{values: values}
	if err != nil { // what could not be read would be passed over, and more be answered than was asked for
		q.refuse("the parameters cannot be read: %v", err)
	}
	names = append(names, "limit", "cursor")
	for name, given := range q.values {
		if !slices.Contains(names, name) {
			q.refuse("there is no parameter %q; there are %s", name, strings.Join(names, ", "))
		}
		if len(given) > 1 {
			q.refuse("%s: stands twice", name)
		}
	}
	return q
}

func (q *listParams) refuse(format string, args ...any) {
	if q.err == nil {
		q.err = unprocessable(format, args...)
	}
}

func (q *listParams) text(name string) string { return q.values.Get(name) }

const (
	standardLimit = 100
	maxLimit      = 1000
)

func (q *listParams) limit() int {
	text := q.text("limit")
	if text == "" {
		return standardLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != text {
		q.refuse("limit %q: must be a number from 1 to %d", text, maxLimit)
		return standardLimit
	}
	return n
}

// cursor is where the page before has ended; empty for the first page.
func (q *listParams) cursor() string {
	text := q.text("cursor")
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(data) != text { // it has one spelling
		q.refuse("cursor: must be the next_cursor of the page before")
	}
	return string(data)
}

// before is the number at which the page before has ended; 0 for the first page.
func (q *listParams) before() uint64 {
	cursor := q.cursor()
	if cursor == "" {
		return 0
	}
	n, err := strconv.ParseUint(cursor, 10, 63)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != cursor {
		q.refuse("cursor: must be the next_cursor of the page before")
	}
	return n
}

// cursorOf is where the page goes on that ends with this number.
func cursorOf(number uint64) string {
	return encodeCursor(strconv.FormatUint(number, 10))
}

func (q *listParams) state() hub.State {
	state := hub.State(q.text("state"))
	switch state {
	case "", hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway:
	default:
		q.refuse("state %q: must be active, idle, warned or away", state)
	}
	return state
}

func (q *listParams) instant(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.refuse("%s %q: must be an instant as 2026-11-24T08:00:00Z (RFC 3339)", name, text)
	}
	return at
}

// listPage is a page of a list.
type listPage[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// encodeCursor makes a cursor of the key of the last item of a page.
func encodeCursor(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
