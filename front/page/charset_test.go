package page

import (
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

func TestPrescan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, want string }{
		{`<meta charset=windows-1251>`, "windows-1251"},
		{`<!doctype html><html><head><title>t</title><META CharSet = "Shift_JIS" >`, "shift_jis"},
		{`<meta/charset='koi8-r'/>`, "koi8-r"},
		{`<meta http-equiv=Content-Type content="text/html; charset=iso-8859-2">`, "iso-8859-2"},
		{`<meta content='text/html;charset = "gbk"' http-equiv='content-type'>`, "gbk"},
		{`<meta content="text/html; charset=gbk">`, ""},
		{`<meta http-equiv=refresh content="1; charset=gbk"><meta charset=big5>`, "big5"},
		{`<meta http-equiv=content-type content="charset">`, ""},
		{`<meta http-equiv=content-type content="charset charset=euc-kr">`, "euc-kr"},
		{`<meta http-equiv=content-type content="charset='euc-kr">`, ""},
		{`<meta http-equiv=content-type content="charset=klingon" charset=euc-kr>`, "euc-kr"},
		{`<meta charset=klingon http-equiv=content-type content="charset=euc-kr">`, ""},
		{`<meta charset=klingon><meta charset=utf8>`, "utf8"},
		{`<meta charset=a charset=utf-8>`, ""},
		{`<meta charset=utf-16>`, "utf-8"},
		{`<meta charset=x-user-defined>`, "windows-1252"},
		{`<!-- <meta charset=gbk> --><meta charset=big5>`, "big5"},
		{`<!--><meta charset=gbk>`, "gbk"},
		{`<!-- <meta charset=gbk>`, ""},
		{`<p title="<meta charset=gbk>"><meta charset=big5>`, "big5"},
		{`<p title='<meta charset=gbk>`, ""},
		{`</p a="<meta charset=gbk>"><!x <meta charset=gbk>`, ""},
		{`<?x <meta charset=gbk><meta charset=big5>`, "big5"},
		{`< <3 <a><metal charset=gbk><meta charset=big5>`, "big5"},
		{`<meta charset=big5`, ""},
		{`<meta charset="big5`, ""},
		{`<meta charset`, ""},
		{`<meta charset=`, ""},
		{`<meta =charset=big5>`, ""},
		{`<meta `, ""},
		{`<`, ""},
		{``, ""},
		{strings.Repeat(" ", 1024-len(`<meta charset=big5>`)) + `<meta charset=big5>`, "big5"},
		{strings.Repeat(" ", 1025-len(`<meta charset=big5>`)) + `<meta charset=big5>`, ""},
		{`<?xml version="1.0" encoding="iso-8859-5"?><html>`, "iso-8859-5"},
		{`<?xml encoding = 'utf-16' ?><html>`, "utf-8"},
		{`<?xml version="1.0" encoding="klingon"?><html>`, ""},
		{`<?xml version="1.0" encoding=utf-8?><html>`, ""},
		{` <?xml encoding="gbk"?><html>`, ""},
		{`<?xml encoding="gbk"?><meta charset=big5>`, "big5"},
		{"<\x00?\x00x\x00m\x00", "utf-16le"},
		{"\x00<\x00?\x00x\x00m", "utf-16be"},
	} {
		if got := prescan([]byte(c.page), true); got != c.want {
			t.Errorf("%.80q: got %q, want %q", c.page, got, c.want)
		}
		for n := range c.page { // what it finds in a part it finds in the whole
			if got := prescan([]byte(c.page[:n]), false); got != "" && got != c.want {
				t.Errorf("%.80q: got %q, and %q at last", c.page[:n], got, c.want)
			}
		}
	}
}

