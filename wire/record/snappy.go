package record

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/s2"
)

// Snappy batches come in two forms. librdkafka and most others send one raw block: uvarint of the raw length, then literals and
// copies. Java sends the framing of its snappy-java library:
//
//	0                          8             12            16
//	| 0x82 S N A P P Y 0x00 | version int32 | compatible int32 | { length int32, raw block of that length } ...
const (
	xerialMagic      = "\x82SNAPPY\x00"
	xerialHeaderSize = 16
	xerialBlock      = 64 << 10 // raw bytes in a block that Builder writes
)

func xerialFramed(p []byte) bool {
	return len(p) >= xerialHeaderSize && string(p[:len(xerialMagic)]) == xerialMagic
}

func (d *inflater) nextSnappy() []byte {
	if !d.begun {
		d.framed = xerialFramed(d.src)
		if d.framed {
			d.src = d.src[xerialHeaderSize:]
		}
	}
	block := d.src
	if d.framed {
		block, d.src, d.err = xerialChunk(d.src)
	} else {
		d.oneShot = true
	}
	if d.err != nil {
		return nil
	}
	raw, body, ok := snappyLength(block)
	if !ok {
		d.err = errBadBlock
		return nil
	}
	if int64(raw) > d.maxRaw-d.raw {
		d.err = errRawTooLarge
		return nil
	}
	// The scan proves the length before memory is spent on it. It also refuses what the decoder would accept although snappy
	// does not know it: s2's repeated offset.
	if !snappyScan(body, raw) {
		d.err = errBadBlock
		return nil
	}
	if raw == 0 {
		return nil
	}
	p, err := s2.Decode(d.hold(raw), block)
	if err != nil {
		d.err = errBadBlock
		return nil
	}
	return p
}

// xerialChunk splits the first chunk off p. io.EOF is the end.
func xerialChunk(p []byte) (block, rest []byte, err error) {
	if len(p) == 0 {
		return nil, nil, io.EOF
	}
	if len(p) < 4 {
		return nil, nil, errBadBlock
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return nil, nil, errBadBlock
	}
	return p[4 : 4+n], p[4+n:], nil
}

// snappyLength reads the raw length that a block declares.
func snappyLength(block []byte) (raw int, body []byte, ok bool) {
	v, n := binary.Uvarint(block)
	if n <= 0 || n > 5 || v > 1<<31-1 {
		return 0, nil, false
	}
	return int(v), block[n:], true
}

// snappyScan walks through the elements of a block without decoding and tells whether they make up exactly raw bytes, each
// copy from within what came before it.
func snappyScan(p []byte, raw int) bool {
	made := 0
	for len(p) > 0 {
		tag := p[0]
		var length, offset, size int
		switch tag & 3 {
		case 0:
			length, size = int(tag>>2), 1
			if length >= 60 {
				size += length - 59
				if size > len(p) {
					return false
				}
				length = 0
				for i := size - 1; i > 0; i-- {
					length = length<<8 | int(p[i])
				}
			}
			length++
			if length > len(p)-size || length > raw-made {
				return false
			}
			p = p[size+length:]
			made += length
			continue
		case 1:
			if len(p) < 2 {
				return false
			}
			length, offset, size = 4+int(tag>>2&7), int(tag>>5)<<8|int(p[1]), 2
		case 2:
			if len(p) < 3 {
				return false
			}
			length, offset, size = 1+int(tag>>2), int(binary.LittleEndian.Uint16(p[1:])), 3
		case 3:
			if len(p) < 5 {
				return false
			}
			length, offset, size = 1+int(tag>>2), int(binary.LittleEndian.Uint32(p[1:])), 5
		}
		if offset == 0 || offset > made || length > raw-made {
			return false
		}
		p = p[size:]
		made += length
	}
	return made == raw
}

// snappyCheap tells whether the records inflate to at most limit bytes, by what the blocks declare.
func snappyCheap(p []byte, limit int) bool {
	if !xerialFramed(p) {
		raw, _, ok := snappyLength(p)
		return !ok || raw <= limit // what is not ok is refused at once
	}
	p = p[xerialHeaderSize:]
	total := 0
	for range maxCheapBlocks {
		block, rest, err := xerialChunk(p)
		if err != nil {
			return true
		}
		raw, _, ok := snappyLength(block)
		if !ok {
			return true
		}
		if total += raw; total > limit {
			return false
		}
		p = rest
	}
	return false
}

// appendSnappy appends p in snappy-java's framing, which every client reads.
func appendSnappy(dst, p []byte) []byte {
	dst = appendSnappyHeader(dst)
	for len(p) > 0 {
		n := min(len(p), xerialBlock)
		dst, p = appendSnappyBlock(dst, p[:n]), p[n:]
	}
	return dst
}

func appendSnappyHeader(dst []byte) []byte {
	dst = append(dst, xerialMagic...)
	return append(dst, 0, 0, 0, 1, 0, 0, 0, 1)
}

func appendSnappyBlock(dst, p []byte) []byte {
	at := len(dst)
	dst = grow(dst, 4+s2.MaxEncodedLen(len(p)))
	block := s2.EncodeSnappy(dst[at+4:cap(dst)], p)
	binary.BigEndian.PutUint32(dst[at:at+4], uint32(len(block)))
	return dst[:at+4+len(block)]
}
