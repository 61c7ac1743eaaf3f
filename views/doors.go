package views

import (
	"net/http"
	"strings"
	"time"

	"curfew/front"
)

// The doors of forward authentication: a proxy asks one of them about each request, and passes the
// request on to an application where the answer is 200.

// door is one way in which proxies tell of an original request.
type door struct {
	name string
	// original is the request that a check tells of; false where it tells of none, or of two.
	original func(r *http.Request, below string) (original, bool)
	// redirects: a navigation without a session is answered with 303, which the proxy hands to the
	// browser. Others make an error of it.
	redirects bool
}

var (
	// nginx and HAProxy have one answer for "no", which is a 401.
	doorOfSubrequests = door{name: "verify", original: fromHeaders("X-Original-Method", "X-Original-Uri")}
	// Caddy and Traefik.
	doorOfForwarding = door{
		name:      "forward",
		original:  fromHeaders("X-Forwarded-Method", "X-Forwarded-Uri"),
		redirects: true,
	}
	// Envoy and the Gateway API add the original target to that of the door.
	doorOfPaths = door{name: "path", original: fromPath, redirects: true}
)

const doorPath = "/session/verify"

// doorOf finds a door by the path of a check as it was sent, whatever follows in it: no router may
// clean that. below is what follows.
func doorOf(path string) (d door, below string, ok bool) {
	below, ok = strings.CutPrefix(path, doorPath)
	switch {
	case !ok:
		return door{}, "", false
	case below == "":
		return doorOfSubrequests, "", true
	case below == "/forward":
		return doorOfForwarding, "", true
	}
	below, ok = strings.CutPrefix(below, "/path")
	return doorOfPaths, below, ok && (below == "" || below[0] == '/')
}

// fromHeaders reads an original request from two headers. One that stands twice is no word of the
// proxy's alone.
func fromHeaders(methodName, uriName string) func(*http.Request, string) (original, bool) {
	return func(r *http.Request, _ string) (original, bool) {
		methods, uris := r.Header[methodName], r.Header[uriName]
		if len(methods) != 1 || len(uris) != 1 || methods[0] == "" || uris[0] == "" {
			return original{}, false
		}
		return toldOriginal(methods[0], uris[0]), true
	}
}

// fromPath reads an original request from the check's own line.
func fromPath(r *http.Request, below string) (original, bool) {
	if below == "" {
		return original{}, false
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	_, query := front.SentTarget(r)
	return toldOriginal(method, below+query), true
}

// Doors answers the checks of proxies. It is served on an address that browsers cannot reach, for
// its answers show cookies that no script may read, and without the base path.
//
// A check is answered with 200 and who is signed in, as an application is told behind
// [Server.Require]; with 401 or, at some doors, 303 where there is no session; and with 503 while
// the store is out of reach. No answer waits for a body: see [Server.door].
func (s *Server) Doors() http.Handler {
	s.browsers.keepCookies.Store(true)
	return http.HandlerFunc(s.door)
}

func (s *Server) door(w http.ResponseWriter, r *http.Request) {
	s.identify(w, r)
	s.ownHeaders(w.Header(), r)
	if r.Body != nil && r.Body != http.NoBody {
		refuseBody(w)
	}
	path, _ := front.SentTarget(r)
	d, below, ok := doorOf(path)
	if !ok {
		s.fail(w, r, errNoPage)
		return
	}
	o, ok := d.original(r, below)
	if !ok || !s.proxies.trusts(peer(r)) {
		o = original{}
		s.noticeUntold(r, d, ok)
	}
	v, _, err := s.admit(r)
	if err == nil && o.told {
		err = s.observe(r, o, &v)
	}
	switch {
	case err == nil:
		s.guard.rules.Tell(identityOf(&v.status), w.Header())
		w.Header().Set("Cookie", foreignCookies(r))
		w.WriteHeader(http.StatusOK)
	case isSessionError(err):
		s.shut(w, r, d, o, err)
	default:
		s.fail(w, r, err)
	}
}

// bodyLimit is how long a body that nobody reads may still arrive, so that its sender does not lose
// the answer.
const bodyLimit = time.Second

// refuseBody has a request answered without its body. Otherwise the server would wait for that,
// since the next request on the connection comes after it.
func refuseBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyLimit))
}

// shut answers a check without a session.
func (s *Server) shut(w http.ResponseWriter, r *http.Request, d door, o original, err error) {
	// A proxy would resolve a relative one against the address of the door.
	location := s.origin + s.signInPath(s.next(r, o))
	if d.redirects && isNavigation(r) {
		redirect(w, location, http.StatusSeeOther)
		return
	}
	over, err := s.howItEnded(r, err)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := s.noSession(r, over)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Location", location)
	writeJSON(w, http.StatusUnauthorized, answer)
}

// foreignCookies are the cookies that an application gets instead of those of the request. They are
// never none: some proxies leave a header in place that has nothing to be replaced by.
func foreignCookies(r *http.Request) string {
	if cookies := front.ForeignCookies(r.Header); len(cookies) > 0 {
		return strings.Join(cookies, "; ")
	}
	return "guarded=1"
}

// noticeUntold counts and logs a check of which only the session can be judged.
func (s *Server) noticeUntold(r *http.Request, d door, hasOriginal bool) {
	n, tell := s.proxies.untold.add()
	if !tell {
		return
	}
	why := "the peer is not one of trusted-proxies"
	if !hasOriginal {
		why = "a header of this door is missing, or stands twice"
	}
	s.log.Warn("check without an original request: it is no activity, and nobody is led back; told once a minute",
		"why", why, "door", d.name, "peer", peer(r), "so_far", n)
}
