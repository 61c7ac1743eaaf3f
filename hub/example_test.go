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
	ctx := context.Background()
	h, closeHub := newHub(ctx)
	defer closeHub()

	// A sign-in: the browser keeps the token as its cookie, the hub the record under its ID.
	token, now := session.NewToken(), session.Millis(time.Now())
	ada := session.Record{
		ID:           token.ID(),
		User:         "ada",
		Policy:       h.Policies().Global,
		CreatedAt:    now,
		LastActiveAt: now,
	}
	if err := h.Create(ctx, ada); err != nil {
		log.Fatal(err)
	}

	// The handler of the socket.
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil {
			http.Error(w, "no session", http.StatusUnauthorized)
			return
		}
		token, err := session.ParseToken(cookie.Value)
		if err == nil {
			err = h.Accept(w, r, token.ID(), hub.Endpoint{Origin: "https://app.example", Peer: r.RemoteAddr})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})}
	listener := hubtest.Listen() // in earnest, a port
	go server.Serve(listener)
	defer server.Close()

	page := openPage(ctx, listener, token)
	defer page.Break()
	fmt.Println("the page of", page.Next(wire.KindHello)["user"], "is open")

	if _, err := h.End(ctx, ada.ID, session.End{Reason: session.ReasonLogout, At: time.Now()}); err != nil {
		log.Fatal(err)
	}
	told := page.EndsWithin(time.Second, session.ReasonLogout)
	fmt.Println(told["message"], "Sign in at", told["location"])
	// Output:
	// the page of ada is open
	// You have signed out. Sign in at /login
}

// newHub starts a hub over an embedded store in a folder of its own.
func newHub(ctx context.Context) (h *hub.Hub, stop func()) {
	folder, err := os.MkdirTemp("", "curfew-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	h, err = hub.New(ctx, hub.Options{
		Store:    store,
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: session.Profiles()[0].Policy},
		SignIn:   "/login",
	})
	if err != nil {
		log.Fatal(err)
	}
	return h, func() {
		h.Shutdown(ctx)
		store.Close()
		os.RemoveAll(folder)
	}
}

// openPage opens a page as the browser does that has the token as its cookie.
func openPage(ctx context.Context, listener *hubtest.Listener, token session.Token) *hubtest.Page {
	page, _, err := hubtest.Dial(ctx, hubtest.Options{
		URL:    "ws://app.example/session/ws",
		Client: listener.Client(),
		Header: http.Header{"Origin": {"https://app.example"}, "Cookie": {"session=" + token.Text()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return page
}
