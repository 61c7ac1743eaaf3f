package views_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"

	"curfew"
	"curfew/views"
)

// A handler of one's own answers people who are signed in, and knows who they are.
func ExampleServer_Require() {
	folder, err := os.MkdirTemp("", "curfew-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	guard, err := curfew.Open(context.Background(), curfew.Options{ // with the demo directory
		DataDir:   folder,
		PublicURL: "http://localhost:8080",
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer guard.Close(context.Background())

	site := http.NewServeMux()
	site.Handle("/.curfew/", guard.Routes())
	site.Handle("/hello", guard.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := views.UserFrom(r.Context())
		fmt.Fprintf(w, "Hello, %s (%s)!", user.Name, user.User)
	})))

	ask := func(r *http.Request, cookies ...*http.Cookie) *http.Response {
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return w.Result()
	}
	fmt.Println(ask(httptest.NewRequest("GET", "http://localhost:8080/hello", nil)).Status)

	form := url.Values{"username": {"grace"}, "password": {"grace-demo"}}.Encode()
	signIn := httptest.NewRequest("POST", "http://localhost:8080/.curfew/login", strings.NewReader(form))
	signIn.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := ask(httptest.NewRequest("GET", "http://localhost:8080/hello", nil), ask(signIn).Cookies()...)
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.Status, string(body))
	// Output:
	// 401 Unauthorized
	// 200 OK Hello, Grace Hopper (grace)!
}
