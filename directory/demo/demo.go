// Package demo is a small LDAP server in this process with three people in it, so that Curfew can
// be tried without a directory. It is spoken to over real LDAP on loopback by the code that speaks
// to any other directory.
//
// It knows simple bind and search (RFC 4511) with the filters that sign-in needs, and refuses the
// rest.
package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
)

// User is a person who can sign in.
type User struct {
	Name, Password string
	Groups         []string
}

// Users are the people of the demo directory.
func Users() []User {
	return []User{
		{"ada", "ada-demo", []string{"staff", "admins"}},
		{"grace", "grace-demo", []string{"staff"}},
		{"linus", "linus-demo", []string{"staff", "kiosk"}},
	}
}

const baseDN = "dc=demo,dc=curfew"

// ServiceDN is the account that may search.
const ServiceDN = "cn=curfew," + baseDN

type entry struct {
	dn         string
	password   string
	attributes map[string][]string // by lower-case name
}

func entries() []entry {
	people := map[string][]string{ // display name, title, telephone, entryUUID
		"ada":   {"Ada Lovelace", "Analyst", "+44 20 7946 0010", "6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c0001"},
		"grace": {"Grace Hopper", "Compilers", "+1 202 555 0143", "6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c0002"},
		"linus": {"Linus Torvalds", "Kernel", "+358 9 5550 0199", "6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c0003"},
	}
	groups := []entry{
		{dn: "cn=staff,ou=groups," + baseDN}, {dn: "cn=admins,ou=groups," + baseDN},
		{dn: "cn=kiosk,ou=groups," + baseDN},
	}
	for i, name := range []string{"staff", "admins", "kiosk"} {
		groups[i].attributes = map[string][]string{
			"objectclass": {"groupOfNames"},
			"cn":          {name},
			"entryuuid":   {fmt.Sprintf("6f0b6d0e-5a55-4a8f-8f5b-0a1d8f2c01%02d", i+1)},
		}
	}
	var all []entry
	for _, u := range Users() {
		p := people[u.Name]
		e := entry{dn: "uid=" + u.Name + ",ou=people," + baseDN, password: u.Password, attributes: map[string][]string{
			"objectclass":     {"inetOrgPerson"},
			"uid":             {u.Name},
			"cn":              {p[0]},
			"displayname":     {p[0]},
			"mail":            {u.Name + "@demo.example"},
			"title":           {p[1]},
			"telephonenumber": {p[2]},
			"entryuuid":       {p[3]},
		}}
		for i := range groups {
			for _, g := range u.Groups {
				if groups[i].attributes["cn"][0] == g {
					groups[i].attributes["member"] = append(groups[i].attributes["member"], e.dn)
					e.attributes["memberof"] = append(e.attributes["memberof"], groups[i].dn)
				}
			}
		}
		all = append(all, e)
	}
	return append(all, groups...)
}

// Server is a running demo directory.
type Server struct {
	listener net.Listener
	password string // of the service account, drawn at start
	entries  []entry
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once stopped
}

// Start serves on a free port of 127.0.0.1 until [Server.Stop].
func Start() (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start demo directory: %w", err)
	}
	s := &Server{
		listener: l,
		password: rand.Text(),
		entries:  entries(),
		conns:    make(map[net.Conn]struct{}),
	}
	s.running.Go(s.accept)
	return s, nil
}

// Config is how the directory is spoken to.
func (s *Server) Config() directory.Config {
	return directory.Config{
		URLs:          []string{"ldap://" + s.listener.Addr().String()},
		BindDN:        ServiceDN,
		BindPassword:  s.password,
		BaseDN:        baseDN,
		UserFilter:    "(uid={username})",
		GroupFilter:   "(member={dn})",
		UserAttribute: "uid",
	}
}

// Stop closes all connections and waits until they are done with.
func (s *Server) Stop() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed by Stop
		}
		s.mu.Lock()
		stopped := s.conns == nil
		if !stopped {
			s.conns[c] = struct{}{}
			s.running.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
		if stopped {
			c.Close()
		}
	}
}

// idleTimeout ends connections that nobody speaks on.
const idleTimeout = time.Minute

