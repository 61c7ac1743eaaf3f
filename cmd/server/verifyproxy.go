package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
)

// verifyGroup is what --help says of verify-proxy.
var verifyGroup = &commandGroup{
	before: `
It signs in on the site at URL, tries whether identity headers can be slipped past its proxy and whether a
door can be reached from outside, signs out, prints a table, and ends with status 1 if anything got through.

`,
	flags: new(verifyArguments).flags,
}

// verifyArguments are the flags of verify-proxy, as they are written.
type verifyArguments struct {
	tokenFile, user, passwordFile, caFile, output string
	base                                          *string // nil: it is looked for
}

func (a *verifyArguments) flags(fs *flag.FlagSet) {
	fs.StringVar(&a.tokenFile, "token-file", a.tokenFile,
		"`FILE` a bearer token of scope admin (or CURFEW_TOKEN_FILE)")
	fs.StringVar(&a.user, "user", "", "`U` who signs in, best an account of its own without groups")
	fs.StringVar(&a.passwordFile, "password-file", "", "`FILE` their password")
	base := func(text string) error {
		text = strings.TrimSuffix(text, "/")
		a.base = &text
		return nil
	}
	fs.Func("base-path", "`PATH` where Curfew is (without it the path of URL, else /.curfew or /)", base)
	fs.StringVar(&a.caFile, "ca-file", "",
		"`FILE` certificates (PEM) to check the site's against; without it those of the system")
	fs.StringVar(&a.output, "output", "table", "`FORMAT` table or json (default table)")
}

// verifyOptions are the arguments of verify-proxy.
type verifyOptions struct {
	site      *url.URL
	base      *string // nil: it is looked for
	tokenFile string
	user      string
	password  string
	ca        *x509.CertPool // nil: those of the system
	json      bool
}

// verifyProxyCommand signs in on a deployed site through its proxy, and tries whether anything can
// be slipped past that. It signs out again.
func verifyProxyCommand(ctx context.Context, c invocation) error {
	o, err := readVerifyOptions(c)
	if err != nil {
		return err
	}
	if _, err := newRemote(o.site.String(), o.tokenFile); err != nil {
		return err
	}
	visitor, err := newVisitor(ctx, o.site, o.base, &tls.Config{RootCAs: o.ca, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	v := &verification{visitor: visitor}
	if v.api, err = newRemote(v.site.String()+v.base, o.tokenFile); err != nil {
		return err
	}
	v.api.transport = v.client.Transport
	if _, err := v.echoPath(ctx); err != nil { // before the sign-in: the token may be wrong
		return err
	}
	err = v.signIn(ctx, o.user, o.password)
	if err == nil {
		err = v.run(ctx)
	}
	if err == nil {
		err = errors.Join(v.print(printer{c.stdout, c.stderr, o.json, c.name}), v.verdict())
	}
	return errors.Join(err, v.signOut(ctx))
}

// readVerifyOptions reads the command line. The URL may stand before the flags or after them.
func readVerifyOptions(c invocation) (o verifyOptions, err error) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	given := verifyArguments{tokenFile: c.variable("CURFEW_TOKEN_FILE", "")}
	given.flags(fs)
	var site string
	args := c.args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		site, args = args[0], args[1:]
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, errUsage{err}
	}
	if site == "" && fs.NArg() == 1 {
		site = fs.Arg(0)
	} else if fs.NArg() > 0 {
		return o, errUsage{fmt.Errorf("argument %q is not understood", fs.Arg(0))}
	}
	o = verifyOptions{base: given.base, tokenFile: given.tokenFile, user: given.user, json: given.output == "json"}
	if err := o.validate(site, given.passwordFile, given.output); err != nil {
		return o, errUsage{err}
	}
	return o, o.readFiles(given.passwordFile, given.caFile)
}

// validate says all that is missing or wrong on the command line.
func (o *verifyOptions) validate(site, password, output string) error {
	var missing []string
	for _, needed := range []struct{ what, value string }{
		{"the URL of the site", site},
		{"--token-file FILE", o.tokenFile},
		{"--user U", o.user},
		{"--password-file FILE", password},
	} {
		if needed.value == "" {
			missing = append(missing, needed.what)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("needs %s", strings.Join(missing, ", "))
	}
	if output != "table" && output != "json" {
		return fmt.Errorf("output %q must be table or json", output)
	}
	u, err := url.Parse(site)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return fmt.Errorf("site %q must be a URL as https://app.example.org", withoutPassword(site))
	}
	if path := strings.TrimSuffix(u.Path, "/"); path != "" {
		o.base = cmp.Or(o.base, &path)
	}
	if o.base != nil && *o.base != "" && !plainPath.MatchString(*o.base) {
		return fmt.Errorf("base-path %q must be a plain path as %s", *o.base, applicationBase)
	}
	o.site = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

// readFiles reads the password and the certificates.
func (o *verifyOptions) readFiles(password, ca string) error {
	text, err := os.ReadFile(password)
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	if o.password = strings.TrimRight(string(text), "\r\n"); o.password == "" {
		return fmt.Errorf("read password: %s is empty", password)
	}
	if ca == "" {
		return nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return fmt.Errorf("read certificates: %w", err)
	}
	o.ca = x509.NewCertPool()
	if !o.ca.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read certificates: %s holds none in PEM", ca)
	}
	return nil
}

// shownOfCheck is in how many ways something got through is printed for each check.
const shownOfCheck = 3

// print prints what was tried.
func (v *verification) print(p printer) error {
	if p.json {
		return p.encode(map[string]any{"url": v.site.String() + v.base, "user": v.user, "checks": v.checks})
	}
	t := tabwriter.NewWriter(p.to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\tTRIED\tGOT THROUGH")
	for _, c := range v.checks {
		fmt.Fprintf(t, "%s\t%d\t%d\n", c.Name, c.Tried, c.ways())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range v.checks {
		c.printWays(p.to)
	}
	return nil
}

// printWays prints what got through, in a few of its ways.
func (c *check) printWays(w io.Writer) {
	shown := make(map[string]bool)
	for _, got := range c.GotThrough {
		if shown[got.Attempt] {
			continue
		}
		if len(shown) == shownOfCheck {
			fmt.Fprintf(w, "%s, in %d more ways: --output json has all\n", c.Name, c.ways()-shownOfCheck)
			return
		}
		shown[got.Attempt] = true
		fmt.Fprintf(w, "%s: %s\n", oneLine(got.Attempt), oneLine(got.What))
	}
}

// ways is in how many ways something got through.
func (c *check) ways() int {
	ways := make(map[string]bool)
	for _, got := range c.GotThrough {
		ways[got.Attempt] = true
	}
	return len(ways)
}

// verdict names what got through.
func (v *verification) verdict() error {
	var names []string
	for _, c := range v.checks {
		switch {
		case c == v.doors:
			for _, target := range shownDoors(c.GotThrough, v.base) {
				names = append(names, "the door "+target)
			}
		case len(c.GotThrough) > 0:
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("got through: %s", strings.Join(names, ", "))
}
