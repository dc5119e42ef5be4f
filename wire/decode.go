package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"
)

const (
	// maxTags bounds the tagged fields of one struct. Kafka defines three at most.
	maxTags = 64
	// maxFactor and maxExtra bound what decoding a request may allocate: maxFactor times its size, and maxExtra.
	maxFactor = 8
	maxExtra  = 1 << 20
	// firstGrowth is how many elements of an array are made room for before any of them has been read.
	firstGrowth = 1000
	// maxHeld is what the slices in a message may keep from one use to the next.
	maxHeld = 4 << 20
)

// decoder reads the primitive types of a body. It keeps its first error; every read after it returns zero.
type decoder struct {
	buf    []byte
	off    int
	end    int // reads stop here: the end of the body, or of the tagged field being read
	budget int // bytes that may still be allocated
	err    *DecodeError
}

func newDecoder(body []byte) decoder {
	return decoder{buf: body, end: len(body), budget: maxFactor*len(body) + maxExtra}
}

// finish returns the error with its context, as an error that is nil when there is none.
func (d *decoder) finish(api string, version int16) error {
	if d.err == nil {
		return nil
	}
	d.err.API, d.err.Version = api, version
	return d.err
}

func unsupported(api string, version int16) error {
	return &DecodeError{API: api, Version: version, Reason: "no such version"}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &DecodeError{Offset: d.off, Reason: fmt.Sprintf(format, args...)}
	}
	d.off = d.end
}

func (d *decoder) short(need int) { d.fail("need %d bytes, %d left", need, d.end-d.off) }

func (d *decoder) charge(n int) bool {
	if n > d.budget {
		d.fail("decoding takes more than %d times the request's size in memory", maxFactor)
		return false
	}
	d.budget -= n
	return true
}

func (d *decoder) bool() bool { return d.int8() != 0 }

func (d *decoder) int8() int8 {
	if d.end-d.off < 1 {
		d.short(1)
		return 0
	}
	v := d.buf[d.off]
	d.off++
	return int8(v)
}

func (d *decoder) uint16() uint16 {
	if d.end-d.off < 2 {
		d.short(2)
		return 0
	}
	v := binary.BigEndian.Uint16(d.buf[d.off:])
	d.off += 2
	return v
}

func (d *decoder) uint32() uint32 {
	if d.end-d.off < 4 {
		d.short(4)
		return 0
	}
	v := binary.BigEndian.Uint32(d.buf[d.off:])
	d.off += 4
	return v
}

func (d *decoder) int64() int64 {
	if d.end-d.off < 8 {
		d.short(8)
		return 0
	}
	v := binary.BigEndian.Uint64(d.buf[d.off:])
	d.off += 8
	return int64(v)
}

func (d *decoder) int16() int16     { return int16(d.uint16()) }
func (d *decoder) int32() int32     { return int32(d.uint32()) }
func (d *decoder) float64() float64 { return math.Float64frombits(uint64(d.int64())) }
func (d *decoder) code() Code       { return Code(d.int16()) }

func (d *decoder) uuid() (u UUID) {
	if d.end-d.off < len(u) {
		d.short(len(u))
		return u
	}
	d.off += copy(u[:], d.buf[d.off:])
	return u
}

// uvarint reads an unsigned varint of at most 32 bits.
func (d *decoder) uvarint() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		if d.off >= d.end {
			d.short(1)
			return 0
		}
		b := d.buf[d.off]
		if shift == 28 && b > 0x0f {
			d.fail("varint of more than 32 bits")
			return 0
		}
		d.off++
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	return v
}

// compactLen reads a length that is written as itself plus 1; null is -1.
func (d *decoder) compactLen() int { return int(d.uvarint()) - 1 }

// take returns the next n bytes, which the caller may not write behind.
func (d *decoder) take(n int) []byte {
	if n > d.end-d.off {
		d.fail("length %d, %d bytes left", n, d.end-d.off)
		return nil
	}
	p := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return p
}

// text reads a string's bytes. null is only ever true where nullable is.
func (d *decoder) text(flex, nullable bool) (p []byte, null bool) {
	var n int
	if flex {
		n = d.compactLen()
	} else {
		n = int(d.int16())
	}
	if d.err != nil {
		return nil, false
	}
	if n < 0 {
		if n != -1 || !nullable {
			d.fail("string of length %d", n)
			return nil, false
		}
		return nil, true
	}
	if n > math.MaxInt16 {
		d.fail("string of length %d", n)
		return nil, false
	}
	p = d.take(n)
	if !utf8.Valid(p) {
		d.off -= len(p)
		d.fail("string is not UTF-8")
		return nil, false
	}
	return p, false
}

