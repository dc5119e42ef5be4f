package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordsOf copies what an iterator finds.
func recordsOf(t testing.TB, b Batch) []Record {
	t.Helper()
	if err := b.CheckHeader(); err != nil {
		t.Fatal(err)
	}
	var rs []Record
	err := b.Iterate(Limits{}, func(r Record) error {
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		headers := make([]Header, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = Header{Key: string(append([]byte(nil), h.Key...)), Value: bytes.Clone(h.Value)}
		}
		r.Headers = headers
		rs = append(rs, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// Every codec becomes every other: the records, the producer's numbers and the times stay, and the result passes Check.
func TestRecompressEveryPair(t *testing.T) {
	for _, from := range codecs {
		for _, to := range codecs {
			for _, n := range []int{1, 7, 6000} { // 6,000 records are several windows and blocks
				b := build(t, from, n)
				b.setProducer(77, 3, 1<<31-3)
				b.sum()
				before := bytes.Clone(b)
				got, err := b.Recompress(RecompressOptions{Codec: to})
				if err != nil {
					t.Fatalf("%v to %v, %d records: %v", from, to, n, err)
				}
				if !bytes.Equal(b, before) {
					t.Errorf("%v to %v: the batch itself has changed", from, to)
				}
				if err := got.Check(&CheckOptions{Now: now, TimestampBeforeMax: 1<<63 - 1, TimestampAfterMax: 1 << 40, ZstdAllowed: true, FromClient: true}); err != nil {
					t.Errorf("%v to %v: %v", from, to, err)
				}
				if got.Codec() != to || got.ProducerID() != 77 || got.ProducerEpoch() != 3 || got.BaseSequence() != 1<<31-3 || got.LastOffsetDelta() != b.LastOffsetDelta() ||
					got.Count() != b.Count() || got.MaxTimestamp() != b.MaxTimestamp() || got.Size() != len(got) {
					t.Errorf("%v to %v: header %x", from, to, got[:HeaderSize])
				}
				if !reflect.DeepEqual(recordsOf(t, b), recordsOf(t, got)) {
					t.Fatalf("%v to %v: not the same %d records", from, to, n)
				}
			}
		}
	}
}

// What is not compressed comes back as the same bytes: nothing but the codec differs between the two.
func TestRecompressThereAndBack(t *testing.T) {
	plain := build(t, None, 1000)
	for _, codec := range codecs {
		packed, err := plain.Recompress(RecompressOptions{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		back, err := packed.Recompress(RecompressOptions{Codec: None})
		if err != nil || !bytes.Equal(back, plain) {
			t.Errorf("%v: %v, %d bytes of %d", codec, err, len(back), len(plain))
		}
	}
}

func TestRecompressLevels(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w Builder
	w.Reset(BuildOptions{LeaderEpoch: NoLeaderEpoch})
	for range 300 { // words that repeat at distances a better search finds
		var value []byte
		for range 60 {
			value = fmt.Appendf(value, "%d ", random.IntN(400))
		}
		w.Add(now, nil, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	size := func(codec Codec, level int) int {
		t.Helper()
		got, err := b.Recompress(RecompressOptions{Codec: codec, Level: level})
		if err != nil {
			t.Fatalf("%v level %d: %v", codec, level, err)
		}
		if !reflect.DeepEqual(recordsOf(t, b), recordsOf(t, got)) {
			t.Fatalf("%v level %d: not the same records", codec, level)
		}
		return len(got)
	}
	for codec, levels := range map[Codec][]int{Gzip: {-1, 0, 1, 5, 9}, LZ4: {0, 1, 5, 9, 12, 17}, Zstd: {-131072, -1, 0, 1, 3, 9, 22}, Snappy: {0, 5}, None: {0}} {
		for _, level := range levels {
			if got := size(codec, level); codec != None && got >= len(b) {
				t.Errorf("%v level %d: %d bytes of %d", codec, level, got, len(b))
			}
		}
	}
	if fast, best := size(Gzip, 1), size(Gzip, 9); best >= fast {
		t.Errorf("gzip: %d bytes at level 9, %d at level 1", best, fast)
	}
	if fast, best := size(Zstd, 1), size(Zstd, 19); best >= fast {
		t.Errorf("zstd: %d bytes at level 19, %d at level 1", best, fast)
	}
	if fast, best := size(LZ4, DefaultLevel), size(LZ4, 17); best >= fast {
		t.Errorf("lz4: %d bytes at level 17, %d at Kafka's default", best, fast)
	}
}

// The first record's time becomes the base of the others', whatever base the producer chose, as Kafka does it.
func TestRecompressTimes(t *testing.T) {
	b := build(t, Gzip, 10)
	want := recordsOf(t, b)
	plain, err := b.Recompress(RecompressOptions{Codec: None})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := plain.Recompress(RecompressOptions{Codec: None, OneTime: true, Time: 5})
	if err != nil {
		t.Fatal(err)
	}
	if moved.BaseTimestamp() != 5 {
		t.Errorf("base %d of records that all have the time 5", moved.BaseTimestamp())
	}
	for i, r := range recordsOf(t, moved) {
		if want[i].Timestamp = 5; r.Timestamp != 5 {
			t.Errorf("record %d has the time %d", i, r.Timestamp)
		}
	}
	if diff := cmp.Diff(want, recordsOf(t, moved)); diff != "" {
		t.Error(diff)
	}
	// Now every delta is 0; make the header's base a larger one.
	binary.BigEndian.PutUint64(moved[atBaseTimestamp:], 1000)
	moved.SetMaxTimestamp(1000, false)
	again, err := moved.Recompress(RecompressOptions{Codec: LZ4})
	if err != nil || again.BaseTimestamp() != 1000 || recordsOf(t, again)[9].Timestamp != 1000 {
		t.Errorf("%v: base %d", err, again.BaseTimestamp())
	}
	// A first record whose delta is not 0.
	odd := wrap(None, 2, []byte{
		12, 0, 4, 0, 1, 1, 0, // delta 2
		12, 0, 6, 2, 1, 1, 0, // delta 3
	})
	got, err := odd.Recompress(RecompressOptions{Codec: Zstd})
	if err != nil || got.BaseTimestamp() != odd.BaseTimestamp()+2 {
		t.Fatalf("%v: base %d", err, got.BaseTimestamp())
	}
	if diff := cmp.Diff(recordsOf(t, odd), recordsOf(t, got)); diff != "" {
		t.Error(diff)
	}
}

// Attribute bits that mean nothing to the records go, the transaction's and the time's stay.
func TestRecompressAttributes(t *testing.T) {
	b := build(t, None, 3)
	binary.BigEndian.PutUint16(b[atAttributes:], attrLogAppendTime|attrTransactional|attrDeleteHorizon|0x700)
	b.sum()
	got, err := b.Recompress(RecompressOptions{Codec: LZ4})
	if err != nil || got.Attributes() != attrLogAppendTime|attrTransactional|int16(LZ4) {
		t.Errorf("%v: attributes %x", err, got.Attributes())
	}
}

// What does not fit max.message.bytes is refused, as far as it has come: a bomb is not unpacked.
func TestRecompressBounds(t *testing.T) {
	var w Builder
	w.Reset(BuildOptions{Codec: Gzip, LeaderEpoch: NoLeaderEpoch})
	w.Add(now, nil, make([]byte, 32<<20))
	_, bomb, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, codec := range []Codec{None, Snappy} {
		_, err := bomb.Recompress(RecompressOptions{Codec: codec, MaxBytes: 1 << 20})
		var check *CheckError
		if !errors.As(err, &check) || check.Code != codeMessageTooLarge {
			t.Errorf("%v: %v", codec, err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := bomb.Recompress(RecompressOptions{Codec: None, MaxBytes: 1 << 20}); err == nil {
		t.Fatal("no error")
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("%d bytes allocated for a result of at most 1 MiB", allocated)
	}
	small := build(t, None, 1000)
	exact, err := small.Recompress(RecompressOptions{Codec: Zstd})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := small.Recompress(RecompressOptions{Codec: Zstd, MaxBytes: len(exact)}); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := small.Recompress(RecompressOptions{Codec: Zstd, MaxBytes: len(exact) - 1}); err == nil {
		t.Error("one byte above the limit: no error")
	}
	if _, err := bomb.Recompress(RecompressOptions{Codec: Zstd, MaxRaw: 1 << 20}); err == nil {
		t.Error("more raw bytes than allowed: no error")
	}
}

// Damage is an error, never a batch that looks whole.
func TestRecompressDamage(t *testing.T) {
	for _, from := range codecs {
		b := build(t, from, 200)
		for cut := HeaderSize; cut < len(b); cut += 1 + len(b)/97 {
			damaged := Batch(bytes.Clone(b[:cut]))
			binary.BigEndian.PutUint32(damaged[atLength:], uint32(len(damaged)-lengthOverhead))
			got, err := damaged.Recompress(RecompressOptions{Codec: Zstd})
			if err == nil {
				t.Errorf("%v cut at %d of %d: %d bytes", from, cut, len(b), len(got))
			}
			var check *CheckError
			if !errors.As(err, &check) {
				t.Errorf("%v cut at %d: %v", from, cut, err)
			}
		}
	}
	// An encoder that was left in the middle serves the next batch.
	b := build(t, None, 50)
	for _, codec := range codecs {
		got, err := b.Recompress(RecompressOptions{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(recordsOf(t, b), recordsOf(t, got)) {
			t.Errorf("%v: not the same records", codec)
		}
	}
}

func BenchmarkRecompress(b *testing.B) {
	for _, from := range codecs {
		batch := build(b, from, 1000)
		for _, to := range codecs {
			if from == to {
				continue
			}
			b.Run(fmt.Sprintf("%v-%v", from, to), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					if _, err := batch.Recompress(RecompressOptions{Codec: to}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
