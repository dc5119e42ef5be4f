package fuzz

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

const recordNow = 1_790_000_000_000

var recordCodecs = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

// recordSeeds are batches of every codec, a marker, and two batches in a row.
func recordSeeds(f *testing.F) [][]byte {
	f.Helper()
	var seeds [][]byte
	var w record.Builder
	for i, codec := range recordCodecs {
		w.Reset(record.BuildOptions{Codec: codec, Idempotent: i%2 == 0, ProducerID: 9, BaseSequence: 4})
		for j := range 5 {
			w.Add(recordNow+int64(j), []byte("key"), bytes.Repeat([]byte("value "), j), record.Header{Key: "h", Value: []byte("v")})
		}
		w.Add(recordNow-9, nil, nil)
		_, b, err := w.Build(nil)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	marker, _ := record.AppendControl(nil, record.Marker{Commit: true, ProducerID: 9, Timestamp: recordNow})
	return append(seeds, marker, append(bytes.Clone(seeds[0]), seeds[3]...))
}

// resum makes the first batch's checksum right, so that what lies behind it is reached.
func resum(p []byte) {
	if len(p) < record.HeaderSize {
		return
	}
	size := len(p)
	if b, _, err := record.Next(p); err == nil {
		size = len(b)
	}
	sum := record.CRC32C(p[21:size])
	p[17], p[18], p[19], p[20] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
}

// checkError fails the test unless err is nil or a CheckError with one of Kafka's codes for batches.
func checkError(t *testing.T, err error) {
	t.Helper()
	var bad *record.CheckError
	if err == nil {
		return
	}
	if !errors.As(err, &bad) {
		t.Fatalf("%T: %v", err, err)
	}
	switch bad.Code {
	case 2, 10, 32, 76, 87:
	default:
		t.Fatalf("code %d: %v", bad.Code, bad)
	}
	if len(bad.Records) > 0 != (bad.Index >= 0) {
		t.Fatalf("index %d with %d records", bad.Index, len(bad.Records))
	}
}

// FuzzBatchDecode splits bytes into batches as a log reader does: what Next hands out must be safe to look at.
func FuzzBatchDecode(f *testing.F) {
	for _, s := range recordSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		resum(p)
		if b, err := record.Only(p); err != nil {
			checkError(t, err)
		} else if len(b) > len(p) {
			t.Fatal("a batch longer than its bytes")
		}
		rest := p
		for {
			b, after, err := record.Next(rest)
			if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF && err != record.ErrBatch {
					t.Fatal(err)
				}
				return
			}
			if len(b)+len(after) != len(rest) || b.Size() != len(b) || cap(b) != len(b) || b.Magic() != 2 {
				t.Fatalf("batch of %d, rest of %d in %d bytes", len(b), len(after), len(rest))
			}
			_ = b.LastSequence()
			_ = b.Codec().String()
			_ = b.Cheap()
			if b.CheckHeader() == nil {
				if b.NextOffset() <= b.BaseOffset() || len(b.Records()) != len(b)-record.HeaderSize {
					t.Fatalf("offsets %d to %d", b.BaseOffset(), b.NextOffset())
				}
				if b.Control() {
					_, _ = record.ParseControl(b)
				}
			}
			rest = after
		}
	})
}

// FuzzBatchCheck puts arbitrary bytes behind a good header, for each codec, and asks Check, Iterator and Cheap.
func FuzzBatchCheck(f *testing.F) {
	for _, s := range recordSeeds(f) {
		b := record.Batch(s)
		f.Add(byte(b.Codec()), uint16(b.Count()), byte(0), []byte(b.Records()))
	}
	f.Fuzz(func(t *testing.T, codec byte, count uint16, flags byte, block []byte) {
		b := around(t, codec, int32(count), block)
		o := record.CheckOptions{
			Now: recordNow, TimestampBeforeMax: 1 << 40, TimestampAfterMax: 1 << 40, ZstdAllowed: true, MaxRaw: 1 << 20,
			FromClient: flags&1 == 0, Compacted: flags&2 != 0, LogAppendTime: flags&4 != 0, HeaderOnly: flags&8 != 0,
		}
		_ = b.Cheap()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := b.Check(&o)
		checkError(t, err)
		n := 0
		iterated := b.Iterate(record.Limits{MaxRaw: o.MaxRaw}, func(r record.Record) error {
			n += len(r.Key) + len(r.Value)
			for _, h := range r.Headers {
				n += len(h.Key) + len(h.Value)
			}
			return nil
		})
		checkError(t, iterated)
		runtime.ReadMemStats(&after)
		// Windows, decoders, 8 MiB of zstd history, a few copies of MaxRaw; headers cost 48 bytes for 2.
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Fatalf("%d bytes allocated for a batch of %d", used, len(b))
		}
		if n > 1<<20+len(block) {
			t.Fatalf("%d bytes came out", n)
		}
		if err == nil && iterated != nil && (!o.HeaderOnly || o.Compacted) {
			t.Fatalf("checked, yet %v", iterated)
		}
		if err == nil {
			if err := b.CheckHeader(); err != nil {
				t.Fatalf("Check leaves a batch with %v", err)
			}
			if o.LogAppendTime && (!b.LogAppendTime() || b.MaxTimestamp() != recordNow) {
				t.Fatal("no append time")
			}
			again := bytes.Clone(b)
			o.LogAppendTime = b.LogAppendTime() && !o.FromClient
			if o.LogAppendTime == b.LogAppendTime() && b.Check(&o) == nil && !bytes.Equal(again, b) {
				t.Fatal("a second check changes the batch")
			}
		}
	})
}

