package page

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"golang.org/x/text/encoding/htmlindex"
)

// FuzzCodings undoes the codings of any answer, and of pages that were coded by those who know how.
func FuzzCodings(f *testing.F) {
	for _, name := range []string{"gzip", "x-gzip", "deflate", "br", "gzip, br", "identity", "zstd", "gzip,gzip,gzip",
		"", ","} {
		f.Add(name, []byte("<p>page"))
	}
	f.Add("gzip", []byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, name string, page []byte) {
		codings, err := codingsOf(http.Header{"Content-Encoding": {name}})
		if err != nil {
			return
		}
		if len(codings) > maxCodings {
			t.Fatalf("%q is undone in %d steps", name, len(codings))
		}
		io.Copy(io.Discard, io.LimitReader(decode(bytes.NewReader(page), codings), 1<<20)) // whatever it is
		coded := page
		for _, coding := range codings {
			coded = inCoding(t, coding, coded)
		}
		if got, err := io.ReadAll(decode(bytes.NewReader(coded), codings)); err != nil || !bytes.Equal(got, page) {
			t.Errorf("%q of %q is undone as %q, %v", name, page, got, err)
		}
		if len(coded) < 2 || len(codings) == 0 {
			return
		}
		cut := coded[:len(coded)-1]
		if got, err := io.ReadAll(decode(bytes.NewReader(cut), codings)); err == nil && !bytes.Equal(got, page) {
			t.Errorf("%q of %q without its last byte is taken for %q", name, page, got)
		}
	})
}

func inCoding(t *testing.T, coding string, page []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "deflate":
		w = zlib.NewWriter(&b)
		if len(page)%2 == 0 && len(page) > 0 { // as some servers do
			w, _ = flate.NewWriter(&b, flate.DefaultCompression)
		}
	case "br":
		w = brotli.NewWriter(&b)
	default:
		w = gzip.NewWriter(&b)
	}
	w.Write(page)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzAcceptEncoding reduces what a browser takes to what can be read. What is left names nothing
// else, and the same once more.
func FuzzAcceptEncoding(f *testing.F) {
	for _, lines := range []string{
		"gzip, deflate, br, zstd", "*", "*;q=0", "zstd", "", "GZIP;q=0.5", "identity;q=0, *;q=0.3",
		"gzip;q=x", ";;,,", "br;q=0;q=1", "*; ;", "*;q=1, *;q=0", "*;\u00a0;"} {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		kept := readableCodings([]string{lines})
		for item := range strings.SplitSeq(kept, ",") {
			name, weight, _ := strings.Cut(item, ";")
			switch name = strings.ToLower(strings.TrimSpace(name)); {
			case name == "gzip", name == "deflate", name == "br", name == "identity":
			case name == "*" && quality([]string{item}, "*") == 0:
			default:
				t.Errorf("of %q an application is told %q with %q", lines, name, weight)
			}
		}
		if again := readableCodings([]string{kept}); again != kept {
			t.Errorf("%q becomes %q, and that %q", lines, kept, again)
		}
	})
}

// FuzzContentType finds the charset that mime.ParseMediaType finds, where that can read the type,
// and changes nothing else.
func FuzzContentType(f *testing.F) {
	for _, s := range []string{"text/html", "text/html; charset=utf-8", `text/html;charset="utf-8"`,
		"text/html; Charset=gbk; x=y",
		`text/html; a="b;charset=x"; charset=y`, "text/html;charset=a;charset=b", "text/html; charset",
		`a/b; c="\";charset=z"`, "charset;charset=x", ";", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, contentType string) {
		label, rest := charsetParameter(contentType)
		if again, whole := charsetParameter(rest); again != "" || whole != rest {
			t.Errorf("%q has the charset %q and the rest %q", contentType, label, rest)
		}
		if _, parameters, err := mime.ParseMediaType(contentType); err == nil &&
			!strings.EqualFold(parameters["charset"], label) && !strings.Contains(contentType, "*") {
			t.Errorf("%q has the charset %q, and %q as mime reads it", contentType, label, parameters["charset"])
		}
		if name := encodingNamed(label); name != "" {
			if e, err := htmlindex.Get(name); err != nil || e == nil {
				t.Errorf("%q is called %q, which there is not", label, name)
			}
		}
	})
}

// FuzzPrescan looks for the charset of any page. What is found is a charset that there is, further
// bytes change nothing of it, and only the first bytes count.
func FuzzPrescan(f *testing.F) {
	for _, s := range []string{"<meta charset=utf-8>",
		"<meta http-equiv=content-type content='text/html; charset=gbk'>",
		"<?xml encoding='big5'?>", "<\x00?\x00x\x00", "<!-- <meta charset=a> --><meta charset=koi8-r",
		"<meta charset=utf-16>",
		"<a b='<meta charset=gbk>'><meta/charset=\"big5\">"} {
		f.Add([]byte(s), []byte("<meta charset=gbk>"))
	}
	f.Fuzz(func(t *testing.T, page, more []byte) {
		label := prescan(page, false)
		if label == "" {
			label = prescan(page, true)
		} else if got := prescan(append(bytes.Clone(page), more...), false); got != label {
			t.Errorf("%q has the charset %q, and with more behind it %q", page, label, got)
		}
		if label != "" && encodingNamed(label) == "" {
			t.Errorf("%q has the charset %q, which there is not", page, label)
		}
		long := append(bytes.Clone(page), bytes.Repeat([]byte(" "), prescanned)...)
		if got := prescan(append(long, more...), true); got != prescan(long, true) {
			t.Errorf("%q has the charset %q by what stands beyond the first bytes", page, got)
		}
	})
}
