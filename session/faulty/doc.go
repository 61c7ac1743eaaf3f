// Package faulty wraps a session.Store so that its calls fail, are done although they fail, or take
// long. It serves tests and --testing: whatever depends on a store must come right again after any
// of that.
//
// The package knows the methods of session.Store and no store. [Call] serves wrappers of other
// interfaces. It starts no goroutine: a slow call waits in its caller's.
package faulty
