package main

import (
	"fmt"
	"html/template"
	"net/http"
	"time"

	"curfew/views"
)

var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><title>Notes</title></head><body>
<h1>Hello, {{.User}}</h1>
<form method="post" action="/note"><label>Note <input name="note"></label><button>Save</button></form>
<p>The time: <a href="/clock">as a stream of events</a></p>
</body></html>
`))

// application is one that was there before: it knows of Curfew only how to ask for the user.
func application() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		user, _ := views.UserFrom(r.Context())
		page.Execute(w, user)
	})
	mux.HandleFunc("POST /note", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "saved:", r.FormValue("note"))
	})
	mux.HandleFunc("GET /clock", clock)
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "Anybody may read this.")
	})
	return mux
}

// clock sends the time each second, until the browser goes or the session ends.
func clock(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		fmt.Fprintf(w, "data: %s\n\n", time.Now().Format(time.TimeOnly))
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
