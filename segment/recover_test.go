package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// onMem writes the files of a segment into a new file system.
func onMem(t testing.TB, log, offsets, times []byte) (vfs.FS, string) {
	m := vfs.NewMem()
	dir := "/d"
	writeFile(t, m, Path(dir, 0, logSuffix), log)
	if offsets != nil {
		writeFile(t, m, Path(dir, 0, indexSuffix), offsets)
		writeFile(t, m, Path(dir, 0, timeSuffix), times)
	}
	return m, dir
}

// sample returns the files of a cleanly closed segment.
func sample(t testing.TB, bytes int64, o Options) (f filled, log, offsets, times []byte) {
	m := vfs.NewMem()
	o.FS = m
	if err := m.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Create("/d", 0, o)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, rand.New(rand.NewPCG(11, 12)), &f, bytes)
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	return f, readFile(t, m, Path("/d", 0, logSuffix)), readFile(t, m, Path("/d", 0, indexSuffix)), readFile(t, m, Path("/d", 0, timeSuffix))
}

func small() Options { return Options{MaxBytes: 1 << 16, IndexInterval: 300} }

// checkIndex compares the indexes on disk with those of a fresh run over the same batches.
func checkIndex(t testing.TB, fs vfs.FS, dir string, f filled, o Options) {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("/e", 0o755); err != nil {
		t.Fatal(err)
	}
	o.FS = m
	s, err := Create("/e", 0, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range f.batches {
		mustAppend(t, s, b)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		if got, want := readFile(t, fs, Path(dir, 0, suffix)), readFile(t, m, Path("/e", 0, suffix)); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x, want\n%x", suffix, got, want)
		}
	}
}

func (f filled) below(size int64) filled {
	n := 0
	for n < len(f.batches) && f.positions[n]+int64(len(f.batches[n])) <= size {
		n++
	}
	return filled{f.batches[:n], f.positions[:n]}
}