func (s *Server) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	isService := false
	for {
		c.SetDeadline(time.Now().Add(idleTimeout))
		message, err := ber.ReadPacket(c)
		if err != nil || len(message.Children) < 2 {
			return
		}
		id, ok := message.Children[0].Value.(int64)
		if !ok {
			return
		}
		request := message.Children[1]
		switch request.Tag {
		case ldap.ApplicationBindRequest:
			var code uint16
			isService, code = s.bind(request)
			err = reply(c, id, result(ldap.ApplicationBindResponse, code))
		case ldap.ApplicationSearchRequest:
			err = s.search(c, id, request, isService)
		case ldap.ApplicationUnbindRequest:
			return
		case ldap.ApplicationAbandonRequest:
		default:
			err = reply(c, id, result(ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError))
		}
		if err != nil {
			return
		}
	}
}

func reply(c net.Conn, id int64, op *ber.Packet) error {
	message := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "message")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "id"))
	message.AppendChild(op)
	_, err := c.Write(message.Bytes())
	return err
}

func result(tag ber.Tag, code uint16) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, uint64(code), "code"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", "matched"))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", "message"))
	return p
}

func text(p *ber.Packet) string {
	if s, ok := p.Value.(string); ok {
		return s
	}
	return p.Data.String()
}

func (s *Server) bind(request *ber.Packet) (isService bool, code uint16) {
	const simple = 0 // RFC 4511 §4.2
	if len(request.Children) < 3 || request.Children[2].Tag != simple {
		return false, ldap.LDAPResultAuthMethodNotSupported
	}
	dn, password := text(request.Children[1]), text(request.Children[2])
	want := ""
	if strings.EqualFold(dn, ServiceDN) {
		want, isService = s.password, true
	}
	for _, e := range s.entries {
		if strings.EqualFold(e.dn, dn) {
			want = e.password
		}
	}
	if want == "" || subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1 {
		return false, ldap.LDAPResultInvalidCredentials
	}
	return isService, ldap.LDAPResultSuccess
}

func (s *Server) search(c net.Conn, id int64, request *ber.Packet, allowed bool) error {
	done := func(code uint16) error { return reply(c, id, result(ldap.ApplicationSearchResultDone, code)) }
	if len(request.Children) < 8 {
		return done(ldap.LDAPResultProtocolError)
	}
	if !allowed {
		return done(ldap.LDAPResultInsufficientAccessRights)
	}
	base, filter := strings.ToLower(text(request.Children[0])), request.Children[6]
	limit, _ := request.Children[3].Value.(int64)
	scope, _ := request.Children[1].Value.(int64)
	sent := int64(0)
	for _, e := range s.entries {
		dn := strings.ToLower(e.dn)
		if dn != base && (scope == ldap.ScopeBaseObject || !strings.HasSuffix(dn, ","+base)) {
			continue
		}
		match, err := matches(e, filter)
		if err != nil {
			return done(ldap.LDAPResultProtocolError)
		}
		if !match {
			continue
		}
		if limit > 0 && sent == limit {
			return done(ldap.LDAPResultSizeLimitExceeded)
		}
		if err := reply(c, id, found(e, request.Children[7])); err != nil {
			return err
		}
		sent++
	}
	return done(ldap.LDAPResultSuccess)
}

func found(e entry, wanted *ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "entry")
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, e.dn, "dn"))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attributes")
	for _, w := range wanted.Children {
		values := e.attributes[strings.ToLower(text(w))]
		if len(values) == 0 {
			continue
		}
		attribute := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attribute")
		attribute.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text(w), "type"))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "values")
		for _, v := range values {
			set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, "value"))
		}
		attribute.AppendChild(set)
		list.AppendChild(attribute)
	}
	p.AppendChild(list)
	return p
}

var errFilter = errors.New("filter not supported")

// matches judges an entry by a filter of RFC 4511 §4.5.1.7; names and values compare without regard
// to case.
func matches(e entry, f *ber.Packet) (bool, error) {
	switch f.Tag {
	case ldap.FilterAnd, ldap.FilterOr:
		isAnd := f.Tag == ldap.FilterAnd
		for _, child := range f.Children {
			if match, err := matches(e, child); err != nil || match != isAnd {
				return match, err
			}
		}
		return isAnd, nil
	case ldap.FilterNot:
		if len(f.Children) != 1 {
			return false, errFilter
		}
		match, err := matches(e, f.Children[0])
		return !match, err
	case ldap.FilterPresent:
		return len(e.attributes[strings.ToLower(text(f))]) > 0, nil
	case ldap.FilterEqualityMatch:
		if len(f.Children) != 2 {
			return false, errFilter
		}
		for _, v := range e.attributes[strings.ToLower(text(f.Children[0]))] {
			if strings.EqualFold(v, text(f.Children[1])) {
				return true, nil
			}
		}
		return false, nil
	}
	return false, errFilter
}
