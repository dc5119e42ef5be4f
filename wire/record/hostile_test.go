package record

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
)

// allocated is how many bytes f allocates, whatever becomes of them.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// bomb is a batch of one record of n zeros, which every codec makes much smaller.
func bomb(codec Codec, n int) Batch {
	p := appendRecord(nil, 0, 0, nil, make([]byte, n))
	switch codec {
	case Gzip:
		p = gzipped(p)
	case Snappy:
		p = s2.EncodeSnappy(nil, p)
	case LZ4:
		p = lz4Framed(p)
	case Zstd:
		p = zstded(p)
	}
	return wrap(codec, 1, p)
}

// spent is what a check may allocate: a window and the decoders, above all the 8 MiB that a zstd frame may want for its window.
const spent = 20 << 20

func TestBombsAreRefusedWithinTheirBudget(t *testing.T) {
	for _, codec := range codecs[1:] {
		bombs := []Batch{bomb(codec, 80<<20)}
		if codec == Snappy {
			bombs = append(bombs, wrap(Snappy, 1, appendSnappy(nil, appendRecord(nil, 0, 0, nil, make([]byte, 80<<20)))))
		}
		for _, b := range bombs {
			o := limits()
			o.MaxBytes = 0
			var err error
			used := allocated(func() { err = b.Check(&o) })
			if code := codeOf(t, err); code != codeMessageTooLarge {
				t.Errorf("%s: 80 MiB in %d bytes: code %d, %v", codec, len(b), code, err)
			}
			if used > spent {
				t.Errorf("%s: %d bytes allocated for a bomb of %d bytes", codec, used, len(b))
			}
			if b.Cheap() {
				t.Errorf("%s: a bomb passes for cheap", codec)
			}
			used = allocated(func() { err = b.Iterate(Limits{MaxRaw: 8 << 20}, func(Record) error { return nil }) })
			if codeOf(t, err) != codeMessageTooLarge || used > spent+4*8<<20 {
				t.Errorf("%s: iteration: %v, %d bytes allocated", codec, err, used)
			}
		}
	}
}

// Below the limit the same batches are good, and nothing of them is held.
func TestLargeRecordsPassThroughTheWindow(t *testing.T) {
	for _, codec := range codecs[1:] {
		b := bomb(codec, 40<<20)
		limit := uint64(spent)
		if codec == Snappy {
			limit += 40<<20 + 4096 // a raw snappy block has to be decoded whole
		}
		o := limits()
		o.MaxBytes = 0
		var err error
		if used := allocated(func() { err = b.Check(&o) }); err != nil || used > limit {
			t.Errorf("%s: %v, %d bytes allocated", codec, err, used)
		}
	}
}

func TestMaxRawIsExact(t *testing.T) {
	for _, codec := range codecs[1:] {
		for _, b := range []Batch{bomb(codec, 100<<10), bomb(codec, 1<<20), wrapWith(t, codec, 600<<10)} {
			raw := int64(0)
			d := openInflater(b, 0)
			for p := d.next(); p != nil; p = d.next() {
				raw += int64(len(p))
			}
			d.close()
			for limit, want := range map[int64]int16{raw: 0, raw + 1: 0, raw - 1: codeMessageTooLarge} {
				o := CheckOptions{MaxRaw: limit, ZstdAllowed: true}
				if got := codeOf(t, b.Check(&o)); got != want {
					t.Errorf("%s: %d bytes with a limit of %d: code %d, want %d", codec, raw, limit, got, want)
				}
			}
		}
	}
}

