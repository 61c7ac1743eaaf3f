package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"curfew/front/spoofing"
)

// proxyTemplates are the configurations that are printed. What they put in is letters that mean
// nothing in the languages of proxies: see [newProxySite], which refuses others, and [scriptTag],
// which writes them otherwise.
//
//go:embed proxies/*.tmpl
var proxyTemplates embed.FS

// proxyKind is a proxy whose configuration is printed.
type proxyKind struct {
	name    string
	files   []string // the first is its configuration, which loads the others
	comment string   // begins a line of comment
	sockets bool     // it reaches an application at a Unix socket
	injects bool     // it can put the script tag into pages
}

func proxyKinds() []proxyKind {
	return []proxyKind{
		{name: "nginx", files: []string{"nginx.conf"}, comment: "#", sockets: true, injects: true},
		{name: "caddy", files: []string{"Caddyfile"}, comment: "#", sockets: true},
		{name: "traefik", files: []string{"traefik.yml", "dynamic.yml"}, comment: "#"},
		{name: "haproxy", files: []string{"haproxy.cfg", "curfew.lua"}, comment: "#", sockets: true},
		{name: "envoy", files: []string{"envoy.yaml"}, comment: "#", sockets: true},
	}
}

// proxyNames are the names of the proxies whose configuration is printed.
func proxyNames() (names []string) {
	for _, k := range proxyKinds() {
		names = append(names, k.name)
	}
	return names
}

// proxyGroup is what --help says of proxy-config.
var proxyGroup = &commandGroup{
	before: "\n",
	flags:  new(proxyOptions).flags,
	after: `
The settings of the server follow, as flags, in the environment or in the file of --config: a proxy
leads to --listen and --verify-listen, and its configuration is for --public-url and --base-path.
`,
}

// proxyConfigCommand prints the complete configuration of a proxy for the settings.
func proxyConfigCommand(_ context.Context, c invocation) error {
	var o proxyOptions
	rest, err := o.take(c.args)
	if err != nil {
		return err
	}
	c.args = rest
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	site, err := newProxySite(cfg, o)
	if err != nil {
		return errUsage{err}
	}
	for _, note := range site.notes {
		fmt.Fprintf(c.stderr, "curfew %s: note: %s\n", c.name, note)
	}
	return o.print(site, c.stdout)
}

// proxyOptions are the arguments of proxy-config that are no settings.
type proxyOptions struct {
	kind    proxyKind
	app, at string
	out     string // empty: standard output
	inject  bool
}

// flags defines those that are no settings.
func (o *proxyOptions) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.app, "app", "", "`URL` the application: http://HOST:PORT, https://HOST:PORT or unix:/PATH")
	fs.StringVar(&o.at, "at", "", "`ADDRESS` where the proxy listens, HOST:PORT or :PORT; without it the public URL's "+
		"host and port. It serves TLS where the public URL is https and has that port")
	fs.StringVar(&o.out, "out", "", "`DIR` write the configuration, and what it loads, into a folder")
	fs.BoolVar(&o.inject, "inject", false, "have nginx put the script tag into pages")
}

// take reads the name of the proxy and the flags that are its own, and returns the others.
func (o *proxyOptions) take(args []string) (rest []string, err error) {
	names := proxyNames()
	which := errUsage{fmt.Errorf("needs the name of a proxy first: %s", strings.Join(names, ", "))}
	if len(args) == 0 {
		return nil, which
	}
	if isHelp(args[0]) {
		return nil, flag.ErrHelp
	}
	at := slices.Index(names, args[0])
	if at < 0 {
		return nil, which
	}
	o.kind = proxyKinds()[at]
	return takeFlags(o.flags, args[1:])
}

// print prints the configuration, or writes its files.
func (o proxyOptions) print(site *proxySite, stdout io.Writer) error {
	for i, name := range o.kind.files {
		text, err := site.render(name)
		if err != nil {
			return err
		}
		if o.out != "" {
			path := filepath.Join(o.out, name)
			if err := writeProxyFile(path, text); err != nil {
				return err
			}
			fmt.Fprintln(stdout, path)
			continue
		}
		if i > 0 {
			fmt.Fprintf(stdout, "\n%s %s, a file of its own: --out writes both\n\n", o.kind.comment, name)
		}
		stdout.Write(text)
	}
	return nil
}

