package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz-go is the oracle: its kmsg has the layouts, its kgo the codecs, from another hand.

var words = text(4 << 20)

// randomRecords are n records of every shape, about size bytes in all.
func randomRecords(r *rand.Rand, n, size int) []Record {
	rs := make([]Record, n)
	some := func(limit int) []byte {
		switch r.IntN(5) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		b := bytes.Clone(words[r.IntN(len(words)/2):][:r.IntN(limit+1)])
		if r.IntN(4) == 0 { // incompressible
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		return b
	}
	for i := range rs {
		rs[i] = Record{Offset: int64(i), Timestamp: now + r.Int64N(1<<20) - 1<<19, Key: some(100), Value: some(2 * size / n)}
		for range r.IntN(3) {
			rs[i].Headers = append(rs[i].Headers, Header{Key: string(some(20)), Value: some(50)})
		}
	}
	rs[0].Timestamp = now // a base in the middle: deltas of both signs
	return rs
}

func buildRecords(t testing.TB, o BuildOptions, rs []Record) Batch {
	t.Helper()
	var w Builder
	w.Reset(o)
	for _, r := range rs {
		w.Add(r.Timestamp, r.Key, r.Value, r.Headers...)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readRecords(t testing.TB, b Batch) []Record {
	t.Helper()
	var rs []Record
	if err := b.Iterate(Limits{}, func(r Record) error {
		c := Record{Offset: r.Offset, Timestamp: r.Timestamp, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)}
		for _, h := range r.Headers {
			c.Headers = append(c.Headers, Header{Key: string(append([]byte(nil), h.Key...)), Value: bytes.Clone(h.Value)})
		}
		rs = append(rs, c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rs
}

// kmsgRecords encodes records by kmsg.
func kmsgRecords(rs []Record) []byte {
	var p []byte
	for i, r := range rs {
		k := kmsg.Record{TimestampDelta64: r.Timestamp - rs[0].Timestamp, OffsetDelta: int32(i), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
		}
		body := k.AppendTo(nil) // with the length 0, one byte
		k.Length = int32(len(body) - 1)
		p = append(p, k.AppendTo(nil)...)
	}
	return p
}

// kmsgBatch encodes a batch by kmsg.
func kmsgBatch(codec Codec, rs []Record, block []byte) []byte {
	k := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(len(rs) - 1), FirstTimestamp: rs[0].Timestamp,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(rs)), Records: block, Length: int32(49 + len(block)),
	}
	for _, r := range rs {
		k.MaxTimestamp = max(k.MaxTimestamp, r.Timestamp)
	}
	p := k.AppendTo(nil)
	k.CRC = int32(crc32.Checksum(p[21:], crc32.MakeTable(crc32.Castagnoli)))
	return k.AppendTo(nil)
}

// blocks are the forms in which clients send a block of records.
func blocks(t testing.TB, codec Codec, p []byte) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	kgoCodec := map[Codec]kgo.CompressionCodec{
		Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(),
	}
	if codec == None {
		m["plain"] = p
		return m
	}
	c, err := kgo.DefaultCompressor(kgoCodec[codec])
	if err != nil {
		t.Fatal(err)
	}
	out, used := c.Compress(new(bytes.Buffer), p)
	if Codec(used) != codec {
		t.Fatalf("franz-go compresses by %d", used)
	}
	m["franz-go"] = bytes.Clone(out)
	switch codec {
	case Snappy:
		m["better"] = s2.EncodeSnappyBetter(nil, p)
		m["best"] = s2.EncodeSnappyBest(nil, p)
	case LZ4:
		for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
			for _, level := range []lz4.CompressionLevel{lz4.Fast, lz4.Level9} {
				m[fmt.Sprintf("blocks of %s at %s", size, level)] = lz4Framed(p, lz4.BlockSizeOption(size), lz4.CompressionLevelOption(level),
					lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(p))))
			}
		}
	case Zstd:
		m["fastest"] = zstded(p, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
		m["best"] = zstded(p, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20), zstd.WithSingleSegment(false))
	}
	return m
}

var sizes = []struct{ records, bytes int }{{1, 10}, {7, 500}, {300, 64 << 10}, {3, 400 << 10}, {9, 3 << 19}}

// Behaviour 1; what others write is read.
func TestReadsWhatKmsgEncodes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, codec := range codecs {
		for _, size := range sizes {
			rs := randomRecords(r, size.records, size.bytes)
			for form, block := range blocks(t, codec, kmsgRecords(rs)) {
				b, rest, err := Next(kmsgBatch(codec, rs, block))
				if err != nil || len(rest) != 0 {
					t.Fatal(err)
				}
				what := fmt.Sprintf("%s %s, %d records", codec, form, size.records)
				o := CheckOptions{FromClient: true, ZstdAllowed: true}
				before := bytes.Clone(b)
				if err := b.Check(&o); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if !bytes.Equal(before, b) {
					t.Errorf("%s: a good batch was rewritten", what)
				}
				if !sameRecords(rs, readRecords(t, b)) {
					t.Fatalf("%s: other records than kmsg encoded", what)
				}
				if codec == None && !bytes.Equal(buildRecords(t, BuildOptions{LeaderEpoch: -1}, rs), b) {
					t.Errorf("%s: Builder writes other bytes than kmsg", what)
				}
			}
		}
	}
}

