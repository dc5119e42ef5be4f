package segment

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func TestSlicesAreWholeBatchesBelowTheBound(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		const base = 1000
		r := rand.New(rand.NewPCG(1, 2))
		s, err := Create(w.dir, base, w.options())
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		check := func() {
			t.Helper()
			for range 300 {
				offset := base + r.Int64N(f.next(base)-base+2)
				bound := base + r.Int64N(f.next(base)-base+3)
				if r.IntN(2) == 0 {
					bound = math.MaxInt64
				}
				maxBytes, minOne := r.IntN(5000), r.IntN(2) == 0
				got, want := sliceBytes(t, s, offset, bound, maxBytes, minOne), f.want(offset, bound, maxBytes, minOne)
				if !bytes.Equal(got, want) {
					t.Fatalf("Slice(%d, %d, %d, %v): %d bytes, want %d", offset, bound, maxBytes, minOne, len(got), len(want))
				}
			}
		}
		if got := sliceBytes(t, s, base, base, 100, true); len(got) != 0 {
			t.Fatalf("%d bytes of an empty segment", len(got))
		}
		for _, size := range []int64{5_000, 100_000, 300_000} {
			fill(t, s, r, &f, size)
			check()
		}
		s.Idle()
		check() // opened again
		fill(t, s, r, &f, 400_000)
		s.Seal()
		check()
		s.Idle()
		check()
		if got := readFile(t, w.fs, s.name()); !bytes.Equal(got, f.bytes()) {
			t.Errorf("the sealed file has %d bytes, %d were appended, or differs", len(got), f.size())
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		if s, err = OpenSealed(w.dir, base, f.next(base), w.options()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.MaxTimestamp(false); err != ErrCold {
			t.Errorf("the largest timestamp of a segment that nobody looked at, on a loop: %v", err)
		}
		check()
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
	})
}

// The entries were worked out by hand from Kafka 4.4's LogSegment.append: an entry for a batch when more than the interval lies between
// the beginning of the last indexed batch and its own; the time entry only when the largest timestamp has grown; a last one at the end.
func TestIndexFilesAreThoseOfKafka(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		o := w.options()
		o.IndexInterval = 200
		s, err := Create(w.dir, 500, o)
		if err != nil {
			t.Fatal(err)
		}
		position := int64(0)
		for i, b := range []struct {
			timestamps []int64
		}{
			{[]int64{100, 101}},    // 500-501
			{[]int64{90, 95, 102}}, // 502-504
			{[]int64{99}},          // 505
			{[]int64{98, 97}},      // 506-507
			{[]int64{102}},         // 508
			{[]int64{103}},         // 509
			{[]int64{101}},         // 510
		} {
			p := batch(s.NextOffset(), 0, 100, b.timestamps...)
			if i == 3 {
				position = s.Size()
			}
			mustAppend(t, s, p)
		}
		if position != 0x10d {
			t.Fatalf("the fourth batch is at %#x: the golden bytes expect another builder", position)
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		for _, f := range []struct{ suffix, want string }{
			// 506-507 at 0x10d, 269 > 200 bytes behind the first; the one before lay at 174. Then 510 at 548, 279 bytes on.
			{indexSuffix, "00000007" + "0000010d" + "0000000a" + "00000224"},
			// With 506-507: the largest so far is 102, of the batch that ends with 504. With 510: 103, of 509.
			{timeSuffix, "0000000000000066" + "00000004" + "0000000000000067" + "00000009"},
		} {
			if got := hex.EncodeToString(readFile(t, w.fs, Path(w.dir, 500, f.suffix))); got != f.want {
				t.Errorf("%s is\n%s, want\n%s", f.suffix, got, f.want)
			}
		}
	})
}

