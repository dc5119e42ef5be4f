package engine

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

var recoveryBytes = flag.Int64("recovery.bytes", 256<<20, "bytes that BenchmarkRecovery writes into 16 partitions")

// BenchmarkAppend is an append and its share of rolls, 1 KiB batches, without anybody who syncs.
func BenchmarkAppend(b *testing.B) {
	for name, pid := range map[string]int64{"plain": -1, "idempotent": 7} {
		b.Run(name, func(b *testing.B) {
			var g goroutines
			d, err := OpenDir(DirOptions{FS: vfs.OS, Path: b.TempDir(), Go: g.run})
			if err != nil {
				b.Fatal(err)
			}
			l := d.Log("t", testID, 0, Config{SegmentBytes: 64 << 20, OS: true})
			batch := batch(1, 950, 1000)
			if pid >= 0 {
				batch = produced(pid, 0, 0, 1, 1000)
			}
			b.ReportAllocs()
			sequence := int32(0)
			for b.Loop() {
				if pid >= 0 {
					batch[56], batch[55], batch[54], batch[53] = byte(sequence), byte(sequence>>8), byte(sequence>>16), byte(sequence>>24)
					sequence++
				}
				if err := waitFor(l, func() error { _, err := l.Append(batch, 0, 1000); return err }); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = d.Close(false)
			g.wg.Wait()
		})
	}
}

// BenchmarkRecovery writes 16 partitions of 64 KiB idempotent batches, leaves them as a killed process does, and starts: the time is that
// from OpenDir to the first flushed append, and to that of every partition.
func BenchmarkRecovery(b *testing.B) {
	for name, c := range map[string]Config{"fsync": {Durable: true}, "os": {OS: true}} {
		b.Run(name, func(b *testing.B) {
			var g goroutines
			dir := b.TempDir()
			open := func() *Dir {
				d, err := OpenDir(DirOptions{FS: vfs.OS, Path: dir, Go: g.run, BootID: "this"})
				if err != nil {
					b.Fatal(err)
				}
				return d
			}
			d := open()
			logs := make([]*Log, 16)
			sequences := make([]int32, 16)
			for i := range logs {
				logs[i] = d.Log("t", testID, int32(i), c)
			}
			for n := int64(0); n < *recoveryBytes; n += 64 << 10 {
				i := int(n>>16) % 16
				batch := producedSized(int64(i), sequences[i], 64<<10-100)
				sequences[i]++
				if err := waitFor(logs[i], func() error { _, err := logs[i].Append(batch, 0, 1000); return err }); err != nil {
					b.Fatal(err)
				}
				if c.Durable && n>>16%256 < 16 {
					if _, err := logs[i].Flush(); err != nil {
						b.Fatal(err)
					}
				}
				if n%(256<<20) == 0 {
					if err := d.Tick(n); err != nil {
						b.Fatal(err)
					}
				}
			}
			g.wg.Wait()
			for b.Loop() {
				_ = d.Close(false)
				g.wg.Wait()
				start := time.Now()
				d = open()
				for i := range logs {
					logs[i] = d.Log("t", testID, int32(i), c)
				}
				for i, l := range logs {
					batch := producedSized(int64(i), sequences[i], 100)
					sequences[i]++
					if err := waitFor(l, func() error { _, err := l.Append(batch, 0, 1000); return err }); err != nil {
						b.Fatal(err)
					}
					if c.Durable {
						if _, err := l.Flush(); err != nil {
							b.Fatal(err)
						}
					}
					if i == 0 {
						b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/first")
					}
				}
				b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/all")
			}
			b.StopTimer()
			_ = d.Close(false)
			g.wg.Wait()
			if _, err := os.Stat(dir); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkClean compacts 8 MiB of keyed records, half of which stay: what it takes a byte that is cleaned.
func BenchmarkClean(b *testing.B) {
	for _, codec := range []record.Codec{record.None, record.LZ4, record.Zstd} {
		b.Run(codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				w := memWorld(b).open()
				l := w.d.Log("t", testID, 0, Config{SegmentBytes: 1 << 20, Compacted: true, KeepAll: true, MinCleanableRatio: -1})
				value := make([]byte, 500)
				var size int64
				for i := range 512 {
					var wr record.Builder
					wr.Reset(record.BuildOptions{Codec: codec})
					for j := range 32 {
						wr.Add(w.now, fmt.Appendf(nil, "key-%d", (i*32+j)%8000), value)
					}
					_, batch, err := wr.Build(nil)
					if err != nil {
						b.Fatal(err)
					}
					w.mustAppend(l, batch, 1)
					size += int64(wr.Size())
				}
				w.flush(l)
				if err := l.Roll(); err != nil {
					b.Fatal(err)
				}
				w.pump()
				c := NewCleaner(CleanerOptions{})
				b.SetBytes(size)
				b.StartTimer()
				if done, err := c.Clean(l, w.now, l.LogEnd()); err != nil || done.Segments == 0 {
					b.Fatal(done, err)
				}
				b.StopTimer()
				w.pump()
				w.close()
				b.StartTimer()
			}
		})
	}
}
