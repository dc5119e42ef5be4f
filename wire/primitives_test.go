package wire

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

// The primitive types as bytes, both ways. Most definitions use few of them; the bytes of all of them stand here.
func TestPrimitives(t *testing.T) {
	id := UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for _, c := range []struct {
		name, want string
		encode     func(dst []byte) []byte
		decode     func(d *decoder) bool // true: the value that was encoded
	}{
		{"bool", "01", func(b []byte) []byte { return appendBool(b, true) }, func(d *decoder) bool { return d.bool() }},
		{"bool false", "00", func(b []byte) []byte { return appendBool(b, false) }, func(d *decoder) bool { return !d.bool() }},
		{"int8", "fe", func(b []byte) []byte { return appendInt8(b, -2) }, func(d *decoder) bool { return d.int8() == -2 }},
		{"int16", "fffe", func(b []byte) []byte { return appendInt16(b, -2) }, func(d *decoder) bool { return d.int16() == -2 }},
		{"uint16", "fffe", func(b []byte) []byte { return appendUint16(b, 65534) }, func(d *decoder) bool { return d.uint16() == 65534 }},
		{"int32", "fffffffe", func(b []byte) []byte { return appendInt32(b, -2) }, func(d *decoder) bool { return d.int32() == -2 }},
		{"uint32", "fffffffe", func(b []byte) []byte { return appendUint32(b, 1<<32-2) }, func(d *decoder) bool { return d.uint32() == 1<<32-2 }},
		{"int64", "fffffffffffffffe", func(b []byte) []byte { return appendInt64(b, -2) }, func(d *decoder) bool { return d.int64() == -2 }},
		{"float64", "3ff8000000000000", func(b []byte) []byte { return appendFloat64(b, 1.5) }, func(d *decoder) bool { return d.float64() == 1.5 }},
		{"float64 nan", "7ff8000000000001", func(b []byte) []byte { return appendFloat64(b, math.NaN()) }, func(d *decoder) bool { return math.IsNaN(d.float64()) }},
		{"code", "ffff", func(b []byte) []byte { return appendCode(b, UnknownServerError) }, func(d *decoder) bool { return d.code() == UnknownServerError }},
		{"uuid", "0102030405060708090a0b0c0d0e0f10", func(b []byte) []byte { return appendUUID(b, id) }, func(d *decoder) bool { return d.uuid() == id }},
		{"uvarint", "ac02", func(b []byte) []byte { return appendUvarint(b, 300) }, func(d *decoder) bool { return d.uvarint() == 300 }},
		{"largest uvarint", "ffffffff0f", func(b []byte) []byte { return appendUvarint(b, 1<<32-1) }, func(d *decoder) bool { return d.uvarint() == 1<<32-1 }},
		{"string", "00026162", func(b []byte) []byte { return appendString(b, "ab", false) }, func(d *decoder) bool { return d.string(false) == "ab" }},
		{"compact string", "036162", func(b []byte) []byte { return appendString(b, "ab", true) }, func(d *decoder) bool { return d.stringView(true) == "ab" }},
		{"null string", "ffff", func(b []byte) []byte { return appendNullString(b, NullString{}, false, true) }, func(d *decoder) bool { return d.nullString(false, true) == NullString{} }},
		{"compact null string", "00", func(b []byte) []byte { return appendNullString(b, NullString{}, true, true) }, func(d *decoder) bool { return d.nullStringView(true, true) == NullString{} }},
		{"null where there is none", "01", func(b []byte) []byte { return appendNullString(b, NullString{}, true, false) }, func(d *decoder) bool { return d.nullString(true, false) == Str("") }},
		{"empty string", "0000", func(b []byte) []byte { return appendNullString(b, Str(""), false, true) }, func(d *decoder) bool { return d.nullString(false, true) == Str("") }},
		{"bytes", "000000026162", func(b []byte) []byte { return appendBytes(b, []byte("ab"), false) }, func(d *decoder) bool { return string(d.bytesView(false, false)) == "ab" }},
		{"compact bytes", "036162", func(b []byte) []byte { return appendBytes(b, []byte("ab"), true) }, func(d *decoder) bool { return string(d.bytesView(true, false)) == "ab" }},
		{"empty bytes", "00000000", func(b []byte) []byte { return appendBytes(b, nil, false) }, func(d *decoder) bool { p := d.bytesView(false, true); return p != nil && len(p) == 0 }},
		{"null bytes", "ffffffff", func(b []byte) []byte { return appendNull(b, false) }, func(d *decoder) bool { return d.bytesView(false, true) == nil }},
		{"null array", "ffffffff", func(b []byte) []byte { return appendNull(b, false) }, func(d *decoder) bool { return d.count(false, true, 1) == -1 }},
		{"compact null array", "00", func(b []byte) []byte { return appendNull(b, true) }, func(d *decoder) bool { return d.count(true, true, 1) == -1 }},
		{"empty array", "01", func(b []byte) []byte { return appendCount(b, 0, true) }, func(d *decoder) bool { return d.count(true, true, 1) == 0 }},
		{"struct that is there", "01", func(b []byte) []byte { return append(b, 1) }, func(d *decoder) bool { return d.present() }},
		{"struct that is not", "ff", func(b []byte) []byte { return append(b, 0xff) }, func(d *decoder) bool { return !d.present() }},
	} {
		got := c.encode([]byte("before"))
		if !bytes.HasPrefix(got, []byte("before")) || hex.EncodeToString(got[6:]) != c.want {
			t.Errorf("%s is %x, want %s", c.name, got[6:], c.want)
		}
		d := newDecoder(got[6:])
		if !c.decode(&d) || d.err != nil || d.off != d.end {
			t.Errorf("%s does not come back: %v", c.name, d.err)
		}
		for n := range len(got) - 6 {
			d := newDecoder(got[6 : 6+n])
			if c.decode(&d); d.err == nil {
				t.Errorf("%s is read from %d bytes", c.name, n)
			}
		}
	}
}

func TestPrimitivesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		decode      func(d *decoder)
	}{
		{"null where there is none", "ffff", func(d *decoder) { d.string(false) }},
		{"compact null where there is none", "00", func(d *decoder) { d.string(true) }},
		{"string of length -2", "fffe", func(d *decoder) { d.nullString(false, true) }},
		{"compact string longer than others can be", "81800261", func(d *decoder) { d.string(true) }},
		{"bytes of length -2", "fffffffe", func(d *decoder) { d.bytesView(false, true) }},
		{"null bytes where there are none", "ffffffff", func(d *decoder) { d.bytesView(false, false) }},
		{"bytes of 4 GiB", "ffffffff0f", func(d *decoder) { d.bytesView(true, true) }},
		{"array of length -2", "fffffffe", func(d *decoder) { d.count(false, true, 1) }},
		{"null array where there is none", "ffffffff", func(d *decoder) { d.count(false, false, 1) }},
		{"array longer than its elements", "000000020102030405", func(d *decoder) { d.count(false, false, 3) }},
		{"varint of 33 bits", "ffffffff1f", func(d *decoder) { d.uvarint() }},
		{"varint of six bytes", "808080808000", func(d *decoder) { d.uvarint() }},
	} {
		raw, _ := hex.DecodeString(c.bytes)
		d := newDecoder(raw)
		c.decode(&d)
		if d.err == nil {
			t.Errorf("%s: not refused", c.name)
		}
		// Whatever is read after the first error is zero, and the error stays.
		first := d.err
		if d.int64() != 0 || d.string(true) != "" || d.count(false, false, 1) != 0 || d.err != first {
			t.Errorf("%s: reading goes on after %v", c.name, first)
		}
	}
}
