package front

import (
	"net/http"
	"slices"
	"strings"
)

// Refusal is why no application gets a request.
type Refusal int

// Reasons of a refusal.
const (
	NotRefused Refusal = iota
	BadMethod          // CONNECT or TRACE: 405
	CrossSite          // an unsafe request, or a WebSocket's handshake, of another site: 403
)

// Refuse reports why an application does not get a request, whoever sends it. Its caller asks
// before it judges the session. An application's own tokens against cross-site requests remain its
// business.
func (f *Front) Refuse(r *http.Request) Refusal {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace:
		return BadMethod
	}
	if f.IsPublic(r) || f.isPreflight(r) {
		return NotRefused
	}
	if (!isSafe(r.Method) || IsHandshake(r)) && !f.isSameSite(r) {
		return CrossSite
	}
	return NotRefused
}

// isSafe reports whether a method changes nothing (RFC 9110 §9.2.1).
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// IsHandshake reports whether a request opens a WebSocket (RFC 6455 §4.1).
func IsHandshake(r *http.Request) bool {
	return strings.EqualFold(strings.TrimSpace(r.Header.Get("Upgrade")), "websocket")
}

// isSameSite reports whether a page of the public URL, of an allowed origin, or no page sent a
// request.
func (f *Front) isSameSite(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 1 && slices.Contains(f.o.Origins, origins[0]) {
		return true
	}
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
	}
	return len(origins) == 0 || len(origins) == 1 && origins[0] == f.origin
}

// isPreflight reports whether a browser asks, on behalf of a page of an allowed origin, what that
// page may send (Fetch Standard, "CORS-preflight fetch"). Such a request has no cookie. It opens no
// WebSocket, either: some applications do not look at the method of a handshake.
func (f *Front) isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" && !IsHandshake(r) &&
		len(r.Header.Values("Origin")) == 1 && slices.Contains(f.o.Origins, r.Header.Get("Origin"))
}

// NeedsNoSession reports whether a request passes without a session: one of a public path, and a
// preflight of an allowed origin.
func (f *Front) NeedsNoSession(r *http.Request) bool { return f.IsPublic(r) || f.isPreflight(r) }

// IsPublic reports whether the path of a request is public.
func (f *Front) IsPublic(r *http.Request) bool { return f.o.PublicPaths.Has(r) }
