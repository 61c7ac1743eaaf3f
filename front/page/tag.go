package page

import (
	"fmt"
	"path"
	"strings"
)

// Tag is the script tag that the pages of the application get.
type Tag struct {
	Source   string // path of curfew.js
	Socket   string // path of the WebSocket
	Folder   string // URL of the folder of Source and its modules, with a slash at its end
	Forms    string // CSS selector of forms whose text is kept; empty: none
	Required bool   // only a live session is shown the page
}

// source is how policies name the folder of the tag's script. None can name an address of IPv6.
func (t Tag) source() string {
	if strings.Contains(t.Folder, "[") {
		return "'self'"
	}
	return t.Folder
}

// texts writes the tag for all places. A base element leads relative URLs behind it elsewhere.
func (t Tag) texts(nonce string, xhtml bool) tagText {
	absolute := t
	absolute.Source = t.Folder + path.Base(t.Source)
	return tagText{text: t.element(nonce, xhtml), absolute: absolute.element(nonce, xhtml)}
}

// xhtmlSpace is the namespace of the elements of a page in XML.
const xhtmlSpace = "http://www.w3.org/1999/xhtml"

// element writes the tag, in ASCII that is the same in every charset. In XHTML it is well formed
// and says its namespace, whatever the page has around it.
func (t Tag) element(nonce string, xhtml bool) string {
	var b strings.Builder
	b.WriteString("<script")
	if xhtml {
		writeAttribute(&b, "xmlns", xhtmlSpace)
	}
	writeAttribute(&b, "type", "module")
	if nonce != "" {
		writeAttribute(&b, "nonce", nonce)
	}
	writeAttribute(&b, "src", t.Source)
	writeAttribute(&b, "data-socket", t.Socket)
	if t.Required {
		writeAttribute(&b, "data-required", "")
	}
	if t.Forms != "" {
		writeAttribute(&b, "data-keep", t.Forms)
	}
	b.WriteString("></script>")
	if xhtml {
		t.writeImport(&b, nonce)
	}
	return b.String()
}

// writeImport writes the tag of xhtml.js, which imports the script where a browser runs no modules
// of XML: Chromium (https://crbug.com/717643).
func (t Tag) writeImport(b *strings.Builder, nonce string) {
	b.WriteString("<script")
	writeAttribute(b, "xmlns", xhtmlSpace)
	writeAttribute(b, "defer", "")
	if nonce != "" {
		writeAttribute(b, "nonce", nonce)
	}
	writeAttribute(b, "src", path.Join(path.Dir(t.Source), "xhtml.js"))
	b.WriteString("></script>")
}

func writeAttribute(b *strings.Builder, name, value string) {
	b.WriteString(" " + name + `="`)
	for _, r := range value {
		switch {
		case r < ' ', r > '}', strings.ContainsRune(`"&'<>\`, r): // Shift_JIS has others for \ and ~
			fmt.Fprintf(b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(`"`)
}
