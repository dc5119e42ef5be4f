package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendInt8(dst []byte, v int8) []byte     { return append(dst, byte(v)) }
func appendInt16(dst []byte, v int16) []byte   { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func appendInt32(dst []byte, v int32) []byte   { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }
func appendInt64(dst []byte, v int64) []byte   { return binary.BigEndian.AppendUint64(dst, uint64(v)) }
func appendCode(dst []byte, v Code) []byte     { return appendInt16(dst, int16(v)) }
func appendUUID(dst []byte, v UUID) []byte     { return append(dst, v[:]...) }

func appendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendUvarint(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

// appendCount writes the length of an array or of bytes.
func appendCount(dst []byte, n int, flex bool) []byte {
	if flex {
		return appendUvarint(dst, uint32(n)+1)
	}
	return appendInt32(dst, int32(n))
}

// appendNull writes the length of an array or of bytes that is null.
func appendNull(dst []byte, flex bool) []byte {
	if flex {
		return append(dst, 0)
	}
	return append(dst, 0xff, 0xff, 0xff, 0xff)
}

// appendString cuts a string that the protocol has no room for, between characters. Names cannot be that long, they came in by
// the same rule; an error message or a config's value can, and the rest of the response is worth more than its end.
func appendString(dst []byte, s string, flex bool) []byte {
	if len(s) > math.MaxInt16 {
		cut := math.MaxInt16
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	if flex {
		dst = appendUvarint(dst, uint32(len(s))+1)
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// appendNullString writes null as the empty string in versions that have no null.
func appendNullString(dst []byte, s NullString, flex, nullable bool) []byte {
	switch {
	case s.Valid || !nullable:
		return appendString(dst, s.Value, flex)
	case flex:
		return append(dst, 0)
	default:
		return append(dst, 0xff, 0xff)
	}
}

func appendBytes(dst, p []byte, flex bool) []byte {
	return append(appendCount(dst, len(p), flex), p...)
}

// appendHole writes the length of records that are sent from elsewhere, and notes where. No records at all are empty, never
// null: librdkafka takes null for an error at every end of a log.
func appendHole(dst []byte, holes []int, size int32, flex bool) ([]byte, []int) {
	if size <= 0 {
		return appendCount(dst, 0, flex), holes
	}
	dst = appendCount(dst, int(size), flex)
	return dst, append(holes, len(dst))
}

// openTag begins a tagged field. Its size stands before it and is not known yet: one byte is left for it, which is enough for
// nearly all of them, and closeTag moves the others.
func openTag(dst []byte, tag uint32) (_ []byte, mark int) {
	dst = append(appendUvarint(dst, tag), 0)
	return dst, len(dst)
}

func closeTag(dst []byte, mark int) []byte {
	size := len(dst) - mark
	if size < 0x80 {
		dst[mark-1] = byte(size)
		return dst
	}
	var prefix [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(prefix[:], uint64(size))
	dst = append(dst, prefix[:n-1]...) // room; the content is overwritten
	copy(dst[mark+n-1:], dst[mark:mark+size])
	copy(dst[mark-1:], prefix[:n])
	return dst
}

// spare makes s one element longer for an Add function. The new element is whatever was there before.
func spare[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var t T
	return append(s, t)
}
