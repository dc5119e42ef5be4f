package bench

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

func templatesOf(t testing.TB, s Spec) (*templates, Spec) {
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	w, err := newWorkload(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return must(newTemplates(s, "topic", 7, w))(t), s
}

// A batch is what a broker takes and what a consumer verifies, each time it is sent, however it is compressed.
func TestTemplateIsABatch(t *testing.T) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd", "none, large"} {
		size := "lognormal:200:1"
		codec, large := strings.CutSuffix(codec, ", large")
		if large {
			size = "lognormal:10000:0.5"
		}
		ts, s := templatesOf(t, Spec{Codec: codec, BatchRecords: 20, Keys: "uniform:10", Size: size, Idempotent: true})
		if patched := ts.list[0].patched != nil; patched != large {
			t.Errorf("records of %s bytes, checksum patched: %v", size, patched)
		}
		tr := newTracker(0, 3, 7, 5, 0)
		books := newBooks(5, 4)
		var seal sealer
		w, _ := newWorkload(s, 1)
		ts.list = ts.list[:min(40, len(ts.list))]
		for i := range 60 { // some are sent twice
			ship := shipment{correlation: 9, partition: 3, now: 1700000000000 + int64(i), producerID: 77, producerEpoch: 2, sequence: int32(i * 20)}
			for range s.BatchRecords {
				ship.keys = w.keys.Draw(ship.keys, w.random)
			}
			ship.stamp = stamp{run: 7, producer: 4, sequence: books[4].sent(3, s.BatchRecords)}
			one := ts.take(ship.stamp.sequence)
			frame, err := one.ready(&ship, &seal)
			if err != nil {
				t.Fatal(err)
			}
			if size := int(be.Uint32(frame)); size != len(frame)-4 {
				t.Fatalf("%s: a frame of %d bytes says %d", codec, len(frame), size)
			}
			b, err := record.Only(slices.Clone(frame[one.at.batch:]))
			if err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
			if err := b.Check(&record.CheckOptions{Now: ship.now, TimestampAfterMax: 1, ZstdAllowed: true, FromClient: true}); err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
			if b.ProducerID() != 77 || b.ProducerEpoch() != 2 || b.BaseSequence() != ship.sequence || b.Count() != 20 || b.MaxTimestamp() != ship.now || b.Codec() != codecs[codec] {
				t.Fatalf("%s: %d %d %d %d %d %v", codec, b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Count(), b.MaxTimestamp(), b.Codec())
			}
			b.Stamp(int64(i)*20, 0)
			n := 0
			if err := b.Iterate(record.Limits{}, func(r record.Record) error {
				if string(r.Key) != string(ship.keys[n*keySize:(n+1)*keySize]) {
					t.Errorf("%s: key %q, want %q", codec, r.Key, ship.keys[n*keySize:(n+1)*keySize])
				}
				n++
				tr.came(r.Offset, r.Key, r.Value)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if v := tr.verdict(books); !v.Intact() || v.Sent == 0 {
			t.Errorf("%s: %s %q", codec, v, v.Examples)
		}
	}
}

// Making the next batch and reading an answer allocate nothing.
func TestSendingDoesNotAllocate(t *testing.T) {
	ts, s := templatesOf(t, Spec{BatchRecords: 10, Keys: "zipf:1000:0.9", Partitions: 4})
	w, _ := newWorkload(s, 1)
	d := newDealer(s, w, newKeyStock(s, w), 0)
	r := newCollector().recorder(produceKind, serviceKind, slipKind)
	r.span = span{0, 0, never}
	tr := newTracker(0, 0, 7, 1, 0)
	var it record.Iterator
	var seal sealer
	var ship shipment
	var sequence int64
	if n := testing.AllocsPerRun(1000, func() {
		ship.partition, ship.keys = d.batch(ship.keys[:0])
		ship.producerID, ship.stamp = -1, stamp{run: 7, sequence: sequence}
		one := ts.take(sequence)
		frame, err := one.ready(&ship, &seal)
		if err != nil {
			t.Fatal(err)
		}
		r.due(10)
		r.ready(1, 2, 10)
		r.acked(3, 1, 2, 10, one.payload)
		r.turn(4)
		b, _, err := record.Next(frame[one.at.batch:])
		if err != nil {
			t.Fatal(err)
		}
		b.Stamp(sequence, 0) // what the broker does with its own copy
		it.Reset(b, record.Limits{})
		for it.Next() {
			came := it.Record()
			tr.came(came.Offset, came.Key, came.Value)
		}
		sequence += 10
	}); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
	if tr.found.Corrupted+tr.found.Duplicated+tr.found.Reordered > 0 {
		t.Errorf("%+v", tr.found)
	}
}

// keys decide the partition, and a batch's keys are all of its partition.
func TestDealer(t *testing.T) {
	for _, s := range []Spec{{Keys: "uniform:1000"}, {Keys: "zipf:1000:1.2", BatchRecords: 7}, {BatchRecords: 3}} {
		s.Partitions = 5
		s = s.WithDefaults()
		w, err := newWorkload(s, 0)
		if err != nil {
			t.Fatal(err)
		}
		d := newDealer(s, w, newKeyStock(s, w), 2)
		seen := make([]int, s.Partitions)
		for i := range 1000 {
			partition, keys := d.batch(nil)
			seen[partition]++
			if s.Keys == "none" {
				if len(keys) > 0 || int(partition) != (i+2)%s.Partitions {
					t.Fatalf("batch %d: partition %d, keys %q", i, partition, keys)
				}
				continue
			}
			if len(keys) != s.BatchRecords*keySize {
				t.Fatalf("%d bytes of keys", len(keys))
			}
			for ; len(keys) > 0; keys = keys[keySize:] {
				if p := KeyPartition(keys[:keySize], s.Partitions); p != partition {
					t.Fatalf("key %q belongs to partition %d, and went to %d", keys[:keySize], p, partition)
				}
			}
		}
		for p, n := range seen {
			if n == 0 {
				t.Errorf("%s: nothing for partition %d", s.Keys, p)
			}
		}
	}
}
