package bench

import (
	"testing"

	"github.com/millrace/millrace/wire/record"
)

// What the generator's own work costs, without the kernel's: a batch made ready to send, and one that came verified.
func BenchmarkBatch(b *testing.B) {
	for name, spec := range map[string]Spec{"1x64KiB": {Size: "65000"}, "64x1KB": {Size: "1000", BatchRecords: 64}, "1x1KB": {Size: "1000"}, "100x100B": {Size: "100", BatchRecords: 100}} {
		ts, s := templatesOf(b, spec)
		var seal sealer
		b.Run("send/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				one := ts.take(0)
				if _, err := one.ready(&shipment{producerID: -1, stamp: stamp{run: 7, sequence: int64(i)}}, &seal); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(one.payload)
			}
		})
		b.Run("verify/"+name, func(b *testing.B) {
			r := &run{spec: s, collect: newCollector()}
			l, err := newReadLoop(r)
			if err != nil {
				b.Fatal(err)
			}
			defer l.loop.close()
			l.rec.span = span{0, 0, never}
			k := &readLink{readLoop: l}
			k.assign(newTracker(0, 0, 7, 1, 0))
			one := ts.list[0]
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i += int64(s.BatchRecords) {
				b.StopTimer()
				frame, err := one.ready(&shipment{producerID: -1, stamp: stamp{run: 7, sequence: i}}, &seal)
				if err != nil {
					b.Fatal(err)
				}
				batch := record.Batch(frame[one.at.batch:])
				batch.Stamp(i, 0)
				b.StartTimer()
				k.verify(arrival{a: k.assigned[0], from: i, records: batch}, 5)
				b.SetBytes(one.payload)
			}
			if t := k.assigned[0]; t.found.Corrupted+t.found.Duplicated+t.found.Reordered > 0 {
				b.Fatalf("%+v", t.found)
			}
		})
	}
}
