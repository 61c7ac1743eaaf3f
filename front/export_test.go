package front

import "time"

// LateAnswer is how long after the end of its session an answer may still be on its way.
const LateAnswer = lateAnswer

// SetLate shortens that.
func (f *Front) SetLate(d time.Duration) { f.late = d }
