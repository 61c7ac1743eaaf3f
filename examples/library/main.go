// Command library is a program whose own net/http application (application.go) is guarded by Curfew
// in its process. It serves on http://localhost:8080, with the demo directory: sign in as ada with
// the password ada-demo.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"curfew"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() { stopped <- server.Shutdown(context.Background()) })
	log.Print(server.ListenAndServe())
	stop() // if it could not listen; a second signal ends the program at once
	log.Print("stopped: ", errors.Join(guard.Close(context.Background()), <-stopped))
}
