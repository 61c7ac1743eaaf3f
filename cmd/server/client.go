package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"curfew/views"
)

// remote is a running server.
type remote struct {
	url       string
	token     string
	transport http.RoundTripper // nil: the standard one
}

// clientGroup are the commands that ask a running server through its API, and the one that makes a
// token for them.
var clientGroup = &commandGroup{
	before: `
Those that ask a server need --token-file FILE, or CURFEW_TOKEN_FILE, with a bearer token, and take
`,
	flags: new(clientFlags).shared,
}

func clientCommands() []command {
	return []command{
		clientCommand(command{
			name:    "who",
			args:    []string{"[--user U] [--group G] [--state S] [--q TEXT] [--sessions]"},
			meaning: "list who is signed in, or their sessions",
		}, who),
		clientCommand(command{
			name: "logout",
			args: []string{
				"(--user U | --group G | --session REF | --everyone) [--message M] [--grace D] [--block D] [--dry-run]",
				"--status ID | --cancel ID",
			},
			meaning: "force a logout, look at one, or cancel one in its grace",
		}, logout),
		clientCommand(command{
			name:    "notify",
			args:    []string{"(--user U | --group G | --everyone) --message M"},
			meaning: "show a message on pages",
		}, notify),
		clientCommand(command{
			name:    "audit",
			args:    []string{"[--user U] [--actor A] [--event E] [--request ID] [--since INSTANT] [--limit N]"},
			meaning: "list sign-ins, ends and forced logouts",
		}, audit),
		{
			name:    "token",
			args:    []string{"NAME SCOPE"},
			meaning: "make a bearer token, without a server; SCOPE is read or admin",
			group:   clientGroup,
			words:   []string{string(views.ScopeRead), string(views.ScopeAdmin)},
			run:     makeToken,
		},
	}
}

// clientFlags are what all commands that ask a server take.
type clientFlags struct{ server, tokenFile, output string }

// shared defines those that --help explains for all.
func (f *clientFlags) shared(fs *flag.FlagSet) {
	fs.StringVar(&f.server, "server", f.server,
		"`URL` the running server, with its base path (default http://localhost:8080, or CURFEW_SERVER)")
	fs.StringVar(&f.output, "output", "table", "`FORMAT` table or json (default table)")
}

// question asks a server something, and prints the answer.
type question func(context.Context, remote, printer) error

// clientCommand makes c a command that asks a server. define defines the flags of its own.
func clientCommand(c command, define func(*flag.FlagSet) question) command {
	flags := func(fs *flag.FlagSet, f *clientFlags) question {
		f.shared(fs)
		fs.StringVar(&f.tokenFile, "token-file", f.tokenFile, "`FILE` a bearer token (or CURFEW_TOKEN_FILE)")
		return define(fs)
	}
	c.group = clientGroup
	c.flags = func(fs *flag.FlagSet) { flags(fs, &clientFlags{}) }
	c.run = func(ctx context.Context, c invocation) error {
		fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		f := clientFlags{
			server:    c.variable("CURFEW_SERVER", "http://localhost:8080"),
			tokenFile: c.variable("CURFEW_TOKEN_FILE", ""),
		}
		ask := flags(fs, &f)
		if err := fs.Parse(c.args); errors.Is(err, flag.ErrHelp) {
			return err
		} else if err != nil {
			return errUsage{err}
		}
		switch {
		case fs.NArg() > 0:
			return errUsage{fmt.Errorf("argument %q is not understood", fs.Arg(0))}
		case f.output != "table" && f.output != "json":
			return errUsage{fmt.Errorf("output %q must be table or json", f.output)}
		}
		r, err := newRemote(f.server, f.tokenFile)
		if err != nil {
			return err
		}
		return ask(ctx, r, printer{c.stdout, c.stderr, f.output == "json", c.name})
	}
	return c
}

// variable is a variable of the environment, or standard where it is not set or empty.
func (c invocation) variable(name, standard string) string {
	for _, e := range c.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok && v != "" {
			return v
		}
	}
	return standard
}