// around is a batch of a good header around a block.
func around(t *testing.T, codec byte, count int32, block []byte) record.Batch {
	t.Helper()
	var w record.Builder
	w.Reset(record.BuildOptions{})
	w.Add(recordNow, nil, nil)
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:record.HeaderSize:record.HeaderSize], block...)
	length := len(b) - 12
	b[8], b[9], b[10], b[11] = byte(length>>24), byte(length>>16), byte(length>>8), byte(length)
	b[22] = codec & 7
	last := count - 1
	b[23], b[24], b[25], b[26] = byte(last>>24), byte(last>>16), byte(last>>8), byte(last)
	b[57], b[58], b[59], b[60] = byte(count>>24), byte(count>>16), byte(count>>8), byte(count)
	resum(b)
	return b
}

// FuzzIterator builds a batch of what the input says and reads it back: the records must be the same through every codec.
func FuzzIterator(f *testing.F) {
	f.Add(byte(0), uint16(3), []byte("key value key value"))
	f.Add(byte(3), uint16(300), bytes.Repeat([]byte{7, 200, 0, 13}, 500))
	f.Add(byte(4), uint16(9), []byte{})
	f.Add(byte(0), uint16(0), []byte{0xc7}) // a timestamp before 1970
	f.Add(byte(2), uint16(1), bytes.Repeat([]byte("snappy"), 20000))
	f.Fuzz(func(t *testing.T, codec byte, count uint16, data []byte) {
		type rec struct {
			ts         int64
			key, value []byte
			headers    []record.Header
		}
		n := int(count)%500 + 1
		recs := make([]rec, n)
		take := func(salt int) []byte {
			if len(data) == 0 || (salt*7+len(data))%5 == 0 {
				return nil
			}
			at := salt * 31 % len(data)
			return data[at : at+(len(data)-at)%(1+salt%97*len(data)/n+16)]
		}
		var w record.Builder
		w.Reset(record.BuildOptions{Codec: recordCodecs[int(codec)%len(recordCodecs)], BaseOffset: 1 << 40, LeaderEpoch: 5})
		for i := range recs {
			r := rec{ts: recordNow, key: take(i), value: take(i + 1)}
			if len(data) > i {
				r.ts += int64(int8(data[i])) << (data[i] % 40)
			}
			for h := range i % 3 {
				r.headers = append(r.headers, record.Header{Key: string(take(i + h)), Value: take(i + h + 2)})
			}
			recs[i] = r
			w.Add(r.ts, r.key, r.value, r.headers...)
		}
		_, b, err := w.Build([]byte("prefix"))
		if err != nil {
			t.Fatal(err)
		}
		if got, rest, err := record.Next(b); err != nil || len(rest) != 0 || !bytes.Equal(got, b) {
			t.Fatal(err)
		}
		before := bytes.Clone(b)
		if err := b.Check(&record.CheckOptions{Now: recordNow, TimestampBeforeMax: 1<<63 - 1, TimestampAfterMax: 1<<63 - 1}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, b) {
			t.Fatal("Check rewrote a good batch")
		}
		same := func(p, q []byte) bool { return (p == nil) == (q == nil) && bytes.Equal(p, q) }
		i := 0
		if err := b.Iterate(record.Limits{}, func(r record.Record) error {
			want := recs[i]
			if r.Offset != 1<<40+int64(i) || r.Timestamp != want.ts || !same(r.Key, want.key) || !same(r.Value, want.value) || len(r.Headers) != len(want.headers) {
				t.Fatalf("record %d is %+v, want %+v", i, r, want)
			}
			for j, h := range r.Headers {
				if h.Key != want.headers[j].Key || !same(h.Value, want.headers[j].Value) {
					t.Fatalf("record %d, header %d is %+v, want %+v", i, j, h, want.headers[j])
				}
			}
			i++
			return nil
		}); err != nil || i != n {
			t.Fatalf("%d of %d records, %v", i, n, err)
		}
	})
}
