package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	"github.com/coder/websocket"
)

// The application of the benchmark, and the plain reverse proxy that Curfew is compared with.

// smallAnswer is what a script asks for most of the time.
const smallAnswer = `{"id":4711,"name":"Ada Lovelace","department":"Analytical engines","room":"B 3.14",` +
	`"phone":"+44 20 7946 0958","since":"1843-09-05"}`

const smallPage = `<!doctype html><html lang="en"><head><title>Staff</title><link rel="stylesheet" href="/app.css">` +
	`</head><body><h1>Staff</h1><p>Ada Lovelace, Analytical engines, room B 3.14</p></body></html>`

// application answers what any of the benchmarks ask for.
func application() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, smallAnswer)
	})
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, smallPage)
	})
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(&slim{ResponseWriter: w}, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err == nil {
			go func() {
				defer c.CloseNow()
				for {
					if _, _, err := c.Read(context.Background()); err != nil {
						return
					}
				}
			}()
		}
	})
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		left, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
		check(err)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(left, 10))
		for block := make([]byte, 256<<10); left > 0; left -= int64(len(block)) {
			if _, err := w.Write(block[:min(left, int64(len(block)))]); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		check(err)
		io.WriteString(w, strconv.FormatInt(n, 10))
	})
	return mux
}

// plainProxy is a reverse proxy of the standard library, as its documentation has it, that keeps as
// many connections to the application as it needs.
func plainProxy(application string) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: application})
			r.SetXForwarded()
		},
		Transport: transport,
	}
}
