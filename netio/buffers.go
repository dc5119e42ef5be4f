package netio

import "math/bits"

// buffers is a loop's store of free buffers for frames, by size. Sizes are powers of two from 1 KiB to 1 MiB, above that eighths of one.
type buffers struct {
	small [maxShift - minShift + 1]stack
	large stack // above 1 MiB, of any sizes
	bytes int   // in all
}

// stack is a list of free buffers. low is its least length since the last trim: those nobody needed.
type stack struct {
	free [][]byte
	low  int
}

const (
	minShift     = 10
	maxShift     = 20
	maxFreeBytes = 16 << 20 // per loop
	maxLarge     = 8
)

// bufferSize is the capacity of a buffer for n bytes.
func bufferSize(n int) int {
	if n <= 1<<minShift {
		return 1 << minShift
	}
	if n <= 1<<maxShift {
		return 1 << bits.Len(uint(n-1))
	}
	step := 1 << (bits.Len(uint(n)) - 4)
	return (n + step - 1) / step * step
}

// get returns an empty buffer of capacity bufferSize(n).
func (b *buffers) get(n int) []byte {
	size := bufferSize(n)
	if size > 1<<maxShift {
		for i, buf := range b.large.free {
			if cap(buf) == size {
				last := len(b.large.free) - 1
				b.large.free[i], b.large.free[last] = b.large.free[last], nil
				b.large.free = b.large.free[:last]
				b.large.low = min(b.large.low, last)
				b.bytes -= size
				return buf
			}
		}
		return make([]byte, 0, size)
	}
	s := &b.small[bits.Len(uint(size))-1-minShift]
	last := len(s.free) - 1
	if last < 0 {
		return make([]byte, 0, size)
	}
	buf := s.free[last]
	s.free[last] = nil
	s.free = s.free[:last]
	s.low = min(s.low, last)
	b.bytes -= size
	return buf
}

// put takes a buffer back, or leaves it to the garbage collector.
func (b *buffers) put(buf []byte) {
	size := cap(buf)
	if b.bytes+size > maxFreeBytes {
		return
	}
	s := &b.large
	if size <= 1<<maxShift {
		s = &b.small[bits.Len(uint(size))-1-minShift]
	} else if len(s.free) == maxLarge {
		return
	}
	s.free = append(s.free, buf[:0])
	b.bytes += size
}

// trim drops half of what was not needed since the last trim.
func (b *buffers) trim() {
	for i := range b.small {
		b.trimStack(&b.small[i])
	}
	b.trimStack(&b.large)
}

func (b *buffers) trimStack(s *stack) {
	for n := (s.low + 1) / 2; n > 0; n-- {
		last := len(s.free) - 1
		b.bytes -= cap(s.free[last])
		s.free[last] = nil
		s.free = s.free[:last]
	}
	s.low = len(s.free)
}
