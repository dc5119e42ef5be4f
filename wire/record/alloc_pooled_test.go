//go:build !race

package record

import "testing"

// Under the race detector sync.Pool drops a part of what it is given, so these counts hold without it only.
func TestCompressedBatchesAllocateNearlyNothing(t *testing.T) {
	for _, codec := range codecs[1:] {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			b := wrapWith(t, codec, size)
			o := limits()
			var it Iterator
			for name, f := range map[string]func(){
				"Check": func() { must(t, b.Check(&o)) },
				"Cheap": func() { b.Cheap() },
				"Iterator": func() {
					it.Reset(b, Limits{})
					for it.Next() {
					}
					must(t, it.Err())
					it.Close()
				},
			} {
				f()
				limit := 0.0
				if codec == Gzip && size > 64<<10 {
					limit = 20 // flate links its longer tables anew in some blocks
				}
				if n := testing.AllocsPerRun(20, f); n > limit {
					t.Errorf("%s of %d bytes: %s: %v allocations", codec, size, name, n)
				}
			}
		}
	}
}

func TestBuilderAllocatesNothing(t *testing.T) {
	value := text(100)
	for _, codec := range codecs {
		var w Builder
		var dst []byte
		f := func() {
			w.Reset(BuildOptions{Codec: codec})
			for w.Size() < 64<<10 {
				w.Add(now, nil, value)
			}
			var err error
			dst, _, err = w.Build(dst[:0])
			must(t, err)
		}
		f()
		limit := 0.0
		if codec == Gzip {
			limit = 1 // its bytes.Buffer
		}
		if n := testing.AllocsPerRun(20, f); n > limit {
			t.Errorf("%s: %v allocations", codec, n)
		}
	}
}