// copied is p as a string of its own.
func (d *decoder) copied(p []byte) string {
	if len(p) > 1 && !d.charge((len(p)+7)&^7) { // strings of one byte are not allocated
		return ""
	}
	return string(p)
}

func (d *decoder) string(flex bool) string {
	p, _ := d.text(flex, false)
	return d.copied(p)
}

func (d *decoder) stringView(flex bool) string {
	p, _ := d.text(flex, false)
	return view(p)
}

func (d *decoder) nullString(flex, nullable bool) NullString {
	p, null := d.text(flex, nullable)
	return NullString{d.copied(p), !null}
}

func (d *decoder) nullStringView(flex, nullable bool) NullString {
	p, null := d.text(flex, nullable)
	return NullString{view(p), !null}
}

func (d *decoder) bytes(flex, nullable bool) []byte {
	p := d.bytesView(flex, nullable)
	if len(p) == 0 || !d.charge((len(p)+7)&^7) {
		return p[:0:0]
	}
	return append(make([]byte, 0, len(p)), p...)
}

// bytesView is for records, too. Null is nil, and empty is not.
func (d *decoder) bytesView(flex, nullable bool) []byte {
	var n int
	if flex {
		n = d.compactLen()
	} else {
		n = int(d.int32())
	}
	if d.err != nil {
		return nil
	}
	if n < 0 {
		if n != -1 || !nullable {
			d.fail("bytes of length %d", n)
		}
		return nil
	}
	return d.take(n)
}

// count reads the length of an array whose elements take at least minSize bytes each; -1 is null.
func (d *decoder) count(flex, nullable bool, minSize int) int {
	var n int
	if flex {
		n = d.compactLen()
	} else {
		n = int(d.int32())
	}
	if d.err != nil {
		return 0
	}
	if n < 0 {
		if n != -1 || !nullable {
			d.fail("array of length %d", n)
			return 0
		}
		return -1
	}
	if left := d.end - d.off; n > left/max(minSize, 1) {
		d.fail("array of %d elements of at least %d bytes, %d bytes left", n, minSize, left)
		return 0
	}
	return n
}

// minLength is the smallest size of a type with a length in front, which takes size bytes where it is not compact.
func minLength(flex bool, size int) int {
	if flex {
		return 1
	}
	return size
}

// empty is s without elements, and not nil: an array that may be null is not.
func empty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s[:0]
}

// present reads whether a struct that may be null is there.
func (d *decoder) present() bool { return d.int8() >= 0 && d.err == nil }

// tagCount reads how many tagged fields end a struct.
func (d *decoder) tagCount() int {
	n := d.uvarint()
	if n > maxTags {
		d.fail("%d tagged fields in one struct", n)
		return 0
	}
	return int(n)
}

// enterTag reads a tagged field's number and size and confines reading to it until leaveTag.
func (d *decoder) enterTag() (tag uint32, end int) {
	tag = d.uvarint()
	size := int(d.uvarint())
	end = d.end
	if size > end-d.off {
		d.fail("tagged field %d of %d bytes, %d left", tag, size, end-d.off)
		return tag, end
	}
	d.end = d.off + size
	return tag, end
}

func (d *decoder) leaveTag(end int) {
	if d.off != d.end {
		d.fail("tagged field has %d bytes too many", d.end-d.off)
	}
	d.end = end
	if d.err != nil {
		d.off = end
	}
}

// skipTag leaves a tagged field that means nothing to us.
func (d *decoder) skipTag(end int) {
	d.off = d.end
	d.end = end
}

func (d *decoder) skipTags() {
	for n := d.tagCount(); n > 0 && d.err == nil; n-- {
		_, end := d.enterTag()
		d.skipTag(end)
	}
}

// extend makes s one element longer, on the way to n elements. The new element is whatever was there before, so that the
// capacity of slices in it is used again. It fails only when the budget is spent.
func extend[T any](d *decoder, s []T, n int) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	// The first step believes the frame's count only so far. Once that many elements were really there, the count, which has been
	// held against the bytes left, is within the budget or the request is refused: one copy at most, and no garbage from doubling.
	to := min(n, firstGrowth)
	if len(s) >= to {
		to = n
	}
	var t T
	size := to * int(unsafe.Sizeof(t))
	if !d.charge(size) {
		return s
	}
	grown := make([]T, len(s)+1, to)
	copy(grown, s)
	return grown
}

func capBytes[T any](s []T) int {
	var t T
	return cap(s) * int(unsafe.Sizeof(t))
}
