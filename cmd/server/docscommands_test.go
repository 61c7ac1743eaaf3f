package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/internal/freeport"
)

// Every command that the documentation has in a block of the language sh is run here, or its block
// says in a comment on the line above why it is not, or which test runs it.

// block is a fenced block with commands.
type block struct {
	page string
	line int
	mark string // the line above the block, if it is a comment
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// blocksOf are the blocks of a document with commands for a shell.
func blocksOf(page string, document []byte) (blocks []block) {
	every := ""
	if found := allRunBy.FindSubmatch(document); found != nil {
		every = "<!-- " + string(found[1])
	}
	var (
		above string
		here  *block // the block that is being read
		other bool   // whether it is a block in another language
	)
	for i, line := range strings.Split(string(document), "\n") {
		trimmed := strings.TrimSpace(line)
		language, fence := strings.CutPrefix(trimmed, "```")
		switch {
		case fence && here != nil:
			blocks = append(blocks, *here)
			here = nil
		case fence && other:
			other = false
		case fence && (language == "sh" || language == "console" || language == "bash" || language == "shell"):
			here = &block{page: page, line: i + 1, mark: every}
			if strings.HasPrefix(above, "<!--") {
				here.mark = above
			}
		case fence:
			other = true
		case here != nil:
			here.text += line + "\n"
		}
		above = trimmed
	}
	return blocks
}

var (
	notRun   = regexp.MustCompile(`^<!-- not run: \S.+ -->$`)
	runBy    = regexp.MustCompile(`^<!-- run by (\S+) in (\S+) -->$`)
	allRunBy = regexp.MustCompile(`(?m)^<!-- all blocks are (run by .+)$`) // for a whole page
)

// isRunHere reports whether the test of this file runs a block. It fails for a mark that says
// neither why not, nor by which test.
func (b block) isRunHere(t *testing.T) bool {
	t.Helper()
	by := runBy.FindStringSubmatch(b.mark)
	switch {
	case by != nil:
		if !strings.Contains(string(fileOf(t, filepath.Join(root, by[2]))), by[1]) {
			t.Errorf("%s: there is no %s in %s", b, by[1], by[2])
		}
		return false
	case strings.HasPrefix(b.mark, "<!-- run") || strings.HasPrefix(b.mark, "<!-- not run"):
		if !notRun.MatchString(b.mark) {
			t.Errorf("%s: %s says neither why the block is not run nor what runs it", b, b.mark)
		}
		return false
	}
	return true
}

// shop is where the commands of a page run: a folder with the files that they read, and programs
// that stand for what would be installed.
type shop struct {
	folder, programs string
	replace          *strings.Replacer // puts addresses of the test for those of the page
}

// stand is what runs instead of curfew. A server would not end: its settings are checked.
const stand = `#!/bin/sh
case "${1-}" in
-* | "") exec %[1]s check-config "$@" ;;
*) exec %[1]s "$@" ;;
esac
`

// standForGo is what runs instead of go, which would build the program first.
const standForGo = `#!/bin/sh
[ "$1 $2" = "run ./cmd/server" ] || { echo "go $*: is not known here" >&2; exit 1; }
shift 2
exec curfew "$@"
`

// newShop has a folder in which the files are that pages name; token is that of an administrator.
func newShop(t *testing.T, token string, replace ...string) *shop {
	t.Helper()
	s := &shop{folder: t.TempDir(), programs: t.TempDir(), replace: strings.NewReplacer(replace...)}
	s.write(t, s.programs, "curfew", fmt.Sprintf(stand, "env CURFEW_TEST_RUN=1 "+os.Args[0]))
	s.write(t, s.programs, "go", standForGo)
	s.write(t, s.folder, ".curlrc", "fail\nsilent\nshow-error\n")
	for _, name := range []string{"robot.token", "admin.token"} {
		s.write(t, s.folder, name, token)
	}
	s.write(t, s.folder, "ldap-password", "secret\n")
	for _, name := range []string{"logs-ca.pem", "directory-ca.pem"} {
		s.write(t, s.folder, name, newCertificate(t))
	}
	return s
}

func (s *shop) write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// run has a shell run text, which must succeed, and returns what it prints.
func (s *shop) run(t *testing.T, what fmt.Stringer, text, server string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", s.replace.Replace(text))
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "HOME="+s.folder, "PATH="+s.programs+":"+os.Getenv("PATH"),
		"CURFEW_SERVER="+server)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", what, err, text, out.String())
	}
	return out.String()
}

