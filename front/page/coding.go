package page

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/andybalholm/brotli"
)

// errCoding says that a page comes in a coding that nobody asked for and that cannot be read.
var errCoding = errors.New("the page has an unknown content coding")

// decoders begin to read what comes in a content coding.
var decoders = map[string]func(*bufio.Reader) (io.Reader, error){
	"gzip":    newGzipReader,
	"x-gzip":  newGzipReader,
	"deflate": newDeflateReader,
	"br":      newBrotliReader,
}

// maxCodings is how many codings of one page are undone.
const maxCodings = 2

// codingsOf returns the codings of an answer, in the order in which they were applied. It fails
// with errCoding where one of them is unknown.
func codingsOf(h http.Header) (codings []string, err error) {
	for name := range strings.SplitSeq(strings.Join(h["Content-Encoding"], ","), ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "" || name == "identity":
		case decoders[name] == nil || len(codings) == maxCodings:
			return nil, fmt.Errorf("%w: %q", errCoding, h["Content-Encoding"])
		default:
			codings = append(codings, name)
		}
	}
	return codings, nil
}

// decode undoes codings. It reads nothing yet.
func decode(r io.Reader, codings []string) io.Reader {
	for i := len(codings) - 1; i >= 0; i-- {
		r = &decoder{src: bufio.NewReader(r), begin: decoders[codings[i]]}
	}
	return r
}

// decoder begins with the first byte that comes. Where none comes, there is nothing to decode.
type decoder struct {
	src   *bufio.Reader
	begin func(*bufio.Reader) (io.Reader, error)
	r     io.Reader
}

func (d *decoder) Read(p []byte) (int, error) {
	if d.r == nil {
		if _, err := d.src.Peek(1); err != nil {
			return 0, err
		}
		r, err := d.begin(d.src)
		if err != nil {
			return 0, unexpected(err)
		}
		d.r = r
	}
	return d.r.Read(p)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// gzipMembers reads all members of a gzip stream as one (RFC 1952 §2.2). What follows the last and
// is none is left alone, as browsers do.
type gzipMembers struct {
	src *bufio.Reader
	z   *gzip.Reader
}

func newGzipReader(r *bufio.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipMembers{src: r, z: z}, nil
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil // its end is told again
		}
		if magic, _ := g.src.Peek(2); string(magic) != "\x1f\x8b" {
			return 0, io.EOF
		}
		if err := g.z.Reset(g.src); err != nil {
			return 0, unexpected(err)
		}
		g.z.Multistream(false)
	}
}

// newDeflateReader reads zlib's format, as the standard has it, or the bare one that some send in
// its place (RFC 9110 §8.4.1.2).
func newDeflateReader(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

func newBrotliReader(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }

// readable are the codings that an application may choose from for a page.
var readable = []string{"gzip", "deflate", "br", "identity"}

// readableCodings returns what is left of an Accept-Encoding once it names only codings that can be
// read.
func readableCodings(lines []string) string {
	var kept, named []string
	rest, restWeight := "", ""
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		item = strings.TrimSpace(item)
		name, weight, _ := strings.Cut(item, ";")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case slices.Contains(readable, name):
			kept, named = append(kept, item), append(named, name)
		case name == "*":
			rest, restWeight = item, weight
		}
	}
	switch {
	case rest != "" && quality([]string{rest}, "*") == 0:
		kept = append(kept, rest)
	case rest != "":
		for _, name := range readable {
			if !slices.Contains(named, name) {
				kept = append(kept, strings.TrimRightFunc(name+";"+restWeight, func(c rune) bool {
					return c == ';' || unicode.IsSpace(c)
				}))
			}
		}
	case len(kept) == 0:
		return "identity"
	}
	return strings.Join(kept, ", ")
}

// quality returns the weight that the lines of an Accept header give a value, 0 where they do not
// name it (RFC 9110 §12.4.2).
func quality(lines []string, value string) float64 {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameters, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(name), value) {
			continue
		}
		for parameter := range strings.SplitSeq(parameters, ";") {
			key, weight, _ := strings.Cut(parameter, "=")
			if strings.EqualFold(strings.TrimSpace(key), "q") {
				q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
				if err != nil {
					return 0
				}
				return q
			}
		}
		return 1
	}
	return 0
}
