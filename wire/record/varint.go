package record

import "unsafe"

// varint reads a zigzag int32 of at most 5 bytes; n is 0 when p ends before it does or it does not fit.
// One byte, the common case, is inlined into the callers.
func varint(p []byte) (v int32, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return unzigzag32(uint32(p[0])), 1
	}
	return longVarint(p)
}

func longVarint(p []byte) (v int32, n int) {
	if len(p) > 1 && p[1] < 0x80 {
		return unzigzag32(uint32(p[0]&0x7f) | uint32(p[1])<<7), 2
	}
	var u uint32
	for i := 0; i < 5 && i < len(p); i++ {
		c := p[i]
		if c < 0x80 {
			if i == 4 && c > 0x0f {
				return 0, 0
			}
			return unzigzag32(u | uint32(c)<<(7*i)), i + 1
		}
		u |= uint32(c&0x7f) << (7 * i)
	}
	return 0, 0
}

// varlong reads a zigzag int64 of at most 10 bytes, as varint does.
func varlong(p []byte) (v int64, n int) {
	if len(p) > 0 && p[0] < 0x80 {
		return int64(unzigzag32(uint32(p[0]))), 1
	}
	return longVarlong(p)
}

func longVarlong(p []byte) (v int64, n int) {
	var u uint64
	for i := 0; i < 10 && i < len(p); i++ {
		c := p[i]
		if c < 0x80 {
			if i == 9 && c > 0x01 {
				return 0, 0
			}
			return unzigzag64(u | uint64(c)<<(7*i)), i + 1
		}
		u |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}

func unzigzag32(u uint32) int32 { return int32(u>>1) ^ -int32(u&1) }
func unzigzag64(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// appendVarint appends v as zigzag varint. An int32 takes the same bytes either way, so one function writes both.
func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// varintSize is the number of bytes appendVarint takes.
func varintSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// view is a string over the bytes of b, which nobody may change while it is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
