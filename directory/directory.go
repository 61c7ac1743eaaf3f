// Package directory signs people in against an LDAP directory, lists who is in it, and notices when
// it changes.
//
// A sign-in searches for the typed name with the service account, demands exactly one match, and
// binds as the entry found, on a connection of its own. The user's name, groups and stable identity
// come from that entry, never from what was typed.
//
// A [Directory] answers single questions. A [Watcher] checks the accounts that are signed in
// whenever the directory may have changed, and reports to a [Subscriber]. The package knows no
// session: what follows from a report is the subscriber's business.
package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-ldap/ldap/v3"
)

// Errors that callers branch on.
var (
	ErrBadCredentials = errors.New("unknown user or wrong password")
	ErrLocked         = errors.New("account is locked, disabled or expired")
	ErrNotAllowed     = errors.New("user is in none of the required groups")
	ErrUnavailable    = errors.New("directory is out of reach")

	// The password was right, and lets nobody in.
	ErrPasswordExpired    = errors.New("password has expired")
	ErrPasswordMustChange = errors.New("password must be changed first")
)

// Placeholders of the filters. What replaces them is escaped (RFC 4515 §3).
const (
	UsernamePlaceholder = "{username}"
	DNPlaceholder       = "{dn}"
)

// Time limits of a sign-in.
const (
	dialTimeout    = 3 * time.Second
	requestTimeout = 5 * time.Second
	totalTimeout   = 8 * time.Second
)

// Config says where the directory is, and how users and groups are found in it. See
// [Config.Validate].
type Config struct {
	URLs          []string // ldap:// or ldaps://, tried in order from the last that worked
	StartTLS      bool     // RFC 4513 §3; there is no fall-back to plain text
	CA            *x509.CertPool
	BindDN        string // service account; anonymous if empty
	BindPassword  string
	BaseDN        string
	UserFilter    string // with {username}
	GroupBaseDN   string // BaseDN if empty
	GroupFilter   string // with {dn} or {username}; empty: only memberOf counts
	UserAttribute string // holds the canonical user name
	Required      []string

	// BindPasswordFile is where BindPassword was read from. The file is read again once it has
	// changed. It may be empty.
	BindPasswordFile string
}

// Validate reports every mistake of c, joined. Each message begins with the flag of the server that
// sets the value.
func (c Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.URLs) == 0 {
		refuse("ldap-url: must name a directory")
	}
	for _, u := range c.URLs {
		parsed, err := url.Parse(u)
		switch {
		case err != nil || parsed.Host == "" || parsed.Scheme != "ldap" && parsed.Scheme != "ldaps":
			refuse("ldap-url %q: must be ldap://HOST[:PORT] or ldaps://HOST[:PORT]", u)
		case parsed.Scheme == "ldaps" && c.StartTLS:
			refuse("ldap-start-tls with %q: must be off where the URL is ldaps://", u)
		case parsed.Scheme == "ldap" && !c.StartTLS && !loopback(parsed.Hostname()):
			refuse("ldap-url %q: must be ldaps://, or ldap-start-tls be set: passwords go to other machines "+
				"encrypted only", u)
		}
	}
	if _, err := ldap.ParseDN(c.BaseDN); err != nil || c.BaseDN == "" {
		refuse("ldap-base-dn %q: must be the DN below which users are found, as dc=example,dc=org", c.BaseDN)
	}
	if _, err := ldap.ParseDN(c.GroupBaseDN); err != nil {
		refuse("ldap-group-base-dn %q: must be a DN", c.GroupBaseDN)
	}
	if c.BindPassword != "" && c.BindDN == "" {
		refuse("ldap-bind-dn: must be set where a password is")
	}
	if c.BindDN != "" && c.BindPassword == "" {
		refuse("ldap-bind-password-file: must be set where ldap-bind-dn is: a bind without a password is anonymous " +
			"(RFC 4513 §5.1.2)")
	}
	if !strings.Contains(c.UserFilter, UsernamePlaceholder) || !compiles(c.UserFilter) {
		refuse("ldap-user-filter %q: must be an LDAP filter with %s, as (uid=%[2]s)", c.UserFilter, UsernamePlaceholder)
	}
	if c.GroupFilter != "" && !compiles(c.GroupFilter) {
		refuse("ldap-group-filter %q: must be an LDAP filter with %s, as (member=%[2]s), or empty", c.GroupFilter,
			DNPlaceholder)
	}
	if c.UserAttribute == "" {
		refuse("ldap-user-attribute: must name the attribute with the user name, as uid")
	}
	return errors.Join(errs...)
}

