package vfs

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func pinned(t testing.TB, content []byte, onLast func(*Pin)) *Pin {
	t.Helper()
	f, err := OS.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	m, err := f.Map(int64(len(content)), MapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var p *Pin
	p = NewPin(f, m, func() { onLast(p) })
	return p
}

func TestLastReleaseClosesOnceAndNobodyRetainsAfter(t *testing.T) {
	for range 200 {
		var closed atomic.Int32
		p := pinned(t, []byte("hello"), func(p *Pin) {
			closed.Add(1)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for p.TryRetain() {
					if closed.Load() != 0 {
						t.Error("retained after the last release")
					}
					if b := (Slice{Pin: p, Position: 1, Length: 3}).Bytes(); string(b) != "ell" {
						t.Errorf("bytes %q", b)
					}
					p.Release()
					runtime.Gosched()
				}
			})
		}
		p.Release()
		wg.Wait()
		if n := closed.Load(); n != 1 {
			t.Fatalf("closed %d times", n)
		}
	}
}

func TestReleaseWithoutReferencePanics(t *testing.T) {
	p := pinned(t, []byte("x"), func(p *Pin) { _ = p.Close() })
	p.Release()
	defer func() {
		if recover() == nil {
			t.Error("a release too many went unnoticed")
		}
	}()
	p.Release()
}

func TestSliceReads(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	p := pinned(t, content, func(p *Pin) { _ = p.Close() })
	s := Slice{Pin: p, Position: 7, Length: 400_000}
	defer s.Release()
	want := content[7:400_007]
	if !bytes.Equal(s.Bytes(), want) || cap(s.Bytes()) != len(want) {
		t.Error("Bytes is another range, or can grow")
	}
	if !s.Resident() {
		t.Error("pages just written are not resident")
	}
	if err := s.Warm(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ off, n, read int }{{0, 10, 10}, {399_990, 10, 10}, {399_995, 10, 5}, {400_000, 1, 0}, {-1, 1, 0}} {
		b := make([]byte, c.n)
		n, err := s.ReadAt(b, c.off)
		if n != c.read || (err == io.EOF) != (c.read < c.n) {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v", c.n, c.off, n, err)
		}
		if n > 0 && !bytes.Equal(b[:n], want[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d) read other bytes", c.off)
		}
	}
	if fd := s.Fd(); fd < 0 {
		t.Errorf("descriptor %d", fd)
	}
	if got := (Slice{Pin: p, Position: 499_999, Length: 2}).Bytes(); got != nil {
		t.Error("a view beyond the mapping")
	}
	beyond := Slice{Pin: p, Position: 499_999, Length: 2}
	if _, err := beyond.ReadAt(make([]byte, 2), 0); err != io.ErrUnexpectedEOF {
		t.Errorf("a file shorter than the slice: %v", err)
	}
	(Slice{}).Release() // empty: nothing to do
	if got := testing.AllocsPerRun(100, func() {
		if !p.TryRetain() {
			t.Fatal("gone")
		}
		sl := Slice{Pin: p, Position: 0, Length: 100}
		_ = sl.Resident()
		_ = sl.Bytes()
		_ = sl.Warm()
		sl.Release()
	}); got != 0 {
		t.Errorf("a slice allocates %v times", got)
	}
}
