package main

import (
	"os"
	"strings"
	"testing"
)

func TestMistakesInUpstreamsAreToldTogether(t *testing.T) {
	_, err := loadFile(t, `
upstreams:
  - {path: /a, url: http://one.example}
  - {path: /a, url: http://two.example}
  - {path: b, url: ftp://user:secret@three.example, extra: x}
  - {path: /.curfew/x, url: http://four.example}
  - {url: [http://five.example]}
  - /six
`)
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		`upstreams, entry 2: path "/a": is the one of entry 1 as well`,
		`upstreams, entry 3: path "b": must begin with /`,
		`upstreams, entry 3: url "ftp://…@three.example": must be http://HOST:PORT`,
		`upstreams, entry 3: there is no setting "extra" of an upstream`,
		`upstreams: path "/.curfew/x" is Curfew's own`,
		`upstreams, entry 5: url "http://five.example": must be one value, not a list`,
		`upstreams, entry 5: path "": must begin with /`,
		`upstreams, entry 6: must have path and url`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("told\n%v\nwithout %s", err, want)
		}
	}
	for text, want := range map[string]string{
		"upstream: http://a\nupstreams: [{path: /, url: 'http://b'}]": "is the one of upstream as well",
		"upstreams: x": "upstreams: must be a list of entries",
		"upstreams: [{path: /a, url: 'http://b'}]\nbase-path: /":                        "base-path",
		"upstreams: [{path: /a, url: 'http://b'}]\nupstream-ca-file: " + os.DevNull:     "upstream-ca-file",
		"upstreams: [{path: /a, url: 'http://b'}]\nbase-path: /c\npublic-paths: [/a;b]": "public-paths",
	} {
		if _, err := loadFile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis told %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"upstream: a", "upstreams: [{path: /a, url: b}]"} {
		_, err := loadFile(t, text+"\npublic-paths: [/c]\napp-cookies: [d]\nupstream-timeout: 1s")
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "http://HOST:PORT") {
			t.Errorf("%s\nis told %v, want one mistake", text, err)
		}
	}
	_, err = loadFile(t, "upstream: a\npublic-paths: [b]\nbase-path: /\nhome: /")
	for _, want := range []string{"upstream \"a\": must", "public-paths: ", "base-path \"/\": must"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "home") {
			t.Errorf("with a wrong upstream told\n%v, want %s", err, want)
		}
	}
	c, err := loadFile(t, "upstream: http://a\nupstreams: [{path: /b, url: 'unix:/c'}]\npublic-paths: [/b/*]")
	if err != nil || !c.hasApplication() || c.http.basePath != "/.curfew" || c.application.home != "/" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCurfewIsNoApplicationOfItsOwn(t *testing.T) {
	for _, tt := range []struct{ listen, upstream, want string }{
		{"127.0.0.1:8080", "http://127.0.0.1:8080", "is the one of listen"},
		{"127.0.0.1:8080", "http://localhost:8080", "is the one of listen"},
		{"localhost:80", "http://127.0.0.1", "is the one of listen"},
		{"[::]:8080", "http://localhost:8080", "is the one of listen"},
		{":8080", "http://[::1]:8080", "is the one of listen"},
		{"127.0.0.1:8080", "http://127.0.0.2:8080", ""},
		{"127.0.0.1:8080", "http://[::1]:8080", ""},
		{":8080", "http://app.example:8080", ""},
		{"127.0.0.1:0", "http://localhost:8080", ""},
		{"127.0.0.1:8080", "unix:/run/app.sock", ""},
	} {
		_, err := load([]string{"--ldap-url", "ldaps://ldap.example", "--ldap-base-dn", "dc=example",
			"--listen", tt.listen, "--upstream", tt.upstream}, nil)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s in front of %s: told %v, want %q", tt.listen, tt.upstream, err, tt.want)
		}
	}
	for _, name := range []string{"verify-listen", "admin-listen", "metrics-listen"} {
		_, err := load([]string{"--admin-url", "http://localhost:1", "--" + name, "127.0.0.1:9", "--upstream",
			"http://127.0.0.1:9"}, nil)
		if err == nil || !strings.Contains(err.Error(), "is the one of "+name) {
			t.Errorf("%s: told %v", name, err)
		}
	}
}

func TestFormsThatAreKeptAreASetting(t *testing.T) {
	const selector = `form[name="a, b"], .c`
	env := []string{"CURFEW_KEEP_FORMS=" + selector}
	for name, load := range map[string]func() (*config, error){
		"flag": func() (*config, error) {
			return load([]string{"--upstream=http://a", "--keep-forms", selector}, nil)
		},
		"environment": func() (*config, error) { return load([]string{"--upstream=http://a"}, env) },
		"file": func() (*config, error) {
			return loadFile(t, "keep-forms: '"+selector+"'\nupstreams: [{path: /, url: 'http://a'}]")
		},
		"doors": func() (*config, error) { return load([]string{"--verify-listen=127.0.0.1:1"}, env) },
	} {
		if c, err := load(); err != nil || c.application.keepForms != selector {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	const k = "--keep-forms="
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no application", "keep-forms: needs upstream or verify-listen", []string{k + "form"}},
		{"no text", `keep-forms "form\x00": must be a CSS selector`, []string{"--upstream=http://a", k + "form\x00"}},
		{"a blank", `keep-forms " ": must be a CSS selector`, []string{"--upstream=http://a", k + " "}},
	} {
		status, _, errs := curfew(t, append([]string{"check-config"}, tt.args...)...)
		if status != exitMistake || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: status %d, told %q, want %s", tt.name, status, errs, tt.want)
		}
	}
	// Beside a wrong address it is no second mistake.
	if _, err := load([]string{"--upstream=a", "--keep-forms=form"}, nil); err == nil ||
		strings.Contains(err.Error(), "keep-forms") {
		t.Errorf("with a wrong upstream told %v", err)
	}
}
