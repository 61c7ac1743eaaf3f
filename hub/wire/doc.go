// Package wire is the protocol between a page and the hub: its messages, close codes and frames.
// The subprotocol curfew.v1 stands on RFC 6455. Each message is a text frame of one JSON object.
// Times are durations in whole milliseconds; no clock time crosses the wire.
//
//	page                                   server
//	  | ------ GET /session/ws ------------> |   Origin, subprotocol and session are checked before the upgrade
//	  | <----- hello ----------------------- |   always first; a standing warning follows
//	  | ------ activity, confirm, --------> |   a person acted, pressed 'Stay signed in',
//	  |        visibility, sync, watch      |   hid or showed the tab; the page wants the truth, or others' presence
//	  | <----- active, warn, tick --------- |   the deadlines moved, a warning stands, are you there
//	  | <----- notice, presence ----------- |   an admin tells something; who is here
//	  | ------ ack -----------------------> |   the page has done what message seq told it
//	  | <----- expire --------------------- |   it is over; the page blanks itself, then acks
//	  | <----- close 4001 ------------------ |
//
// The package encodes messages to a page, once for all tabs that get them, and decodes messages
// from a page. No other package does either. It knows no tab, no live session and no connection,
// takes no lock and starts no goroutine. Sample messages are in testdata, which docs and browser
// tests use, too.
package wire
