package views

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAFileKeepsThePage(t *testing.T) {
	for _, c := range []struct {
		what        string
		status      int
		disposition string
		kind        string
		keeps       bool
	}{
		{"a page", 200, "", "text/html; charset=utf-8", false},
		{"an XHTML page", 200, "", "application/xhtml+xml", false},
		{"a PDF that is shown", 200, "", "application/pdf", false},
		{"a PDF that is named and shown", 200, `inline; filename="a.pdf"`, "application/pdf", false},
		{"a PDF that is saved", 200, `attachment; filename="a.pdf"`, "application/pdf", true},
		{"a page that is saved", 200, "Attachment", "text/html", true},
		{"a disposition that nobody knows is saved", 200, "download", "text/html", true},
		{"CSV", 200, "", "text/csv; charset=utf-8", true},
		{"JSON that is shown", 200, "", "application/json", false},
		{"JSON that is saved", 200, "attachment", "application/json", true},
		{"a sheet", 200, "", "application/vnd.oasis.opendocument.spreadsheet", true},
		{"bytes", 200, "", "application/octet-stream", true},
		{"what says nothing of itself", 200, "", "", false},
		{"nothing", 204, "", "", true},
		{"part of a file", 206, "attachment", "", true},
		{"elsewhere", 303, "", "", false},
		{"an error instead of a file", 500, "attachment", "text/csv", false},
	} {
		stayed := 0
		recorder := httptest.NewRecorder()
		n := &navigation{ResponseWriter: recorder, stayed: func() {
			if stayed++; recorder.Body.Len() > 0 {
				t.Errorf("%s: known after the first byte only", c.what)
			}
		}}
		if c.disposition != "" {
			n.Header().Set("Content-Disposition", c.disposition)
		}
		if c.kind != "" {
			n.Header().Set("Content-Type", c.kind)
		}
		if c.status != http.StatusOK {
			n.WriteHeader(c.status)
		}
		n.Write([]byte("x"))
		n.Write([]byte("y"))
		if keeps := stayed > 0; keeps != c.keeps || stayed > 1 {
			t.Errorf("%s: keeps the page %v (told %d times), want %v", c.what, keeps, stayed, c.keeps)
		}
	}
}

func TestAFileThatIsCopiedKeepsThePage(t *testing.T) {
	t.Parallel()
	stayed := 0
	recorder := httptest.NewRecorder()
	n := &navigation{ResponseWriter: recorder, stayed: func() {
		if stayed++; recorder.Body.Len() > 0 {
			t.Error("known after the first byte only")
		}
	}}
	n.Header().Set("Content-Type", "application/zip")
	if _, err := n.ReadFrom(strings.NewReader("file")); err != nil || recorder.Body.String() != "file" {
		t.Errorf("copied %q: %v", recorder.Body, err)
	}
	if stayed != 1 {
		t.Errorf("told %d times", stayed)
	}
}
