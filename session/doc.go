// Package session holds the rules of Curfew: what a session is, when it warns, when and why it
// ends, and what a store must promise so that an ended session never comes back. The rules are pure
// functions of a record and an instant; nothing here runs by itself. Engines that keep records live
// in sub-packages.
package session
