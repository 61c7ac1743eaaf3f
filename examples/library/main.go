// Command library is a program whose own net/http application (application.go) is guarded by Curfew
// in its process. It serves on http://localhost:8080, with the demo directory: sign in as ada with
// the password ada-demo.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"

	"curfew"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	guard, err := curfew.Open(ctx, curfew.Options{
		DataDir:     "data",
		PublicURL:   "http://localhost:8080",
		PublicPaths: []string{"/about"},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8080", Handler: guard.Protect(application())}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	log.Print(server.ListenAndServe())
	log.Print(guard.Close(context.Background()))
}