// loopback reports whether host is this machine. Host names are compared without regard to case
// (RFC 4343).
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func compiles(filter string) bool {
	_, err := ldap.CompileFilter(fill(filter, "x", "cn=x"))
	return err == nil
}

// fill puts a user name and a DN into a filter, escaped by RFC 4515 §3.
func fill(filter, username, dn string) string {
	return strings.NewReplacer(UsernamePlaceholder, ldap.EscapeFilter(username), DNPlaceholder,
		ldap.EscapeFilter(dn)).Replace(filter)
}

// Entry is a person in the directory.
type Entry struct {
	User     string // canonical name
	Name     string // for display
	Email    string
	Title    string
	Phone    string
	DN       string
	Identity string   // entryUUID, objectGUID or nsUniqueId; outlives a rename
	Groups   []string // names, in order

	PasswordChanged string // as the directory writes it; empty if it does not say

	PasswordWarning *PasswordWarning // of a sign-in; nil if the directory gives none
}

// Directory is an LDAP directory. Its methods may be called concurrently.
type Directory struct {
	config          Config
	groupBase       *ldap.DN
	servicePassword *servicePassword
	lastGood        atomic.Int32              // index of the URL that worked last
	lastWord        atomic.Pointer[time.Time] // see LastWord
	refusals        refusalTimes
	origins         origins
}

// New validates c. It does not dial yet: a directory that is out of reach shows at the first
// question.
func New(c Config) (*Directory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.GroupBaseDN == "" {
		c.GroupBaseDN = c.BaseDN
	}
	base, err := ldap.ParseDN(c.GroupBaseDN)
	if err != nil {
		return nil, fmt.Errorf("ldap-group-base-dn: %w", err)
	}
	return &Directory{
		config:          c,
		groupBase:       base,
		servicePassword: newServicePassword(c.BindPassword, c.BindPasswordFile),
	}, nil
}

