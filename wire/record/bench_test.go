package record

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/s2"
)

// raw64 is a batch of 64 KiB before compression, as different clients make it.
func raw64(b *testing.B) map[string]Batch {
	m := make(map[string]Batch)
	for _, codec := range codecs {
		m[codec.String()] = wrapWith(b, codec, 64<<10)
	}
	plain := m["none"]
	m["snappy raw"] = wrap(Snappy, plain.Count(), s2.EncodeSnappy(nil, plain.Records()))
	m["lz4 4 MiB blocks"] = wrap(LZ4, plain.Count(), lz4Framed(plain.Records()))
	return m
}

func BenchmarkCheck(b *testing.B) {
	for name, batch := range raw64(b) {
		for _, mode := range []string{"full", "header"} {
			b.Run(name+"/"+mode, func(b *testing.B) {
				o := limits()
				o.HeaderOnly = mode == "header"
				b.SetBytes(64 << 10)
				b.ReportAllocs()
				for b.Loop() {
					if err := batch.Check(&o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkCheckMiB(b *testing.B) {
	plain := wrapWith(b, None, 1<<20-4096)
	for name, batch := range map[string]Batch{
		"none": plain, "gzip": wrapWith(b, Gzip, 1<<20), "lz4": wrapWith(b, LZ4, 1<<20), "lz4 4 MiB blocks": wrap(LZ4, plain.Count(), lz4Framed(plain.Records())),
		"snappy raw": wrap(Snappy, plain.Count(), s2.EncodeSnappy(nil, plain.Records())), "zstd": wrapWith(b, Zstd, 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			o := limits()
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				if err := batch.Check(&o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckKiB(b *testing.B) {
	batch := wrapWith(b, None, 1<<10)
	o := limits()
	b.SetBytes(1 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.Check(&o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheap(b *testing.B) {
	for name, batch := range raw64(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				batch.Cheap()
			}
		})
	}
}

func BenchmarkIterate(b *testing.B) {
	for name, batch := range raw64(b) {
		b.Run(name, func(b *testing.B) {
			var it Iterator
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				it.Reset(batch, Limits{})
				for it.Next() {
				}
				if it.Err() != nil {
					b.Fatal(it.Err())
				}
				it.Close()
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	value := bytes.Repeat([]byte("0123456789 "), 9)
	for _, codec := range codecs {
		b.Run(codec.String(), func(b *testing.B) {
			var w Builder
			var dst []byte
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(BuildOptions{Codec: codec})
				for w.Size() < 64<<10 {
					w.Add(now, nil, value)
				}
				var err error
				if dst, _, err = w.Build(dst[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
