package segment

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/vfs"
)

// diskFull fills a file system of so many bytes: appends are refused clearly, reads go on, and when there is room appends go on.
func diskFull(t *testing.T, w world, free func()) {
	t.Helper()
	o := w.options()
	o.MaxBytes = 64 << 20
	var offline error
	o.OnError = func(err error) { offline = err }
	s, err := Create(w.dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	var f filled
	var full error
	for full == nil && f.size() < 32<<20 {
		b := batch(f.next(0), 0, 20_000, 1)
		if full = appendWaiting(s, b); full == nil {
			f.add(b)
		}
	}
	if !errors.Is(full, vfs.ErrNoSpace) {
		t.Fatalf("a full disk says %v", full)
	}
	for range 3 {
		if err := appendWaiting(s, batch(f.next(0), 0, 200_000, 1)); !errors.Is(err, vfs.ErrNoSpace) {
			t.Fatalf("still full, but %v", err)
		}
		if got := sliceBytes(t, s, 0, math.MaxInt64, math.MaxInt32, true); !bytes.Equal(got, f.bytes()) {
			t.Fatal("the bytes differ")
		}
	}
	if _, err := s.Flush(); err != nil {
		t.Fatalf("flush on a full disk: %v", err)
	}
	free()
	if err := appendWaiting(s, batch(f.next(0), 0, 200_000, 1)); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatal(err) // may still be the answer of the last attempt
	} else if err == nil {
		f.add(batch(f.next(0), 0, 200_000, 1))
	}
	for range 20 {
		b := batch(f.next(0), 0, 20_000, 1)
		mustAppend(t, s, b)
		f.add(b)
	}
	if offline != nil || s.Err() != nil {
		t.Errorf("a full disk took the log offline: %v", offline)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, w.fs, s.name()); !bytes.Equal(got, f.bytes()) {
		t.Errorf("%d bytes on disk, %d appended, or they differ", len(got), f.size())
	}
}

func TestFullDiskRefusesAppendsAndLosesNothing(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		m.SetCapacity(3 << 20)
		diskFull(t, world{"", m, "/d"}, func() { m.SetCapacity(16 << 20) })
	})
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
			t.Skipf("cannot mount a tmpfs: %v", err)
		}
		defer func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}()
		diskFull(t, world{"", vfs.OS, dir}, func() {
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=16m"); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// noFallocate is a file system that cannot allocate ahead.
type noFallocate struct{ vfs.FS }

type noFallocateFile struct{ vfs.File }

func (n noFallocate) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return noFallocateFile{f}, nil
}

func (noFallocateFile) Allocate(off, n int64) error { return vfs.ErrNotSupported }

func TestFileSystemWithoutFallocate(t *testing.T) {
	w := worlds(t)[0]
	o := w.options()
	o.FS = noFallocate{vfs.OS}
	s, err := Create(w.dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	var f filled
	fill(t, s, rand.New(rand.NewPCG(17, 18)), &f, 300_000)
	if size, _ := s.open.Load().log.Size(); size != f.size() {
		t.Errorf("the file has %d bytes, %d were appended", size, f.size())
	}
	s.Idle()
	fill(t, s, rand.New(rand.NewPCG(19, 20)), &f, 400_000)
	checkReads(t, s, f)
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	fs, dir := onMem(t, f.bytes(), readFile(t, vfs.OS, Path(w.dir, 0, indexSuffix)), readFile(t, vfs.OS, Path(w.dir, 0, timeSuffix)))
	if _, err := Open(dir, 0, Options{FS: fs}); err != nil {
		t.Error(err)
	}
}

// I19: after the first failed sync nothing is promised any more.
func TestFailedSyncPoisonsTheSegment(t *testing.T) {
	for _, what := range []string{"sync", "syncdir"} {
		m := vfs.NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		var told []error
		s, err := Create("/d", 0, Options{FS: m, OnError: func(err error) { told = append(told, err) }})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, batch(0, 0, 100, 1))
		n := 0
		m.SetHook(func(op, name string) error {
			if op == what {
				if n++; n == 1 {
					return syscall.EIO // once only, as Linux reports it
				}
			}
			return nil
		})
		for range 3 {
			if next, err := s.Flush(); !errors.Is(err, syscall.EIO) || next != 0 {
				t.Errorf("%s: flush to %d, %v", what, next, err)
			}
			if err := s.Append(batch(1, 0, 100, 1)); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: append: %v", what, err)
			}
		}
		if len(told) != 1 || s.FlushedTo() != 0 {
			t.Errorf("%s: told %d times, flushed to %d", what, len(told), s.FlushedTo())
		}
		if got := sliceBytes(t, s, 0, math.MaxInt64, 1000, true); len(got) == 0 {
			t.Errorf("%s: reads must go on", what)
		}
		if err := s.Close(true); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: clean close: %v", what, err)
		}
	}
}

