//go:build !linux

package bolt

// release does nothing: elsewhere the advice may mean something else.
func release(data, size uintptr) {}
