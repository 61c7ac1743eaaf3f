// Command caddy is Caddy with the modules that a guarded application needs. Tests run it beside the
// older one of Debian, with what curfew proxy-config prints.
//
// It is a module of its own: what Caddy requires, Curfew does not. Tests build it as
//
//	go build -C internal/caddy -o ../../bin/caddy-2.11 .
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/forwardauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
)

func main() { caddycmd.Main() }
