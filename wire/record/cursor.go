package record

import (
	"errors"
	"io"
)

// cursor walks through records, of which one window lies in memory at a time. It is used by value, on the stack.
type cursor struct {
	win []byte    // not read yet
	in  *inflater // nil when the records are not compressed: then win is all there is
}

// refill replaces a window that is used up.
func (c *cursor) refill() bool {
	if c.in != nil {
		c.win = c.in.next()
	}
	return len(c.win) > 0
}

// end tells whether all records have been read and no byte is left.
func (c *cursor) end() bool {
	return len(c.win) == 0 && !c.refill() && (c.in == nil || errors.Is(c.in.err, io.EOF))
}

// skim reads one record for what Check needs of it. why is what is wrong with the record, or "".
func (c *cursor) skim() (timestampDelta int64, offsetDelta int32, hasKey bool, why string) {
	if length, n := varint(c.win); n > 0 && length >= 0 && int(length) <= len(c.win)-n {
		var f fields
		why = parse(c.win[n:n+int(length)], &f)
		c.win = c.win[n+int(length):]
		return f.timestampDelta, f.offsetDelta, f.key != nil, why
	}
	if c.in == nil {
		if len(c.win) == 0 {
			return 0, 0, false, reasonDeclaredTooMany
		}
		return 0, 0, false, "record longer than the batch"
	}
	return c.skimAcross()
}

// skimPlain is skim for a record which lies whole in p, has small numbers and no headers, as nearly all have. It is there for
// speed: where size is 0 skim decides. One and two byte lengths alternate in real topics and would be mispredicted, so short
// reads either without a branch.
func skimPlain(p []byte) (size int, timestampDelta int64, offsetDelta int32, hasKey bool) {
	u, i := short(p, 0)
	size = i + int(u>>1)
	if i == 0 || u&1 != 0 || size > len(p) {
		return 0, 0, 0, false
	}
	p = p[:size]
	if u, i = short(p, i+1); i == 0 {
		return 0, 0, 0, false
	}
	timestampDelta = int64(unzigzag32(u))
	if u, i = short(p, i); i == 0 {
		return 0, 0, 0, false
	}
	offsetDelta = unzigzag32(u)
	if u, i = short(p, i); i == 0 {
		return 0, 0, 0, false
	}
	if hasKey = u != 1; hasKey { // 1 is -1
		if i += int(u >> 1); u&1 != 0 {
			return 0, 0, 0, false
		}
	}
	if u, i = short(p, i); i == 0 {
		return 0, 0, 0, false
	}
	if u != 1 {
		if i += int(u >> 1); u&1 != 0 {
			return 0, 0, 0, false
		}
	}
	if i != size-1 || p[i] != 0 {
		return 0, 0, 0, false
	}
	return size, timestampDelta, offsetDelta, hasKey
}

// short reads a varint of one or two bytes at i, undoing no zigzag; next is 0 when it is longer or p ends within two bytes.
func short(p []byte, i int) (u uint32, next int) {
	if i > len(p)-2 {
		return 0, 0
	}
	x := uint32(p[i]) | uint32(p[i+1])<<8
	more := x >> 7 & 1
	if more&(x>>15) != 0 {
		return 0, 0
	}
	return x&0x7f | x>>1&0x3f80&-more, i + 1 + int(more)
}

// skimAcross is skim for a record that crosses the end of the window, perhaps of several windows: nothing of it is kept.
func (c *cursor) skimAcross() (timestampDelta int64, offsetDelta int32, hasKey bool, why string) {
	if len(c.win) == 0 && !c.refill() {
		return 0, 0, false, reasonDeclaredTooMany
	}
	s := stepper{c: c, left: maxVarint}
	length := s.varint()
	if s.failed || length < 1 {
		return 0, 0, false, "bad record length"
	}
	s.left = int64(length)
	s.skip(1)
	timestampDelta = s.varlong()
	offsetDelta = s.varint()
	hasKey = s.nullable()
	s.nullable()
	headers := s.varint()
	if headers < 0 {
		s.failed = true
	}
	for i := int32(0); i < headers && !s.failed; i++ {
		if !s.nullable() {
			s.failed = true
		}
		s.nullable()
	}
	if s.failed || s.left != 0 {
		return 0, 0, false, "record shorter or longer than its fields"
	}
	return timestampDelta, offsetDelta, hasKey, ""
}

const maxVarint = 10

// stepper reads the fields of one record across windows. It keeps its first failure: then it reads nothing more.
type stepper struct {
	c      *cursor
	left   int64 // bytes of the record
	failed bool
}

func (s *stepper) byte() byte {
	if s.left == 0 || s.failed || len(s.c.win) == 0 && !s.c.refill() {
		s.failed = true
		return 0
	}
	s.left--
	b := s.c.win[0]
	s.c.win = s.c.win[1:]
	return b
}

// number collects the bytes of a varint for the functions that know its limits.
func (s *stepper) number(p *[maxVarint]byte) []byte {
	for i := range p {
		p[i] = s.byte()
		if p[i] < 0x80 {
			return p[:i+1]
		}
	}
	return p[:]
}

func (s *stepper) varint() int32 {
	var p [maxVarint]byte
	v, n := varint(s.number(&p))
	s.failed = s.failed || n == 0
	return v
}

func (s *stepper) varlong() int64 {
	var p [maxVarint]byte
	v, n := varlong(s.number(&p))
	s.failed = s.failed || n == 0
	return v
}

func (s *stepper) skip(n int64) {
	if n > s.left {
		s.failed = true
	}
	for n > 0 && !s.failed {
		if len(s.c.win) == 0 && !s.c.refill() {
			s.failed = true
			return
		}
		m := min(n, int64(len(s.c.win)))
		s.c.win = s.c.win[m:]
		s.left -= m
		n -= m
	}
}

// nullable skips a length and that many bytes, and tells whether it was not null.
func (s *stepper) nullable() bool {
	length := s.varint()
	if length < -1 {
		s.failed = true
	}
	s.skip(int64(max(length, 0)))
	return length >= 0
}
