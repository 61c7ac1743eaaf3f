// Package static holds the files that browsers load: the client curfew.js with its style sheet, and
// the style of the pages.
package static

import "embed"

// Files are served below /static/.
//
//go:embed curfew.js console.js login.js curfew.css pages.css favicon.svg
var Files embed.FS
