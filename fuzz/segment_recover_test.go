package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

func seedSegment(n int) []byte {
	var w record.Builder
	var out []byte
	for i := range n {
		w.Reset(record.BuildOptions{BaseOffset: int64(2 * i)})
		w.Add(int64(1000+i), nil, bytes.Repeat([]byte{'v'}, 40*i))
		w.Add(int64(999+i), []byte("k"), nil)
		var err error
		if out, _, err = w.Build(out); err != nil {
			panic(err)
		}
	}
	return out
}

func put(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	h, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzSegmentRecover: whatever the three files of a segment hold, recovery ends without a panic with a log of valid batches that follow
// each other, or says what is damaged; what it leaves reads back, opens cleanly, and recovers to the same.
func FuzzSegmentRecover(f *testing.F) {
	log := seedSegment(6)
	f.Add(log, []byte{}, []byte{}, int64(0), false)
	f.Add(log[:len(log)-9], []byte{0, 0, 0, 5, 0, 0, 0, 200}, []byte{}, int64(4), false)
	f.Add(append(bytes.Clone(log), make([]byte, 300)...), []byte{}, bytes.Repeat([]byte{1}, 24), int64(6), true)
	f.Add(seedSegment(0), []byte{}, []byte{}, int64(9), false)
	huge := bytes.Clone(log)
	binary.BigEndian.PutUint32(huge[8:], math.MaxInt32)
	f.Add(huge, []byte{}, []byte{}, int64(0), false)
	f.Fuzz(func(t *testing.T, log, offsets, times []byte, from int64, fix bool) {
		if len(log) > 1<<16 || len(offsets) > 1<<12 || len(times) > 1<<12 {
			return
		}
		if fix { // checksums that fit let the fuzzer behind them
			for rest := log; ; {
				b, next, err := record.Next(rest)
				if err != nil {
					break
				}
				binary.BigEndian.PutUint32(b[17:], record.CRC32C(b[21:]))
				rest = next
			}
		}
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, m, segment.Path("/d", 0, ".log"), log)
		put(t, m, segment.Path("/d", 0, ".index"), offsets)
		put(t, m, segment.Path("/d", 0, ".timeindex"), times)
		o := segment.Options{FS: m, MaxBytes: 1 << 17, IndexInterval: 100}
		var kept []byte
		next := int64(0)
		s, got, err := segment.Recover("/d", 0, o, segment.RecoverOptions{From: from, Replay: from}, func(b record.Batch, position int64) error {
			if b.BaseOffset() < next || position > int64(len(log)) {
				t.Fatalf("offset %d at %d after %d", b.BaseOffset(), position, next)
			}
			next = b.NextOffset()
			kept = append(kept, b...)
			return nil
		})
		if err != nil {
			var corrupt *segment.CorruptError
			if from <= 0 || !errors.As(err, &corrupt) {
				t.Fatalf("from %d: %v", from, err)
			}
			return
		}
		if got.Position > int64(len(log)) || s.Size() != got.Position || s.NextOffset() != got.NextOffset || got.NextOffset < from {
			t.Fatalf("from %d: %+v of %d bytes", from, got, len(log))
		}
		if got.Scanned != int64(len(kept)) || !bytes.Equal(log[got.Position-got.Scanned:got.Position], kept) {
			t.Fatalf("%d bytes called back, %+v", len(kept), got)
		}
		sl, err := s.Slice(0, math.MaxInt64, math.MaxInt32, true, true)
		if err == nil && int64(sl.Length) != got.Position && from <= 0 { // below from nothing was verified
			t.Fatalf("%d bytes are served, %d are there", sl.Length, got.Position)
		}
		if err == nil {
			sl.Release()
		}
		if _, _, err := s.OffsetForTime(500, 0, true); err != nil && from <= 0 {
			var corrupt *segment.CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatal(err)
			}
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		if from > 0 {
			return // the part below was not verified
		}
		s, err = segment.Open("/d", 0, o)
		if err != nil || s.NextOffset() != got.NextOffset || s.Size() != got.Position {
			t.Fatalf("clean open: %v", err)
		}
		if err := s.Close(false); err != nil {
			t.Fatal(err)
		}
		_, again, err := segment.Recover("/d", 0, o, segment.RecoverOptions{}, nil)
		if err != nil || again.NextOffset != got.NextOffset || again.Position != got.Position || again.Cut != 0 {
			t.Fatalf("again: %+v, %v; first %+v", again, err, got)
		}
	})
}
