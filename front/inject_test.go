package front

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

const testTag = `<script src=curfew.js></script>`

// injected returns a page with a | for the tag.
func injected(t *testing.T, page string, limit, chunk int) string {
	t.Helper()
	var dst bytes.Buffer
	in := &injector{dst: &dst, chars: asciiCompatible, tag: testTag, limit: limit}
	src := strings.NewReader(page)
	var err error
	if chunk == 1 {
		err = in.run(iotest.OneByteReader(src))
	} else {
		err = in.run(src)
	}
	if err != nil {
		t.Fatalf("inject into %.80q: %v", page, err)
	}
	if _, err := src.WriteTo(&dst); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(dst.String(), testTag, "|")
}

func TestTheTagIsTheFirstElementOfTheHead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 8<<10)
	for _, want := range []string{
		"<!doctype html><html><head>|<title>t</title></head><body>b</body></html>",
		"|",
		"<!doctype html>\n<!-- c -->\n|",
		"|Hello",
		"  \n |Hello",
		"|<title>t</title>",
		"<!doctype html>|<title>t</title>",
		"<!-- <head> --><html lang='<head>'>|<body>",
		"<html><!-- c --> <head a='>' b>|</head>",
		"<HTML><HEAD>|<TITLE>",
		"<head/>|<p>",
		"<html>|</head><body>",
		"</p><html></b>|</html>",
		"|</br>",
		"<?xml version='1.0'?><!DOCTYPE html><html><head>|",
		"<!doctype html></><html>|<header>",
		"<html>|<frameset><frame></frameset>",
		"|<",
		"|<a",
		"|< a",
		"<html|<head",
		"<!--" + long + "--><head>|" + long,
		"<!doctype" + long + "><head>|",
		"<html a='" + long + "'><head a='" + long + "'>|<p>",
		"<html>|<p a='" + long + "'>",
		strings.Repeat(" ", 8<<10) + "|x",
		strings.Repeat(" ", 8<<10) + "<head>|x",
		"<head>|<script>" + long + "<head></script><p>",
	} {
		if strings.HasPrefix(want, "<html|") {
			want = "|<html<head" // one unfinished tag
		}
		page := strings.ReplaceAll(want, "|", "")
		for _, limit := range []int{16, 1024} {
			for _, chunk := range []int{0, 1} {
				if got := injected(t, page, limit, chunk); got != want {
					t.Errorf("limit %d, chunk %d: got %.200q, want %.200q", limit, chunk, got, want)
				}
			}
		}
	}
}
