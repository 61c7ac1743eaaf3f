// Package apitest holds answers of the API against its description. It is for tests only, and knows
// the description as clients do: from the JSON that the server serves.
package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Description is the description of the API, and what answers of it a test has seen. Its methods
// may be called concurrently.
type Description struct {
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]bool // "GET /presence 200"
}

// Read reads a description. It fails the test where that is no valid OpenAPI.
func Read(t testing.TB, data []byte) *Description {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatalf("read the description of the API: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatalf("the description of the API: %v", err)
	}
	return &Description{doc: doc, router: router, seen: make(map[string]bool)}
}

// Check fails the test where the answer to a request is not described: its status, its content
// type, one of its headers or its body. A request that was granted must be described too, body and
// parameters; one that was refused need not be. A call that is not described at all must be
// answered as one that does not exist. r is a request whose body has been read: sent is what that
// was.
func (d *Description) Check(t testing.TB, r *http.Request, sent []byte, status int, header http.Header, body []byte) {
	t.Helper()
	ctx := context.Background()
	asked := r.Clone(ctx)
	asked.URL = &url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	if len(sent) > 0 {
		asked.Header.Set("Content-Type", "application/json") // which the server does not insist on
	}
	route, parameters, err := d.router.FindRoute(asked)
	if err != nil {
		if status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not described, and answered by %d: %v", r.Method, r.URL.Path, status, err)
		}
		return
	}
	d.mu.Lock()
	d.seen[name(route.Method, route.Path, strconv.Itoa(status))] = true
	d.mu.Unlock()
	request := &openapi3filter.RequestValidationInput{
		Request:    asked,
		PathParams: parameters,
		Route:      route,
		Options:    &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if status < 400 {
		if err := openapi3filter.ValidateRequest(ctx, request); err != nil {
			t.Errorf("%s %s was granted, and is not described: %v", r.Method, r.URL, err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request,
		Status:                 status,
		Header:                 header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(ctx, answer.SetBodyBytes(body)); err != nil {
		t.Errorf("%s %s: the answer %d is not described: %v", r.Method, r.URL, status, err)
	}
}

// Unseen lists the described answers that no [Description.Check] has seen, as "GET /presence 200".
func (d *Description) Unseen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var unseen []string
	for path, item := range d.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				if n := name(method, path, status); !d.seen[n] {
					unseen = append(unseen, n)
				}
			}
		}
	}
	slices.Sort(unseen)
	return unseen
}

func name(method, path, status string) string { return fmt.Sprintf("%s %s %s", method, path, status) }
