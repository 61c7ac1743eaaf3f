// Package chaos breaks several nodes over one Redis in every way that it knows, while a random
// crowd signs in, acts and is signed out, and checks with a simple model what must never happen.
// Its tests are behind the build tag chaos: make chaos. They run in real time, and sleep on
// purpose: that is how long a fault lasts, and how long a deadline is waited for.
package chaos
