package fuzz

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

// FuzzRecompress stores a client's batch as another compression.type says: what Check has let pass becomes a batch that Check lets pass, with the
// same records, or is refused with a code of Kafka's; what Check has refused, or nobody has checked, does no harm.
func FuzzRecompress(f *testing.F) {
	for i, s := range recordSeeds(f) {
		b := record.Batch(s)
		f.Add(byte(b.Codec()), uint16(b.Count()), byte(i), []byte(b.Records()))
	}
	f.Fuzz(func(t *testing.T, codec byte, count uint16, how byte, block []byte) {
		b := around(t, codec, int32(count), block)
		checked := b.Check(&record.CheckOptions{
			Now: recordNow, TimestampBeforeMax: 1 << 40, TimestampAfterMax: 1 << 40, ZstdAllowed: true, MaxRaw: 1 << 20, FromClient: true,
		})
		const most = 2 << 20
		o := record.RecompressOptions{Codec: recordCodecs[int(how)%len(recordCodecs)], Level: int(how) / 5, MaxBytes: most, MaxRaw: 1 << 20}
		if b.CheckHeader() != nil {
			return
		}
		before := bytes.Clone(b)
		got, err := b.Recompress(o)
		checkError(t, err)
		if !bytes.Equal(before, b) {
			t.Fatal("the batch itself has changed")
		}
		if err != nil {
			if checked == nil {
				t.Fatalf("checked, yet %v", err)
			}
			return
		}
		if got.Codec() != o.Codec || len(got) > most || got.CheckHeader() != nil {
			t.Fatalf("%v, %d bytes: %v", got.Codec(), len(got), got.CheckHeader())
		}
		if checked != nil {
			return
		}
		if !reflect.DeepEqual(recordsOf(t, b), recordsOf(t, got)) {
			t.Fatal("other records")
		}
		if got.LastOffsetDelta() != b.LastOffsetDelta() || got.Count() != b.Count() || got.MaxTimestamp() != b.MaxTimestamp() || got.BaseSequence() != b.BaseSequence() {
			t.Fatalf("header %x of %x", got[:record.HeaderSize], b[:record.HeaderSize])
		}
	})
}

func recordsOf(t *testing.T, b record.Batch) (rs []record.Record) {
	t.Helper()
	err := b.Iterate(record.Limits{MaxRaw: 1 << 20}, func(r record.Record) error {
		r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		headers := make([]record.Header, len(r.Headers))
		for i, h := range r.Headers {
			headers[i] = record.Header{Key: string([]byte(h.Key)), Value: bytes.Clone(h.Value)}
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
