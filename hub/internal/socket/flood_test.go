package socket

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestFrameCounterCountsInAnyPieces(t *testing.T) {
	var stream []byte
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		for _, masked := range []byte{0, 0x80} {
			switch {
			case length < 126:
				stream = append(stream, 0x81, masked|byte(length))
			case length < 1<<16:
				stream = binary.BigEndian.AppendUint16(append(stream, 0x81, masked|126), uint16(length))
			default:
				stream = binary.BigEndian.AppendUint64(append(stream, 0x81, masked|127), uint64(length))
			}
			if masked != 0 {
				stream = append(stream, 1, 2, 3, 4)
			}
			stream = append(stream, make([]byte, length)...)
		}
	}
	for _, piece := range []int{1, 2, 3, 7, 256, len(stream)} {
		var f frameCounter
		for p := range slices.Chunk(stream, piece) {
			f.take(p)
		}
		if f.complete != 16 || f.part != partFirst {
			t.Errorf("in pieces of %d: %d frames, want 16 (%+v)", piece, f.complete, f)
		}
	}
}