func TestCleanStopLeavesTrimmedFilesAndOpensWithoutScan(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		r := rand.New(rand.NewPCG(3, 4))
		var f filled
		s, err := Create(w.dir, 7, w.options())
		if err != nil {
			t.Fatal(err)
		}
		for round := range 4 {
			fill(t, s, r, &f, int64(round+1)*60_000)
			if round == 2 {
				s.Idle()
			}
			maxTimestamp, maxOffset, _ := s.MaxTimestamp(true)
			if err := s.Close(true); err != nil {
				t.Fatal(err)
			}
			if got := readFile(t, w.fs, s.name()); !bytes.Equal(got, f.bytes()) {
				t.Fatalf("round %d: the file differs from what was appended", round)
			}
			for _, suffix := range []string{indexSuffix, timeSuffix} {
				b := readFile(t, w.fs, Path(w.dir, 7, suffix))
				if n := len(b); n == 0 || bytes.Equal(b[n-8:], make([]byte, 8)) {
					t.Errorf("round %d: %s is empty or not trimmed", round, suffix)
				}
			}
			if s, err = Open(w.dir, 7, w.options()); err != nil {
				t.Fatal(err)
			}
			if s.NextOffset() != f.next(7) || s.Size() != f.size() || s.FlushedTo() != f.next(7) {
				t.Fatalf("opened at %d, %d bytes; want %d, %d", s.NextOffset(), s.Size(), f.next(7), f.size())
			}
			if ts, at, err := s.MaxTimestamp(true); ts != maxTimestamp || at != maxOffset || err != nil {
				t.Fatalf("largest timestamp %d at %d, %v; was %d at %d", ts, at, err, maxTimestamp, maxOffset)
			}
			if first, err := s.FirstTimestamp(); err != nil || first != f.batches[0].MaxTimestamp() {
				t.Fatalf("first timestamp %d, %v", first, err)
			}
		}
		if got := sliceBytes(t, s, 7, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
			t.Error("the segment is not what was appended")
		}
		if err := s.Close(false); err != nil {
			t.Fatal(err)
		}
	})
}

// An index that grew over several openings must be the one that a single opening writes.
func TestReopeningDoesNotShiftIndexEntries(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		build := func(base int64, reopen bool) (offsets, times []byte) {
			s, err := Create(w.dir, base, w.options())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				if reopen && i%20 == 19 {
					s.Idle()
				}
				mustAppend(t, s, batch(s.NextOffset(), 0, 150, int64(i)))
			}
			if err := s.Close(true); err != nil {
				t.Fatal(err)
			}
			return readFile(t, w.fs, Path(w.dir, base, indexSuffix)), readFile(t, w.fs, Path(w.dir, base, timeSuffix))
		}
		offsets, _ := build(0, false)
		again, times := build(10_000, true)
		if !bytes.Equal(offsets, again) {
			t.Errorf("offset index differs: %d and %d bytes", len(offsets), len(again))
		}
		last := int64(-1)
		for ; len(times) > 0; times = times[12:] {
			ts := int64(binary.BigEndian.Uint64(times))
			if ts <= last {
				t.Errorf("time index: %d after %d", ts, last)
			}
			last = ts
		}
		if last != 199 {
			t.Errorf("time index ends with %d", last)
		}
	})
}

