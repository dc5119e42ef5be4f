package vfs

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/invariant"
)

// Pin counts the references to an open file and its mapping. Whoever made it holds the first reference; the last Release closes.
type Pin struct {
	file    File
	mapping Mapping // may be nil
	onLast  func()  // may be nil: then the last Release closes at once
	refs    atomic.Int64
}

// NewPin returns a pin with one reference. onLast runs in the last Release, on whatever goroutine that is: it should hand the work of
// closing (pin.Close) to somebody who may wait. A nil onLast closes at once.
func NewPin(f File, m Mapping, onLast func()) *Pin {
	p := &Pin{file: f, mapping: m, onLast: onLast}
	p.refs.Store(1)
	return p
}

// TryRetain takes one more reference, unless the last one is already gone.
func (p *Pin) TryRetain() bool {
	for {
		n := p.refs.Load()
		if n == 0 {
			return false
		}
		if p.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives one reference back.
func (p *Pin) Release() {
	switch n := p.refs.Add(-1); {
	case n > 0:
	case n < 0:
		panic("vfs: Release of a pin without references")
	case p.onLast != nil:
		p.onLast()
	default:
		_ = p.Close() // nobody is left who could be told
	}
}

// Close unmaps and closes the file: the job of onLast.
func (p *Pin) Close() error {
	invariant.Check(p.refs.Load() == 0, "close of a pin that is held")
	var err error
	if p.mapping != nil {
		err = p.mapping.Unmap()
	}
	if cerr := p.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// Slice is a pinned range of a file. It is passed by value and costs no allocation. The bytes in it never change (D5).
// Whoever holds it must call Release exactly once. The zero Slice is empty and its Release does nothing.
type Slice struct {
	Pin      *Pin
	Position int64 // in the file
	Length   int
	Asked    bool // the kernel has just said that all of it is in memory
}

// Release gives the reference back.
func (s Slice) Release() {
	if s.Pin != nil {
		s.Pin.Release()
	}
}

// Fd is the file's descriptor, to be used with Position; -1 where there is none.
func (s Slice) Fd() int {
	if s.Pin == nil {
		return -1
	}
	return s.Pin.file.Fd()
}

// Bytes is the range as a view of the mapping, valid until Release, or nil when the file is not mapped that far.
// Touching it blocks the thread when the page is cold: ask Resident first.
func (s Slice) Bytes() []byte {
	if s.Pin == nil || s.Pin.mapping == nil {
		return nil
	}
	b := s.Pin.mapping.Bytes()
	end := s.Position + int64(s.Length)
	if s.Position < 0 || end > int64(len(b)) {
		return nil
	}
	return b[s.Position:end:end]
}

// ReadAt reads from off bytes into the range. It reads up to len(p) bytes; short only at the end of the range, with io.EOF.
func (s Slice) ReadAt(p []byte, off int) (int, error) {
	if off < 0 || off >= s.Length {
		return 0, io.EOF
	}
	var end error
	if len(p) > s.Length-off {
		p, end = p[:s.Length-off], io.EOF
	}
	n, err := s.Pin.file.ReadAt(p, s.Position+int64(off))
	if n == len(p) {
		return n, end
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // the range was published: the file must not be shorter
	}
	return n, err
}

// Resident says whether sending the range will not wait for the disk. A file without a mapping is in memory.
func (s Slice) Resident() bool {
	if s.Pin == nil || s.Pin.mapping == nil || s.Length == 0 {
		return true
	}
	return s.Pin.mapping.Resident(int(s.Position), s.Length)
}

const warmStep = 128 << 10

var warmBuffers = sync.Pool{New: func() any { return new([warmStep]byte) }}

// Warm reads the range into the page cache by pread, not through the mapping: a fault would keep the P, a system call gives it up.
// It waits for the disk, so it must not be called on a loop.
func (s Slice) Warm() error {
	buf := warmBuffers.Get().(*[warmStep]byte)
	defer warmBuffers.Put(buf)
	for off := 0; off < s.Length; off += warmStep {
		if _, err := s.ReadAt(buf[:], off); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}