// sameRecords is equality that tells null from empty.
func sameRecords(a, b []Record) bool {
	same := func(p, q []byte) bool { return (p == nil) == (q == nil) && bytes.Equal(p, q) }
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Offset != b[i].Offset || a[i].Timestamp != b[i].Timestamp || !same(a[i].Key, b[i].Key) || !same(a[i].Value, b[i].Value) ||
			len(a[i].Headers) != len(b[i].Headers) {
			return false
		}
		for j, h := range a[i].Headers {
			if h.Key != b[i].Headers[j].Key || !same(h.Value, b[i].Headers[j].Value) {
				return false
			}
		}
	}
	return true
}

// What Builder writes franz-go reads.
func TestKmsgReadsWhatBuilderWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	inflate := kgo.DefaultDecompressor()
	for _, codec := range codecs {
		for _, size := range sizes {
			rs := randomRecords(r, size.records, size.bytes)
			b := buildRecords(t, BuildOptions{
				Codec: codec, BaseOffset: 1000, LeaderEpoch: 4, Idempotent: true, ProducerID: 77, ProducerEpoch: 1, BaseSequence: 1<<31 - 1,
			}, rs)
			var k kmsg.RecordBatch
			if err := k.ReadFrom(b); err != nil {
				t.Fatal(err)
			}
			if k.FirstOffset != 1000 || k.PartitionLeaderEpoch != 4 || k.ProducerID != 77 || k.ProducerEpoch != 1 || k.FirstSequence != 1<<31-1 ||
				int(k.NumRecords) != len(rs) || uint32(k.CRC) != b.CRC() || int(k.Length) != len(b)-12 || int(k.LastOffsetDelta) != len(rs)-1 {
				t.Fatalf("%s: kmsg reads %+v", codec, k)
			}
			p, err := inflate.Decompress(k.Records, kgo.CompressionCodecType(codec))
			if err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
			if !bytes.Equal(p, kmsgRecords(rs)) {
				t.Errorf("%s: records differ from kmsg's", codec)
			}
			for i := range rs {
				rs[i].Offset += 1000
			}
			if !sameRecords(rs, readRecords(t, b)) {
				t.Errorf("%s: Iterator reads other records than Builder was given", codec)
			}
		}
	}
}

// Against an Apache Kafka: what Builder writes it accepts and a consumer reads back; what franz-go's producer writes is read.
func TestKafkaTakesWhatBuilderWrites(t *testing.T) {
	client := kafka(t, 12)
	r := rand.New(rand.NewPCG(5, 6))
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			name := topic(t, client, codec.String(), map[string]string{"message.timestamp.after.max.ms": fmt.Sprint(int64(1) << 50)})
			rs := randomRecords(r, 500, 300<<10)
			if p := produce(t, client, name, buildRecords(t, BuildOptions{Codec: codec}, rs)); p.ErrorCode != 0 {
				t.Fatalf("Kafka answers %d", p.ErrorCode)
			}
			stored, _, err := Next(fetch(t, client, name, 0))
			if err != nil || stored.CheckHeader() != nil || !sameRecords(rs, readRecords(t, stored)) {
				t.Fatalf("stored batch: %v", err)
			}
			consumer := kafka(t, 12, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var got []Record
			for len(got) < len(rs) {
				fs := consumer.PollFetches(ctx)
				if err := errors.Join(fs.Err0(), ctx.Err()); err != nil {
					t.Fatal(err)
				}
				fs.EachRecord(func(k *kgo.Record) {
					r := Record{Offset: k.Offset, Timestamp: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value}
					for _, h := range k.Headers {
						r.Headers = append(r.Headers, Header{Key: h.Key, Value: h.Value})
					}
					got = append(got, r)
				})
			}
			if !sameRecords(rs, got) {
				t.Error("a consumer reads other records")
			}
		})
	}
}

func TestXXH32(t *testing.T) {
	// pierrec/lz4 writes the second byte of the hash into every frame header, and the whole after the content.
	for n := range 70 {
		p := text(n + 1)
		frame := lz4Framed(p, lz4.ChecksumOption(true))
		if got, want := xxh32(p), binary.LittleEndian.Uint32(frame[len(frame)-4:]); got != want {
			t.Errorf("hash of %d bytes %08x, want %08x", len(p), got, want)
		}
	}
}

// Varints agree with franz-go's at every length, and refuse what does not fit.
func TestVarints(t *testing.T) {
	for bit := range 64 {
		for _, d := range []int64{-1, 0, 1} {
			v := int64(1)<<bit + d
			for _, v := range []int64{v, -v} {
				p := appendVarint(nil, v)
				if want := kbin.AppendVarlong(nil, v); !bytes.Equal(p, want) || varintSize(v) != len(want) {
					t.Errorf("%d is written as %x, want %x", v, p, want)
				}
				if got, n := varlong(append(p, 0xff)); got != v || n != len(p) {
					t.Errorf("%x is read as %d of %d bytes, want %d", p, got, n, v)
				}
				got, n := varint(p)
				if fits := v == int64(int32(v)); fits != (n > 0) || fits && (int64(got) != v || n != len(p)) {
					t.Errorf("%x is read as int32 %d of %d bytes", p, got, n)
				}
				for cut := range p {
					if _, n := varlong(p[:cut]); n != 0 {
						t.Errorf("%x is read", p[:cut])
					}
				}
			}
		}
	}
	for _, p := range [][]byte{nil, {0x80}, bytes.Repeat([]byte{0x80}, 11), {0xff, 0xff, 0xff, 0xff, 0x10}} {
		if _, n := varint(p); n != 0 {
			t.Errorf("%x is read as int32", p)
		}
	}
	if _, n := varlong(append(bytes.Repeat([]byte{0xff}, 9), 2)); n != 0 {
		t.Error("65 bits are read")
	}
}
