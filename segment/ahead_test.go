package segment

import (
	"os"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// The next step of disk space is asked for while there is room left: an appender that keeps a steady pace never waits for it.
func TestStepsAreTakenBeforeTheTailNeedsThem(t *testing.T) {
	everywhere(t, func(t *testing.T, w world) {
		o := w.options()
		s, err := Create(w.dir, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(false)
		for size := int64(0); size < int64(o.MaxBytes)-8<<10; size = s.Size() {
			if err := s.Append(batch(s.NextOffset(), 1, 1000, 1)); err != nil {
				t.Fatalf("at %d bytes: %v", size, err)
			}
		}
	})
}

// writebackFS notes the ranges whose writeback is begun.
type writebackFS struct {
	vfs.FS
	ranges [][2]int64
}

type writebackFile struct {
	vfs.File
	fs *writebackFS
}

func (w *writebackFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := w.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &writebackFile{f, w}, nil
}

func (f *writebackFile) StartWriteback(off, n int64) {
	f.fs.ranges = append(f.fs.ranges, [2]int64{off, off + n})
}

// What was appended goes to the disk in steps, by jobs of the kind that nobody waits for, of which one at most is queued; but where each append is
// synced there is nothing to begin early.
func TestWritebackBeginsEarlyAmongTheJobsNobodyWaitsFor(t *testing.T) {
	for _, durable := range []bool{false, true} {
		fs := &writebackFS{FS: vfs.OS}
		var rest manual
		s, err := Create(t.TempDir(), 0, Options{FS: fs, MaxBytes: 64 << 20, Durable: durable, Rest: rest.Go})
		if err != nil {
			t.Fatal(err)
		}
		appendTo := func(size int64) {
			for s.Size() < size {
				mustAppend(t, s, batch(s.NextOffset(), 0, 100_000, 1))
			}
		}
		ran := 0
		for _, size := range []int64{writebackStep - 200_000, 5*writebackStep + 100_000, 6*writebackStep + 100_000} {
			appendTo(size)
			if len(fs.ranges) > ran {
				t.Error("the appender did it")
			}
			ran += rest.run()
		}
		want := [][2]int64{{0, 5 * writebackStep}, {5 * writebackStep, 6 * writebackStep}}
		if durable {
			want = nil
		}
		if ran != len(want) || !slices.Equal(fs.ranges, want) {
			t.Errorf("durable %v: %d jobs began to write %v, want %v", durable, ran, fs.ranges, want)
		}
		if err := s.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}
