// Package views is what browsers see: the sign-in page, the pages of the sample application, the
// console of administrators, their API, and the requests of the browser client. Handlers return
// errors and one function turns them into a page or into JSON; users get a plain sentence, logs get
// the cause.
//
// A file is about one subject: server.go has the routes, session.go what a request must bring along
// (a live session, a token against cross-site requests), render.go the templates and errors.go the
// answers to errors. The console's files begin with admin, those of the API with api; openapi.yaml
// describes the API.
package views

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"curfew/directory"
	"curfew/front"
	"curfew/hub"
	"curfew/locale"
	"curfew/session"
	"curfew/session/gorilla"
)

// Authenticator proves who somebody is. Its errors are those of the package directory. found may be
// nil; it is told the name of the entry that was found before the password is tried, and may refuse
// it: see [directory.Directory.Authenticate].
type Authenticator interface {
	Authenticate(ctx context.Context, username, password string,
		found func(canonical string) error) (directory.Entry, error)
}

// People lists the staff directory of the sample application, and tells who has a name. The errors
// are those of the package directory.
type People interface {
	People(ctx context.Context, limit int) ([]directory.Entry, error)
	Find(ctx context.Context, username string) (directory.Entry, error)
}

// AuditTrail is the part of the store that the pages write and read themselves.
type AuditTrail interface {
	Append(ctx context.Context, e session.Event) error
	Events(ctx context.Context, q session.EventQuery) ([]session.Event, error)
	Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error)
}

// Options of a server. All but Ready, Metrics, Tokens and Listeners must be set.
type Options struct {
	Hub           *hub.Hub
	Sessions      *gorilla.Store
	Trail         AuditTrail
	Authenticator Authenticator
	People        People
	Ready         *Readiness   // nil: /readyz is not served
	Metrics       http.Handler // for administrators and tokens; nil: not served here
	Tokens        []APIToken
	Clock         session.Clock
	Secret        []byte // of the tokens against cross-site requests
	PublicURL     *url.URL
	AdminURL      *url.URL // where the console has an origin of its own: see [Server.Console]; may be nil
	BasePath      string   // without a slash at its end; empty for the root
	Home          string   // where a sign-in without a return path leads; empty: the base path
	Proxies       Proxies
	Passive       []string // see [Server.SetPassive]
	Application   Application
	Site          Site
	Log           *slog.Logger

	Listeners
}

// Listeners are told what happens. Each may be nil. Requests wait for them.
type Listeners struct {
	SignedIn func(r session.Record, began time.Time) // of each sign-in, with the time at which the directory was asked
	Refused  func(Refusal)                           // of each request that is refused
	Proxied  front.Meter                             // of requests that go on to an application
}

// withAll is l with somebody for everything.
func (l Listeners) withAll() Listeners {
	if l.SignedIn == nil {
		l.SignedIn = func(session.Record, time.Time) {}
	}
	if l.Refused == nil {
		l.Refused = func(Refusal) {}
	}
	return l
}

// Site is how the pages present themselves, and the host with them. The zero Site is called Curfew,
// and speaks all languages.
type Site struct {
	Name      string
	HelpURL   string         // where the sign-in page says that help is; may be empty
	Languages *locale.Choice // nil: all
	HSTS      string         // Strict-Transport-Security of every answer, the application's too; empty: none
	IsTesting bool           // each page says that it is a server for testing
}

// Server answers requests. [New] makes one; its methods may be called concurrently.
//
// Where the console has an origin of its own, there are two: that one answers at the public URL,
// and [Server.Console] at the admin URL. They differ in their [place] and in what they route, and
// in nothing else: every handler is a method of one of them, so what it says of an origin is right
// for the address at which it was asked.
type Server struct {
	place
	*shared
	mux   *http.ServeMux
	guard guard // of the application; at the admin URL there is none to guard
}

// shared is what all addresses of a server share.
type shared struct {
	// set once
	main          place    // at the public URL
	admin         *url.URL // nil: the console is there, too
	hub           *hub.Hub
	sessions      *gorilla.Store
	trail         AuditTrail
	authenticator Authenticator
	people        People
	health        health
	listeners     Listeners
	clock         session.Clock
	secrets
	proxies Proxies
	site    Site
	log     *slog.Logger

	// replaced by a reload of the settings
	tokens  atomic.Pointer[[]APIToken]
	passive atomic.Pointer[[]string]

	// each with a lock of its own
	signIns  signIns
	browsers browsers
	consoles consoles
	forms    forms
}

// place is where browsers find a server.
type place struct {
	public *url.URL
	origin string // of the public URL
	base   string // the base path, without a slash at its end
	home   string // path of this origin where a sign-in without a return path leads
	// isConsole means that public is the admin URL, where no scripts run but Curfew's own.
	isConsole bool
}

