package wire

import "encoding/json"

// Frame encodes one of the messages of the server as an unmasked text frame (RFC 6455 §5.2).
func Frame(message any) []byte {
	body, err := json.Marshal(message)
	if err != nil {
		panic(err) // the types above always encode
	}
	return appendFrame(make([]byte, 0, len(body)+4), OpText, body)
}

// Opcodes of frames (RFC 6455 §5.2).
const (
	OpText  = 1
	OpClose = 8
	OpPing  = 9
)

// PingFrame is an empty ping (RFC 6455 §5.5.2).
var PingFrame = appendFrame(nil, OpPing, nil)

func appendFrame(b []byte, opcode byte, body []byte) []byte {
	const fin = 0x80
	switch {
	case len(body) < 126:
		b = append(b, fin|opcode, byte(len(body)))
	case len(body) < 1<<16:
		b = append(b, fin|opcode, 126, byte(len(body)>>8), byte(len(body)))
	default:
		panic("no message is that long")
	}
	return append(b, body...)
}

// CloseFrame encodes a close frame; the reason is cut to what a control frame holds (RFC
// 6455 §5.5).
func CloseFrame(code int, reason string) []byte {
	body := append([]byte{byte(code >> 8), byte(code)}, reason[:min(len(reason), 123)]...)
	return appendFrame(nil, OpClose, body)
}
