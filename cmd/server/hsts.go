package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"curfew/views"
)

// hstsConfig is the Strict-Transport-Security of every answer (RFC 6797 §6.1).
type hstsConfig struct {
	header string // as it is sent; empty: Curfew sends none
	maxAge time.Duration
}

// maxHSTS is for how long browsers may be told to ask by https alone, at most: a number beyond it
// is a mistake, and no browser forgets it soon.
const maxHSTS = 10 * 365 * 24 * time.Hour

func (c *hstsConfig) setting() setting {
	return setting{
		name:  "hsts",
		unset: "none",
		meaning: "`Strict-Transport-Security` of every answer, of the application too: has browsers ask for the " +
			"public URL's host by `https` alone, at each of its ports",
		set: func(v value) (err error) {
			*c, err = parseHSTS(v.text)
			return err
		},
	}
}

// parseHSTS reads the value of the header: directives in any order and case, each once, of which
// max-age is there.
func parseHSTS(text string) (c hstsConfig, err error) {
	mistake := errors.New("must be max-age=SECONDS, of ten years at most, with ;includeSubDomains and ;preload " +
		"where they are meant")
	if strings.TrimSpace(text) == "" {
		return hstsConfig{}, nil
	}
	said := make(map[string]string)
	for directive := range strings.SplitSeq(text, ";") {
		name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
		name = strings.ToLower(name)
		if _, twice := said[name]; twice || name != "max-age" && argument != "" {
			return hstsConfig{}, mistake
		}
		said[name] = argument
	}
	seconds, err := strconv.ParseUint(said["max-age"], 10, 32)
	if err != nil || seconds > uint64(maxHSTS.Seconds()) {
		return hstsConfig{}, mistake
	}
	c = hstsConfig{fmt.Sprintf("max-age=%d", seconds), time.Duration(seconds) * time.Second}
	delete(said, "max-age")
	for _, name := range []string{"includeSubDomains", "preload"} {
		if _, ok := said[strings.ToLower(name)]; ok {
			c.header += "; " + name
			delete(said, strings.ToLower(name))
		}
	}
	if len(said) > 0 {
		return hstsConfig{}, mistake
	}
	return c, nil
}

// validateHSTS refuses the header where browsers ignore it, and where it would concern every
// program of a machine.
func (c *config) validateHSTS() []error {
	u := c.http.publicURL
	if c.http.hsts.header == "" || u != nil && u.Scheme == "https" && !views.Loopback(u.Hostname()) {
		return nil
	}
	return []error{fmt.Errorf("hsts %q: needs a public-url of https that is not on loopback", c.http.hsts.header)}
}
