package revocation

import "curfew/session"

// sessionID is the ID of a session that is told apart by its first byte.
func sessionID(n byte) session.ID { return session.ID{n} }