// New makes a server of these options.
func New(o Options) *Server {
	p := &shared{
		main: place{
			public: o.PublicURL,
			origin: Origin(o.PublicURL),
			base:   o.BasePath,
			home:   printable(cmp.Or(o.Home, o.BasePath+"/")),
		},
		admin:         o.AdminURL,
		hub:           o.Hub,
		sessions:      o.Sessions,
		trail:         o.Trail,
		authenticator: o.Authenticator,
		people:        o.People,
		health:        health{o.Ready, o.Metrics},
		listeners:     o.Listeners.withAll(),
		clock:         o.Clock,
		secrets:       secrets{secret: o.Secret},
		proxies:       o.Proxies,
		site:          o.Site,
		log:           o.Log,
		signIns:       newSignIns(o.Trail, o.Clock),
		browsers:      browsers{further: o.Application.Cookies},
	}
	p.site.Name = cmp.Or(p.site.Name, "Curfew")
	if p.site.Languages == nil {
		p.site.Languages = locale.All()
	}
	p.consoles.closing = make(chan struct{})
	p.passive.Store(&o.Passive)
	p.tokens.Store(&o.Tokens)
	s := &Server{place: p.main, shared: p}
	s.guard = newGuard(&o, s.FailApplication)
	s.route()
	return s
}

// route builds the routes.
func (s *Server) route() {
	s.mux = http.NewServeMux()
	s.pageRoutes()
	s.clientRoutes()
	s.healthRoutes()
	s.adminRoutes()
	s.apiRoutes()
	s.mux.Handle("GET /static/{name}", s.page(staticFile))
	s.mux.Handle("GET /static/{version}/words.json", s.page(s.words))
	s.mux.Handle("GET /static/{version}/{name}", s.page(staticModule))
	s.mux.Handle("/", s.page(func(_ http.ResponseWriter, r *http.Request) error { return s.noRoute(r) }))
}

// pageRoutes are the pages that people see.
func (s *Server) pageRoutes() {
	s.mux.Handle("GET /{$}", s.page(s.sampleHome(s.staffDirectory)))
	s.mux.Handle("POST /{$}", s.page(s.sampleHome(s.protected(s.saveNote))))
	s.mux.Handle("GET /login", s.page(s.loginPage))
	s.mux.Handle("POST /login", s.page(s.fromHere(s.once(s.login, s.letsIntoEnded))))
	s.mux.Handle("GET /logout", s.page(s.requireSession(s.logoutPage)))
	s.mux.Handle("POST /logout", s.page(s.logout))
	s.mux.Handle("GET /account", s.page(s.requireSession(s.account)))
	s.mux.Handle("POST /account", s.page(s.requireSession(s.protected(s.once(s.endOwn, s.leavesOthers)))))
}

// adminRoutes are the pages of administrators, and their socket.
func (s *Server) adminRoutes() {
	if !s.isForAdmins() {
		s.mux.Handle("/admin", s.page(s.elsewhere))
		s.mux.Handle("/admin/{page...}", s.page(s.elsewhere))
		return
	}
	form := func(h handler, isOver untrue) http.Handler {
		return s.page(s.requireAdmin(large(s.protected(s.once(h, isOver)))))
	}
	s.mux.Handle("GET /admin", s.page(s.requireAdmin(s.console)))
	s.mux.Handle("GET /admin/ws", s.page(s.consoleSocket))
	s.mux.Handle("GET /admin/audit", s.page(s.requireAdmin(s.audit)))
	s.mux.Handle("GET /admin/sessions/{ref}", s.page(s.requireAdmin(s.consoleSession)))
	s.mux.Handle("GET /admin/logouts/new", s.page(s.requireAdmin(s.newLogout)))
	s.mux.Handle("POST /admin/logouts/new", s.page(s.requireAdmin(large(s.protected(s.newLogout)))))
	s.mux.Handle("POST "+reviewPath, s.page(s.requireAdmin(large(s.protected(s.confirmLogout)))))
	s.mux.Handle("POST /admin/confirm", s.page(s.requireAdmin(large(s.protected(s.confirmLogout)))))
	s.mux.Handle("POST /admin/logouts", form(s.forceLogout, s.leavesSomebody))
	s.mux.Handle("GET /admin/logouts/{id}", s.page(s.requireAdmin(s.followLogout)))
	s.mux.Handle("POST /admin/logouts/{id}/cancel", form(s.cancelLogout, lasting))
	s.mux.Handle("POST /admin/notices", form(s.sendNotice, lasting))
}

// Handle adds a route below the base path.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// SetPassive replaces the paths whose navigations are no activity: exact, or a prefix that ends in
// *.
func (s *Server) SetPassive(paths []string) { s.passive.Store(&paths) }

// SetTokens replaces the bearer tokens of the API.
func (s *Server) SetTokens(tokens []APIToken) { s.tokens.Store(&tokens) }

