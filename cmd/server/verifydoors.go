package main

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// Where a door of forward authentication might be reached from outside: by its own path, at the
// root and below the base path, in spellings that one server reads otherwise than the next.

// doorNames are the paths of doors, and paths by which configurations lead to one.
var doorNames = []string{
	"/session/verify", "/session/verify/", "/session/verify/forward", "/session/verify/path", "/session/verify/path/",
}

// checkNames are what configurations call the place from where they ask.
var checkNames = []string{
	"/-check", "/auth", "/_auth", "/-/auth", "/authz", "/auth-request", "/auth-check", "/auth-verify", "/_verify",
	"/verify", "/check", "/forward-auth", "/oauth2/auth", "/curfew", "/_curfew", "/session",
}

// doorTargets are targets of requests, each once. host is the site's.
func doorTargets(host, base string) (list []string) {
	for _, below := range []string{"", base, base + "/.curfew"} {
		for _, name := range checkNames {
			list = append(list, below+name)
		}
		for _, name := range doorNames {
			list = append(list, spellings(below, name)...)
			list = append(list, "http://"+host+below+name, "http://door.invalid"+below+name)
		}
	}
	for _, name := range doorNames {
		for _, up := range []string{"/..", "/%2e%2e", "/.%2e", "/..%2f..", "/static/../..", "/login/..%2f..", "/..;"} {
			list = append(list, base+up+name)
		}
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return slices.Compact(list)
}

// shownDoors are those of the doors that were reached by which the verdict names them: in their
// plain spelling, or in the first few where no such is among them.
func shownDoors(reached []through, base string) (list []string) {
	for _, got := range reached {
		if slices.Contains(doorNames, strings.TrimPrefix(got.Attempt, base)) ||
			slices.Contains(checkNames, strings.TrimPrefix(got.Attempt, base)) {
			list = append(list, got.Attempt)
		}
	}
	for _, got := range reached[:min(len(reached), shownOfCheck)] {
		if len(list) < shownOfCheck && !slices.Contains(list, got.Attempt) {
			list = append(list, got.Attempt)
		}
	}
	return list
}

// spellings are ways to write a path below another one.
func spellings(below, name string) []string {
	encoded := strings.ReplaceAll(name[1:], "/", "%2f")
	return []string{
		below + name,
		below + name + "?x=1",
		below + name + "/.",
		below + name + "/x/..",
		below + name + ";x",
		below + name + "%20",
		below + name + "%00",
		below + name + "%3f",
		below + name + ".",
		below + "/" + name,
		below + "/." + name,
		below + "/x/.." + name,
		below + "/x/%2e%2e" + name,
		below + "/x/..%2f" + encoded,
		below + "/%2f" + encoded,
		below + "/" + encoded,
		below + "/" + strings.ReplaceAll(encoded, "%2f", "%252f"),
		below + "/" + strings.ReplaceAll(name[1:], "/", "//"),
		below + "/" + strings.ReplaceAll(name[1:], "/", "/./"),
		below + "/" + strings.ReplaceAll(name[1:], "/", `\`),
		below + "/" + strings.ReplaceAll(name[1:], "/", ";x/"),
		below + "/%73" + name[2:],
		below + "/%2573" + name[2:],
		below + strings.ToUpper(name),
		below + "/S" + name[2:],
	}
}

// isDoor reports whether an answer is that of a door: to the session of the request it says by
// headers who that is of.
func isDoor(header http.Header) bool {
	return len(header["Remote-Session"]) > 0 || len(header["Remote-User"]) > 0
}
