package page

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
)

// flusher is what an encoder has in every coding.
type flusher interface {
	io.WriteCloser
	Flush() error
}

// encoders write codings.
var encoders = map[string]func(io.Writer) flusher{
	"gzip":   func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"x-gzip": func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"zlib":   func(w io.Writer) flusher { return zlib.NewWriter(w) },
	"deflate": func(w io.Writer) flusher {
		f, _ := flate.NewWriter(w, flate.DefaultCompression)
		return f
	},
	"br": func(w io.Writer) flusher { return brotli.NewWriter(w) },
}

// coded returns text in a coding. zlib is what HTTP calls deflate; many call so what is in there.
func coded(coding, text string) []byte {
	var b bytes.Buffer
	w := encoders[coding](&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// nameOf returns how Content-Encoding names a coding of encoders.
func nameOf(coding string) string {
	if coding == "zlib" {
		return "deflate"
	}
	return coding
}

func decoded(b []byte, codings ...string) (string, error) {
	text, err := io.ReadAll(decode(iotest.OneByteReader(bytes.NewReader(b)), codings))
	return string(text), err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Hello, ", 1000)
	for coding := range encoders {
		b := coded(coding, text)
		if got, err := decoded(b, nameOf(coding)); got != text || err != nil {
			t.Errorf("%s: got %.30q and %v", coding, got, err)
		}
		for _, n := range []int{1, 2, 3, len(b) / 2, len(b) - 1} {
			if _, err := decoded(b[:n], nameOf(coding)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: of %d bytes %d are a whole page: %v", coding, len(b), n, err)
			}
		}
		if got, err := decoded(nil, nameOf(coding)); got != "" || err != nil {
			t.Errorf("%s of nothing: got %q and %v", coding, got, err)
		}
		if _, err := decoded([]byte("<!doctype html><p>Hello"), nameOf(coding)); err == nil {
			t.Errorf("%s: what is in no coding is read", coding)
		}
		if got, err := decoded(coded("gzip", string(b)), nameOf(coding), "gzip"); got != text || err != nil {
			t.Errorf("%s and then gzip: got %.30q and %v", coding, got, err)
		}
	}
}

func TestDecodeGzipOfSeveralMembers(t *testing.T) {
	t.Parallel()
	both := slices.Concat(coded("gzip", "one, "), coded("gzip", ""), coded("gzip", "two"))
	for _, tail := range []string{"", "\x00", "\x00\x00\x00", "garbage that follows"} {
		if got, err := decoded(append(slices.Clone(both), tail...), "gzip"); got != "one, two" || err != nil {
			t.Errorf("followed by %q: got %q and %v", tail, got, err)
		}
	}
	for n := len(coded("gzip", "one, ")) + 2; n < len(both)-1; n++ {
		if n == len(both)-len(coded("gzip", "two")) || n == len(both)-len(coded("gzip", "two"))+1 {
			continue // whole members, and a byte that may be anything
		}
		if _, err := decoded(both[:n], "gzip"); err == nil {
			t.Errorf("of %d bytes %d are a whole page", len(both), n)
		}
	}
	damaged := slices.Clone(both)
	damaged[len(damaged)-5] ^= 1 // in the check sum
	if _, err := decoded(damaged, "gzip"); err == nil {
		t.Error("a wrong check sum passes")
	}
}

func TestCodingsOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lines, want []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"identity"}, nil},
		{[]string{"GZip"}, []string{"gzip"}},
		{[]string{" deflate , br"}, []string{"deflate", "br"}},
		{[]string{"gzip", "identity, gzip"}, []string{"gzip", "gzip"}},
	} {
		if got, err := codingsOf(http.Header{"Content-Encoding": c.lines}); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q and %v, want %q", c.lines, got, err, c.want)
		}
	}
	for _, line := range []string{"zstd", "compress", "gzip, zstd", "zstd, gzip", "gzip;q=1", "br, br, br", "none"} {
		if _, err := codingsOf(http.Header{"Content-Encoding": {line}}); !errors.Is(err, errCoding) {
			t.Errorf("%q: got %v", line, err)
		}
	}
}

func TestReadableCodings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want  string
		lines []string
	}{
		{"gzip, deflate, br", []string{"gzip, deflate, br, zstd"}},
		{"gzip, br;q=0.5", []string{"gzip,zstd;q=1, br;q=0.5"}},
		{"GZIP, identity;q=0", []string{"GZIP", "dcb, identity;q=0"}},
		{"identity", []string{"zstd"}},
		{"identity", []string{""}},
		{"br, gzip;q=0.1, deflate;q=0.1, identity;q=0.1", []string{"br, *;q=0.1"}},
		{"gzip, deflate, br, identity", []string{"*"}},
		{"gzip, *;q=0", []string{"gzip, *;q=0"}},
		{"*;q=0.0", []string{"*;q=0.0"}},
	} {
		if got := readableCodings(c.lines); got != c.want {
			t.Errorf("%q: got %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestQuality(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want float64
	}{
		{"", 0},
		{"text/plain", 0},
		{"text/html", 1},
		{"TEXT/HTML ;q=0.5", 0.5},
		{"application/json, text/html;level=1;Q = 0.25, */*", 0.25},
		{"text/html;q=0", 0},
		{"text/html;q=much", 0},
		{"*/*", 0},
		{"x-text/html", 0},
	} {
		if got := quality([]string{c.line}, "text/html"); got != c.want {
			t.Errorf("%q: got %v, want %v", c.line, got, c.want)
		}
	}
}