// newRemote reads the token. It refuses to send one in plain text to another machine.
func newRemote(server, tokenFile string) (remote, error) {
	if tokenFile == "" {
		return remote{}, errUsage{errors.New("a token is needed: --token-file FILE, or CURFEW_TOKEN_FILE")}
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return remote{}, fmt.Errorf("read token: %w", err)
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return remote{}, errUsage{fmt.Errorf("server %q must be a URL as https://app.example.org", server)}
	}
	if u.Scheme == "http" && !views.Loopback(u.Hostname()) {
		return remote{}, errUsage{fmt.Errorf("server %q must be https: a token is not sent in plain text", server)}
	}
	return remote{url: strings.TrimSuffix(server, "/"), token: strings.TrimSpace(string(token))}, nil
}

// makeToken asks no server: the secret is made here, and only its hash goes there.
func makeToken(_ context.Context, c invocation) error {
	if slices.ContainsFunc(c.args, isHelp) {
		return flag.ErrHelp
	}
	if len(c.args) != 2 {
		return errUsage{errors.New("needs a NAME and a SCOPE (read or admin)")}
	}
	secret, line, err := views.NewAPIToken(c.args[0], views.TokenScope(c.args[1]))
	if err != nil {
		return errUsage{err}
	}
	fmt.Fprintf(c.stdout, "The token, for --token-file of the one who uses it; it is shown this once:\n%s\n\n"+
		"Its line for --api-tokens-file of the server:\n%s\n", secret, line)
	return nil
}

// call sends a request of the API and decodes the answer. A refusal is an error of one line.
func (r remote) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var data bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&data).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, r.url+"/api/v1"+path, &data)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	client := &http.Client{Transport: r.transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the token goes nowhere else
	}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		if json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&problem) != nil || problem.Detail == "" {
			return fmt.Errorf("%s answers %s: is that a Curfew server?", r.url, response.Status)
		}
		return fmt.Errorf("refused: %s", problem.Detail)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.url, err)
	}
	return nil
}

// list reads all pages of a list, or limit items of it.
func (r remote) list(ctx context.Context, path string, query url.Values, limit int) ([]map[string]any, error) {
	var items []map[string]any
	for {
		query.Set("limit", fmt.Sprint(min(1000, limit-len(items))))
		var page struct {
			Items      []map[string]any `json:"items"`
			NextCursor string           `json:"next_cursor"`
		}
		if err := r.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" || len(items) >= limit {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

func who(fs *flag.FlagSet) question {
	query := filters(fs, map[string]string{
		"user":  "`U` only this user",
		"group": "`G` only members of this group",
		"state": "`STATE` only who is active, idle, warned or away",
		"q":     "`TEXT` only names with this text in them",
	})
	sessions := fs.Bool("sessions", false, "list sessions instead of users")
	return func(ctx context.Context, r remote, p printer) error {
		path, columns := "/presence", []string{"user", "state", "sessions", "tabs", "hidden", "unconfirmed"}
		if *sessions {
			path, columns = "/sessions", []string{
				"ref", "user", "state", "tabs", "node", "address", "created_at", "last_active_at", "expires_at",
			}
		}
		items, err := r.list(ctx, path, query(), 1<<30)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			if err := tellWhoIsNobody(ctx, r, p, query()); err != nil {
				return err
			}
		}
		return p.table(items, columns...)
	}
}

// tellWhoIsNobody looks whether a query has found nothing because of a name in it.
func tellWhoIsNobody(ctx context.Context, r remote, p printer, query url.Values) error {
	for _, kind := range []string{"user", "group"} {
		name := query.Get(kind)
		if name == "" {
			continue
		}
		items, err := r.list(ctx, "/presence", url.Values{kind: {name}}, 1)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			p.nobody(map[string]any{kind: name})
		}
	}
	return nil
}

// filters are flags that become parameters of a query, each with its usage.
func filters(fs *flag.FlagSet, flags map[string]string) func() url.Values {
	given := make(map[string]*string)
	for name, usage := range flags {
		given[name] = fs.String(name, "", usage)
	}
	return func() url.Values {
		query := make(url.Values)
		for name, v := range given {
			if *v != "" {
				query.Set(name, *v)
			}
		}
		return query
	}
}

