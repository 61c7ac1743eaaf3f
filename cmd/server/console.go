package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"curfew/views"
)

// The console at an address and an origin of its own, out of the reach of the application's
// scripts.

// consoleSettings say where the console is, where that is not the main address.
func (c *httpConfig) consoleSettings() []setting {
	return []setting{
		{
			name:    "admin-listen",
			unset:   "none",
			meaning: "separate address of the console and all else of Curfew's, where no application is",
			set: func(v value) error {
				if _, _, err := net.SplitHostPort(v.text); err != nil && v.text != "" {
					return errors.New("must be HOST:PORT")
				}
				c.adminListen = v.text
				return nil
			},
		},
		{
			name:    "admin-url",
			unset:   "the public URL",
			meaning: "origin of that address, of the public URL's host and another port; `https` unless on loopback",
			set: func(v value) (err error) {
				if v.text != "" {
					c.adminURL, err = parsePublic(v.text)
				}
				return err
			},
		},
	}
}

// validateConsole checks that the console has an origin of its own, at which browsers send the same
// cookies, and that its address lets in nobody whom the main one would keep out.
func (c *config) validateConsole(given map[string]value) (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if (given["admin-listen"].String() == "") != (given["admin-url"].String() == "") {
		refuse("admin-listen and admin-url: must be set together")
	}
	if listen := c.http.adminListen; listen != "" {
		host, _, _ := net.SplitHostPort(listen)
		switch {
		case c.operation.testing && !views.Loopback(host):
			refuse("testing with admin-listen %q: must be a loopback address as 127.0.0.1:0, "+
				"because anybody who reaches it can sign in", listen)
		case c.demo() && !views.Loopback(host):
			refuse("admin-listen %q: must be a loopback address while the demo directory is used; "+
				"set ldap-url for your own directory", listen)
		}
	}
	if admin := c.http.adminURL; admin != nil {
		public := c.http.publicOrigin()
		switch {
		case admin.Hostname() != public.Hostname():
			refuse("admin-url %q: must have the host of the public URL, %s, for whose name the cookie is", admin,
				public.Hostname())
		case views.Origin(admin) == views.Origin(public):
			refuse("admin-url %q: must have another port than the public URL, %s", admin, public)
		}
	}
	return mistakes
}

// publicOrigin is the public URL as far as settings tell it. Its port is 0 where the system picks
// one.
func (c *httpConfig) publicOrigin() *url.URL {
	if c.publicURL != nil {
		return c.publicURL
	}
	_, port, _ := net.SplitHostPort(c.listen)
	return c.local(port)
}

// local is where the main address is reached on this machine.
func (c *httpConfig) local(port string) *url.URL {
	scheme := "http"
	if c.tlsCert != "" {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: "localhost:" + port}
}
