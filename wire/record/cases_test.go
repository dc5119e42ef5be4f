package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// now is the broker's clock in the tests; the timestamps of good records lie a little before it.
const now = 1_790_000_000_000

// limits are the options of a plain topic.
func limits() CheckOptions {
	return CheckOptions{Now: now, TimestampBeforeMax: 1<<63 - 1, TimestampAfterMax: 3_600_000, ZstdAllowed: true, MaxBytes: 1 << 20, FromClient: true}
}

var codecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

// build makes a batch of records with a null key and a null value among them, and headers.
func build(t testing.TB, codec Codec, n int) Batch {
	t.Helper()
	var w Builder
	w.Reset(BuildOptions{Codec: codec, LeaderEpoch: NoLeaderEpoch})
	for i := range n {
		key, value := fmt.Appendf(nil, "key-%d", i), fmt.Appendf(nil, "value %d of a batch that compresses well enough", i)
		switch i {
		case 1:
			key = nil
		case 2:
			value = nil
		case 3:
			w.Add(now-500, key, value, Header{Key: "h", Value: []byte("1")}, Header{Key: "", Value: nil})
			continue
		}
		w.Add(now-1000+int64(i%7), key, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wrap makes a batch around a ready block of records.
func wrap(codec Codec, count int32, block []byte) Batch {
	b := Batch(append(make([]byte, HeaderSize), block...))
	b.putHeader(header{
		leaderEpoch: NoLeaderEpoch, attributes: int16(codec), lastOffsetDelta: count - 1, baseTimestamp: now - 1000, maxTimestamp: now - 1000,
		producerID: NoProducerID, producerEpoch: NoProducerEpoch, baseSequence: NoSequence, count: count,
	})
	b.sum()
	return b
}

// records are n plain records of a keyed value, ready for wrap.
func records(n int) []byte {
	var p []byte
	for i := range n {
		p = appendRecord(p, 0, int64(i), []byte("k"), []byte("some value, some value, some value"))
	}
	return p
}

func appendRecord(dst []byte, timestampDelta, offsetDelta int64, key, value []byte) []byte {
	body := appendVarint([]byte{0}, timestampDelta)
	body = appendVarint(body, offsetDelta)
	body = appendNullable(body, key)
	body = appendNullable(body, value)
	return frameRecord(dst, append(body, 0))
}

func frameRecord(dst, body []byte) []byte {
	return append(appendVarint(dst, int64(len(body))), body...)
}

func gzipped(p []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	mustWrite(w, p)
	return buf.Bytes()
}

func lz4Framed(p []byte, o ...lz4.Option) []byte {
	var buf bytes.Buffer
	w := lz4.NewWriter(&buf)
	if err := w.Apply(o...); err != nil {
		panic(err)
	}
	mustWrite(w, p)
	return buf.Bytes()
}

func mustWrite(w io.WriteCloser, p []byte) {
	if _, err := w.Write(p); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}

func zstded(p []byte, o ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, o...)
	if err != nil {
		panic(err)
	}
	defer w.Close()
	return w.EncodeAll(p, nil)
}

// zstdStreamed is a frame as of a stream: it says how wide its window is, by a number of the format, and not how much there is.
func zstdStreamed(p []byte, window byte) []byte {
	frame := zstded(p, zstd.WithEncoderCRC(false))
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		panic(err)
	}
	return append(append(bytes.Clone(frame[:4]), 0, window), frame[h.HeaderSize:]...)
}

// edit changes a copy of a batch and makes its checksum right again.
func edit(b Batch, f func(b Batch)) Batch {
	b = bytes.Clone(b)
	f(b)
	b.sum()
	return b
}

func put16(b []byte, v int) { binary.BigEndian.PutUint16(b, uint16(v)) }
func put32(b []byte, v int) { binary.BigEndian.PutUint32(b, uint32(v)) }
func put64(b []byte, v int) { binary.BigEndian.PutUint64(b, uint64(v)) }

// verdict is one payload of a produce request's partition, and what becomes of it.
type verdict struct {
	name      string
	payload   []byte
	compacted bool
	appends   bool  // topic with LogAppendTime
	version   int16 // of Produce; 0 is 12
	code      int16
	records   []int32
	kafka     int16 // what Kafka 4.4.0 answers where we differ on purpose; see Check
}

const (
	unknownServerError = -1
	accepted           = -2
)

// verdicts were compared with Apache Kafka 4.4.0: TestKafkaAgreesOnVerdicts does it again.
func verdicts(t testing.TB) []verdict {
	three := build(t, None, 3)
	vs := []verdict{
		{name: "no batch", payload: []byte{}, code: codeInvalidRecord},
		{name: "batch cut short", payload: three[:len(three)-1], code: codeInvalidRecord},
		{name: "format 0", payload: edit(three, func(b Batch) { b[atMagic] = 0 }), code: codeInvalidRecord},
		{name: "format 1", payload: edit(three, func(b Batch) { b[atMagic] = 1 }), code: codeInvalidRecord},
		{name: "format 3", payload: edit(three, func(b Batch) { b[atMagic] = 3 }), code: codeCorruptMessage},
		{name: "format -1", payload: edit(three, func(b Batch) { b[atMagic] = 255 }), code: codeCorruptMessage},
		{name: "length below the header's", payload: edit(three, func(b Batch) { put32(b[atLength:], 40) }), code: codeCorruptMessage},
		{name: "length 0", payload: edit(three, func(b Batch) { put32(b[atLength:], 0) }), code: codeCorruptMessage},
		{name: "length -1", payload: edit(three, func(b Batch) { put32(b[atLength:], -1) }), code: codeCorruptMessage},
		{name: "length 2^31-1", payload: edit(three, func(b Batch) { put32(b[atLength:], 1<<31-1) }), code: codeCorruptMessage, kafka: unknownServerError},
		{name: "two batches", payload: append(bytes.Clone(three), three...), code: codeInvalidRecord},
		{name: "16 bytes more", payload: append(bytes.Clone(three), three[:16]...)},
		{name: "17 bytes more", payload: append(bytes.Clone(three), three[:17]...)},
		{name: "checksum", payload: func() []byte { b := bytes.Clone(three); b[len(b)-1] ^= 1; return b }(), code: codeCorruptMessage},
		{name: "base offset 5", payload: edit(three, func(b Batch) { b.Stamp(5, -1) }), code: codeInvalidRecord},
		{name: "base offset -1", payload: edit(three, func(b Batch) { b.Stamp(-1, -1) }), code: codeInvalidRecord},
		{name: "count above last offset", payload: edit(three, func(b Batch) { put32(b[atCount:], 4) }), code: codeInvalidRecord},
		{name: "count below last offset", payload: edit(three, func(b Batch) { put32(b[atCount:], 2) }), code: codeInvalidRecord},
		{name: "count 0", payload: edit(three, func(b Batch) { put32(b[atCount:], 0) }), code: codeInvalidRecord},
		{name: "count -1", payload: edit(three, func(b Batch) { put32(b[atCount:], -1); put32(b[atLastOffsetDelta:], -2) }), code: codeInvalidRecord},
		{name: "count 2^31-1", payload: edit(three, func(b Batch) { put32(b[atCount:], 1<<31-1); put32(b[atLastOffsetDelta:], 1<<31-2) }), code: codeInvalidRecord},
		{name: "last offset delta 2^31-1", payload: edit(three, func(b Batch) { put32(b[atLastOffsetDelta:], 1<<31-1) }), code: codeInvalidRecord},
		{name: "fewer records than declared", payload: edit(three, func(b Batch) { put32(b[atCount:], 4); put32(b[atLastOffsetDelta:], 3) }), code: codeInvalidRecord},
		{name: "more records than declared", payload: edit(three, func(b Batch) { put32(b[atCount:], 2); put32(b[atLastOffsetDelta:], 1) }), code: codeInvalidRecord},
		{name: "control batch", payload: edit(three, func(b Batch) { b[atAttributes+1] |= attrControl }), code: codeInvalidRecord},
		{name: "producer without sequence", payload: edit(three, func(b Batch) { b.setProducer(5, 0, -1) }), code: codeInvalidRecord},
		{name: "codec 5", payload: edit(three, func(b Batch) { b[atAttributes+1] |= 5 }), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "codec 7", payload: edit(three, func(b Batch) { b[atAttributes+1] |= 7 }), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "zstd in Produce 6", payload: build(t, Zstd, 3), version: 6, code: codeUnsupportedCodec},
		{name: "zstd in Produce 7", payload: build(t, Zstd, 3), version: 7},
		{name: "larger than max.message.bytes", payload: wrap(None, 1, appendRecord(nil, 0, 0, nil, make([]byte, 1<<20+100))), code: codeMessageTooLarge},
		{name: "larger than max.message.bytes and checksum", payload: func() []byte {
			b := wrap(None, 1, appendRecord(nil, 0, 0, nil, make([]byte, 1<<20+100)))
			b[len(b)-1] ^= 1
			return b
		}(), code: codeMessageTooLarge},
		{name: "key missing on a compacted topic", payload: three, compacted: true, code: codeInvalidRecord, records: []int32{1}},
		{name: "keys on a compacted topic", payload: wrap(None, 3, records(3)), compacted: true},
		{name: "timestamps too new", payload: wrap(None, 3, appendRecord(appendRecord(appendRecord(nil, 0, 0, nil, nil), 4e12, 1, nil, nil), 8e12, 2, nil, nil)),
			code: codeInvalidTimestamp, records: []int32{1, 2}},
		{name: "timestamp 2^63-1", payload: wrap(None, 1, appendRecord(nil, 1<<63-1-(now-1000), 0, nil, nil)), code: codeInvalidTimestamp, records: []int32{0}},
		{name: "timestamp -1", payload: edit(wrap(None, 1, appendRecord(nil, 0, 0, nil, nil)), func(b Batch) { put64(b[atBaseTimestamp:], -1) })},
		{name: "timestamp -2", payload: edit(wrap(None, 1, appendRecord(nil, 0, 0, nil, nil)), func(b Batch) { put64(b[atBaseTimestamp:], -2) })},
		{name: "timestamp -2^63", payload: edit(wrap(None, 1, appendRecord(nil, 0, 0, nil, nil)), func(b Batch) { put64(b[atBaseTimestamp:], -1<<63) }),
			code: codeInvalidTimestamp, records: []int32{0}},
		{name: "key and timestamp", payload: wrap(None, 2, appendRecord(appendRecord(nil, 0, 0, nil, nil), 4e12, 1, []byte("k"), nil)), compacted: true,
			code: codeInvalidTimestamp, records: []int32{0, 1}},
		{name: "key missing in gzip", payload: wrap(Gzip, 2, gzipped(appendRecord(appendRecord(nil, 0, 0, []byte("k"), nil), 0, 1, nil, nil))), compacted: true,
			code: codeInvalidRecord, records: []int32{1}},
		{name: "timestamp too new under LogAppendTime", payload: wrap(None, 1, appendRecord(nil, 4e12, 0, nil, nil)), appends: true},
		{name: "producer sets LogAppendTime under LogAppendTime", payload: edit(three, func(b Batch) { b[atAttributes+1] |= attrLogAppendTime }), appends: true,
			code: codeInvalidTimestamp, records: []int32{0, 1, 2}},
		{name: "producer sets LogAppendTime under CreateTime", payload: edit(three, func(b Batch) { b[atAttributes+1] |= attrLogAppendTime })},
		{name: "largest timestamp is wrong", payload: edit(three, func(b Batch) { put64(b[atMaxTimestamp:], now+5) })},
		{name: "unknown attributes", payload: edit(three, func(b Batch) { put16(b[atAttributes:], 0x7fc0) })},
		{name: "unknown attributes and largest timestamp", payload: edit(three, func(b Batch) { put16(b[atAttributes:], 0x7fc0); put64(b[atMaxTimestamp:], 1) })},
		{name: "unknown attributes under LogAppendTime", payload: edit(three, func(b Batch) { put16(b[atAttributes:], 0x7fc0) }), appends: true},
		{name: "offset deltas with a hole", payload: wrap(None, 2, appendRecord(appendRecord(nil, 0, 0, nil, nil), 0, 2, nil, nil)), code: codeInvalidRecord, kafka: accepted},
		{name: "offset deltas backwards in gzip", payload: wrap(Gzip, 2, gzipped(appendRecord(appendRecord(nil, 0, 1, nil, nil), 0, 0, nil, nil))), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "record cut short", payload: wrap(None, 1, records(1)[:20]), code: codeInvalidRecord},
		{name: "record length 0", payload: wrap(None, 1, []byte{0}), code: codeInvalidRecord},
		{name: "record length -1", payload: wrap(None, 1, []byte{1, 0, 0, 0, 1, 1, 0}), code: codeInvalidRecord},
		{name: "record length 2^31-1", payload: wrap(None, 1, append(appendVarint(nil, 1<<31-1), records(1)[1:]...)), code: codeInvalidRecord},
		{name: "record length overlong", payload: wrap(None, 1, append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, records(1)[1:]...)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "record longer than its fields", payload: wrap(None, 1, frameRecord(nil, []byte{0, 0, 0, 1, 1, 0, 9, 9})), code: codeInvalidRecord},
		{name: "key length beyond the record", payload: wrap(None, 1, frameRecord(nil, []byte{0, 0, 0, 100, 1, 0})), code: codeInvalidRecord},
		{name: "key length -2", payload: wrap(None, 1, frameRecord(nil, []byte{0, 0, 0, 3, 1, 0})), code: codeInvalidRecord, kafka: accepted},
		{name: "header count -1", payload: wrap(None, 1, frameRecord(nil, []byte{0, 0, 0, 1, 1, 1})), code: codeInvalidRecord},
		{name: "header count 1000", payload: wrap(None, 1, frameRecord(nil, append([]byte{0, 0, 0, 1, 1}, appendVarint(nil, 1000)...))), code: codeInvalidRecord},
		{name: "header without key", payload: wrap(None, 1, frameRecord(nil, []byte{0, 0, 0, 1, 1, 2, 1, 1})), code: codeInvalidRecord},
		{name: "header count 1000 in gzip", payload: wrap(Gzip, 1, gzipped(frameRecord(nil, append([]byte{0, 0, 0, 1, 1}, appendVarint(nil, 1000)...)))), code: codeInvalidRecord},
		{name: "more records than declared in gzip", payload: wrap(Gzip, 1, gzipped(records(2))), code: codeInvalidRecord},
		{name: "fewer records than declared in gzip", payload: wrap(Gzip, 3, gzipped(records(2))), code: codeInvalidRecord},
		{name: "gzip with a tail", payload: wrap(Gzip, 2, append(gzipped(records(2)), 1, 2, 3)), code: codeInvalidRecord, kafka: accepted},
		{name: "gzip cut short", payload: wrap(Gzip, 200, gzipped(records(200))[:60]), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "gzip members", payload: wrap(Gzip, 2, append(gzipped(records(2)[:10]), gzipped(records(2)[10:])...))},
		{name: "not gzip", payload: wrap(Gzip, 2, records(2)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "raw snappy", payload: wrap(Snappy, 100, s2.EncodeSnappy(nil, records(100)))},
		{name: "not snappy", payload: wrap(Snappy, 2, records(2)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "s2, not snappy", payload: wrap(Snappy, 1, s2Repeat()), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "xerial chunk cut short", payload: wrap(Snappy, 200, appendSnappy(nil, records(200))[:100]), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "raw snappy with a tail", payload: wrap(Snappy, 2, append(s2.EncodeSnappy(nil, records(2)), 1, 2, 3)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 frames of 4 MiB blocks with checksums", payload: wrap(LZ4, 100, lz4Framed(records(100), lz4.BlockChecksumOption(true), lz4.ChecksumOption(true)))},
		{name: "lz4 with content size", payload: wrap(LZ4, 100, lz4Framed(records(100), lz4.SizeOption(uint64(len(records(100))))))},
		{name: "not lz4", payload: wrap(LZ4, 2, records(2)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 cut short", payload: wrap(LZ4, 200, lz4Framed(records(200))[:60]), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 without end mark", payload: func() []byte {
			p := lz4Framed(records(200), lz4.ChecksumOption(false))
			return wrap(LZ4, 200, p[:len(p)-4])
		}(), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 with a tail", payload: wrap(LZ4, 2, append(lz4Framed(records(2)), 1, 2, 3)), code: codeInvalidRecord, kafka: accepted},
		{name: "lz4 header checksum", payload: wrap(LZ4, 2, lz4Broken(6)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 block checksum", payload: wrap(LZ4, 2, lz4Broken(20)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "lz4 content checksum", payload: wrap(LZ4, 2, lz4Broken(-1))},
		{name: "lz4 linked blocks", payload: wrap(LZ4, 2, lz4Linked()), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "zstd with a window of 64 MiB", payload: wrap(Zstd, 2, zstdWide())},
		{name: "zstd frames", payload: wrap(Zstd, 2, append(zstded(records(2)[:10]), zstded(records(2)[10:])...))},
		{name: "zstd cut short", payload: wrap(Zstd, 200, zstded(records(200))[:60]), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "not zstd", payload: wrap(Zstd, 2, records(2)), code: codeInvalidRecord, kafka: unknownServerError},
		{name: "zstd with a tail", payload: wrap(Zstd, 2, append(zstded(records(2)), 1, 2, 3)), code: codeInvalidRecord, kafka: unknownServerError},
	}
	for _, codec := range codecs {
		vs = append(vs, verdict{name: "good " + codec.String(), payload: build(t, codec, 100)})
		vs = append(vs, verdict{name: "good 700 KiB " + codec.String(), payload: wrapWith(t, codec, 700<<10)})
		vs = append(vs, verdict{name: "one record of 600 KiB " + codec.String(), payload: buildLarge(t, codec, 600<<10)})
		vs = append(vs, verdict{name: "LogAppendTime " + codec.String(), payload: build(t, codec, 100), appends: true})
	}
	return vs
}

// wrapWith makes a batch of about n raw bytes of many records.
func wrapWith(t testing.TB, codec Codec, n int) Batch {
	t.Helper()
	var w Builder
	w.Reset(BuildOptions{Codec: codec})
	for i := 0; w.Size() < n; i++ {
		w.Add(now-1000, fmt.Appendf(nil, "%x", i*7919), fmt.Appendf(nil, "line %d: %x the quick brown fox jumps over the lazy dog %d", i, i*i*104729, i))
	}
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// buildLarge makes a batch whose middle record crosses windows.
func buildLarge(t testing.TB, codec Codec, n int) Batch {
	t.Helper()
	var w Builder
	w.Reset(BuildOptions{Codec: codec})
	w.Add(now-1000, []byte("before"), []byte("small"))
	w.Add(now-999, []byte("large"), text(n), Header{Key: "after", Value: text(300 << 10)[:1000]})
	w.Add(now-998, []byte("after"), []byte("small"))
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// text is n bytes that compress as text does.
func text(n int) []byte {
	p := make([]byte, 0, n+64)
	for i := 0; len(p) < n; i++ {
		p = fmt.Appendf(p, "%d %x lorem ipsum dolor sit amet; ", i*i*31, i*15485863)
	}
	return p[:n]
}

// s2Repeat is a record in a block that uses s2's repeated offset: the decoder knows it, snappy does not.
func s2Repeat() []byte {
	raw := appendRecord(nil, 0, 0, nil, bytes.Repeat([]byte("abcdefghij"), 20))
	head, value := raw[:len(raw)-201], raw[len(raw)-201:]
	p := binary.AppendUvarint(nil, uint64(len(raw)))
	lit := append(bytes.Clone(head), value[:10]...)
	p = append(p, byte(len(lit)-1)<<2)
	p = append(p, lit...)
	p = append(p, 63<<2|2, 10, 0)      // copy 64 from 10 back
	p = append(p, 5<<2|1, 0, 190-64-8) // repeat
	// The repeat's length code 5 adds one byte: 8 + it.
	p = append(p, 0<<2, 0)
	return p
}

// lz4Broken flips a bit at a position of a frame with all checksums; -1 is the last byte.
func lz4Broken(at int) []byte {
	p := lz4Framed(records(2), lz4.BlockChecksumOption(true), lz4.ChecksumOption(true))
	if at < 0 {
		at += len(p)
	}
	p[at] ^= 1
	return p
}

// lz4Linked clears the independence bit of a good frame.
func lz4Linked() []byte {
	p := lz4Framed(records(2))
	p[4] &^= 0x20
	p[6] = byte(xxh32(p[4:6]) >> 8)
	return p
}

// zstdWide is a frame that declares a window of 64 MiB, as zstd's highest levels do.
func zstdWide() []byte {
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		panic(err)
	}
	p := records(2)
	if _, err := w.Write(p[:10]); err != nil {
		panic(err)
	}
	if err := w.Flush(); err != nil { // begins the frame before its size is known
		panic(err)
	}
	mustWrite(w, p[10:])
	return buf.Bytes()
}
