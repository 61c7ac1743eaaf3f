package main

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"curfew/locale"
	"curfew/views"
)

// siteConfig says how Curfew's own pages present themselves.
type siteConfig struct {
	name      string
	helpURL   string
	languages *locale.Choice // nil: all
}

// maxSiteName is how long the name of a site may be, in bytes.
const maxSiteName = 100

func (c *siteConfig) settings() []setting {
	return []setting{
		{
			name:     "site-name",
			standard: "Curfew",
			meaning:  "what the pages are headed",
			set: func(v value) error {
				name := strings.TrimSpace(v.text)
				if name == "" || len(name) > maxSiteName || strings.ContainsFunc(name, unicode.IsControl) {
					return errors.New("must be a name in one line")
				}
				c.name = name
				return nil
			},
		},
		{
			name:    "help-url",
			meaning: "where the sign-in page says that help is: `https://…`, `http://…`, `mailto:…` or a path",
			set: func(v value) error {
				u, err := url.Parse(v.text)
				isPath := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(v.text, "/")
				if err != nil || !isPath && !slices.Contains([]string{"https", "http", "mailto"}, u.Scheme) {
					return errors.New("must be an address as https://help.example or mailto:help@example.org")
				}
				c.helpURL = v.text
				return nil
			},
		},
		{
			name:    "languages",
			unset:   "all",
			meaning: "those that pages and dialogs speak, of " + strings.Join(locale.Names(), ", "),
			kind:    manyValues,
			choices: locale.Names(),
			set: func(v value) (err error) {
				c.languages, err = locale.NewChoice(v.items()...)
				return err
			},
		},
	}
}

// site is c for the pages of a server. One for testing speaks the language of brackets as well.
func (c *siteConfig) site(isTesting bool) views.Site {
	site := views.Site{Name: c.name, HelpURL: c.helpURL, Languages: c.languages, IsTesting: isTesting}
	if site.Languages == nil {
		site.Languages = locale.All()
	}
	if isTesting {
		site.Languages = site.Languages.WithPseudo()
	}
	return site
}