// To touch a page that the file no longer has is a SIGBUS: it becomes an error that takes the log offline, and the process lives.
func TestFaultInTheMappingIsAnError(t *testing.T) {
	w := worlds(t)[0]
	t.Run("append", func(t *testing.T) {
		var told error
		o := w.options()
		o.OnError = func(err error) { told = err }
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, batch(0, 0, 5000, 1))
		if err := os.Truncate(Path(w.dir, 0, indexSuffix), 0); err != nil {
			t.Fatal(err)
		}
		err = s.Append(batch(1, 0, 1000, 1)) // the entry is stored into the mapping of the index
		if err == nil || !strings.Contains(err.Error(), "memory fault") || told == nil {
			t.Fatalf("%v; told %v", err, told)
		}
		if s.NextOffset() != 1 || s.Append(batch(1, 0, 100, 1)) == nil {
			t.Error("the append counts, or the next one went in")
		}
	})
	t.Run("slice", func(t *testing.T) {
		s, err := Create(w.dir, 1000, w.options())
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			mustAppend(t, s, batch(s.NextOffset(), 0, 20_000, 1))
		}
		if err := os.Truncate(s.name(), 0); err != nil {
			t.Fatal(err)
		}
		_, err = s.Slice(1003, math.MaxInt64, 100, true, false)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Path != s.name() {
			t.Fatalf("%v: want a CorruptError", err)
		}
	})
}

// A file that lost its end behind our back is damage, not an empty answer.
func TestShortFileIsDamage(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		s, err := Create(w.dir, 0, w.options())
		if err != nil {
			t.Fatal(err)
		}
		var f filled
		fill(t, s, rand.New(rand.NewPCG(21, 22)), &f, 20_000)
		s.Seal()
		s.Idle()
		h, err := w.fs.OpenFile(s.name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Truncate(10_000); err != nil {
			t.Fatal(err)
		}
		_ = h.Close()
		_, err = s.Slice(0, math.MaxInt64, 100, true, true)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("%v: want a CorruptError", err)
		}
	})
}

// Cold pages are never touched through the mapping: without block the answer is ErrCold, with it the pages are read in first.
func TestColdPagesAreLeftToTheCaller(t *testing.T) {
	w := worlds(t)[0]
	o := w.options()
	o.MaxBytes = 64 << 20
	s, err := Create(w.dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	var f filled
	for f.size() < 32<<20 {
		b := batch(f.next(0), 0, 100_000, int64(len(f.batches)))
		mustAppend(t, s, b)
		f.add(b)
	}
	if _, err := s.Flush(); err != nil { // dirty pages cannot be dropped
		t.Fatal(err)
	}
	s.Seal()
	if _, err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	sl, err := s.Slice(f.next(0)-1, math.MaxInt64, 1<<20, true, false)
	if err != nil {
		t.Fatalf("the tail that was written lately: %v", err)
	}
	sl.Release()
	evict := func() {
		s.Idle() // mapped pages cannot be dropped either
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
			h, err := vfs.OS.OpenFile(Path(w.dir, 0, suffix), os.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Fadvise(h.Fd(), 0, 0, unix.FADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
			_ = h.Close()
		}
		if err := appendOpen(s); err != nil {
			t.Fatal(err)
		}
	}
	evict()
	offset := f.batches[len(f.batches)/2].BaseOffset()
	if s.open.Load().mapping.Resident(16<<20, 1<<20) {
		t.Skipf("pages cannot be dropped from the page cache of %s", filepath.Dir(w.dir))
	}
	if _, err := s.Slice(offset, math.MaxInt64, 1<<20, true, false); err != ErrCold {
		t.Fatalf("cold pages: %v, want ErrCold", err)
	}
	if _, _, err := s.OffsetForTime(int64(len(f.batches)/2), 0, false); err != ErrCold {
		t.Fatalf("cold pages: %v, want ErrCold", err)
	}
	if s.open.Load().mapping.Resident(0, 16<<20) {
		t.Error("asking has brought the pages in")
	}
	got := sliceBytes(t, s, offset, math.MaxInt64, 1<<20, true)
	if !bytes.Equal(got, f.want(offset, math.MaxInt64, 1<<20, true)) {
		t.Error("the bytes differ")
	}
	sl, err = s.Slice(offset, math.MaxInt64, 1<<20, true, false)
	if err != nil {
		t.Fatalf("warmed: %v", err)
	}
	sl.Release()
	evict()
	at := len(f.batches) / 3
	found, ok, err := s.OffsetForTime(int64(at), 0, true)
	if err != nil || !ok || found.Offset != f.batches[at].BaseOffset() {
		t.Errorf("%+v %v %v, want offset %d", found, ok, err, f.batches[at].BaseOffset())
	}
}

// appendOpen opens the files again, as a slice would make the background do.
func appendOpen(s *Segment) error {
	f, err := s.acquire(true)
	if err == nil {
		f.pin.Release()
	}
	return err
}

func TestBudgetBoundsWhatIsAllocatedAhead(t *testing.T) {
	w := worlds(t)[0]
	budget := NewBudget(1 << 20)
	o := w.options()
	o.Budget, o.MaxBytes = budget, 64<<20
	var all []*Segment
	for i := range 10 {
		s, err := Create(w.dir, int64(i)*1000, o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for range 40 {
		for _, s := range all {
			mustAppend(t, s, batch(s.NextOffset(), 0, 20_000, 1))
		}
	}
	var ahead int64
	for _, s := range all {
		size, err := s.open.Load().log.Size()
		if err != nil {
			t.Fatal(err)
		}
		ahead += size - s.Size()
	}
	// Over the budget each segment may still take one smallest step.
	if limit := int64(1<<20 + 10*minStep); ahead > limit || budget.InUse() > 2*limit {
		t.Errorf("%d bytes are allocated ahead, %d accounted; the budget is 1 MiB", ahead, budget.InUse())
	}
	for i, s := range all {
		if i%2 == 0 {
			s.Idle()
		}
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	if got := budget.InUse(); got != 0 {
		t.Errorf("%d bytes are still accounted after all were closed", got)
	}
}