func TestFullSegmentsAskForARollAndChangeNothing(t *testing.T) {
	w := worlds(t)[0]
	t.Run("bytes", func(t *testing.T) {
		o := w.options()
		o.MaxBytes = 1000
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		if err := s.Append(batch(0, 0, 2000, 1)); err != ErrTooLarge {
			t.Errorf("a batch larger than a segment: %v", err)
		}
		mustAppend(t, s, batch(0, 0, 600, 1))
		if err := s.Append(batch(1, 0, 600, 1)); err != ErrFull {
			t.Errorf("a batch that does not fit: %v", err)
		}
		if room := s.Room(); room <= 390 || room >= 600 {
			t.Errorf("room for %d bytes", room)
		}
		mustAppend(t, s, batch(1, 0, 200, 1))
	})
	t.Run("relative offset", func(t *testing.T) {
		s, err := Create(w.dir, 10, w.options())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		mustAppend(t, s, batch(10+math.MaxInt32, 0, 100, 1))
		if err := s.Append(batch(11+math.MaxInt32, 0, 100, 1)); err != ErrFull {
			t.Errorf("an offset that does not fit into the index: %v", err)
		}
	})
	t.Run("index", func(t *testing.T) {
		o := w.options()
		o.MaxIndexBytes, o.IndexInterval = 60, -1 // 7 offset entries, 5 time entries less the one kept for the end
		s, err := Create(w.dir, 20, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(true)
		n := 0
		for ; n < 100; n++ {
			if err := appendWaiting(s, batch(s.NextOffset(), 0, 100, int64(n))); err == ErrFull {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n != 5 {
			t.Errorf("%d batches went in, want 5: the first has no entry", n)
		}
	})
}

func TestAppendOutOfOrderPanics(t *testing.T) {
	w := worlds(t)[1]
	s, err := Create(w.dir, 5, w.options())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("an offset below the next one was appended")
		}
	}()
	mustAppend(t, s, batch(5, 0, 100, 1, 2))
	_ = s.Append(batch(6, 0, 100, 1))
}

// Nothing of an append waits: what needs the disk is asked for, and the append that cannot do without says ErrWait.
func TestAppendNeverWorksItself(t *testing.T) {
	w := worlds(t)[0]
	var jobs manual
	o := w.options()
	o.Go = jobs.Go
	s, err := Create(w.dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	b := func() []byte { return batch(s.NextOffset(), 0, 1000, 1) }
	for s.Append(b()) == nil {
	}
	if s.Size() < minStep-1000 || s.Size() > minStep {
		t.Errorf("%d bytes went into a first step of %d", s.Size(), minStep)
	}
	if err := s.Append(b()); err != ErrWait {
		t.Fatalf("no room: %v, want ErrWait", err)
	}
	called := 0
	s.WhenReady(func() { called++ })
	if called != 0 {
		t.Error("ready before the job ran")
	}
	if jobs.run() == 0 {
		t.Fatal("nothing was asked for")
	}
	if called != 1 {
		t.Errorf("told %d times", called)
	}
	if err := s.Append(b()); err != nil {
		t.Errorf("after the step: %v", err)
	}
	s.Idle()
	if err := s.Append(b()); err != ErrWait {
		t.Errorf("closed: %v, want ErrWait", err)
	}
	if _, err := s.Slice(0, 1, 1, true, false); err != ErrWait {
		t.Errorf("slice of a closed segment: %v, want ErrWait", err)
	}
	jobs.run()
	if _, err := s.Slice(0, 1, 1, false, false); err != nil {
		t.Errorf("slice: %v", err)
	}
	// Opened, but without room: the file was trimmed when it was idle.
	if err := s.Append(b()); err != ErrWait {
		t.Errorf("no room after the trim: %v", err)
	}
	jobs.run()
	if err := s.Append(b()); err != nil {
		t.Errorf("after the step: %v", err)
	}
	s.Seal()
	if err := s.Append(b()); err != ErrClosed {
		t.Errorf("sealed: %v", err)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	jobs.run() // finds nothing to do
	if got, want := readFile(t, w.fs, s.name()), s.Size(); int64(len(got)) != want {
		t.Errorf("%d bytes on disk, %d appended", len(got), want)
	}
}

func TestIdleSegmentsHoldNoOpenFile(t *testing.T) {
	w := worlds(t)[0]
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("no /proc/self/fd: %v", err)
		}
		return len(entries)
	}
	mapped := func() int {
		b, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte(w.dir))
	}
	before := open()
	s, err := Create(w.dir, 0, w.options())
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, batch(0, 0, 100, 1))
	if got := open() - before; got != 1 {
		t.Errorf("an active segment holds %d files, want 1", got)
	}
	sl, err := s.Slice(0, 1, 1000, true, false)
	if err != nil {
		t.Fatal(err)
	}
	s.Idle()
	if got := open() - before; got != 1 {
		t.Errorf("%d files while a slice is held, want 1", got)
	}
	if b := sl.Bytes(); len(b) != int(s.Size()) {
		t.Errorf("%d bytes in a slice of a closed segment", len(b))
	}
	sl.Release()
	if got := open() - before; got != 0 {
		t.Errorf("an idle segment holds %d files", got)
	}
	if got := mapped(); got != 0 {
		t.Errorf("an idle segment holds %d mappings", got)
	}
}

func TestSpareBecomesTheNextSegment(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		r := rand.New(rand.NewPCG(5, 6))
		if _, err := Prepare(w.dir, w.options()); err != nil { // is left behind
			t.Fatal(err)
		}
		sp, err := Prepare(w.dir, w.options())
		if err != nil {
			t.Fatal(err)
		}
		entries, _ := w.fs.ReadDir(w.dir)
		for _, e := range entries {
			if !IsLeftover(e.Name()) {
				t.Errorf("%s is not known as a leftover", e.Name())
			}
		}
		s, err := sp.Take(4242)
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		if s.Base() != 4242 || s.NextOffset() != 4242 || s.FlushedTo() != 4242 {
			t.Errorf("base %d, next %d, flushed %d", s.Base(), s.NextOffset(), s.FlushedTo())
		}
		fill(t, s, r, &f, 50_000)
		if got := sliceBytes(t, s, 4242, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
			t.Error("the bytes differ")
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(w.dir, 4242, w.options()); err != nil || s.NextOffset() != f.next(4242) {
			t.Fatalf("opened with %v", err)
		}
		if sp, err = Prepare(w.dir, w.options()); err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Take(4242); !errors.Is(err, os.ErrExist) {
			t.Errorf("a spare took the place of a segment: %v", err)
		}
		if sp, err = Prepare(w.dir, w.options()); err != nil {
			t.Fatal(err)
		}
		if err := sp.Discard(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		if entries, _ = w.fs.ReadDir(w.dir); len(entries) != 3 {
			t.Errorf("%d files are left, want 3: %v", len(entries), entries)
		}
	})
}

