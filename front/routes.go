package front

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// ErrNoRoute is why a request reaches no application: none is at its path.
var ErrNoRoute = errors.New("no application is at this path")

// Route has an application answer for a part of the paths, by whole segments: /api/ means what is
// below it, /api that and itself. See [ValidateRoute].
type Route struct {
	Path    string
	Handler http.Handler
}

// matches compares byte for byte with a path as it was sent.
func (r Route) matches(path string) bool {
	switch {
	case path == "*": // OPTIONS of the whole server
		return r.Path == "/"
	case strings.HasSuffix(r.Path, "/"):
		return strings.HasPrefix(path, r.Path)
	}
	below, ok := strings.CutPrefix(path, r.Path)
	return ok && (below == "" || below[0] == '/')
}

// NewRoutes returns a handler that leads a request to the route of the longest path that matches.
// Where none does, fail answers with [ErrNoRoute].
func NewRoutes(list []Route, fail func(w http.ResponseWriter, r *http.Request, err error)) http.Handler {
	longest := slices.SortedFunc(slices.Values(list), func(a, b Route) int {
		return cmp.Compare(len(b.Path), len(a.Path))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := sentPath(r)
		for _, route := range longest {
			if route.matches(path) {
				route.Handler.ServeHTTP(w, r)
				return
			}
		}
		fail(ownAnswer(w), exchangeOf(r).request, ErrNoRoute)
	})
}

// ValidateRoute reports a path of a route that no request can have, or that applications read as
// another one.
func ValidateRoute(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New("must begin with /")
	case strings.ContainsAny(path, "?#*\x7f") || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' }):
		return errors.New("must be a plain path as /api, without query, fragment and *")
	case isTwisted(path):
		return errors.New(`must be a plain path as /api, without //, \, ; and dot segments`)
	}
	return nil
}
