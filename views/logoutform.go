package views

import (
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// The form of a forced logout and of a notice: whom it is for, and what they read. What cannot be
// understood is said at its field, with all that was filled in kept.

// logoutForm is what was filled in.
type logoutForm struct {
	Scope      string // user, group, everyone or selection
	User       string
	Group      string
	Refs       []string // of the selected sessions
	Message    string
	Grace      moment // until they are signed out
	Block      moment // from then on, for how long new sign-ins are refused
	Offset     string // minutes from UTC to the browser's clock; empty without script
	ExceptSelf bool
	Keep       string // the name that is meant though nobody has it
}

// RefList are the refs as one field: a form may have 10,000 of them, but not as many fields.
func (f logoutForm) RefList() string { return strings.Join(f.Refs, ",") }

// name is that of the user or the group; nil for another scope.
func (f *logoutForm) name() *string {
	switch f.Scope {
	case "user":
		return &f.User
	case "group":
		return &f.Group
	}
	return nil
}

// readLogoutForm takes the form out of an address or a body.
func readLogoutForm(v url.Values) logoutForm {
	f := logoutForm{
		Scope:      v.Get("scope"),
		User:       v.Get("user"),
		Group:      v.Get("group"),
		Message:    strings.ReplaceAll(v.Get("message"), "\r\n", "\n"),
		Grace:      readMoment(v, "grace"),
		Block:      readMoment(v, "block"),
		Offset:     v.Get("offset"),
		ExceptSelf: v.Get("except_self") != "",
		Keep:       v.Get("keep"),
	}
	for _, list := range slices.Concat(v["ref"], v["refs"]) {
		for ref := range strings.SplitSeq(list, ",") {
			if ref = strings.TrimSpace(ref); ref != "" {
				f.Refs = append(f.Refs, ref)
			}
		}
	}
	return f
}

// readMoment takes one time out of the form. Forms of older versions have seconds in a field of
// their own, which the confirmation has as well, for nodes of those versions.
func readMoment(v url.Values, name string) moment {
	m := moment{Choice: v.Get(name), Clock: v.Get(name + "_at"), Fixed: v.Get(name + "_fixed")}
	if !v.Has(name) {
		m.Choice = v.Get(name + "_s")
	}
	return m
}

// faults are what is wrong with the fields of a form, by their names.
type faults map[string]text

func (f faults) add(field string, t text) {
	if t.key != "" {
		f[field] = t
	}
}

// order is a form that was understood.
type order struct {
	form    logoutForm
	request hub.LogoutRequest
	impact  impact
	zone    *time.Location // where the administrator is
	now     time.Time
}

// scope is whose sessions the form means.
func (f logoutForm) scope(wrong faults) (scope session.Scope, strange int) {
	switch f.Scope {
	case "selection":
		switch n := len(f.Refs); {
		case n == 0:
			wrong.add("scope", text{key: "logoutForm.noSelection"})
		case n > maxSessions:
			data := locale.Data{"Count": n, "Most": maxSessions}
			wrong.add("scope", text{key: "logoutForm.largeSelection", data: data})
		case n == 1:
			scope.Session = f.Refs[0]
		default:
			scope.Refs, strange = session.NewRefs(f.Refs)
		}
		return scope, strange
	case "user":
		scope.User = f.User
	case "group":
		scope.Group = f.Group
	case "everyone":
		scope.Everyone = true
	default:
		wrong.add("scope", text{key: "logoutForm.noScope"})
		return scope, 0
	}
	if scope.Validate() != nil {
		wrong.add(f.Scope, text{key: "logoutForm.noName"})
	}
	return scope, 0
}

// understandLogout is understand for a forced logout. If it concerns nobody whose session lives, it
// looks for pages that wait, and says what is wrong where there are none either.
func (s *Server) understandLogout(r *http.Request, f logoutForm) (order, faults, error) {
	o, wrong := s.understand(r, f)
	if len(wrong) > 0 || o.impact.Sessions > 0 {
		return o, wrong, nil
	}
	err := s.weighWaiting(r.Context(), &o)
	if err == nil && o.impact.isEmpty() {
		s.nobodyFound(r.Context(), &o, wrong)
	}
	return o, wrong, err
}

// understand makes an order of the form of r. The faults are empty where it is one. It counts the
// live sessions that the order concerns.
func (s *Server) understand(r *http.Request, f logoutForm) (order, faults) {
	wrong := faults{}
	o := order{form: f, zone: zoneOf(f.Offset), now: s.clock.Now()}
	q := hub.LogoutRequest{Actor: visitOf(r).status.Record.User, Message: f.Message}
	q.Scope, q.Strange = f.scope(wrong)
	if f.ExceptSelf {
		q.Except = visitOf(r).token.ID().Ref()
	}
	if n := len([]rune(f.Message)); n > maxMessage {
		wrong.add("message", text{key: "logoutForm.longMessage", data: locale.Data{"Count": n, "Most": maxMessage}})
	}
	var fault text
	q.Grace, fault = f.Grace.after(o.now, o.now, o.zone)
	wrong.add("grace", fault)
	q.Block, fault = f.Block.lasting(o.now.Add(q.Grace), o.now, o.zone)
	wrong.add("block", fault)
	if q.Block > 0 && q.OfSessions() {
		wrong.add("block", text{key: "logoutForm.blockOfSessions"})
	}
	o.request = q
	if len(wrong) == 0 {
		s.weigh(&o)
	}
	return o, wrong
}

// nobodyFound says what is wrong with an order that concerns nobody. One that refuses sign-ins
// does something all the same, unless its name looks like a mistake.
func (s *Server) nobodyFound(ctx context.Context, o *order, wrong faults) {
	f := &o.form
	name := f.name()
	if name == nil {
		if o.request.Block == 0 {
			key := map[bool]string{true: "logoutForm.nobodyElse", false: "logoutForm.nobodyLeft"}[o.request.Everyone]
			wrong.add("scope", text{key: key})
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, directoryWait)
	defer cancel()
	known, meant := s.candidates(ctx, f.Scope), ""
	isIt := func(c candidate) bool { return session.SameName(c.Name, *name) }
	if f.Scope == "user" && !slices.ContainsFunc(known, isIt) { // the directory may have told only some of its users
		if e, err := s.people.Find(ctx, *name); err == nil {
			known, meant = append(known, candidate{e.User, e.Name}), e.User
		}
	}
	if i := slices.IndexFunc(known, isIt); i >= 0 { // the directory has it, or only the session that is spared
		*name = known[i].Name
		if o.request.Block == 0 {
			wrong.add(f.Scope, text{key: "logoutForm.notHere", data: locale.Data{"Name": *name}})
		}
		return
	}
	kind := map[string]string{"user": "User", "group": "Group"}[f.Scope]
	found, ok := meant, meant != "" // they sign in by this name as well
	if !ok {
		found, ok = closest(*name, known)
	}
	switch {
	case o.request.Block > 0 && (!ok || f.Keep == *name):
	case ok:
		wrong.add(f.Scope, text{key: "logoutForm.meant" + kind, data: locale.Data{"Name": found}})
	default:
		wrong.add(f.Scope, text{key: "logoutForm.no" + kind})
	}
}

// directoryWait is how long the directory may take to say who has a name or one like it.
const directoryWait = 2 * time.Second

// candidates are the names that somebody has, of users or groups. The groups are those of people
// who are signed in; users are looked for in the directory as well.
func (s *Server) candidates(ctx context.Context, scope string) []candidate {
	var list []candidate
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		if scope == "user" {
			list = append(list, candidate{one.Record.User, one.Record.Name})
			continue
		}
		for _, name := range one.Record.GroupNames() {
			list = append(list, candidate{Name: name})
		}
	}
	if scope == "user" {
		people, err := s.people.People(ctx, maxPeople)
		if err != nil {
			s.log.Warn("names not looked for in the directory", "error", err)
		}
		for _, p := range people {
			list = append(list, candidate{p.User, p.Name})
		}
	}
	return tidyCandidates(list)
}

// logoutFormPage is the form, with what is wrong with it.
type logoutFormPage struct {
	layout
	Form     logoutForm
	Faults   map[string]string
	Meant    string // the name that may be meant
	MayKeep  bool   // the name as it is can be meant, too
	Graces   []choice
	Blocks   []choice
	Users    []candidate
	Groups   []groupCount
	Selected int
}

// groupCount is a group, with how many sessions of its members there are.
type groupCount struct {
	Name  string
	Count int
}

var logoutFormTemplate = parse("logoutform.html")

func (logoutFormPage) template() *template.Template { return logoutFormTemplate }

// newLogout shows the form: empty, or as an address or a form fills it in.
func (s *Server) newLogout(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return s.render(w, http.StatusOK, s.logoutFormPage(r, readLogoutForm(r.PostForm), nil))
	}
	f := readLogoutForm(r.URL.Query())
	if !r.URL.Query().Has("scope") {
		f.ExceptSelf = true
		switch {
		case len(f.Refs) > 0:
			f.Scope = "selection"
		case f.Group != "":
			f.Scope = "group"
		case f.User != "":
			f.Scope = "user"
		}
	}
	return s.render(w, http.StatusOK, s.logoutFormPage(r, f, nil))
}

