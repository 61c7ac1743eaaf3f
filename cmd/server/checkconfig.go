package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"curfew/session"
	"curfew/views"
)

// checkGroup is what --help says of check-config.
var checkGroup = &commandGroup{
	before: "\n",
	flags:  new(checkOptions).flags,
	after: `
It reads the settings as the server does, from flags, the environment and the file of --config, and tells
all mistakes. For everybody, and for each group with a policy, it prints by what that is laxer than each
profile, and which requirements of standards it meets and misses; then those that the server's settings
decide about. What is met goes by settings alone: docs/security.md has what else is asked.
`,
}

// checkOptions are the arguments of check-config that are no settings.
type checkOptions struct{ output string }

func (o *checkOptions) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.output, "output", "table", "`FORMAT` table, or json with every requirement (default table)")
}

// checkConfigCommand prints what the settings come to.
func checkConfigCommand(_ context.Context, c invocation) error {
	var o checkOptions
	rest, err := takeFlags(o.flags, c.args)
	if err != nil {
		return err
	}
	c.args = rest
	cfg, err := c.settings()
	switch {
	case err != nil:
		return err
	case o.output == "json":
		encoder := json.NewEncoder(c.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(newReport(cfg))
	case o.output != "table":
		return errUsage{fmt.Errorf("output %q must be table or json", o.output)}
	}
	checkConfig(c.stdout, cfg)
	return nil
}

// checkConfig prints the effective policy of every group, by what it is laxer than each profile,
// and which requirements of standards it meets; and which of these the settings of the server meet.
func checkConfig(w io.Writer, c *config) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tWARN\tEXPIRE\tLIFETIME\tCLOSE GRACE\tEXTEND ON\tMAX SESSIONS\tKEEP PAGE")
	policies := groupPolicies(c)
	for _, r := range policies {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Group, short(r.WarnAfter), short(r.ExpireAfter),
			limit(r.MaxLifetime, "none"), limit(r.CloseGrace, "off"), r.ExtendOn, count(r.MaxSessions, "none"),
			limit(r.KeepPage, "off"))
	}
	t.Flush()
	for _, r := range policies {
		fmt.Fprintf(w, "\n%s\n", r.Group)
		for _, p := range session.Profiles() {
			if p.Name == session.DefaultProfile {
				continue
			}
			verdict := "meets it"
			if laxer := laxer(r.Policy, p.Policy); len(laxer) > 0 {
				verdict = "is laxer: " + strings.Join(laxer, ", ")
			}
			fmt.Fprintf(w, "  %-10s %s\n", p.Name, verdict)
		}
		judge(valuesOfPolicy(r.Policy)).print(w)
	}
	fmt.Fprintln(w, "\n(the server)")
	judge(valuesOfServer(c)).print(w)
	fmt.Fprintln(w, "\nThat is what settings decide; --output json has what else standards ask, and what Curfew does.")
	for _, warning := range warnings(c) {
		fmt.Fprintf(w, "\nwarning: %s\n", warning)
	}
}

// print prints the requirements that are met in one line, and each that is missed in its own.
func (v verdicts) print(w io.Writer) {
	if len(v.met) > 0 {
		fmt.Fprintf(w, "  %-10s %s\n", "meets", strings.Join(v.met, ", "))
	}
	for _, m := range v.missed {
		fmt.Fprintf(w, "  %-10s %s\n", "misses", m)
	}
}

// warnings are what may be meant as it is, and is often not.
func warnings(c *config) (list []string) {
	if c.showsDemo() {
		list = append(list, fmt.Sprintf("ldap-url is not set, and public-url is %s: whoever reaches that can sign in "+
			"as an administrator, because everybody knows the passwords of the demo directory", c.http.publicURL))
	}
	if !c.demo() && c.directory.ldap.GroupBaseDN == "" {
		list = append(list, fmt.Sprintf("ldap-group-base-dn is not set: whoever may make an entry anywhere below %q "+
			"can make a group of any name, also one of admin-groups; set it to where only administrators may",
			c.directory.ldap.BaseDN))
	}
	if host, _, err := net.SplitHostPort(c.http.verifyListen); err == nil && !views.Loopback(host) {
		list = append(list, fmt.Sprintf("verify-listen %q is not a loopback address: see to it that nobody but the "+
			"proxy reaches it, because the doors answer in plain text whose a cookie is", c.http.verifyListen))
	}
	if host, _, err := net.SplitHostPort(c.operation.metricsListen); err == nil && !views.Loopback(host) {
		list = append(list, fmt.Sprintf("metrics-listen %q is not a loopback address: see to it that only your "+
			"monitoring reaches it, because it answers everybody, and has the program's profiles too",
			c.operation.metricsListen))
	}
	if c.http.verifyListen != "" && len(c.http.trustedProxies) == 0 {
		list = append(list, "verify-listen is set and trusted-proxies is not: no door believes what a proxy tells of "+
			"a request, so that nobody is led back after a sign-in and no navigation is activity")
	}
	if (c.hasApplication() || c.http.verifyListen != "") && c.http.adminURL == nil {
		list = append(list, "admin-listen and admin-url are not set: whoever can run a script in the application can "+
			"use an administrator's session for the console and the API")
	}
	if c.events.shortSecret {
		list = append(list, fmt.Sprintf("webhook-secret-file holds fewer than %d bytes: whoever sees one request can "+
			"try secrets at leisure; make one by openssl rand -hex 32", goodSecret))
	}
	return list
}

// laxer lists in what p allows more than the profile q.
func laxer(p, q session.Policy) (list []string) {
	if p.ExpireAfter > q.ExpireAfter {
		list = append(list, fmt.Sprintf("expire-after %s instead of %s", short(p.ExpireAfter), short(q.ExpireAfter)))
	}
	if q.MaxLifetime > 0 && (p.MaxLifetime == 0 || p.MaxLifetime > q.MaxLifetime) {
		list = append(list,
			fmt.Sprintf("max-lifetime %s instead of %s", limit(p.MaxLifetime, "none"), short(q.MaxLifetime)))
	}
	if q.MaxSessions > 0 && (p.MaxSessions == 0 || p.MaxSessions > q.MaxSessions) {
		list = append(list, fmt.Sprintf("max-sessions %s instead of %d", count(p.MaxSessions, "none"), q.MaxSessions))
	}
	if q.ExtendOn == session.ExtendOnConfirm && p.ExtendOn != q.ExtendOn {
		list = append(list, "extend-on activity instead of confirm")
	}
	if p.KeepPage > q.KeepPage {
		list = append(list, fmt.Sprintf("keep-page %s instead of %s", short(p.KeepPage), limit(q.KeepPage, "0")))
	}
	return list
}

// short is a duration without zero units: 9m, not 9m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func limit(d time.Duration, none string) string {
	if d == 0 {
		return none
	}
	return short(d)
}

func count(n int, none string) string {
	if n == 0 {
		return none
	}
	return fmt.Sprint(n)
}
