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
var clientGroup = &commandGroup{notes: `
Those that ask a server need --token-file FILE, or CURFEW_TOKEN_FILE, with a bearer token, and take
  --server URL     the running server, with its base path (default http://localhost:8080, or CURFEW_SERVER)
  --output FORMAT  table or json (default table)
`}

func clientCommands() []command {
	return []command{
		{
			name:    "who",
			args:    []string{"[--user U] [--group G] [--state S] [--q TEXT] [--sessions]"},
			meaning: "list who is signed in, or their sessions",
			group:   clientGroup,
			run:     asks(who),
		},
		{
			name: "logout",
			args: []string{
				"(--user U | --group G | --session REF | --everyone) [--message M] [--grace D] [--block D] [--dry-run]",
				"--status ID | --cancel ID",
			},
			meaning: "force a logout, look at one, or cancel one in its grace",
			group:   clientGroup,
			run:     asks(logout),
		},
		{
			name:    "notify",
			args:    []string{"(--user U | --group G | --everyone) --message M"},
			meaning: "show a message on pages",
			group:   clientGroup,
			run:     asks(notify),
		},
		{
			name:    "audit",
			args:    []string{"[--user U] [--actor A] [--event E] [--since INSTANT] [--limit N]"},
			meaning: "list sign-ins, ends and forced logouts",
			group:   clientGroup,
			run:     asks(audit),
		},
		{
			name:    "token",
			args:    []string{"NAME SCOPE"},
			meaning: "make a bearer token, without a server; SCOPE is read or admin",
			group:   clientGroup,
			run:     makeToken,
		},
	}
}

// question asks a server something, and prints the answer.
type question func(context.Context, remote, printer) error

// asks makes a command of what asks a server. define defines the flags of its own.
func asks(define func(*flag.FlagSet) question) func(context.Context, invocation) error {
	return func(ctx context.Context, c invocation) error {
		fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		server := fs.String("server", c.variable("CURFEW_SERVER", "http://localhost:8080"), "")
		tokenFile := fs.String("token-file", c.variable("CURFEW_TOKEN_FILE", ""), "")
		output := fs.String("output", "table", "")
		ask := define(fs)
		if err := fs.Parse(c.args); errors.Is(err, flag.ErrHelp) {
			return err
		} else if err != nil {
			return errUsage{err}
		}
		switch {
		case fs.NArg() > 0:
			return errUsage{fmt.Errorf("argument %q is not understood", fs.Arg(0))}
		case *output != "table" && *output != "json":
			return errUsage{fmt.Errorf("output %q must be table or json", *output)}
		}
		r, err := newRemote(*server, *tokenFile)
		if err != nil {
			return err
		}
		return ask(ctx, r, printer{c.stdout, c.stderr, *output == "json", c.name})
	}
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
	if slices.Contains(c.args, "--help") || slices.Contains(c.args, "-h") {
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
	query := filters(fs, "user", "group", "state", "q")
	sessions := fs.Bool("sessions", false, "")
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

// filters are flags that become parameters of a query.
func filters(fs *flag.FlagSet, names ...string) func() url.Values {
	given := make(map[string]*string)
	for _, name := range names {
		given[name] = fs.String(name, "", "")
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
		given[name] = fs.String(name, "", "")
	}
	everyone := fs.Bool("everyone", false, "")
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
	message := fs.String("message", "", "")
	grace, block := fs.Duration("grace", 0, ""), fs.Duration("block", 0, "")
	dryRun := fs.Bool("dry-run", false, "")
	status, cancel := fs.String("status", "", ""), fs.String("cancel", "", "")
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
	message := fs.String("message", "", "")
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
	query := filters(fs, "user", "actor", "event", "since")
	limit := fs.Int("limit", 100, "")
	return func(ctx context.Context, r remote, p printer) error {
		if *limit < 1 {
			return errUsage{fmt.Errorf("limit %d must be 1 or more", *limit)}
		}
		items, err := r.list(ctx, "/audit", query(), *limit)
		if err != nil {
			return err
		}
		return p.table(items, "at", "event", "user", "actor", "session", "address", "reason", "detail", "continues")
	}
}