// Authenticate signs a person in. It fails with ErrBadCredentials, ErrLocked, ErrPasswordExpired,
// ErrPasswordMustChange, ErrNotAllowed or ErrUnavailable, each wrapped with its cause, after 8 s at
// most. All but the first and the last say that the password was right.
//
// found may be nil. It is called once if the name leads to an entry, before the password is tried.
// It gets the entry's canonical user name, which is the same however the name was typed, or the
// entry's DN if it has none. If found returns an error, Authenticate returns that error as it is
// and does not try the password. found is not called for a name that leads to no entry.
func (d *Directory) Authenticate(
	ctx context.Context,
	username, password string,
	found func(canonical string) error,
) (Entry, error) {
	if username == "" || password == "" || strings.Contains(password, "\x00") {
		// An empty password would succeed as an anonymous bind (RFC 4513 §5.1.2); a server may read
		// one only up to its first NUL.
		return Entry{}, fmt.Errorf("empty user name, or a password that is empty or holds a NUL: %w", ErrBadCredentials)
	}
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := d.service(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer conn.Close()
	e, err := d.find(conn.Conn, username)
	if err != nil {
		if errors.Is(err, ErrBadCredentials) {
			d.simulateBind(ctx, password)
		}
		return Entry{}, err
	}
	if found != nil {
		if err := found(cmp.Or(d.entry(e).User, e.DN)); err != nil {
			return Entry{}, err
		}
	}
	began := time.Now()
	warning, err := d.bind(ctx, e.DN, password)
	if err != nil {
		if errors.Is(err, ErrBadCredentials) {
			d.refusals.note(time.Since(began))
		}
		return Entry{}, err
	}
	entry, err := d.authorize(conn.Conn, e)
	if err == nil {
		entry.PasswordWarning = warning
		d.origins.note(entry, conn.server)
	}
	return entry, err
}

// simulateBind takes as long as the refusal of a wrong password, so that the time of an answer does
// not tell which names exist: many servers answer at once if there is no entry, and take their time
// over the password of one that exists. Until the first wrong password is seen, that time is not
// known, and it only binds as nobody.
func (d *Directory) simulateBind(ctx context.Context, password string) {
	timer := time.NewTimer(d.refusals.random())
	defer timer.Stop()
	d.bind(ctx, "cn=nobody,"+d.config.BaseDN, password)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// authorize says who the entry is and whether they may sign in; else it fails with ErrLocked or
// ErrNotAllowed.
func (d *Directory) authorize(conn *ldap.Conn, found *ldap.Entry) (Entry, error) {
	if why := lockedBy(found, time.Now()); why != "" {
		return Entry{}, fmt.Errorf("%s: %w", why, ErrLocked)
	}
	entry := d.entry(found)
	if entry.User == "" || strings.ContainsFunc(entry.User, unicode.IsControl) {
		return Entry{}, fmt.Errorf("entry %q has no usable %s: %w", found.DN, d.config.UserAttribute, ErrNotAllowed)
	}
	var err error
	if entry.Groups, err = d.groups(conn, found, entry.User); err != nil {
		return Entry{}, err
	}
	if !d.isAllowed(entry.Groups) {
		return Entry{}, ErrNotAllowed
	}
	return entry, nil
}

func (d *Directory) isAllowed(groups []string) bool {
	return len(d.config.Required) == 0 ||
		slices.ContainsFunc(groups, func(g string) bool { return containsName(d.config.Required, g) })
}

// Find looks up the entry that a name leads to at a sign-in, without its groups. It fails with
// ErrBadCredentials where there is none or several, and with ErrUnavailable.
func (d *Directory) Find(ctx context.Context, username string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := d.service(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer conn.Close()
	e, err := d.find(conn.Conn, username)
	if err != nil {
		return Entry{}, err
	}
	return d.entry(e), nil
}

// People lists at most limit people of the directory, sorted by name, without their groups. It
// fails with ErrUnavailable.
func (d *Directory) People(ctx context.Context, limit int) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := d.service(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	filter := strings.ReplaceAll(d.config.UserFilter, UsernamePlaceholder, "*")
	result, err := conn.Search(ldap.NewSearchRequest(d.config.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		limit, int(requestTimeout.Seconds()), false, filter, d.attributes(), nil))
	if err != nil && !(ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && result != nil) {
		return nil, unavailable("list people", err)
	}
	var people []Entry
	for _, e := range result.Entries {
		if p := d.entry(e); p.User != "" {
			people = append(people, p)
		}
	}
	slices.SortFunc(people, func(a, b Entry) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return people, nil
}

// link is a connection to one of the servers. It closes when the context ends that it was dialled
// with.
type link struct {
	*ldap.Conn
	server int         // index of its URL
	forget func() bool // has the context forget the connection
}

// Close closes the connection and detaches it from its context, which may live as long as the
// process.
func (l *link) Close() error {
	l.forget()
	return l.Conn.Close()
}

// service connects to a server and binds as the service account. It tries the servers in turn,
// beginning with the one that worked last.
func (d *Directory) service(ctx context.Context) (*link, error) {
	var l *link
	err := d.tryServers(ctx, func(server int) (err error) {
		l, err = d.serviceAt(ctx, server)
		return err
	})
	return l, err
}

func (d *Directory) serviceAt(ctx context.Context, server int) (*link, error) {
	if _, err := d.servicePassword.forServer(server); err != nil {
		return nil, unavailable("bind as service account", err)
	}
	conn, err := d.dialServer(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if d.config.BindDN != "" {
		err := d.servicePassword.bind(ctx, server, func(password string) error {
			return conn.Bind(d.config.BindDN, password)
		})
		if err != nil {
			conn.Close()
			return nil, unavailable("bind as service account", err)
		}
		d.hear(nil)
	}
	return conn, nil
}

// dial connects to a server without a bind. It tries the servers in turn, beginning with the one
// that worked last.
func (d *Directory) dial(ctx context.Context) (*link, error) {
	var l *link
	err := d.tryServers(ctx, func(server int) (err error) {
		l, err = d.dialServer(ctx, server)
		return err
	})
	return l, err
}

// tryServers calls try for one server after the other until one works, and remembers which did.
func (d *Directory) tryServers(ctx context.Context, try func(server int) error) error {
	var errs []error
	first := int(d.lastGood.Load())
	for i := range d.config.URLs {
		server := (first + i) % len(d.config.URLs)
		err := try(server)
		if err == nil {
			d.lastGood.CompareAndSwap(int32(first), int32(server))
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
}

func (d *Directory) dialServer(ctx context.Context, server int) (*link, error) {
	address := d.config.URLs[server]
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if deadline, ok := ctx.Deadline(); ok {
		dialer.Deadline = deadline
	}
	config := &tls.Config{RootCAs: d.config.CA, ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12}
	conn, err := ldap.DialURL(address, ldap.DialWithDialer(dialer), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	conn.SetTimeout(requestTimeout)
	if d.config.StartTLS {
		if err := conn.StartTLS(config); err != nil {
			conn.Close()
			return nil, fmt.Errorf("start TLS with %s: %w", address, err)
		}
	}
	// a request that waits for the answer ends with the context
	forget := context.AfterFunc(ctx, func() { conn.Close() })
	return &link{Conn: conn, server: server, forget: forget}, nil
}

// find searches for a user name and demands exactly one entry; else it fails with errNobody or
// errSeveral.
func (d *Directory) find(conn *ldap.Conn, username string) (*ldap.Entry, error) {
	result, err := conn.Search(ldap.NewSearchRequest(d.config.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		2, int(requestTimeout.Seconds()), false, fill(d.config.UserFilter, username, ""), d.attributes(), nil))
	d.hear(err)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, fmt.Errorf("no base %q: %w", d.config.BaseDN, ErrUnavailable)
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, unavailable("search user", err)
	case err != nil || len(result.Entries) > 1:
		return nil, errSeveral
	case len(result.Entries) == 0:
		return nil, errNobody
	}
	return result.Entries[0], nil
}

var (
	errNobody  = fmt.Errorf("no entry matches: %w", ErrBadCredentials)
	errSeveral = fmt.Errorf("more than one entry matches: %w", ErrBadCredentials)
)

// bind checks a password on a connection of its own, so that the service account's rights to search
// never mix with the user's.
func (d *Directory) bind(ctx context.Context, dn, password string) (*PasswordWarning, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request := ldap.NewSimpleBindRequest(dn, password, []ldap.Control{ldap.NewControlBeheraPasswordPolicy()})
	result, err := conn.SimpleBind(request)
	d.hear(err)
	if err != nil && !isRefused(err) {
		return nil, unavailable("bind as user", err)
	}
	// Only who knew the password is told what keeps them out, or that would reveal which names
	// exist.
	policy := passwordPolicy(result)
	if why := policy.refusal(); why != nil {
		return nil, fmt.Errorf("refused by ppolicy: %w", why)
	}
	if err == nil {
		return policy.warning(), nil
	}
	if why := adRefusal(err); why != nil {
		return nil, fmt.Errorf("refused by AD: %w", why)
	}
	return nil, fmt.Errorf("bind: %s%w", noteOnRefusal(policy, err), ErrBadCredentials)
}

// isRefused reports whether a bind was refused because of this user or what they typed. Servers say
// so by many codes: 389-DS answers 19 or 53 for an account that it has locked. All other codes mean
// that the directory is in trouble.
func isRefused(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultNoSuchObject, ldap.LDAPResultConstraintViolation, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultUnwillingToPerform, ldap.ErrorEmptyPassword)
}

func unavailable(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
}
