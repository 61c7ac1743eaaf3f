// Package front stands between browsers and an application that Curfew guards: it is the
// application's reverse proxy, and the rules for what the application is asked and what its answers
// may say. It knows a session only as a user and a channel that closes at its end; whether a
// request has one is judged by its caller.
//
// Rules and forwarding are apart. [Front] has the rules, which hold for any [http.Handler]:
//
//	refuse.go       which requests no application gets: methods, upgrades, other sites
//	publicpaths.go  which paths need no session
//	request.go      what the application is asked: headers, cookies, who is signed in (identity.go)
//	answer.go       what an answer may say: cookies (confine.go), redirects (location.go)
//	ending.go       what is still open when the session ends
//
// A page gets the script tag on its way, in the package page.
//
// [Proxy] forwards requests to upstreams and knows no rule:
//
//	proxy.go        forwards, and answers for an application that does not
//	transport.go    on which connection (ownconn.go, sharedconn.go), with which body (upload.go, reply.go)
//	upstream.go     where applications are, and how they are dialled
package front
