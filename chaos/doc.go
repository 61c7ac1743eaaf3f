// Package chaos breaks several nodes over one Redis in every way that it knows, while a random crowd signs in, acts and is signed
// out, and checks with a simple model what must never happen. Its tests are behind the build tag chaos: make chaos.
package chaos
