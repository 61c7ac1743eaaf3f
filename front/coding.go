package front

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
)

// errCoding says that a page comes in a coding that nobody asked for and that cannot be read.
var errCoding = errors.New("the page has an unknown content coding")

// decoders begin to read what comes in a content coding.
var decoders = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    newGzipReader,
	"x-gzip":  newGzipReader,
	"deflate": newDeflateReader,
	"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
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
	begin func(io.Reader) (io.Reader, error)
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

func newGzipReader(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

// newDeflateReader reads zlib's format, as the standard has it, or the bare one that some send in
// its place (RFC 9110 §8.4.1.2).
func newDeflateReader(r io.Reader) (io.Reader, error) {
	b := r.(*bufio.Reader)
	head, err := b.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}

// readableCodings returns what is left of an Accept-Encoding that names only codings which can be
// read.
func readableCodings(lines []string) string {
	var kept []string
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, _, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "deflate", "br", "identity":
			kept = append(kept, strings.TrimSpace(item))
		}
	}
	if len(kept) == 0 {
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
