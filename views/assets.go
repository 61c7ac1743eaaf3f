package views

import (
	"net/http"
	"strconv"
	"strings"

	"curfew/static"
)

// staticFile serves the browser's files as they stand now. They may be kept, but are asked for anew
// each time.
func staticFile(w http.ResponseWriter, r *http.Request) error {
	f, ok := static.Load().Get(r.PathValue("name"))
	if !ok {
		return errNoPage
	}
	serveFile(w, r, f, "no-cache")
	return nil
}

// staticModule serves the files of one version, which never change. Another version is not found,
// even if it is that of another node: a page and a module of two versions must not meet.
func staticModule(w http.ResponseWriter, r *http.Request) error {
	f, ok := static.Load().Module(r.PathValue("version"), r.PathValue("name"))
	if !ok {
		return errNoPage
	}
	serveFile(w, r, f, "public, max-age=31536000, immutable")
	return nil
}

// serveFile answers with f, compressed where the client takes that. Ranges are ignored: the files
// are short (RFC 9110 §14.2).
func serveFile(w http.ResponseWriter, r *http.Request, f static.File, caching string) {
	body, etag := f.Body, `"`+f.Hash+`"`
	zipped := acceptsGzip(r.Header)
	if zipped {
		body, etag = f.Gzip, `"`+f.Hash+`-gzip"`
	}
	h := w.Header()
	h.Set("Cache-Control", caching)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", etag)
	if matches(r.Header, etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.Type)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	if f.SourceMap != "" {
		h.Set("SourceMap", f.SourceMap)
	}
	w.Write(body) // of HEAD the server sends the header only
}

// acceptsGzip says that the client wants gzip at least as much as the file as it is (RFC 9110
// §12.5.3).
func acceptsGzip(h http.Header) bool {
	named, rest, plain := -1.0, -1.0, -1.0
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, parameter, _ := strings.Cut(part, ";")
		quality := qualityOf(parameter)
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			named = max(named, quality)
		case "identity":
			plain = max(plain, quality)
		case "*":
			rest = max(rest, quality)
		}
	}
	if named < 0 {
		named = rest
	}
	return named > 0 && named >= plain
}

// qualityOf reads the weight of a coding: 1 where there is none, 0 where it makes no sense.
func qualityOf(parameter string) float64 {
	name, value, found := strings.Cut(strings.TrimSpace(parameter), "=")
	if !found && name == "" {
		return 1
	}
	quality, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(quality >= 0 && quality <= 1) {
		return 0
	}
	return quality
}

// matches says that the client has the file with that tag (RFC 9110 §13.1.2). Tags are compared
// weakly: a proxy that compresses by itself marks ours as weak.
func matches(h http.Header, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(h.Values("If-None-Match"), ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
