package front

// charset is how the characters of a page are written.
type charset struct {
	width int // bytes of a unit
	// project writes into seen, for each unit of b, what a tokenizer that knows ASCII only sees.
	project func(seen, b []byte)
	// encode writes ASCII in the charset.
	encode func(ascii string) []byte
}

// ascii stands for every charset in which bytes below 0x80 that delimit markup are ASCII.
var asciiCompatible = charset{
	width:   1,
	project: func(seen, b []byte) {},
	encode:  func(ascii string) []byte { return []byte(ascii) },
}
