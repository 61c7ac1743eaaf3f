// Package exactjson decodes JSON from outside so that no second reader can understand it otherwise:
// a field's name counts only as it is written, and stands once in its object.
//
// encoding/json takes the last of two equal names, and accepts a name that resembles a field's:
// TYPE for type, ſ for s, the Kelvin sign for k. A proxy, a log or another reader of the same bytes
// may then understand something else.
//
// The package knows no message and no request; it decodes into any struct. It starts no goroutine.
package exactjson