// refuseForm shows the form with what is wrong with it. Scripts are told in JSON.
func (s *Server) refuseForm(w http.ResponseWriter, r *http.Request, o order, wrong faults) error {
	if !isNavigation(r) {
		for _, field := range slices.Sorted(maps.Keys(wrong)) {
			return &problem{status: http.StatusUnprocessableEntity, code: "invalid", text: wrong[field]}
		}
	}
	p := s.logoutFormPage(r, o.form, wrong)
	if t := wrong[o.form.Scope]; strings.HasPrefix(t.key, "logoutForm.meant") {
		p.Meant, _ = t.data["Name"].(string)
		p.MayKeep = o.request.Block > 0
	}
	return s.render(w, http.StatusUnprocessableEntity, p)
}

// offeredNames is how many names the form offers for completion.
const offeredNames = 500

func (s *Server) logoutFormPage(r *http.Request, f logoutForm, wrong faults) logoutFormPage {
	f.Grace.Fixed, f.Block.Fixed, f.Keep = "", "", ""
	p := logoutFormPage{
		layout:   s.sessionLayout(r, "logoutForm.title"),
		Form:     f,
		Faults:   make(map[string]string),
		Selected: len(f.Refs),
	}
	p.Graces = f.Grace.choices(p.Locale, "logoutForm.grace", graceChoices)
	p.Blocks = f.Block.choices(p.Locale, "logoutForm.block", blockChoices)
	for field, t := range wrong {
		p.Faults[field] = t.in(p.Locale)
	}
	counts := make(map[string]int)
	var users []candidate
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		users = append(users, candidate{one.Record.User, one.Record.Name})
		for _, name := range one.Record.GroupNames() {
			counts[name]++
		}
	}
	users = tidyCandidates(users)
	p.Users = users[:min(len(users), offeredNames)]
	for name, n := range counts {
		p.Groups = append(p.Groups, groupCount{name, n})
	}
	slices.SortFunc(p.Groups, func(a, b groupCount) int { return strings.Compare(a.Name, b.Name) })
	p.Groups = p.Groups[:min(len(p.Groups), offeredNames)]
	return p
}

// large lets a form name as many sessions as a forced logout may. It goes within requireAdmin and
// around what reads the form.
func large(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseFormUpTo(maxLogoutBody, w, r); err != nil {
			return err
		}
		return h(w, r)
	}
}