func TestRetiredSegmentsAreServedUntilDeleted(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		s, err := Create(w.dir, 0, w.options())
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		fill(t, s, rand.New(rand.NewPCG(7, 8)), &f, 20_000)
		s.Seal()
		if err := s.Retire(".deleted"); err != nil {
			t.Fatal(err)
		}
		s.Idle()
		if got := sliceBytes(t, s, 0, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
			t.Error("the bytes differ")
		}
		sl, err := s.Slice(0, math.MaxInt64, math.MaxInt32, true, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(); err != nil {
			t.Fatal(err)
		}
		if entries, _ := w.fs.ReadDir(w.dir); len(entries) != 0 {
			t.Errorf("%v are left", entries)
		}
		b := make([]byte, sl.Length)
		if _, err := sl.ReadAt(b, 0); err != nil && !bytes.Equal(b, f.bytes()) {
			t.Errorf("the slice lost its bytes: %v", err)
		}
		sl.Release()
		if _, err := s.Slice(0, 1, 1, true, true); err != ErrClosed {
			t.Errorf("slice of a deleted segment: %v", err)
		}
	})
}

// I11: bytes once readable are immutable, and truncation makes a new file.
func TestTruncationLeavesHandedOutBytesAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		r := rand.New(rand.NewPCG(9, 10))
		s, err := Create(w.dir, 0, w.options())
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		fill(t, s, r, &f, 100_000)
		for f.size() > 0 {
			all, err := s.Slice(0, math.MaxInt64, math.MaxInt32, true, true)
			if err != nil {
				t.Fatal(err)
			}
			old := f.bytes()
			keep := r.IntN(len(f.batches))
			if len(f.batches) < 20 {
				keep = 0
			}
			to := f.batches[keep].BaseOffset()
			if f.batches[keep].LastOffset() > to {
				if _, err := s.TruncateTo(to + 1); err == nil {
					t.Fatal("cut inside a batch")
				}
			}
			was := s
			if s, err = s.TruncateTo(to); err != nil {
				t.Fatal(err)
			}
			f.batches, f.positions = slices.Clip(f.batches[:keep]), slices.Clip(f.positions[:keep])
			if s.NextOffset() != to || s.Size() != f.size() || s.FlushedTo() != to {
				t.Fatalf("next %d, size %d; want %d, %d", s.NextOffset(), s.Size(), to, f.size())
			}
			if err := was.Append(batch(to, 0, 100, 1)); err != ErrClosed {
				t.Fatalf("append to the old segment: %v", err)
			}
			for range 10 { // other bytes than before
				b := batch(f.next(0), 99, 70+r.IntN(300), 5, 6, 7)
				mustAppend(t, s, b)
				f.add(b)
			}
			b := make([]byte, all.Length)
			if n, _ := all.ReadAt(b, 0); n != len(b) || !bytes.Equal(b, old) {
				t.Fatal("the old slice changed")
			}
			all.Release()
			if got := sliceBytes(t, s, 0, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
				t.Fatal("the bytes differ")
			}
			if to == 0 {
				break
			}
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(w.dir, 0, w.options()); err != nil || s.NextOffset() != f.next(0) {
			t.Fatalf("opened at %d, want %d: %v", s.NextOffset(), f.next(0), err)
		}
	})
}

func TestCreateDoesNotOverwrite(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		writeFile(t, w.fs, Path(w.dir, 0, logSuffix), []byte("something"))
		if _, err := Create(w.dir, 0, w.options()); !errors.Is(err, os.ErrExist) {
			t.Errorf("created over a file: %v", err)
		}
		if got := readFile(t, w.fs, Path(w.dir, 0, logSuffix)); string(got) != "something" {
			t.Errorf("the file is now %q", got)
		}
	})
}
