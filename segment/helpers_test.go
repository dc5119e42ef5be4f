package segment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// batch builds an uncompressed batch with so many records of the given timestamps' largest, padded to about size bytes.
func batch(base int64, epoch int32, size int, timestamps ...int64) record.Batch {
	var w record.Builder
	w.Reset(record.BuildOptions{})
	each := max(0, (size-record.HeaderSize)/len(timestamps)-12)
	for i, ts := range timestamps {
		value := bytes.Repeat([]byte{byte(base) + byte(i) + 1}, each)
		w.Add(ts, nil, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	b.Stamp(base, epoch)
	return b
}

// world is a place to keep segments in: each test that is about behaviour runs in all of them.
type world struct {
	name string
	fs   vfs.FS
	dir  string
}

func worlds(t *testing.T) []world {
	m := vfs.NewMem()
	if err := m.MkdirAll("/d/t-0", 0o755); err != nil {
		t.Fatal(err)
	}
	return []world{{"os", vfs.OS, t.TempDir()}, {"mem", m, "/d/t-0"}}
}

func (w world) options() Options {
	return Options{FS: w.fs, MaxBytes: 1 << 20, IndexInterval: 512}
}

func everywhere(t *testing.T, f func(t *testing.T, w world)) {
	for _, w := range worlds(t) {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

// mustAppend appends and, as a caller of the package does, tries again when background work has ended.
func mustAppend(t testing.TB, s *Segment, b record.Batch) {
	t.Helper()
	if err := appendWaiting(s, b); err != nil {
		t.Fatal(err)
	}
}

func appendWaiting(s *Segment, b record.Batch) error {
	for range 10 {
		err := s.Append(b)
		if err != ErrWait {
			return err
		}
		ready := make(chan struct{})
		s.WhenReady(func() { close(ready) })
		<-ready
	}
	return fmt.Errorf("still waiting after ten times of background work")
}

// filled is what was appended.
type filled struct {
	batches   []record.Batch
	positions []int64
}

func (f *filled) add(b record.Batch) {
	f.positions = append(f.positions, f.size())
	f.batches = append(f.batches, b)
}

func (f *filled) size() int64 {
	if n := len(f.batches); n > 0 {
		return f.positions[n-1] + int64(len(f.batches[n-1]))
	}
	return 0
}

func (f *filled) next(base int64) int64 {
	if n := len(f.batches); n > 0 {
		return f.batches[n-1].NextOffset()
	}
	return base
}

func (f *filled) bytes() []byte {
	var out []byte
	for _, b := range f.batches {
		out = append(out, b...)
	}
	return out
}

// fill appends batches of varied size, count and timestamps until the segment holds so many bytes.
func fill(t testing.TB, s *Segment, r *rand.Rand, f *filled, bytes int64) {
	t.Helper()
	now := int64(1_000_000)
	for f.size() < bytes {
		n := 1 + r.IntN(5)
		timestamps := make([]int64, n)
		for i := range timestamps {
			if r.IntN(3) == 0 {
				now += int64(r.IntN(10))
			}
			timestamps[i] = now - int64(r.IntN(20))
		}
		b := batch(f.next(s.Base()), int32(len(f.batches)/50), 70+r.IntN(600), timestamps...)
		mustAppend(t, s, b)
		f.add(b)
	}
}

// slice expects a slice and returns its bytes.
func sliceBytes(t testing.TB, s *Segment, offset, bound int64, maxBytes int, minOne bool) []byte {
	t.Helper()
	sl, err := s.Slice(offset, bound, maxBytes, minOne, true)
	if err != nil {
		t.Fatalf("Slice(%d, %d, %d, %v): %v", offset, bound, maxBytes, minOne, err)
	}
	defer sl.Release()
	out := make([]byte, sl.Length)
	if sl.Length > 0 {
		if n, err := sl.ReadAt(out, 0); n != len(out) {
			t.Fatalf("read %d of %d: %v", n, len(out), err)
		}
	}
	if view := sl.Bytes(); view != nil && !bytes.Equal(view, out) {
		t.Fatal("the mapping and the file differ")
	}
	return out
}

// want is what Slice should return, by the slow way.
func (f *filled) want(offset, bound int64, maxBytes int, minOne bool) []byte {
	var out []byte
	for _, b := range f.batches {
		if b.LastOffset() < offset {
			continue
		}
		if b.LastOffset() >= bound {
			break
		}
		if len(out) == 0 && len(b) > maxBytes {
			if minOne {
				return b
			}
			return nil
		}
		out = append(out, b...)
		if len(out) >= maxBytes {
			return out[:maxBytes]
		}
	}
	return out
}

func readFile(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	h, err := fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if size > 0 {
		if n, err := h.ReadAt(b, 0); n != len(b) {
			t.Fatal(err)
		}
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	if err := fs.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if len(b) > 0 {
		if _, err := h.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// manual is a Go that runs nothing before it is told to.
type manual struct {
	mu   sync.Mutex
	jobs []func()
}

func (m *manual) Go(job func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, job)
}

func (m *manual) run() (ran int) {
	for {
		m.mu.Lock()
		jobs := m.jobs
		m.jobs = nil
		m.mu.Unlock()
		if len(jobs) == 0 {
			return ran
		}
		for _, job := range jobs {
			job()
			ran++
		}
	}
}

// threads is a Go with a goroutine for each job.
type threads struct{ wg sync.WaitGroup }

func (g *threads) Go(job func()) { g.wg.Go(job) }
