package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// visitor is a person's browser at a deployed site, as far as verify-proxy is one. Its requests can
// be such as no browser sends.
type visitor struct {
	site    *url.URL    // the origin
	base    string      // the base path of Curfew there
	tls     *tls.Config // for https
	client  *http.Client
	cookies []string // name=value, of Curfew's; empty where nobody is signed in
	user    string   // who is signed in, as the directory writes it
}

const (
	replyLimit = 15 * time.Second // for one request and its answer
	maxReply   = 1 << 20          // bytes of an answer that are read
	signOutMax = 10 * time.Second // for the sign-out, which happens also after an interrupt
)

// newVisitor follows the redirects of the site's sign-in page to its origin, which must be of the
// host that was named: neither the password nor the token goes to another one. Where base is nil,
// it looks for Curfew's base path.
func newVisitor(ctx context.Context, site *url.URL, base *string, config *tls.Config) (*visitor, error) {
	v := &visitor{tls: config, client: &http.Client{
		Timeout: replyLimit,
		// Without a proxy of the environment, which would see other requests than the ones below.
		Transport: &http.Transport{TLSClientConfig: config},
	}}
	bases := []string{applicationBase, ""}
	if base != nil {
		bases = []string{*base}
	}
	for _, b := range bases {
		final, err := v.find(ctx, site, b)
		if err != nil {
			return nil, err
		}
		if final != nil {
			v.site, v.base = &url.URL{Scheme: final.Scheme, Host: final.Host}, b
			v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			return v, nil
		}
	}
	return nil, fmt.Errorf("no Curfew answers at %s below %q: --base-path says where it is", site, bases[0]+"/")
}

// find looks for Curfew below a base path. It returns where it was led to, or nil.
func (v *visitor) find(ctx context.Context, site *url.URL, base string) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, site.String()+base+"/healthz", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/html") // so that another loopback name leads to the right one
	response, err := v.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil || response.StatusCode != http.StatusOK || string(text) != "ok\n" {
		return nil, nil
	}
	final := response.Request.URL
	if final.Hostname() != site.Hostname() && !(isLoopback(final.Hostname()) && isLoopback(site.Hostname())) {
		return nil, fmt.Errorf("%s leads to %s://%s: name that URL, if it is yours", site, final.Scheme, final.Host)
	}
	return final, nil
}

// ask sends an ordinary request below the base path. Headers come in pairs.
func (v *visitor) ask(ctx context.Context, method, path string, form url.Values, header ...string) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, v.site.String()+v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", visitorName)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if len(v.cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(v.cookies, "; "))
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := v.client.Do(r)
	if err != nil {
		return nil, err
	}
	return readReply(response)
}

// visitorName is the visitor's User-Agent, by which it is found in logs and on the account page.
const visitorName = "curfew-verify-proxy"

// signIn signs a user in by the sign-in page.
func (v *visitor) signIn(ctx context.Context, user, password string) error {
	got, err := v.ask(ctx, http.MethodPost, "/login", url.Values{"username": {user}, "password": {password}},
		"Origin", v.site.String(), "Sec-Fetch-Mode", "navigate", "Accept", "text/html")
	if err != nil {
		return err
	}
	for _, c := range got.cookies {
		if strings.HasPrefix(c.Name, "__Host-curfew") && c.Value != "" && c.MaxAge >= 0 {
			v.cookies = append(v.cookies, c.Name+"="+c.Value)
		}
	}
	switch {
	case got.status == http.StatusTooManyRequests:
		return fmt.Errorf("sign-ins of %s are throttled: try again in %s seconds", user, got.header.Get("Retry-After"))
	case got.status == http.StatusUnauthorized:
		return fmt.Errorf("the sign-in of %s is refused: the user name or the password is wrong", user)
	case got.status == http.StatusForbidden:
		return fmt.Errorf("the sign-in of %s is refused: by a forced logout, or because the proxy does not pass on "+
			"where it comes from", user)
	case got.status != http.StatusSeeOther || len(v.cookies) == 0:
		return fmt.Errorf("the sign-in of %s is answered with status %d: is %s the public URL?", user, got.status,
			v.site)
	}
	status, err := v.status(ctx)
	v.user = status.User
	return err
}

// sessionStatus is what a page is told of its session, as far as it is needed here.
type sessionStatus struct{ User, CSRF string }

func (v *visitor) status(ctx context.Context) (s sessionStatus, err error) {
	got, err := v.ask(ctx, http.MethodGet, "/session/status", nil)
	if err != nil {
		return s, err
	}
	if got.status != http.StatusOK || json.Unmarshal(got.body, &s) != nil || s.User == "" {
		return s, fmt.Errorf("the session is not known any more: %s/session/status is answered with status %d",
			v.base, got.status)
	}
	return s, nil
}

// signOut ends the visitor's session, if there is one, and also where ctx has ended.
func (v *visitor) signOut(ctx context.Context) error {
	if len(v.cookies) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signOutMax)
	defer cancel()
	s, err := v.status(ctx)
	var got *reply
	if err == nil {
		got, err = v.ask(ctx, http.MethodPost, "/logout", url.Values{"csrf": {s.CSRF}}, "Origin", v.site.String())
	}
	if err == nil && got.status != http.StatusSeeOther {
		err = fmt.Errorf("status %d", got.status)
	}
	if err != nil {
		return fmt.Errorf("the session of this test could not be ended: %w", err)
	}
	v.cookies = nil
	return nil
}

// cookieLine is the visitor's cookies as a line of a header.
func (v *visitor) cookieLine() string { return "Cookie: " + strings.Join(v.cookies, "; ") }

// reply is the answer to a request. It is nil where the server has closed the connection instead.
type reply struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
}

func readReply(response *http.Response) (*reply, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &reply{response.StatusCode, response.Header, response.Cookies(), body}, nil
}

// errUnanswered is the error for a request that was neither answered nor refused.
var errUnanswered = fmt.Errorf("no answer within %s", replyLimit)

// send sends a request as it is, on a connection of its own. Where the server closes that without
// an answer, it has refused the request.
func (v *visitor) send(ctx context.Context, request []byte) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, replyLimit)
	defer cancel()
	conn, err := v.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(request); err != nil && ctx.Err() == nil {
		return nil, nil
	}
	r := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(r, nil)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, errUnanswered
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, nil
		case response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols:
			continue
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			return &reply{status: response.StatusCode, header: response.Header}, nil
		}
		got, err := readReply(response)
		if err != nil {
			return nil, nil
		}
		return got, nil
	}
}

func (v *visitor) dial(ctx context.Context) (net.Conn, error) {
	port := v.site.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[v.site.Scheme]
	}
	address := net.JoinHostPort(v.site.Hostname(), port)
	if v.site.Scheme == "https" {
		return (&tls.Dialer{Config: v.tls}).DialContext(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// get is a GET of a target as it is, with these header lines.
func (v *visitor) get(target string, lines ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", target, v.site.Host, visitorName)
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
