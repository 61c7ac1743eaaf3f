package views

import (
	"io"
	"mime"
	"net/http"
	"strings"
)

// isNavigation says that the answer will be shown as a page.
func isNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// wantsJSON says that a script asks, which understands JSON.
func wantsJSON(r *http.Request) bool {
	return !isNavigation(r) && strings.Contains(r.Header.Get("Accept"), "application/json")
}

// isTopLevel says that a tab goes to a page of the session now.
func isTopLevel(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return isNavigation(r) && (dest == "" || dest == "document") && !isPrefetch(r)
}

func isPrefetch(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Sec-Purpose")+r.Header.Get("Purpose"), "prefetch")
}

// byPerson says that a person started the navigation (Fetch Metadata §2.4). WebKit sends no such
// header.
func byPerson(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-User") == "?1" && !isPrefetch(r)
}

// navigation is the answer to a navigation. Until it is known, the navigation counts as one that
// takes its tab to another page; what turns out to be a file takes nobody away from where they are.
// See [hub.Hub.Navigated].
type navigation struct {
	http.ResponseWriter
	stayed func() // called once, before a file's first byte is sent
	known  bool
}

func (n *navigation) WriteHeader(status int) {
	if !n.known && status >= 200 {
		n.known = true
		if keepsPage(status, n.Header()) {
			n.stayed()
		}
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *navigation) Write(p []byte) (int, error) {
	if !n.known {
		n.WriteHeader(http.StatusOK)
	}
	return n.ResponseWriter.Write(p)
}

// ReadFrom has files take the ways that the server has for them.
func (n *navigation) ReadFrom(src io.Reader) (int64, error) {
	if !n.known {
		n.WriteHeader(http.StatusOK)
	}
	return io.Copy(n.ResponseWriter, src)
}

func (n *navigation) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// keepsPage says that a browser that navigates stays on its page, given this answer: there is
// nothing to show, or it is saved as a file.
func keepsPage(status int, header http.Header) bool {
	if status == http.StatusNoContent || status == http.StatusResetContent {
		return true
	}
	if status >= 300 {
		return false // another page, or an error
	}
	disposition, _, _ := strings.Cut(header.Get("Content-Disposition"), ";")
	if disposition != "" && !strings.EqualFold(strings.TrimSpace(disposition), "inline") {
		return true
	}
	text := header.Get("Content-Type")
	if text == "" {
		return false // the browser looks into it
	}
	kind, _, err := mime.ParseMediaType(text)
	return err == nil && !shows(kind)
}

// shows says that browsers show this type of content, and save none of it.
func shows(kind string) bool {
	major, minor, _ := strings.Cut(kind, "/")
	switch major {
	case "text":
		return minor != "csv" && minor != "calendar" && minor != "vcard" && minor != "tab-separated-values"
	case "image", "audio", "video", "multipart":
		return true
	case "application":
		switch minor {
		case "json", "xml", "pdf", "javascript", "ecmascript":
			return true
		}
		return strings.HasSuffix(minor, "+json") || strings.HasSuffix(minor, "+xml")
	}
	return false
}
