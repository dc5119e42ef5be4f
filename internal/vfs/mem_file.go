package vfs

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

type memFile struct {
	m      *Mem
	n      *memNode
	name   string
	write  bool
	closed bool
}

func (f *memFile) Name() string { return f.name }
func (f *memFile) Fd() int      { return -1 }

// begin is called with mu held.
func (f *memFile) begin(op string, writes bool) error {
	switch {
	case f.closed:
		return &os.PathError{Op: op, Path: f.name, Err: os.ErrClosed}
	case writes && !f.write:
		return &os.PathError{Op: op, Path: f.name, Err: syscall.EBADF}
	}
	return f.m.ask(op, f.name)
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("read", false); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("write", true); err != nil {
		return 0, err
	}
	if end := off + int64(len(p)); end > int64(len(f.n.data)) {
		if err := f.m.resize(f.n, f.name, end); err != nil {
			return 0, err
		}
	}
	return copy(f.n.data[off:], p), nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("truncate", true); err != nil {
		return err
	}
	return f.m.resize(f.n, f.name, size)
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("sync", false); err != nil {
		return syncError(err)
	}
	f.n.durable = syncData(f.n.durable, f.n.data)
	return nil
}

func (f *memFile) Allocate(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("allocate", true); err != nil {
		return err
	}
	if off+n <= int64(len(f.n.data)) {
		return nil
	}
	return f.m.resize(f.n, f.name, off+n)
}

func (f *memFile) StartWriteback(off, n int64) {} // makes nothing durable, so there is nothing to model

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return &os.PathError{Op: "close", Path: f.name, Err: os.ErrClosed}
	}
	f.closed = true
	return nil
}

// Map gives the file a buffer of n bytes that does not move until the last Unmap.
func (f *memFile) Map(n int64, o MapOptions) (Mapping, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("map", o.Write); err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, &os.PathError{Op: "map", Path: f.name, Err: syscall.EINVAL}
	}
	if int64(cap(f.n.data)) < n {
		if f.n.mapped > 0 {
			return nil, &os.PathError{Op: "map", Path: f.name, Err: fmt.Errorf("vfs: %d bytes while %d are mapped", n, cap(f.n.data))}
		}
		moved := make([]byte, len(f.n.data), n)
		copy(moved, f.n.data)
		f.n.data = moved
	}
	f.n.mapped++
	return &memMapping{m: f.m, n: f.n, b: f.n.data[:n:n]}, nil
}

type memMapping struct {
	m *Mem
	n *memNode
	b []byte
}

func (p *memMapping) Bytes() []byte            { return p.b }
func (p *memMapping) Resident(off, n int) bool { return true }

func (p *memMapping) Unmap() error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.b == nil {
		return os.ErrClosed
	}
	p.b = nil
	p.n.mapped--
	return nil
}