func TestCharsetParameter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, label, rest string }{
		{"text/html", "", "text/html"},
		{"text/html; charset=utf-8", "utf-8", "text/html"},
		{`text/html;CharSet="Shift_JIS" ; a=b`, "Shift_JIS", "text/html; a=b"},
		{`text/html; a="; charset=x"; charset = gbk`, "gbk", `text/html; a="; charset=x"`},
		{`text/html; charset=a; charset=b`, "a", "text/html"},
		{`text/html; a="\";charset=x`, "", `text/html; a="\";charset=x`},
	} {
		if label, rest := charsetParameter(c.value); label != c.label || rest != c.rest {
			t.Errorf("%s: got %q and %q, want %q and %q", c.value, label, rest, c.label, c.rest)
		}
	}
}

// written are the charsets whose pages are tested, and what writes them.
var written = map[string]encoding.Encoding{
	"utf-8":       encoding.Nop,
	"utf-16le":    unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
	"utf-16be":    unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"shift_jis":   japanese.ShiftJIS,
	"euc-jp":      japanese.EUCJP,
	"iso-2022-jp": japanese.ISO2022JP,
	"gb18030":     simplifiedchinese.GB18030,
}

func TestTheTagIsWrittenInTheCharsetOfThePage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, want string }{
		{"<!doctype html>\n<!-- \u65e5 --><head><title>\u672c <\u8a9e></title><body>\u3042<p>", ""},
		{"<!-- a -->|\u65e5\u672c<head>", ""},
		{"|<title>\u30bd\u8868\u30fc\u30df</title><head>", ""},
		{"<html>|<p title='\u65e5'>", ""},
		{
			"<head><meta content='connect-src x' title='\u65e5' http-equiv=content-security-policy>",
			"<head>|<meta content='connect-src x &#39;self&#39;' title='\u65e5' http-equiv=content-security-policy>",
		},
	} {
		if c.want == "" {
			c.want = c.page
			if !strings.Contains(c.want, "|") {
				c.want = strings.Replace(c.want, "<head>", "<head>|", 1)
			}
		}
		for name, encoding := range written {
			page := encode(t, encoding, strings.ReplaceAll(c.page, "|", ""))
			want := encode(t, encoding, strings.ReplaceAll(c.want, "|", testTag))
			for _, limit := range []int{96, tokenLimit} {
				in := newInjector(nil, limit)
				in.chars = charsetNamed(name)
				if got := through(t, in, iotest.OneByteReader(strings.NewReader(page))); got != want {
					t.Errorf("%s, limit %d: got %q, want %q", name, limit, got, want)
				}
			}
		}
	}
}

func encode(t *testing.T, e encoding.Encoding, s string) string {
	t.Helper()
	b, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWhatIsNoCharacterStays has pages that end within a character, and others that have none.
func TestWhatIsNoCharacterStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ charset, page string }{
		{"utf-16le", "<\x00p\x00>\x00a"},
		{"utf-16be", "\x00<\x00p\x00>\x00"},
		{"utf-16le", "\x00\xd8a\x00\x00\xdc"},
		{"utf-16le", "a"},
		{"iso-2022-jp", "<p>\x1b"},
		{"iso-2022-jp", "<p>\x1b$"},
		{"iso-2022-jp", "\x1b$B<p>\x1b(B<head>"},
		{"iso-2022-jp", "\x1bxyz<head>"},
		{"utf-8", "<p>\xff\xc3"},
	} {
		chars := charsetNamed(c.charset)
		in := newInjector(nil, tokenLimit)
		in.chars = chars
		got := through(t, in, iotest.OneByteReader(strings.NewReader(c.page)))
		if without := strings.Replace(got, string(chars.encode(testTag)), "", 1); without != c.page || got == c.page {
			t.Errorf("%s: %q becomes %q", c.charset, c.page, got)
		}
	}
}

func TestShiftedCharactersAreNoMarkup(t *testing.T) {
	t.Parallel()
	// 0x3c and 0x3e are halves of characters here, and no < and >.
	const page = "<!--\x1b$B-->\x1b(B--><head><title>\x1b$B</title>\x1b(B</title>"
	in := newInjector(nil, tokenLimit)
	in.chars = charsetNamed("iso-2022-jp")
	got := through(t, in, strings.NewReader(page))
	if want := strings.Replace(page, "<head>", "<head>"+testTag, 1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
