package hub_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"curfew/hub"
	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

// A server lets a page's tab in under the session that its cookie names. Here a page of hubtest
// opens a tab, and the user signs out elsewhere.
func Example() {
	folder, err := os.MkdirTemp("", "curfew-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := bolt.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	policy := session.Profiles()[0].Policy
	h, err := hub.New(context.Background(), hub.Options{
		Store:    store,
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: policy},
		Origins:  []string{"https://app.example"},
		SignIn:   "/login",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Shutdown(context.Background())

	// A sign-in: the browser keeps the token as its cookie, the hub the record under its ID.
	token, now := session.NewToken(), session.Millis(time.Now())
	ada := session.Record{
		ID:           token.ID(),
		User:         "ada",
		Policy:       policy,
		CreatedAt:    now,
		LastActiveAt: now,
	}
	if err := h.Create(context.Background(), ada); err != nil {
		log.Fatal(err)
	}

	listener := hubtest.Listen() // in earnest, a port
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil {
			http.Error(w, "no session", http.StatusUnauthorized)
			return
		}
		token, err := session.ParseToken(cookie.Value)
		if err == nil {
			err = h.Accept(w, r, token.ID(), r.RemoteAddr)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})}
	go server.Serve(listener)
	defer server.Close()

	page, _, err := hubtest.Dial(context.Background(), hubtest.Options{
		URL:    "ws://app.example/session/ws",
		Client: listener.Client(),
		Header: http.Header{"Origin": {"https://app.example"}, "Cookie": {"session=" + token.Text()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer page.Break()
	fmt.Println("the page of", page.Next(wire.KindHello)["user"], "is open")

	if _, err := h.End(context.Background(), ada.ID,
		session.End{Reason: session.ReasonLogout, At: time.Now()}); err != nil {
		log.Fatal(err)
	}
	told := page.EndsWithin(time.Second, session.ReasonLogout)
	fmt.Println(told["message"], "Sign in at", told["location"])
	// Output:
	// the page of ada is open
	// You have signed out. Sign in at /login
}
