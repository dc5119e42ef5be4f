package record

import (
	"encoding/binary"
	"io"

	"github.com/pierrec/lz4/v4"
)

// LZ4 batches are frames, little-endian:
//
//	magic 0x184D2204 | FLG | BD | content size uint64, if FLG bit 3 | HC: second byte of xxh32(FLG..content size)
//	{ length uint32, bit 31: stored | block | xxh32 of the block, if FLG bit 4 } ... | 0 uint32 | xxh32 of the content, if bit 2
//
// FLG: bits 6-7 version 1, 5 blocks independent, 4, 3, 2 as above, 1 and 0 (dictionary) zero. BD bits 4-6: 4, 5, 6, 7 for
// blocks of at most 64 KiB, 256 KiB, 1 MiB, 4 MiB raw. As in Kafka blocks have to be independent, block checksums are verified
// and the content's is not: the batch has one of its own. Inside a block:
//
//	{ token: literal length 4 bits, match length-4 4 bits; a 15 goes on in bytes until one is not 255 |
//	  more literal length | literals | offset uint16 | more match length } ... the last sequence ends after its literals
const (
	lz4Magic    = 0x184D2204
	lz4Block    = 64 << 10 // raw bytes in a block that Builder writes
	lz4History  = 64 << 10 // how far back a match can reach
	lz4Stored   = 1 << 31  // bit of a block's length
	lz4MaxRatio = 255      // raw bytes that one more byte of length can make
)

// lz4Frame is the state of reading a frame.
type lz4Frame struct {
	maxBlock   int
	blockSum   bool
	contentSum bool

	stepping      bool   // a block is decoded in steps:
	block         []byte // what is left of it
	made          int    // raw bytes of it so far
	token         byte   // of the sequence under way
	literals      int    // still to be copied; then the match is read
	match, offset int    // likewise
	inLiterals    bool
}

// open reads the frame's header and returns what follows it.
func (f *lz4Frame) open(p []byte) (rest []byte, ok bool) {
	if len(p) < 7 || binary.LittleEndian.Uint32(p) != lz4Magic {
		return nil, false
	}
	flags, bd := p[4], p[5]
	if flags>>6 != 1 || flags&0x20 == 0 || flags&0x03 != 0 || bd&0x8f != 0 || bd>>4 < 4 {
		return nil, false
	}
	end := 6
	if flags&0x08 != 0 {
		end += 8
	}
	if len(p) <= end || byte(xxh32(p[4:end])>>8) != p[end] {
		return nil, false
	}
	*f = lz4Frame{maxBlock: 1 << (8 + 2*(bd>>4)), blockSum: flags&0x10 != 0, contentSum: flags&0x04 != 0}
	return p[end+1:], true
}

// next splits the following block off p; a nil block is the end mark.
func (f *lz4Frame) next(p []byte) (block, rest []byte, stored, ok bool) {
	if len(p) < 4 {
		return nil, nil, false, false
	}
	n := binary.LittleEndian.Uint32(p)
	p = p[4:]
	if n == 0 {
		if f.contentSum {
			if len(p) < 4 {
				return nil, nil, false, false
			}
			p = p[4:]
		}
		return nil, p, false, true
	}
	stored = n&lz4Stored != 0
	size := int(n &^ lz4Stored)
	if size == 0 || size > f.maxBlock || size > len(p) {
		return nil, nil, false, false
	}
	block, p = p[:size:size], p[size:]
	if f.blockSum {
		if len(p) < 4 || binary.LittleEndian.Uint32(p) != xxh32(block) {
			return nil, nil, false, false
		}
		p = p[4:]
	}
	return block, p, stored, true
}

func (d *inflater) nextLZ4() []byte {
	f := &d.lz4
	if !d.begun {
		var ok bool
		if d.src, ok = f.open(d.src); !ok {
			d.err = errBadBlock
			return nil
		}
	}
	if f.stepping {
		return d.stepLZ4()
	}
	block, rest, stored, ok := f.next(d.src)
	if !ok {
		d.err = errBadBlock
		return nil
	}
	d.src = rest
	switch {
	case block == nil:
		d.err = io.EOF
		if len(rest) != 0 {
			d.err = errBadBlock
		}
		return nil
	case stored:
		return block
	}
	// Most blocks fit the window and are decoded by assembly in one go. Others are decoded in steps.
	limit := min(f.maxBlock, windowSize)
	if len(block) <= windowSize+windowSize/128 {
		if n, err := lz4.UncompressBlock(block, d.buf[:limit]); err == nil {
			return d.buf[:n]
		}
	}
	if f.maxBlock <= windowSize {
		d.err = errBadBlock
		return nil
	}
	f.stepping, f.block, f.made, f.literals, f.match, f.inLiterals = true, block, 0, 0, 0, false
	return d.stepLZ4()
}