// ServeHTTP sets what every answer carries and leads below the base path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.identify(w, r)
	s.proxies.notice(r, s.log)
	if location, ok := s.otherLoopbackName(r); ok {
		s.ownHeaders(w.Header(), r)
		redirect(w, location, http.StatusTemporaryRedirect)
		return
	}
	if s.guard.application != nil && !s.isOwn(r) {
		s.guard.application.ServeHTTP(w, r)
		return
	}
	s.ownHeaders(w.Header(), r)
	if r.Method != http.MethodGet { // what looks only writes no line of the trail
		r = r.WithContext(session.WithRequest(r.Context(), requestID(r)))
	}
	// The router leads an unclean path to a clean one, but knows nothing of the base path: it never
	// gets to see one.
	clean := cleanPath(r.URL.Path)
	below, ok := strings.CutPrefix(clean, s.base)
	switch {
	case s.atRoot(r):
		redirect(w, s.home, http.StatusSeeOther)
	case !ok || below != "" && below[0] != '/':
		s.fail(w, r, errNoPage)
	case below == "":
		redirect(w, s.base+"/", http.StatusTemporaryRedirect)
	case clean != r.URL.Path:
		redirect(w, (&url.URL{Path: clean, RawQuery: r.URL.RawQuery}).String(), http.StatusTemporaryRedirect)
	case s.base == "":
		s.mux.ServeHTTP(w, r)
	default:
		http.StripPrefix(s.base, s.mux).ServeHTTP(w, r)
	}
}

// isOwn reports whether a request is for a route of Curfew's where there is an application: its
// path as it was sent is the base path, or below it.
func (s *Server) isOwn(r *http.Request) bool {
	path, _ := front.SentTarget(r)
	below, ok := strings.CutPrefix(path, s.base)
	return ok && (below == "" || below[0] == '/')
}

// ownHeaders sets what every answer of Curfew's own to r carries.
func (s *shared) ownHeaders(h http.Header, r *http.Request) {
	if id, ok := r.Header[front.RequestID]; ok {
		h[front.RequestID] = id
	}
	maps.Copy(h, sameForAll)
	h.Set("Cross-Origin-Opener-Policy", openerPolicy(r))
	if s.site.HSTS != "" {
		h.Set("Strict-Transport-Security", s.site.HSTS)
	}
}

// sameForAll are the headers that do not depend on the request. All answers share the values:
// nothing writes into the values of a header, it replaces them.
var sameForAll = http.Header{
	"X-Content-Type-Options":       {"nosniff"},
	"Cache-Control":                {"no-store"},
	"Referrer-Policy":              {"same-origin"},
	"Content-Security-Policy":      {contentSecurityPolicy},
	"Cross-Origin-Resource-Policy": {"same-origin"},
}

// cleanPath is a path without empty and dot segments: it begins with exactly one slash.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean
}

// noRoute is the error of a request that no route is for.
func (s *Server) noRoute(r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		asked := *r
		asked.Method = method
		if _, pattern := s.mux.Handler(&asked); strings.Contains(pattern, " ") { // "GET /login", not "/"
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return errNoPage
	}
	wrong := *errMethod
	wrong.allow = strings.Join(allowed, ", ")
	return &wrong
}

// contentSecurityPolicy is that of all answers but the sign-in page, which has signInPolicy.
// Browsers apply form-action to where the answer to a form redirects, too, and a return path may
// lead on to another origin.
const (
	contentSecurityPolicy = signInPolicy + "; form-action 'self'"
	signInPolicy          = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// otherLoopbackName says where a page that was asked for under another name of this machine is:
// cookie and Origin go by name.
func (s *Server) otherLoopbackName(r *http.Request) (string, bool) {
	host := (&url.URL{Host: r.Host}).Hostname()
	if r.Host == s.public.Host || r.Method != http.MethodGet || !isNavigation(r) || !Loopback(host) ||
		!Loopback(s.public.Hostname()) {
		return "", false
	}
	if Origin(&url.URL{Scheme: s.public.Scheme, Host: r.Host}) == s.origin {
		return "", false // the same name, in another spelling or with the scheme's own port
	}
	if s.guard.application != nil && !s.isOwn(r) {
		path, query := front.SentTarget(r)
		return s.origin + printable(path+query), true
	}
	return s.origin + (&url.URL{Path: cleanPath(r.URL.Path), RawQuery: r.URL.RawQuery}).String(), true
}

// handler answers a request, or returns why it did not. One that returns an error has written
// nothing yet. See [Server.fail].
type handler func(w http.ResponseWriter, r *http.Request) error

// page makes a route of h. Every route but those of the API and of health goes through it.
func (s *Server) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.identify(w, r) // where Require stands alone
		s.keepLanguage(w, r)
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

func redirect(w http.ResponseWriter, location string, code int) {
	w.Header().Set("Location", location)
	w.WriteHeader(code)
}
