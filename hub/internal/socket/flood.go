package socket

import "time"

// MaxFrames is how many frames of any kind a tab may send within a second. Acks of messages of the
// server do not count.
const MaxFrames = 100

// frameCounter counts the frames that go by in a stream of bytes (RFC 6455 §5.2). It looks at their
// headers only.
type frameCounter struct {
	complete int32  // frames that have gone by completely, and that flood has not counted yet
	part     part   // what comes next
	masked   bool   // whether the frame that goes by is masked
	more     uint8  // how many bytes of its length are still to come
	rest     uint64 // how many bytes of masking key and payload are still to come, or the known part of the length
}

// part is a part of a frame.
type part uint8

const (
	partFirst  part = iota // FIN and opcode
	partSecond             // MASK and the short length
	partLength             // the long length
	partRest               // masking key and payload
)

// take counts frames in the next bytes.
func (f *frameCounter) take(p []byte) {
	for len(p) > 0 {
		switch f.part {
		case partFirst:
			f.part, p = partSecond, p[1:]
		case partSecond:
			f.second(p[0])
			p = p[1:]
		case partLength:
			f.rest, p = f.rest<<8|uint64(p[0]), p[1:]
			if f.more--; f.more == 0 {
				f.begin()
			}
		case partRest:
			n := min(f.rest, uint64(len(p)))
			p = p[n:]
			if f.rest -= n; f.rest == 0 {
				f.end()
			}
		}
	}
}

func (f *frameCounter) second(b byte) {
	f.masked = b&0x80 != 0
	switch length := b & 0x7f; length {
	case 126:
		f.part, f.more, f.rest = partLength, 2, 0
	case 127:
		f.part, f.more, f.rest = partLength, 8, 0
	default:
		f.rest = uint64(length)
		f.begin()
	}
}

// begin begins the part that follows the header.
func (f *frameCounter) begin() {
	f.part = partRest
	if f.masked {
		f.rest += 4
	}
	if f.rest == 0 {
		f.end()
	}
}

func (f *frameCounter) end() {
	f.part = partFirst
	f.complete++
}

// forgive takes back the frame that went by last.
func (f *frameCounter) forgive() {
	if f.complete > 0 {
		f.complete--
	}
}

// flood keeps the times of a tab's frames within the last second, MaxFrames at most. A page that
// behaves has sent one or two.
type flood struct {
	times []time.Time // a ring once it is full
	next  uint8       // index of the oldest in a full ring
}

// over notes n more frames and reports whether there are more than MaxFrames within a second.
func (f *flood) over(at time.Time, n int32) bool {
	if len(f.times) > 0 && at.Sub(f.newest()) >= time.Second {
		f.times, f.next = f.times[:0], 0
		if cap(f.times) > 4 {
			f.times = nil
		}
	}
	for range n {
		if len(f.times) < MaxFrames {
			f.times = append(f.times, at)
			continue
		}
		if at.Sub(f.times[f.next]) < time.Second {
			return true
		}
		f.times[f.next] = at
		f.next = (f.next + 1) % MaxFrames
	}
	return false
}

func (f *flood) newest() time.Time {
	if len(f.times) < MaxFrames {
		return f.times[len(f.times)-1]
	}
	return f.times[(f.next+MaxFrames-1)%MaxFrames]
}
