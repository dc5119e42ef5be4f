package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

// golden is a batch of a transactional producer: a record with a key and a header, and one with a null key, an empty value and
// a header that is null under an empty name.
const golden = `
	0000000000000007 0000004a 00000003 02 6381e293 0010 00000001
	000001a0c4506818 000001a0c4506c00 00000000000003e9 0002 00000005 00000002
	1c 00 00 00 06 6b6579 02 76 02 02 68 02 78
	12 00 d00f 02 01 00 02 00 01`

// goldenMarker is a commit.
const goldenMarker = `
	0000000000000000 00000042 ffffffff 02 ce5a3e30 0030 00000000
	000001a0c4506c00 000001a0c4506c00 00000000000003e9 0002 ffffffff 00000001
	20 00 00 00 08 0000 0001 0c 0000 00000009 00`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func goldenBatch(t testing.TB) Batch {
	t.Helper()
	var w Builder
	w.Reset(BuildOptions{
		BaseOffset: 7, LeaderEpoch: 3, Transactional: true, Idempotent: true, ProducerID: 1001, ProducerEpoch: 2, BaseSequence: 5,
	})
	w.Add(now-1000, []byte("key"), []byte("v"), Header{Key: "h", Value: []byte("x")})
	w.Add(now, nil, []byte{}, Header{Key: "", Value: nil})
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenBytes(t *testing.T) {
	if got, want := []byte(goldenBatch(t)), unhex(t, golden); !bytes.Equal(got, want) {
		t.Errorf("batch\n%x, want\n%x", got, want)
	}
	marker := Marker{Commit: true, ProducerID: 1001, ProducerEpoch: 2, CoordinatorEpoch: 9, Timestamp: now}
	prefix := []byte("before")
	out, b := AppendControl(prefix, marker)
	if want := unhex(t, goldenMarker); !bytes.Equal(b, want) || !bytes.Equal(out, append(prefix, want...)) {
		t.Errorf("marker\n%x, want\n%x", []byte(b), want)
	}
	if got, err := ParseControl(b); err != nil || got != marker {
		t.Errorf("marker %+v, %v, want %+v", got, err, marker)
	}
}

func TestViews(t *testing.T) {
	b, rest, err := Next(append(unhex(t, golden), 1, 2, 3))
	if err != nil || !bytes.Equal(rest, []byte{1, 2, 3}) || cap(b) != len(b) {
		t.Fatalf("rest %x, cap %d of %d, %v", rest, cap(b), len(b), err)
	}
	got := []any{
		b.BaseOffset(), b.Size(), b.LeaderEpoch(), b.Magic(), b.CRC(), b.Attributes(), b.Codec(), b.LogAppendTime(), b.Transactional(), b.Control(),
		b.DeleteHorizon(), b.LastOffsetDelta(), b.LastOffset(), b.NextOffset(), b.BaseTimestamp(), b.MaxTimestamp(), b.ProducerID(), b.ProducerEpoch(),
		b.BaseSequence(), b.LastSequence(), b.Count(), len(b.Records()),
	}
	want := []any{
		int64(7), 86, int32(3), int8(2), uint32(0x6381e293), int16(0x10), None, false, true, false,
		false, int32(1), int64(8), int64(9), int64(now - 1000), int64(now), int64(1001), int16(2),
		int32(5), int32(6), int32(2), 25,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v, want\n%v", got, want)
	}
	for codec := None; codec <= 7; codec++ {
		b := edit(b, func(b Batch) { put16(b[atAttributes:], 0x40|int(codec)) })
		if b.Codec() != codec || !b.DeleteHorizon() || b.Transactional() {
			t.Errorf("codec %v of attributes %#x", b.Codec(), b.Attributes())
		}
	}
}

// Behaviour 1: what the leader stamps lies before the checksum.
func TestStampLeavesTheChecksum(t *testing.T) {
	b := Batch(unhex(t, golden))
	b.Stamp(math.MaxInt64-5, math.MaxInt32)
	if b.BaseOffset() != math.MaxInt64-5 || b.LeaderEpoch() != math.MaxInt32 || b.CRC() != 0x6381e293 {
		t.Errorf("stamped %d %d %08x", b.BaseOffset(), b.LeaderEpoch(), b.CRC())
	}
	if err := b.CheckHeader(); err != nil {
		t.Error(err)
	}
}

// Behaviour 2.
func TestSetMaxTimestamp(t *testing.T) {
	b := Batch(unhex(t, golden))
	b.SetMaxTimestamp(now, false) // what it is
	if !bytes.Equal(b, unhex(t, golden)) {
		t.Error("a batch with the right timestamp was rewritten")
	}
	b.SetMaxTimestamp(now+7, true)
	if b.MaxTimestamp() != now+7 || !b.LogAppendTime() || b.BaseTimestamp() != now-1000 || !b.Transactional() {
		t.Errorf("attributes %#x, timestamps %d to %d", b.Attributes(), b.BaseTimestamp(), b.MaxTimestamp())
	}
	if err := b.CheckHeader(); err != nil {
		t.Error(err)
	}
	if err := b.Iterate(Limits{}, func(r Record) error {
		if r.Timestamp != now+7 {
			t.Errorf("record %d has timestamp %d", r.Offset, r.Timestamp)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	b.SetMaxTimestamp(now, false)
	if !bytes.Equal(b, unhex(t, golden)) {
		t.Errorf("not restored: %x", []byte(b))
	}
}

func TestSequencesWrap(t *testing.T) {
	for _, c := range []struct{ base, n, want int32 }{
		{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}, {math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1},
	} {
		if got := AddSequence(c.base, c.n); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.base, c.n, got, c.want)
		}
		b := edit(Batch(unhex(t, golden)), func(b Batch) { put32(b[atBaseSequence:], int(c.base)); put32(b[atLastOffsetDelta:], int(c.n)) })
		if got := b.LastSequence(); got != c.want {
			t.Errorf("last sequence of %d + %d is %d, want %d", c.base, c.n, got, c.want)
		}
	}
	if got := build(t, None, 1).LastSequence(); got != NoSequence {
		t.Errorf("last sequence without a producer is %d", got)
	}
}

func TestNextOfBatchesInARow(t *testing.T) {
	var log []byte
	for _, codec := range codecs {
		log = append(log, build(t, codec, 10)...)
	}
	var seen []Codec
	for {
		b, rest, err := Next(log)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen, log = append(seen, b.Codec()), rest
	}
	if !reflect.DeepEqual(seen, codecs) {
		t.Errorf("read %v", seen)
	}
}

func TestNextOfBatchCutShort(t *testing.T) {
	whole := unhex(t, golden)
	for n := range whole {
		b, rest, err := Next(whole[:n])
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if b != nil || err != want || len(rest) != n {
			t.Fatalf("of %d bytes: %v, %d left, %v", n, b, len(rest), err)
		}
	}
}

func TestNextRefusesLengths(t *testing.T) {
	for length, want := range map[int]error{
		-1: ErrBatch, 0: ErrBatch, 48: ErrBatch, math.MinInt32: ErrBatch, math.MaxInt32: ErrBatch, math.MaxInt32 - 11: ErrBatch,
		math.MaxInt32 - 12: io.ErrUnexpectedEOF, 75: io.ErrUnexpectedEOF, 74: nil, 73: nil, 49: nil,
	} {
		p := unhex(t, golden)
		put32(p[atLength:], length)
		b, _, err := Next(p)
		if err != want || err == nil && len(b) != length+12 {
			t.Errorf("length %d: %d bytes, %v, want %v", length, len(b), err, want)
		}
	}
	for _, magic := range []byte{0, 1, 3, 255} {
		p := unhex(t, golden)
		p[atMagic] = magic
		for _, n := range []int{17, 60, 61, len(p)} {
			if _, _, err := Next(p[:n]); err != ErrBatch {
				t.Errorf("magic %d in %d bytes: %v", magic, n, err)
			}
		}
	}
}

// Compaction leaves holes and empty batches, which are good in a log and bad from a producer.
func TestCheckHeader(t *testing.T) {
	for _, c := range []struct {
		name        string
		base        int64
		last, count int32
		code        int16
	}{
		{"as produced", 7, 1, 2, 0},
		{"with holes", 7, 100, 2, 0},
		{"empty", 7, 1, 0, 0},
		{"as far as offsets go", math.MaxInt64 - 2, 1, 2, 0},
		{"next offset overflows", math.MaxInt64 - 1, 1, 2, codeInvalidRecord},
		{"last offset overflows", math.MaxInt64, 1, 2, codeInvalidRecord},
		{"negative base offset", -1, 1, 2, codeInvalidRecord},
		{"negative delta", 7, -1, 2, codeInvalidRecord},
		{"negative delta and count", 7, -3, -2, codeInvalidRecord},
		{"negative count", 7, 1, -1, codeInvalidRecord},
		{"more records than offsets", 7, 0, 2, codeInvalidRecord},
		{"count + 1 overflows", 7, math.MaxInt32, math.MaxInt32, 0},
	} {
		b := edit(Batch(unhex(t, golden)), func(b Batch) {
			b.Stamp(c.base, 0)
			put32(b[atLastOffsetDelta:], int(c.last))
			put32(b[atCount:], int(c.count))
		})
		if got := codeOf(t, b.CheckHeader()); got != c.code {
			t.Errorf("%s: code %d, want %d", c.name, got, c.code)
		}
	}
}

func codeOf(t testing.TB, err error) int16 {
	t.Helper()
	var bad *CheckError
	if err != nil && (!errors.As(err, &bad) || bad.Code == 0) {
		t.Fatalf("%v is no CheckError with a code", err)
	}
	if bad == nil {
		return 0
	}
	return bad.Code
}

// Every single flipped bit after the leader epoch is found by the header check: the checksum or a check before it.
func TestEveryFlippedBitIsFound(t *testing.T) {
	for _, codec := range codecs {
		b := build(t, codec, 5)
		for bit := atMagic * 8; bit < len(b)*8; bit++ {
			b[bit/8] ^= 1 << (bit % 8)
			if codeOf(t, b.CheckHeader()) == 0 {
				t.Fatalf("%s: bit %d of byte %d", codec, bit%8, bit/8)
			}
			o := limits()
			if codeOf(t, b.Check(&o)) == 0 {
				t.Fatalf("%s: Check accepts bit %d of byte %d", codec, bit%8, bit/8)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestBatchCutAtEachByteIsRefused(t *testing.T) {
	for _, codec := range codecs {
		b := build(t, codec, 5)
		for n := range b {
			if codeOf(t, b[:n:n].CheckHeader()) == 0 {
				t.Fatalf("%s: %d of %d bytes", codec, n, len(b))
			}
		}
	}
}

// A block cut short under a right checksum and header must be found by the decoder.
func TestRecordsCutAtEachByteAreRefused(t *testing.T) {
	for _, codec := range codecs {
		whole := build(t, codec, 20)
		for n := HeaderSize; n < len(whole); n++ {
			b := edit(whole[:n], func(b Batch) { put32(b[atLength:], n-lengthOverhead) })
			o := limits()
			if got := codeOf(t, b.Check(&o)); got != codeInvalidRecord {
				t.Fatalf("%s: %d of %d bytes: code %d", codec, n, len(whole), got)
			}
			if err := b.Iterate(Limits{}, func(Record) error { return nil }); err == nil {
				t.Fatalf("%s: %d of %d bytes iterate", codec, n, len(whole))
			}
		}
	}
}
