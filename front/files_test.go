package front_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"curfew/front"
)

// newFile is a file of many zeros, which takes no room.
func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	return path
}

// fileWriter is a server's way for files.
type fileWriter struct {
	*httptest.ResponseRecorder
	sources []io.Reader
}

func (w *fileWriter) ReadFrom(src io.Reader) (int64, error) {
	w.sources = append(w.sources, src)
	return io.Copy(io.Discard, io.LimitReader(src, 1))
}

// TestFilesTakeTheWayOfTheServer is about handlers in this process: the kernel sends a file by
// itself, which is not read into memory before.
func TestFilesTakeTheWayOfTheServer(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	s := newSite(t, nil)
	life, _ := newLife(t)
	session := &front.Session{Life: life, ByTime: func() bool { return false }}
	for _, accept := range []string{"*/*", "text/html"} {
		r := httptest.NewRequest("GET", "/file.bin", nil)
		r.Header.Set("Accept", accept)
		w := &fileWriter{ResponseRecorder: httptest.NewRecorder()}
		s.rules.Serve(w, r, session, http.FileServer(http.Dir(filepath.Dir(path))))
		if w.Code != http.StatusOK || len(w.sources) != 1 {
			t.Fatalf("asked for %s: status %d, %d times copied", accept, w.Code, len(w.sources))
		}
		src := w.sources[0]
		if limited, ok := src.(*io.LimitedReader); ok {
			src = limited.R
		}
		if _, ok := src.(*os.File); !ok {
			t.Errorf("asked for %s: the server gets a %T", accept, src)
		}
	}
}

// TestAFileIsCut has a browser stop reading a file.
func TestAFileIsCut(t *testing.T) {
	t.Parallel()
	files := http.FileServer(http.Dir(filepath.Dir(newFile(t))))
	s := newSite(t, nil, func(o *setup) { o.late = time.Millisecond })
	life, end := newLife(t)
	session := &front.Session{Life: life, ByTime: func() bool { return false }}
	over := make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.rules.Serve(w, r, session, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			files.ServeHTTP(w, r)
			over <- true
		}))
	}))
	defer server.Close()
	response, err := http.Get(server.URL + "/file.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	end()
	within(t, over, "end of the handler")
	if n, err := io.Copy(io.Discard, response.Body); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%d bytes of the file arrive: %v", n, err)
	}
}

// TestAHandlerThatHasReadAFormIsCut has one that does not ask for more once it has what it needs.
func TestAHandlerThatHasReadAFormIsCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, func(o *setup) { o.late = time.Millisecond })
	life, end := newLife(t)
	session := &front.Session{Life: life, ByTime: func() bool { return true }}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.rules.Serve(w, r, session, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, r.ContentLength))
			end()
			select {
			case <-r.Context().Done():
			case <-time.After(patience):
			}
		}))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader("form"))
	if err != nil {
		t.Fatal(err)
	}
	text(t, response)
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s %s", response.Proto, response.Status)
	}
}
