package views

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"curfew/static"
)

// staticFiles serves the browser's files. They may be kept, but are asked for anew each time.
func staticFiles() handler {
	type file struct {
		data       []byte
		etag, kind string
	}
	files := make(map[string]file)
	entries, err := fs.ReadDir(static.Files, ".")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		data, err := static.Files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		files[e.Name()] = file{data, `"` + hex.EncodeToString(sum[:12]) + `"`, mime.TypeByExtension(path.Ext(e.Name()))}
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		f, ok := files[r.PathValue("name")]
		if !ok {
			return errNoPage
		}
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", f.kind)
		h.Set("ETag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		w.Write(f.data)
		return nil
	}
}