// Lengths and counts that lie cost nothing.
func TestLiesAllocateNothing(t *testing.T) {
	xerial := append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	giant := appendVarint(nil, math.MaxInt32)
	for name, b := range map[string]Batch{
		"snappy of 2 GiB":           wrap(Snappy, 1, append(binary.AppendUvarint(nil, math.MaxInt32), 0, 'x')),
		"snappy of 4 GiB":           wrap(Snappy, 1, append(binary.AppendUvarint(nil, math.MaxUint32), 0, 'x')),
		"snappy of 60 MiB":          wrap(Snappy, 1, append(binary.AppendUvarint(nil, 60<<20), 0, 'x')),
		"snappy of 2^63":            wrap(Snappy, 1, append(binary.AppendUvarint(nil, 1<<63), 0, 'x')),
		"snappy literal of 4 GiB":   wrap(Snappy, 1, []byte{100, 63 << 2, 255, 255, 255, 255, 1}),
		"xerial chunk of 2 GiB":     wrap(Snappy, 1, append(bytes.Clone(xerial), 0x7f, 0xff, 0xff, 0xff)),
		"xerial chunk of -1":        wrap(Snappy, 1, append(bytes.Clone(xerial), 0xff, 0xff, 0xff, 0xff)),
		"a million empty chunks":    wrap(Snappy, 1, append(bytes.Clone(xerial), bytes.Repeat([]byte{0, 0, 0, 1, 0}, 1<<20)...)),
		"lz4 block of 2 GiB":        wrap(LZ4, 1, append(lz4Framed(nil)[:7], 0xff, 0xff, 0xff, 0x7f)),
		"lz4 stored block of 2 GiB": wrap(LZ4, 1, append(lz4Framed(nil)[:7], 0xff, 0xff, 0xff, 0xff)),
		"lz4 endless literals":      wrap(LZ4, 1, lz4Block4MiB(append([]byte{0xf0}, bytes.Repeat([]byte{255}, 1<<20)...))),
		"lz4 endless match":         wrap(LZ4, 1, lz4Block4MiB(append([]byte{0x1f, 'x', 1, 0}, bytes.Repeat([]byte{255}, 1<<20)...))),
		"lz4 match before the data": wrap(LZ4, 1, lz4Block4MiB(append([]byte{0x1f, 'x', 2, 0}, bytes.Repeat([]byte{255}, 2000)...))),
		"lz4 offset 0":              wrap(LZ4, 1, lz4Block4MiB(append([]byte{0x1f, 'x', 0, 0}, bytes.Repeat([]byte{255}, 2000)...))),
		"zstd content of 2^60":      wrap(Zstd, 1, append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10}, zstdEmptyBlock...)),
		"zstd window of 3.75 TB":    wrap(Zstd, 1, append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff}, zstdEmptyBlock...)),
		"zstd content of 8 MiB":     wrap(Zstd, 1, append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0x80, 0}, zstdEmptyBlock...)),
		"2^31-1 records":            wrap(None, math.MaxInt32, records(1)),
		"2^31-1 records in gzip":    wrap(Gzip, math.MaxInt32, gzipped(records(1))),
		"record of 2 GiB":           wrap(None, 1, append(bytes.Clone(giant), records(1)...)),
		"record of 2 GiB in gzip":   wrap(Gzip, 1, gzipped(append(bytes.Clone(giant), records(1)...))),
		"value of 2 GiB":            wrap(None, 1, frameRecord(nil, append(append([]byte{0, 0, 0, 1}, giant...), 0))),
		"value of 2 GiB in gzip":    wrap(Gzip, 1, gzipped(append(appendVarint(nil, 1<<30), append(append([]byte{0, 0, 0, 1}, giant...), 0)...))),
		"2^31-1 headers":            wrap(None, 1, frameRecord(nil, append([]byte{0, 0, 0, 1, 1}, giant...))),
		"2^31-1 headers in gzip":    wrap(Gzip, 1, gzipped(append(appendVarint(nil, 1<<30), append([]byte{0, 0, 0, 1, 1}, giant...)...))),
	} {
		t.Run(name, func(t *testing.T) {
			o := limits()
			o.MaxBytes = 0
			if err := build(t, b.Codec(), 3).Check(&o); err != nil { // fills the pools
				t.Fatal(err)
			}
			o.Now = now
			var err, err2 error
			used := allocated(func() { err = b.Check(&o) })
			used2 := allocated(func() { err2 = b.Iterate(Limits{}, func(Record) error { return nil }) })
			if codeOf(t, err) == 0 || codeOf(t, err2) == 0 {
				t.Errorf("accepted: Check %v, iteration %v", err, err2)
			}
			// The pools may have been emptied meanwhile: a window, decoders, and 8 MiB for the history of a zstd frame.
			if used > 12<<20 || used2 > 12<<20 {
				t.Errorf("Check allocated %d bytes, iteration %d, for a batch of %d", used, used2, len(b))
			}
			b.Cheap() // must only return
		})
	}
}

