package page

import (
	"errors"
	"io"
	"iter"
)

// errStopped is what a read of a pump gives once the pump is stopped.
var errStopped = errors.New("the answer was broken off")

// pump is a writer into a function that reads. Write returns as soon as the function has taken the
// bytes, done with them what it can, and asks for more: whatever it writes in turn has been written
// by then. The function is a coroutine of whoever writes, so that the two never run at once and
// share what they like.
//
// Calls must not overlap. Whoever makes a pump stops it.
type pump struct {
	resume func() (struct{}, bool)
	stop   func() // ends the function; its reads fail with errStopped

	chunk  []byte // written and not yet read
	closed bool   // nothing more will be written
	done   bool   // the function has returned
	err    error  // what it returned
}

// newPump makes a pump into run, which begins with the first write. Where run returns before the
// end of its source, what it has not read stays in chunk.
func newPump(run func(src io.Reader) error) *pump {
	p := &pump{}
	p.resume, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.err = run(pumpSource{p: p, wait: yield})
	})
	return p
}

func (p *pump) Write(b []byte) (int, error) {
	p.chunk = b
	p.run()
	return len(b), p.err
}

// Close tells the function that nothing more comes, and lets it finish.
func (p *pump) Close() error {
	p.closed = true
	p.run()
	return p.err
}

func (p *pump) run() {
	if p.done {
		return
	}
	_, waits := p.resume()
	p.done = !waits
}

// pumpSource is what the function of a pump reads from.
type pumpSource struct {
	p    *pump
	wait func(struct{}) bool
}

func (s pumpSource) Read(b []byte) (int, error) {
	for len(s.p.chunk) == 0 && len(b) > 0 {
		if s.p.closed {
			return 0, io.EOF
		}
		if !s.wait(struct{}{}) {
			return 0, errStopped
		}
	}
	n := copy(b, s.p.chunk)
	s.p.chunk = s.p.chunk[n:]
	return n, nil
}
