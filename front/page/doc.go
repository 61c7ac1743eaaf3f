// Package page puts Curfew's script tag into the pages of an application, as they pass. A page is
// streamed and never held as a whole; all bytes but those of the tag stay as they are. The package
// knows answers of any [http.Handler], and neither sessions nor upstreams.
//
//	page.go      what is a page, and its way through its content coding (coding.go) and the injector
//	writer.go    takes what a handler answers to a navigation, and decides whether it is a page
//	inject.go    finds the head of HTML; skip.go goes past what is too long, xhtml.go reads XML
//	charset.go   how the page is written, which its first bytes may tell (prescan.go)
//	csp.go       what the policies of the page must allow for the tag (tag.go)
//	pump.go      runs what reads, injectors and decoders, as a coroutine of who writes
package page