// writeProxyFile replaces a file as a whole, so that no proxy that starts meanwhile reads half of
// it.
func writeProxyFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// render fills the template of a file.
func (s *proxySite) render(file string) ([]byte, error) {
	functions := template.FuncMap{
		"lower": strings.ToLower,
		"regex": regexp.QuoteMeta,
		"join":  func(list []string) string { return strings.Join(list, " ") },
	}
	name := file + ".tmpl"
	t, err := template.New(name).Funcs(functions).ParseFS(proxyTemplates, "proxies/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, s)
	return b.Bytes(), err
}

// The methods below list headers for templates.

// Identity are the headers that say who asks.
func (s *proxySite) Identity() []string { return spoofing.Identity() }

// DoorsOnly are the headers in which a door says who asks.
func (s *proxySite) DoorsOnly() []string { return append(spoofing.Identity(), "Cookie") }

// Blanked are headers of clients that neither the application nor Curfew may believe, and that the
// proxy does not set.
func (s *proxySite) Blanked() []string {
	return untrustedBut("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-ID")
}

// IdentityAndBlanked are all headers that nobody sets where nobody has asked who it is.
func (s *proxySite) IdentityAndBlanked() []string { return append(s.Identity(), s.Blanked()...) }

// Removed are those, and the ID of the request for a proxy that does not name requests itself: the
// guard does then, and its door tells the proxy.
func (s *proxySite) Removed() []string { return append(s.IdentityAndBlanked(), "X-Request-ID") }

// BlankedForCheck are the headers that the door of [X-Original-URI] does not get.
func (s *proxySite) BlankedForCheck() []string {
	return append(s.Identity(),
		untrustedBut("X-Original-URI", "X-Original-Method", "X-Forwarded-For", "X-Request-ID")...)
}

// BlankedForRefusal are the headers that the door of X-Forwarded-Uri does not get.
func (s *proxySite) BlankedForRefusal() []string {
	return append(s.Identity(),
		untrustedBut("X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-For", "X-Request-ID")...)
}

// IdentityAndForwarded are all headers that say who asks, and those that say from where and for
// what and begin with neither X-Forwarded- nor X-Original-, but for the ID of the request.
func (s *proxySite) IdentityAndForwarded() []string {
	others := slices.DeleteFunc(spoofing.Untrusted(), func(name string) bool {
		return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Original-") ||
			name == "X-Request-ID"
	})
	return append(s.Identity(), others...)
}

// CaddyDeleted are the headers that Caddy removes, under every name that an application may take
// for theirs. A * stands for any end. X-Request-ID itself is set.
func (s *proxySite) CaddyDeleted() (list []string) {
	list = []string{
		"Remote*", // the headers that say who asks, whatever stands for their hyphens
		"X-Request.*", "X-Request_*", "X.Request*", "X_Request*",
	}
	for _, header := range s.Blanked() {
		words := strings.SplitN(header, "-", 3)
		if len(words) == 1 {
			list = append(list, header)
			continue
		}
		for _, separator := range []string{"-", "_", "."} {
			list = append(list, words[0]+separator+words[1]+"*") // with further ends, it is no less a lie
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// EnvoyRemoved are the headers that Envoy removes. It drops names with _ by itself.
func (s *proxySite) EnvoyRemoved() (list []string) {
	for _, header := range s.Removed() {
		header = strings.ToLower(header)
		list = append(list, header)
		if dotted := strings.ReplaceAll(header, "-", "."); dotted != header {
			list = append(list, dotted)
		}
	}
	return list
}

func untrustedBut(set ...string) []string {
	return slices.DeleteFunc(spoofing.Untrusted(), func(name string) bool { return slices.Contains(set, name) })
}