// newCertificate is a certificate in PEM.
func newCertificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return pemOf(server)
}

// namedFile is a block that stands for a file, whose name is in a comment above it.
var namedFile = regexp.MustCompile("(?ms)^<!-- file: (\\S+) -->\n```\\w*\n(.*?)^```$")

// files writes the files that a page shows.
func (s *shop) files(t *testing.T, document []byte) {
	t.Helper()
	for _, found := range namedFile.FindAllSubmatch(document, -1) {
		text := strings.ReplaceAll(string(found[2]), "/etc/curfew/", s.folder+"/")
		s.write(t, s.folder, string(found[1]), text)
	}
}

// TestDocsHaveCommandsThatWork runs the commands of every page but the quick start against one
// server.
func TestDocsHaveCommandsThatWork(t *testing.T) {
	t.Parallel()
	a := startAdministered(t)
	a.signIn("grace")
	token := string(fileOf(t, a.secret))
	for _, page := range documents(t) {
		if page == quickStart {
			continue // TestTheQuickStartWorks
		}
		document := fileOf(t, filepath.Join(root, page))
		var blocks []block
		for _, b := range blocksOf(page, document) {
			if b.isRunHere(t) {
				blocks = append(blocks, b)
			}
		}
		if len(blocks) == 0 {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, token, "https://app.example.org/api/", a.url+"/api/", "http://localhost:8080/", a.url+"/")
			s.files(t, document)
			for _, b := range blocks {
				s.run(t, b, b.text, a.url)
			}
		})
	}
}

const quickStart = "docs/quickstart.md"

// TestTheQuickStartWorks does what the page says: each block in turn, with free ports. The server
// that a block starts takes the place of the last one.
func TestTheQuickStartWorks(t *testing.T) {
	t.Parallel()
	application := fmt.Sprintf("127.0.0.1:%d", freeport.Reserve(t))
	_, port, _ := strings.Cut(application, ":")
	s := newShop(t, "")
	var (
		server *process // the last that was started
		said   strings.Builder
	)
	for _, b := range blocksOf(quickStart, fileOf(t, filepath.Join(root, quickStart))) {
		if !b.isRunHere(t) {
			t.Errorf("%s is not run", b)
			continue
		}
		command := strings.Fields(strings.ReplaceAll(b.text, "127.0.0.1:8000", application))
		switch {
		case b.text == "python3 examples/hello/app.py 8000\n":
			startHello(t, filepath.Join(root, command[1]), port)
			server.eventually("the application answers", func() bool {
				c, err := net.Dial("tcp", application)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
		case strings.HasPrefix(b.text, "go run ./cmd/server --") || b.text == "go run ./cmd/server\n":
			if server != nil {
				server.kill()
			}
			for i, word := range command {
				if word == "api-tokens" {
					command[i] = filepath.Join(s.folder, word)
				}
			}
			server = start(t, command[3:]...)
			if slices.Contains(command, "--upstream") {
				server.signInBelow("/.curfew", "grace")
			}
		default:
			s.replace = strings.NewReplacer("http://localhost:8080", server.url)
			said.WriteString(s.run(t, b, b.text, server.url))
		}
	}
	for _, want := range []string{"303 See Other", "/.curfew/login", "grace", "Please call us."} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the quick start prints no %q:\n%s", want, said.String())
		}
	}
}

// startHello runs the application of the quick start.
func startHello(t *testing.T, program, port string) {
	t.Helper()
	cmd := exec.Command("python3", program, port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}