func TestTornTailIsCutAtEveryByte(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 3_000, o)
	step := 1
	if invariant.Enabled {
		step = 7 // the race detector has nothing to find here
	}
	for size := 0; size < len(log); size += step {
		for _, garbage := range []int{0, 1, 100} {
			torn := append(bytes.Clone(log[:size]), bytes.Repeat([]byte{0xA5}, garbage)...)
			fs, dir := onMem(t, torn, offsets, times)
			o.FS = fs
			want := f.below(int64(size))
			var seen filled
			s, got, err := Recover(dir, 0, o, RecoverOptions{}, func(b record.Batch, position int64) error {
				if position != seen.size() {
					return fmt.Errorf("position %d, want %d", position, seen.size())
				}
				seen.add(bytes.Clone(b))
				return nil
			})
			if err != nil {
				t.Fatalf("cut at %d: %v", size, err)
			}
			cut := int64(len(torn)) - want.size()
			if garbage == 0 && allZero(torn[want.size():]) {
				cut = 0
			}
			if got.Position != want.size() || got.NextOffset != want.next(0) || got.Cut > int64(len(torn))-want.size() || (got.Cut == 0) != (cut == 0) {
				t.Fatalf("cut at %d: %+v, want position %d, next %d", size, got, want.size(), want.next(0))
			}
			if !bytes.Equal(seen.bytes(), want.bytes()) {
				t.Fatalf("cut at %d: other batches were called back", size)
			}
			if got.Cut > 0 {
				kept := readFile(t, fs, got.CutPath)
				if !bytes.Equal(kept, torn[want.size():want.size()+int64(len(kept))]) || !allZero(torn[want.size()+int64(len(kept)):]) {
					t.Fatalf("cut at %d: what was cut is not what was kept", size)
				}
			}
			b := batch(s.NextOffset(), 99, 100, 5_000_000)
			mustAppend(t, s, b)
			if err := s.Close(true); err != nil {
				t.Fatal(err)
			}
			want.batches, want.positions = append([]record.Batch(nil), want.batches...), append([]int64(nil), want.positions...)
			want.add(b)
			if !bytes.Equal(readFile(t, fs, Path(dir, 0, logSuffix)), want.bytes()) {
				t.Fatalf("cut at %d: the file is not the valid batches and the new one", size)
			}
			if size%97 == 0 {
				checkIndex(t, fs, dir, want, small())
			}
		}
	}
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func TestNoFlippedBitSurvivesRecovery(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 1_200, o)
	for i := range log {
		for bit := range 8 {
			if (i+bit)%3 != 0 { // a third of them, spread over all bytes
				continue
			}
			bad := bytes.Clone(log)
			bad[i] ^= 1 << bit
			fs, dir := onMem(t, bad, offsets, times)
			o.FS = fs
			hit := f.below(int64(i)) // whole batches before the flipped byte
			s, got, err := Recover(dir, 0, o, RecoverOptions{MinEpoch: 0}, nil)
			if err != nil {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			// A leader epoch lies outside the checksum; a larger one is caught by the next batch.
			at := i - int(hit.size())
			if at >= 12 && at < 16 {
				if got.Position < hit.size() {
					t.Fatalf("bit %d of byte %d: cut at %d, before the damage", bit, i, got.Position)
				}
			} else if got.Position != hit.size() || got.Reason == "" {
				t.Fatalf("bit %d of byte %d: cut at %d (%s), want %d", bit, i, got.Position, got.Reason, hit.size())
			}
			if err := s.Close(false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSpaceAllocatedAheadIsNoDamage(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 2_000, o)
	fs, dir := onMem(t, append(bytes.Clone(log), make([]byte, 30_000)...), append(offsets, make([]byte, 4096)...), append(times, make([]byte, 4080)...))
	o.FS = fs
	s, got, err := Recover(dir, 0, o, RecoverOptions{From: f.batches[3].BaseOffset()}, nil)
	if err != nil || got.Cut != 0 || got.Reason != "" || got.Position != int64(len(log)) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	checkIndex(t, fs, dir, f, small())
	entries, _ := fs.ReadDir(dir)
	if len(entries) != 3 {
		t.Errorf("%d files, want 3", len(entries))
	}
}

// Below the recovery point all was durable: what does not fit there is damage, and nothing may be cut.
func TestDamageBelowTheRecoveryPointIsNotATornTail(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 5_000, o)
	from := f.batches[len(f.batches)-2].BaseOffset()
	for name, damage := range map[string]func([]byte) []byte{
		"short":       func(b []byte) []byte { return b[:f.positions[len(f.batches)-3]] },
		"short, torn": func(b []byte) []byte { return b[:f.positions[len(f.batches)-3]+20] },
		"empty":       func(b []byte) []byte { return nil },
		"zeros":       func(b []byte) []byte { clear(b[f.positions[len(f.batches)-4]:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			bad := damage(bytes.Clone(log))
			fs, dir := onMem(t, bad, offsets, times)
			o.FS = fs
			_, got, err := Recover(dir, 0, o, RecoverOptions{From: from, Replay: from}, nil)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("%+v, %v: want a CorruptError", got, err)
			}
			if !bytes.Equal(readFile(t, fs, Path(dir, 0, logSuffix)), bad) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestRecoveryReadsOnlyFromTheRecoveryPoint(t *testing.T) {
	o := Options{MaxBytes: 1 << 22, IndexInterval: 4096}
	f, log, offsets, times := sample(t, 2<<20, o)
	at := len(f.batches) - 10
	from := f.batches[at].BaseOffset()
	bad := append(bytes.Clone(log), 1, 2, 3)
	bad[f.positions[at/2]+70] ^= 1 // far below: a scan from the start would stop here
	fs, dir := onMem(t, bad, offsets, times)
	reads := &countingFS{FS: fs, suffix: logSuffix}
	o.FS = reads
	n := 0
	s, got, err := Recover(dir, 0, o, RecoverOptions{From: from, Replay: from}, func(b record.Batch, position int64) error {
		if !bytes.Equal(b, f.batches[at+n]) {
			return fmt.Errorf("batch %d is another", n)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != 10 || got.NextOffset != f.next(0) || got.Scanned != int64(len(log))-f.positions[at] || got.Cut != 3 {
		t.Errorf("%d batches, %+v", n, got)
	}
	if reads.bytes > 64<<10 {
		t.Errorf("%d bytes of the log were read", reads.bytes)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	fs2, dir2 := onMem(t, log, readFile(t, fs, Path(dir, 0, indexSuffix)), readFile(t, fs, Path(dir, 0, timeSuffix)))
	checkIndex(t, fs2, dir2, f, Options{MaxBytes: 1 << 22, IndexInterval: 4096})
}

func TestReplayGivesHeadersBelowTheRecoveryPoint(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 10_000, o)
	replay, from := 5, len(f.batches)-4
	for i, distrust := range []bool{false, true, false} {
		fs, dir := onMem(t, log, offsets, times)
		o.FS = fs
		if i == 2 {
			replay = 0
		}
		n := replay
		_, _, err := Recover(dir, 0, o, RecoverOptions{
			Replay: f.batches[replay].BaseOffset(), From: f.batches[from].BaseOffset(), DistrustIndex: distrust,
		}, func(b record.Batch, position int64) error {
			want := f.batches[n]
			if n < from {
				want = want[:record.HeaderSize]
			}
			if !bytes.Equal(b, want) || position != f.positions[n] {
				return fmt.Errorf("batch %d at %d is not the one expected", n, position)
			}
			n++
			return nil
		})
		if err != nil || n != len(f.batches) {
			t.Errorf("distrust %v: called back up to %d of %d: %v", distrust, n, len(f.batches), err)
		}
	}
}

// Indexes are caches: whatever they hold, recovery ends with the same log and with good indexes.
func TestBadIndexesAreRebuilt(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 10_000, o)
	from := f.batches[len(f.batches)-3].BaseOffset()
	r := rand.New(rand.NewPCG(13, 14))
	for i := range 300 {
		x, y := bytes.Clone(offsets), bytes.Clone(times)
		var what string
		switch i % 6 {
		case 0:
			what = "missing"
			x, y = nil, nil
		case 1:
			what = "a zero page in the middle"
			at := r.IntN(len(x)/8) * 8
			clear(x[at : at+8])
		case 2:
			what = "cut"
			x = x[:r.IntN(len(x))]
		case 3:
			what = "noise"
			for range 3 {
				x[r.IntN(len(x))] ^= byte(1 + r.IntN(255))
			}
		case 4:
			what = "time index of noise"
			for range 3 {
				y[r.IntN(len(y))] ^= byte(1 + r.IntN(255))
			}
		case 5:
			what = "time index missing"
			y = nil
		}
		fs, dir := onMem(t, log, x, y)
		o.FS = fs
		if i%2 == 0 {
			s, got, err := Recover(dir, 0, o, RecoverOptions{From: from, Replay: from}, nil)
			if err != nil || got.NextOffset != f.next(0) {
				t.Fatalf("%d, %s: %+v, %v", i, what, got, err)
			}
			checkReads(t, s, f)
			if err := s.Close(true); err != nil {
				t.Fatal(err)
			}
			continue
		}
		s, err := OpenSealed(dir, 0, f.next(0), o)
		if err != nil {
			t.Fatal(err)
		}
		checkReads(t, s, f)
	}
}

func checkReads(t testing.TB, s *Segment, f filled) {
	t.Helper()
	for _, b := range f.batches {
		if got := sliceBytes(t, s, b.LastOffset(), b.NextOffset(), len(b), true); !bytes.Equal(got, b) {
			t.Fatalf("offset %d: other bytes", b.LastOffset())
		}
	}
	if got := sliceBytes(t, s, 0, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
		t.Fatal("the whole differs")
	}
}

// A clean start that finds something else than a clean stop left says so.
func TestOpenNoticesWhatIsNotClean(t *testing.T) {
	o := small()
	f, log, offsets, times := sample(t, 5_000, o)
	for name, damage := range map[string]func(b []byte) []byte{
		"zeros at the end":    func(b []byte) []byte { return append(b, make([]byte, 100)...) },
		"torn":                func(b []byte) []byte { return b[:len(b)-3] },
		"last batch damaged":  func(b []byte) []byte { b[len(b)-3] ^= 4; return b },
		"last header damaged": func(b []byte) []byte { b[f.positions[len(f.batches)-1]+16] = 7; return b },
	} {
		t.Run(name, func(t *testing.T) {
			fs, dir := onMem(t, damage(bytes.Clone(log)), offsets, times)
			o.FS = fs
			_, err := Open(dir, 0, o)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Path, logSuffix) {
				t.Errorf("%v: want a CorruptError", err)
			}
		})
	}
	t.Run("index missing", func(t *testing.T) {
		fs, dir := onMem(t, log, nil, nil)
		o.FS = fs
		s, err := Open(dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
		checkIndex(t, fs, dir, f, small())
	})
}

func TestCleanOpenReadsAFewPages(t *testing.T) {
	o := Options{MaxBytes: 1 << 23, IndexInterval: 4096}
	_, log, offsets, times := sample(t, 4<<20, o)
	fs, dir := onMem(t, log, offsets, times)
	reads := &countingFS{FS: fs}
	o.FS = reads
	if _, err := Open(dir, 0, o); err != nil {
		t.Fatal(err)
	}
	if reads.bytes > 48<<10 {
		t.Errorf("%d bytes were read", reads.bytes)
	}
}

// Whatever a power cut leaves: all below FlushedTo is there, what is more is a prefix of what was appended.
func TestPowerCutKeepsWhatWasFlushed(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 15))
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		o := small()
		o.FS = m
		s, err := Create("/d", 0, o)
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		for range 1 + r.IntN(4) {
			fill(t, s, r, &f, f.size()+int64(r.IntN(4000)))
			switch r.IntN(4) {
			case 0, 1:
				if _, err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			case 2:
				s.Idle()
			}
			powerCut(t, m.CrashClone(r, r.IntN(101)), s.FlushedTo(), f)
		}
		s.Seal()
		if r.IntN(2) == 0 {
			if next, err := s.Flush(); err != nil || next != f.next(0) {
				t.Fatal(next, err)
			}
			sealedCut(t, m.CrashClone(r, r.IntN(101)), f)
		}
		powerCut(t, m.CrashClone(r, r.IntN(101)), s.FlushedTo(), f)
	}
}

func powerCut(t *testing.T, fs vfs.FS, flushed int64, f filled) {
	t.Helper()
	o := small()
	o.FS = fs
	if _, err := fs.Stat(Path("/d", 0, logSuffix)); errors.Is(err, os.ErrNotExist) && flushed == 0 {
		return
	}
	s, got, err := Recover("/d", 0, o, RecoverOptions{From: flushed, Durable: flushed, Replay: flushed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := f.below(got.Position)
	if got.NextOffset < flushed || kept.size() != got.Position || kept.next(0) != got.NextOffset {
		t.Fatalf("flushed to %d: %+v", flushed, got)
	}
	checkReads(t, s, kept)
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
}

// A sealed and flushed segment is trusted after a crash without being opened.
func sealedCut(t *testing.T, fs vfs.FS, f filled) {
	t.Helper()
	o := small()
	o.FS = fs
	s, err := OpenSealed("/d", 0, f.next(0), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != f.size() {
		t.Fatalf("%d bytes, want %d", s.Size(), f.size())
	}
	checkReads(t, s, f)
	x, err := index.ReadOffsets(fs, Path("/d", 0, indexSuffix), 0)
	if err != nil || x.Check(f.next(0), f.size()) != nil {
		t.Fatalf("offset index: %v, %v", err, x.Check(f.next(0), f.size()))
	}
	y, err := index.ReadTimes(fs, Path("/d", 0, timeSuffix), 0) // Idle has added entries that a single run does not have
	if err != nil || y.Check(f.next(0)) != nil {
		t.Fatalf("time index: %v, %v", err, y.Check(f.next(0)))
	}
}

// Finish leaves what Close leaves, durable after one sync of the file system, whatever background work had not begun.
func TestFinishedSegmentsAreDurableAfterOneSync(t *testing.T) {
	for i := range 8 {
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		var jobs manual
		o := small()
		o.FS, o.Go = m, jobs.Go
		s, err := Create("/d", 0, o)
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		for range 20 {
			b := batch(f.next(0), 0, 300, int64(i))
			if err := s.Append(b); err != nil {
				t.Fatal(err)
			}
			f.add(b)
		}
		if i&1 != 0 {
			s.Seal()
		}
		if i&2 != 0 {
			s.Idle()
		}
		if i&4 != 0 {
			jobs.run()
		}
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		jobs.run()
		if err := m.SyncFS("/d"); err != nil {
			t.Fatal(err)
		}
		o.FS = m.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
		if s, err = Open("/d", 0, o); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		checkReads(t, s, f)
	}
}

// The name of a file that was never flushed before a crash is not durable either, however the segment was opened after it.
func TestFirstFlushAfterAStartMakesTheNameDurable(t *testing.T) {
	for _, clean := range []bool{false, true} {
		r := rand.New(rand.NewPCG(1, 3))
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		o := small()
		o.FS = m
		s, err := Create("/d", 0, o)
		if err != nil {
			t.Fatal(err)
		}
		if clean {
			err = s.Close(true)
			s, _ = Open("/d", 0, o)
		} else {
			mustAppend(t, s, batch(0, 0, 100, 1))
			m = m.CrashClone(r, 100)
			// What the killed process had made is not durable by that alone.
			if err := m.Rename("/d", "/e"); err != nil {
				t.Fatal(err)
			}
			if err := m.MkdirAll("/d", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := m.SyncDir("/"); err != nil {
				t.Fatal(err)
			}
			for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
				if err := m.Rename(Path("/e", 0, suffix), Path("/d", 0, suffix)); err != nil {
					t.Fatal(err)
				}
			}
			o.FS = m
			s, _, err = Recover("/d", 0, o, RecoverOptions{}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, batch(s.NextOffset(), 0, 100, 1))
		next, err := s.Flush()
		if err != nil {
			t.Fatal(err)
		}
		o.FS = m.CrashClone(r, 0)
		if _, got, err := Recover("/d", 0, o, RecoverOptions{}, nil); err != nil || got.NextOffset != next {
			t.Errorf("clean %v: flushed to %d, after a power cut %+v, %v", clean, next, got, err)
		}
	}
}

// A truncation that a crash interrupts leaves the old log or the new one.
func TestPowerCutDuringTruncation(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 16))
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		o := small()
		o.FS = m
		s, err := Create("/d", 0, o)
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		fill(t, s, r, &f, 8_000)
		if _, err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		keep := r.IntN(len(f.batches))
		cut := filled{f.batches[:keep], f.positions[:keep]}
		left, ops := r.IntN(20), 0
		m.SetHook(func(op, name string) error {
			if ops++; ops > left && op != "read" && op != "stat" {
				return errors.New("the power is gone")
			}
			return nil
		})
		_, err = s.TruncateTo(f.batches[keep].BaseOffset())
		m.SetHook(nil)
		clone := m.CrashClone(r, r.IntN(101))
		o.FS = clone
		s, got, rerr := Recover("/d", 0, o, RecoverOptions{From: cut.next(0), Replay: cut.next(0)}, nil)
		if rerr != nil {
			t.Fatalf("seed %d: %v (truncation: %v)", seed, rerr, err)
		}
		switch got.Position {
		case f.size():
			if err == nil {
				t.Fatalf("seed %d: the truncation was done, but is not durable", seed)
			}
			checkReads(t, s, f)
		case cut.size():
			checkReads(t, s, cut)
		default:
			t.Fatalf("seed %d: %d bytes, want %d or %d", seed, got.Position, f.size(), cut.size())
		}
	}
}

// countingFS counts the bytes read from files with a suffix.
type countingFS struct {
	vfs.FS
	suffix string
	bytes  int64
}

func (c *countingFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.HasSuffix(name, c.suffix) {
		return f, err
	}
	return &countingFile{f, c}, nil
}

type countingFile struct {
	vfs.File
	c *countingFS
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.c.bytes += int64(n)
	return n, err
}