var zstdEmptyBlock = []byte{1, 0, 0}

// lz4Block4MiB is a frame with one block, of the largest block size, without checksums.
func lz4Block4MiB(block []byte) []byte {
	p := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	p = append(p, 0x60, 0x70)
	p = append(p, byte(xxh32(p[4:])>>8))
	p = binary.LittleEndian.AppendUint32(p, uint32(len(block)))
	p = append(p, block...)
	return append(p, 0, 0, 0, 0)
}

// Cheap looks at what the batch really holds, in either framing.
func TestCheap(t *testing.T) {
	fits, over := records(1000), records(2000) // 45 KiB, 90 KiB
	if len(fits) > cheapRaw || len(over) <= cheapRaw {
		t.Fatal(len(fits), len(over))
	}
	small := wrapWith(t, None, 60<<10)
	const window2MiB, window16MiB = 11 << 3, 14 << 3
	streamed, o := wrap(Zstd, 2000, zstdStreamed(over, window2MiB)), limits()
	if err := streamed.Check(&o); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b    Batch
		want bool
	}{
		"none of 1 MiB":             {wrapWith(t, None, 1<<20), true},
		"gzip":                      {wrap(Gzip, 1000, gzipped(fits)), false},
		"zstd":                      {wrap(Zstd, 1000, zstded(fits)), true},
		"zstd above":                {wrap(Zstd, 2000, zstded(over)), false},
		"zstd of unsaid size":       {streamed, true},
		"zstd of two blocks":        {wrap(Zstd, 4000, zstdStreamed(records(4000), window2MiB)), false},
		"zstd of two frames":        {wrap(Zstd, 1000, append(zstded(fits), zstded(fits)...)), false},
		"zstd of a wide window":     {wrap(Zstd, 1000, zstdStreamed(fits, window16MiB)), false},
		"no zstd":                   {wrap(Zstd, 1, []byte{1, 2, 3}), true},
		"raw snappy":                {wrap(Snappy, 1000, s2.EncodeSnappy(nil, fits)), true},
		"raw snappy above":          {wrap(Snappy, 2000, s2.EncodeSnappy(nil, over)), false},
		"xerial":                    {wrap(Snappy, 1000, appendSnappy(nil, fits)), true},
		"xerial above":              {wrap(Snappy, 2000, appendSnappy(nil, over)), false},
		"lz4 of 64 KiB blocks":      {wrapWith(t, LZ4, 60<<10), true},
		"lz4 of 4 MiB blocks":       {wrap(LZ4, small.Count(), lz4Framed(small.Records())), true},
		"lz4 of 64 KiB blocks over": {wrapWith(t, LZ4, 70<<10), false},
		"lz4 of 4 MiB blocks over":  {wrap(LZ4, 2000, lz4Framed(over)), false},
		"no codec":                  {edit(small, func(b Batch) { b[atAttributes+1] = 6 }), true},
		"no snappy":                 {wrap(Snappy, 1, []byte{255, 255, 255, 255, 255, 255}), true},
		"no lz4":                    {wrap(LZ4, 1, []byte{1, 2, 3}), true},
	} {
		if got := c.b.Cheap(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
