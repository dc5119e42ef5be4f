// Package index holds the sparse indexes of one log segment, as Kafka writes them, byte for byte. All integers are big-endian and
// ascending; no file has a header or a checksum. Offsets are kept relative to the base offset of the segment.
//
//	.index      0                 4                 8
//	            | relative offset | position        |      offset: the LAST one of the batch that begins at position
//
//	.timeindex  0                 8                 12
//	            | timestamp       | relative offset |      timestamp: the largest in the segment so far;
//	                                                       offset: the last one of the first batch that has it
//	.txnindex   0         2            10            18           26           34
//	            | version | producerId | firstOffset | lastOffset | lastStable |
//
// The first two get an entry for a batch when more than the interval (4 KiB) was appended since the last entry; .timeindex only when
// the timestamp grew. While a segment is appended to, its index files are allocated ahead: bytes past the last entry are zero.
// The files are caches. They are checked before they are believed, and rebuilt from the log on any doubt.
package index

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sizes of an entry in bytes.
const (
	OffsetEntrySize = 8
	TimeEntrySize   = 12
	TxnEntrySize    = 34
)

// Offsets is a view of the whole entries of an offset index. It owns nothing and is passed by value.
type Offsets struct {
	Base    int64 // offset of the segment
	Entries []byte
}

// Len is the number of entries.
func (x Offsets) Len() int { return len(x.Entries) / OffsetEntrySize }

// At returns entry i: the last offset of a batch and the position where that batch begins.
func (x Offsets) At(i int) (offset, position int64) {
	e := x.Entries[i*OffsetEntrySize:][:OffsetEntrySize]
	return x.Base + int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))
}

// Slot returns the last entry with an offset <= the one given, looking at entry low and those after it, or low-1 when there is none.
func (x Offsets) Slot(offset int64, low int) int {
	high := x.Len() // entries before low are <= offset, those from high on are > offset
	for low < high {
		mid := int(uint(low+high) / 2)
		if at, _ := x.At(mid); at <= offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// Times is a view of the whole entries of a time index.
type Times struct {
	Base    int64
	Entries []byte
}

// Len is the number of entries.
func (x Times) Len() int { return len(x.Entries) / TimeEntrySize }

// At returns entry i.
func (x Times) At(i int) (timestamp, offset int64) {
	e := x.Entries[i*TimeEntrySize:][:TimeEntrySize]
	return int64(binary.BigEndian.Uint64(e)), x.Base + int64(binary.BigEndian.Uint32(e[8:]))
}

// Slot returns the last entry with a timestamp < the one given, or -1. The first record that is not older than timestamp lies after
// the batches that entry speaks of, and not after the offset of the next entry.
func (x Times) Slot(timestamp int64) int {
	low, high := 0, x.Len()
	for low < high {
		mid := int(uint(low+high) / 2)
		if at, _ := x.At(mid); at < timestamp {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// CheckError says what is wrong with an index.
type CheckError struct {
	Entry  int // the first bad one; those before it are good
	Reason string
}

func (e *CheckError) Error() string { return fmt.Sprintf("index entry %d: %s", e.Entry, e.Reason) }

// Check looks at every entry: offsets and positions ascend, offsets lie in [base, next), positions below size and above 0, where the
// first batch is, which gets no entry.
func (x Offsets) Check(next, size int64) error {
	lastOffset, lastPosition := x.Base-1, int64(0)
	for i := range x.Len() {
		offset, position := x.At(i)
		switch {
		case offset <= lastOffset || offset-x.Base > math.MaxInt32:
			return &CheckError{i, fmt.Sprintf("offset %d after %d", offset, lastOffset)}
		case position <= lastPosition:
			return &CheckError{i, fmt.Sprintf("position %d after %d", position, lastPosition)}
		case offset >= next:
			return &CheckError{i, fmt.Sprintf("offset %d, the segment ends before %d", offset, next)}
		case position >= size:
			return &CheckError{i, fmt.Sprintf("position %d, the segment has %d bytes", position, size)}
		}
		lastOffset, lastPosition = offset, position
	}
	return nil
}

// Check looks at every entry: timestamps ascend, offsets do not descend and lie in [base, next).
func (x Times) Check(next int64) error {
	lastTimestamp, lastOffset := int64(-1), x.Base
	for i := range x.Len() {
		timestamp, offset := x.At(i)
		switch {
		case timestamp <= lastTimestamp:
			return &CheckError{i, fmt.Sprintf("timestamp %d after %d", timestamp, lastTimestamp)}
		case offset < lastOffset:
			return &CheckError{i, fmt.Sprintf("offset %d after %d", offset, lastOffset)}
		case offset >= next:
			return &CheckError{i, fmt.Sprintf("offset %d, the segment ends before %d", offset, next)}
		}
		lastTimestamp, lastOffset = timestamp, offset
	}
	return nil
}

// trim cuts what is no whole entry and the zeros that were allocated ahead. No entry is all zero: the first batch of a segment gets none
// in .index, and a timestamp of 0 with relative offset 0 (which a time index could begin with) is kept when it is the only one.
func trim(b []byte, entrySize int) []byte {
	end := len(b) / entrySize * entrySize
	for end > 0 && b[end-1] == 0 {
		end--
	}
	return b[:(end+entrySize-1)/entrySize*entrySize]
}

func appendOffset(e []byte, relative, position uint32) {
	binary.BigEndian.PutUint32(e, relative)
	binary.BigEndian.PutUint32(e[4:], position)
}

func appendTime(e []byte, timestamp int64, relative uint32) {
	binary.BigEndian.PutUint64(e, uint64(timestamp))
	binary.BigEndian.PutUint32(e[8:], relative)
}
