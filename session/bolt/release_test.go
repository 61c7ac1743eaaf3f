package bolt

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"curfew/session"
)

func TestPagesOfTheFileLeaveTheMemoryOfTheProcess(t *testing.T) {
	folder := t.TempDir()
	s, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	r := session.Record{ID: session.NewToken().ID(), User: "ada", Values: make([]byte, 1<<20)}
	s.OnEvent(func(session.Event) {})
	if _, err := s.Create(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	read := func() {
		if got, err := s.Get(t.Context(), r.ID); err != nil || len(got.Values) != len(r.Values) {
			t.Fatalf("%d bytes of values, %v", len(got.Values), err)
		}
	}
	read()
	before := residentOf(t, filepath.Join(folder, "curfew.db"))
	s.commits.close()
	s.writer.Wait() // from here on the test does what commitLoop may do
	s.releasePages()
	if after := residentOf(t, filepath.Join(folder, "curfew.db")); before < 1<<10 || after > before/8 {
		t.Errorf("%d KB of the file were in memory, and %d KB are", before, after)
	}
	read()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// residentOf is how many KB of a mapped file are in the memory of this process.
func residentOf(t *testing.T, file string) (kb int) {
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("the kernel does not tell: ", err)
	}
	_, data, found := bytes.Cut(data, []byte(" "+file+"\n"))
	if !found {
		t.Fatal("the file is not mapped")
	}
	match := regexp.MustCompile(`Rss:\s+(\d+) kB`).FindSubmatch(data)
	kb, err = strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb
}
