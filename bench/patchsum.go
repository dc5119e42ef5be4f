package bench

import "hash/crc32"

// patchSum is the checksum of a batch of which few bytes change from one sending to the next. CRC32C is linear but for its
// inversions: the sum changes by the sum of the change, multiplied by x^8 for each byte that follows. So a batch of 64 KiB is not
// read again for the 40 bytes that are new in it.
type patchSum struct {
	sum    uint32
	places []patchPlace
}

// patchPlace is where bytes change.
type patchPlace struct {
	from, next int
	was        uint32 // sum of them as they were
	move       uint32 // x^8 to the power of the bytes that follow
}

// patchFrom is how many bytes of a batch there must be for each place, or reading all of it costs less.
const patchFrom = 4 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// plainSum is CRC32C without its inversions, beginning with a state.
func plainSum(state uint32, p []byte) uint32 { return ^crc32.Update(^state, castagnoli, p) }

// newPatchSum is of the bytes p, which change at the places named by pairs of positions.
func newPatchSum(p []byte, pairs [][2]int) *patchSum {
	s := &patchSum{sum: crc32.Checksum(p, castagnoli)}
	zeros := make([]byte, 64<<10)
	for _, at := range pairs {
		place := patchPlace{from: at[0], next: at[1], was: plainSum(0, p[at[0]:at[1]]), move: 1 << 31} // x^0: the lowest power is the highest bit
		for left := len(p) - at[1]; left > 0; left -= min(left, len(zeros)) {
			place.move = plainSum(place.move, zeros[:min(left, len(zeros))])
		}
		s.places = append(s.places, place)
	}
	return s
}

// update returns the sum after the bytes have changed.
func (s *patchSum) update(p []byte) uint32 {
	for i := range s.places {
		at := &s.places[i]
		now := plainSum(0, p[at.from:at.next])
		s.sum ^= multiply(at.move, at.was^now)
		at.was = now
	}
	return s.sum
}

// multiply multiplies two polynomials modulo Castagnoli's.
func multiply(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