// stepLZ4 decodes the next part of a block into the window, behind as much of the output before it as matches can reach.
func (d *inflater) stepLZ4() []byte {
	f := &d.lz4
	out, history := d.buf, 0
	if f.made > 0 {
		// Every step but the last fills the window to its end, so that is where the history lies.
		history = lz4History
		copy(out, out[windowSize-lz4History:])
	}
	src, n := f.block, history
	for n < len(out) {
		switch {
		case f.literals > 0:
			m := copy(out[n:], src[:f.literals])
			n, src, f.literals = n+m, src[m:], f.literals-m
		case f.match > 0:
			m, from := min(f.match, len(out)-n), n-f.offset
			for done := 0; done < m; { // a match may reach into what it makes
				done += copy(out[n+done:n+m], out[from:n+done])
			}
			n, f.match = n+m, f.match-m
		case len(src) == 0:
			f.stepping = !f.inLiterals // a block ends after literals
			if f.stepping {
				d.err = errBadBlock
				return nil
			}
			f.block = nil
			if f.made += n - history; f.made > f.maxBlock {
				d.err = errBadBlock
			}
			return out[history:n]
		case f.inLiterals:
			var ok bool
			if src, f.offset, f.match, ok = lz4Match(src, f.token); !ok || f.offset > n {
				d.err = errBadBlock
				return nil
			}
			f.inLiterals = false
		default:
			var ok bool
			f.token = src[0]
			if src, f.literals, ok = lz4Length(src[1:], f.token>>4); !ok || f.literals > len(src) {
				d.err = errBadBlock
				return nil
			}
			f.inLiterals = true
		}
	}
	f.block = src
	if f.made += n - history; f.made > f.maxBlock {
		d.err = errBadBlock
		return nil
	}
	return out[history:n]
}

// lz4Length reads the rest of a length that begins with the four bits of a token.
func lz4Length(p []byte, nibble byte) (rest []byte, length int, ok bool) {
	length = int(nibble)
	if nibble < 15 {
		return p, length, true
	}
	for i, c := range p {
		// A length cannot overflow: it grows by 255 for each byte that is really there.
		if length += int(c); c != 255 {
			return p[i+1:], length, true
		}
	}
	return nil, 0, false
}

// lz4Match reads what follows the literals of a sequence.
func lz4Match(p []byte, token byte) (rest []byte, offset, match int, ok bool) {
	if len(p) < 2 {
		return nil, 0, 0, false
	}
	offset = int(binary.LittleEndian.Uint16(p))
	rest, match, ok = lz4Length(p[2:], token&15)
	return rest, offset, match + 4, ok && offset > 0
}

// lz4RawLength returns how many bytes a block inflates to, counting no further than beyond limit.
func lz4RawLength(p []byte, limit int) int {
	raw := 0
	for len(p) > 0 && raw <= limit {
		token := p[0]
		rest, literals, ok := lz4Length(p[1:], token>>4)
		if !ok || literals >= len(rest) {
			return raw + literals
		}
		raw += literals
		var match int
		if p, _, match, ok = lz4Match(rest[literals:], token); !ok {
			return raw // corrupt: refused after this many bytes
		}
		raw += match
	}
	return raw
}

// lz4Cheap tells whether the records inflate to at most limit bytes.
func lz4Cheap(p []byte, limit int) bool {
	var f lz4Frame
	p, ok := f.open(p)
	if !ok {
		return true // refused at once
	}
	f.blockSum = f.blockSum && len(p) <= limit
	total := 0
	for range maxCheapBlocks {
		block, rest, stored, ok := f.next(p)
		if !ok || block == nil {
			return true
		}
		switch {
		case stored:
			total += len(block)
		case total+min(f.maxBlock, lz4MaxRatio*len(block)) <= limit:
			total += min(f.maxBlock, lz4MaxRatio*len(block))
		case len(block) > limit:
			return false
		default:
			total += lz4RawLength(block, limit-total)
		}
		if total > limit {
			return false
		}
		p = rest
	}
	return false
}

// appendLZ4 appends p as one frame of independent 64 KiB blocks without checksums, as the Java client writes it.
func appendLZ4(dst, p []byte, c *lz4.Compressor) []byte {
	dst = appendLZ4Header(dst)
	for len(p) > 0 {
		n := min(len(p), lz4Block)
		dst, p = appendLZ4Block(dst, p[:n], c.CompressBlock), p[n:]
	}
	return appendLZ4End(dst)
}

func appendLZ4Header(dst []byte) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, 0x60, 0x40)
	return append(dst, byte(xxh32(dst[at+4:])>>8))
}

// appendLZ4Block appends one block, compressed or, when that is not shorter, as it is.
func appendLZ4Block(dst, p []byte, compress func(src, dst []byte) (int, error)) []byte {
	at := len(dst)
	dst = grow(dst, 4+lz4.CompressBlockBound(len(p)))
	size, err := compress(p, dst[at+4:cap(dst)])
	length := uint32(size)
	if err != nil || size == 0 || size >= len(p) {
		size, length = copy(dst[at+4:cap(dst)], p), uint32(len(p))|lz4Stored
	}
	binary.LittleEndian.PutUint32(dst[at:at+4], length)
	return dst[:at+4+size]
}

func appendLZ4End(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }
