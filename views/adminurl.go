package views

import (
	"net/http"

	"curfew/hub"
	"curfew/locale"
	"curfew/session/gorilla"
)

// The console at an origin of its own. Whoever can run a script in the application can do on the
// public URL's origin what the person in front of the browser can. Ports do not separate cookies:
// an administrator is signed in at both origins. But browsers keep scripts of one from reading what
// is of the other, and tell in whose name they send. So an administrator's session is good for no
// more at the public URL than anybody's.

// errElsewhere is the error of a request that only the admin URL grants.
var errElsewhere = newProblem(http.StatusForbidden, "admin-url", "error.adminElsewhere")

// Console returns what answers at the admin URL: all of Curfew's own routes, below the base path,
// and neither application nor door. The admin URL stands there for the public URL. Sessions are the
// same. It is nil where the options have no admin URL.
func (s *Server) Console() http.Handler {
	if s.admin == nil {
		return nil
	}
	return s.newConsole()
}

func (s *Server) newConsole() *Server {
	c := &Server{
		place: place{
			public:    s.admin,
			origin:    Origin(s.admin),
			base:      s.base,
			home:      s.base + "/admin",
			isConsole: true,
		},
		shared: s.shared,
		guard:  guard{exists: s.guard.exists},
	}
	c.route()
	return c
}

// isForAdmins reports whether administrators have their rights at this address.
func (s *Server) isForAdmins() bool { return s.admin == nil || s.isConsole }

// elsewhere answers requests for the console where it is at another origin.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request) error {
	if !isNavigation(r) {
		return errNoPage
	}
	o := originalOf(r)
	redirect(w, Origin(s.admin)+printable(o.path+o.query), http.StatusSeeOther)
	return nil
}

// refusesAdmin reports whether a request without a bearer token asks with a session for what
// sessions are not good for at this address, whoever's they are.
func (s *Server) refusesAdmin(r *http.Request) bool {
	_, err := r.Cookie(gorilla.CookieName)
	return !s.isForAdmins() && err == nil
}

// endpoint is what the hub must know of a handshake at this address. Pages of allowed origins have
// no rights of administrators where those are bound to an origin.
func (s *Server) endpoint(r *http.Request) hub.Endpoint {
	return hub.Endpoint{
		Origin:        s.origin,
		Peer:          s.proxies.Address(r),
		Request:       requestID(r),
		WithoutAdmins: s.admin != nil && !(s.isConsole && s.hasOrigin(r)),
	}
}

// link is a link of the navigation.
type link struct{ URL, Text string }

// applicationLink leads to what people are signed in for.
func (s *Server) applicationLink(l *locale.Locale) link {
	to := link{s.main.base + "/", text{key: "home.title"}.in(l)}
	if s.guard.exists {
		to = link{s.main.home, text{key: "bar.application"}.in(l)}
	}
	if s.isConsole {
		to.URL = s.main.origin + to.URL
	}
	return to
}

// atRoot reports whether a request is for the root of the console's origin, which is nobody else's.
func (s *Server) atRoot(r *http.Request) bool {
	return s.isConsole && r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
