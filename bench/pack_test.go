package bench

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

// What is wrong with batches that are packed beforehand is found as if each were a new one.
func TestPackedBatches(t *testing.T) {
	const n = 4 // records of a batch
	batches := func(t *testing.T, first, count int64) []record.Batch {
		ts, s := templatesOf(t, Spec{Codec: "lz4", Consume: "after", BatchRecords: n})
		if s.packedRecords() != packedBatches*n {
			t.Fatalf("the batches come again after %d records", s.packedRecords())
		}
		var list []record.Batch
		for i := range count {
			number := first + i*n
			one := ts.take(number)
			frame, err := one.ready(&shipment{producerID: -1, producerEpoch: 1, sequence: int32(number), now: 1700000000000 + i}, new(sealer))
			if err != nil {
				t.Fatal(err)
			}
			b := record.Batch(slices.Clone(frame[one.at.batch:]))
			if err := b.Check(&record.CheckOptions{Now: 1700000000000 + i, TimestampAfterMax: 1, ZstdAllowed: true, FromClient: true}); err != nil || b.Codec() != record.LZ4 {
				t.Fatalf("%v, %v", b.Codec(), err)
			}
			list = append(list, b)
		}
		return list
	}
	const all = 3*packedBatches + 5
	for _, c := range []struct {
		name  string
		first int64
		do    func(b []record.Batch) []record.Batch
		want  Verdict
	}{
		{"all", 0, func(b []record.Batch) []record.Batch { return b }, Verdict{Sent: all * n, Consumed: all * n}},
		{"more than the header can count", 1<<32 - 8*n, func(b []record.Batch) []record.Batch { return b }, Verdict{Sent: all * n, Consumed: all * n}},
		{"one lost", 0, func(b []record.Batch) []record.Batch { return slices.Delete(b, 20, 21) }, Verdict{Sent: all * n, Consumed: (all - 1) * n, Lost: n}},
		{"as many lost as there are", 0, func(b []record.Batch) []record.Batch { return slices.Delete(b, 20, 20+packedBatches) },
			Verdict{Sent: all * n, Consumed: (all - packedBatches) * n, Lost: packedBatches * n}},
		{"the last lost", 0, func(b []record.Batch) []record.Batch { return b[:all-1] }, Verdict{Sent: all * n, Consumed: (all - 1) * n, Lost: n}},
		{"twice", 0, func(b []record.Batch) []record.Batch { return slices.Insert(b, 20, slices.Clone(b[20])) }, Verdict{Sent: all * n, Consumed: all * n, Duplicated: n}},
		{"swapped", 0, func(b []record.Batch) []record.Batch { b[20], b[21] = b[21], b[20]; return b }, Verdict{Sent: all * n, Consumed: all * n, Reordered: n}},
		{"swapped with one of the same content", 0, func(b []record.Batch) []record.Batch {
			b[20], b[20+packedBatches] = b[20+packedBatches], b[20]
			return b
		}, Verdict{Sent: all * n, Consumed: all * n, Reordered: packedBatches * n}},
		{"the records of another", 0, func(b []record.Batch) []record.Batch {
			other := slices.Clone(b[21])
			copy(other[batchCRC+4:record.HeaderSize], b[20][batchCRC+4:record.HeaderSize])
			b[20] = other
			return b
		}, Verdict{Sent: all * n, Consumed: (all - 1) * n, Corrupted: n}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, books := newTracker(0, 0, 7, 2, 0), newBooks(2, 1)
			tr.packed = packedBatches * n
			tr.producers[1].next, books[1].partitions[0].next = c.first, c.first+all*n
			for i, b := range c.do(batches(t, c.first, all)) {
				b.Stamp(int64(i)*n, 0)
				tr.batch(b)
				if err := b.Iterate(record.Limits{}, func(r record.Record) error {
					tr.came(r.Offset, r.Key, r.Value)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			c.want.Sent, c.want.Consumed = c.want.Sent+c.first, c.want.Consumed+c.first
			if got := tr.verdict(books); got.String() != c.want.String() || got.Intact() != (len(got.Examples) == 0) {
				t.Errorf("%v\nwant %v\n%q", got, c.want, got.Examples)
			}
		})
	}
}

// Who has to know when a record was due, whose it is or what its key is packs each batch anew.
func TestWhatIsPacked(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want bool
	}{
		{Spec{Codec: "zstd", Consume: "after"}, true},
		{Spec{Codec: "zstd", Consume: "after", Rate: 1000}, true},
		{Spec{Codec: "zstd"}, false},
		{Spec{Consume: "after"}, false},
		{Spec{Codec: "zstd", Consume: "after", Keys: "uniform:9"}, false},
		{Spec{Codec: "zstd", Consume: "after", Idempotent: true}, false},
		{Spec{Codec: "zstd", Consume: "after", Producers: 1 << 15}, false},
		{Spec{Codec: "zstd", Consume: "after", Mode: "kgo"}, false},
	} {
		if s := c.spec.WithDefaults(); s.packed() != c.want {
			t.Errorf("%+v: packed beforehand: %v", c.spec, s.packed())
		}
	}
}