// scope are the flags that say whose sessions are meant.
func scope(fs *flag.FlagSet, names ...string) func() (map[string]any, error) {
	given := make(map[string]*string)
	for _, name := range names {
		given[name] = fs.String(name, "", "`"+strings.ToUpper(name)+"` the "+name+" that is meant")
	}
	everyone := fs.Bool("everyone", false, "everyone is meant")
	return func() (map[string]any, error) {
		body := make(map[string]any)
		for name, v := range given {
			if *v != "" {
				body[name] = *v
			}
		}
		if *everyone {
			body["everyone"] = true
		}
		if len(body) != 1 {
			return nil, errUsage{fmt.Errorf("needs exactly one of --%s and --everyone", strings.Join(names, ", --"))}
		}
		return body, nil
	}
}

// logoutColumns are what is shown of a forced logout, and of the outcomes of its tabs.
var logoutColumns = []string{
	"id", "scope", "state", "effective_at", "block_until", "cancelled_at",
	"sessions", "tabs", "waiting", "open", "acked", "unconfirmed", "gone",
}

func logout(fs *flag.FlagSet) question {
	whose := scope(fs, "user", "group", "session")
	message := fs.String("message", "", "`M` what pages show")
	grace := fs.Duration("grace", 0, "`D` time until it takes effect, as 5m")
	block := fs.Duration("block", 0, "`D` time for which nobody who is meant can sign in again")
	dryRun := fs.Bool("dry-run", false, "only tell how many it would concern")
	status := fs.String("status", "", "`ID` print how far this forced logout is")
	cancel := fs.String("cancel", "", "`ID` cancel this forced logout, while its grace lasts")
	return func(ctx context.Context, r remote, p printer) error {
		var answer map[string]any
		var err error
		switch {
		case *status != "":
			err = r.call(ctx, http.MethodGet, "/logouts/"+url.PathEscape(*status), nil, &answer)
		case *cancel != "":
			err = r.call(ctx, http.MethodDelete, "/logouts/"+url.PathEscape(*cancel), nil, &answer)
		default:
			body, scopeErr := whose()
			if scopeErr != nil {
				return scopeErr
			}
			body["message"], body["dry_run"] = *message, *dryRun
			body["grace_ms"], body["block_ms"] = grace.Milliseconds(), block.Milliseconds()
			err = r.call(ctx, http.MethodPost, "/logouts", body, &answer)
			if err == nil && answer["sessions"] == 0. && answer["waiting"] == 0. {
				p.nobody(body)
			}
		}
		if err != nil {
			return err
		}
		return p.object(answer, logoutColumns...)
	}
}

func notify(fs *flag.FlagSet) question {
	whose := scope(fs, "user", "group")
	message := fs.String("message", "", "`M` what pages show")
	return func(ctx context.Context, r remote, p printer) error {
		body, err := whose()
		if err != nil {
			return err
		}
		body["message"] = *message
		var answer map[string]any
		if err := r.call(ctx, http.MethodPost, "/notices", body, &answer); err != nil {
			return err
		}
		return p.object(answer, "id", "sessions", "tabs")
	}
}

func audit(fs *flag.FlagSet) question {
	query := filters(fs, map[string]string{
		"user":    "`U` only what concerns this user",
		"actor":   "`A` only what this user or token has done",
		"event":   "`E` only entries of this kind, as sign-in, end or logout",
		"request": "`ID` only what the HTTP request of this ID has asked for",
		"since":   "`INSTANT` only entries since then, as 2026-01-02T15:04:05Z",
	})
	limit := fs.Int("limit", 100, "`N` how many at most (default 100)")
	return func(ctx context.Context, r remote, p printer) error {
		if *limit < 1 {
			return errUsage{fmt.Errorf("limit %d must be 1 or more", *limit)}
		}
		asked := query()
		if asked.Has("request") {
			asked.Set("request_id", asked.Get("request"))
			asked.Del("request")
		}
		items, err := r.list(ctx, "/audit", asked, *limit)
		if err != nil {
			return err
		}
		return p.table(items, "at", "event", "user", "actor", "session", "address", "reason", "detail", "request_id",
			"continues")
	}
}
