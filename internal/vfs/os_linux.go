package vfs

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OS is the file system of this machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	// Not os.OpenFile: that makes the file known to Go's poller and gives it a finalizer; log files need neither.
	fd, err := retry(func() (int, error) { return unix.Open(name, flag|unix.O_CLOEXEC, uint32(perm.Perm())) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return &osFile{name: name, fd: fd}, nil
}

func (osFS) MkdirAll(name string, perm os.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) Rename(oldName, newName string) error         { return os.Rename(oldName, newName) }
func (osFS) ReadDir(name string) ([]os.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (os.FileInfo, error)        { return os.Stat(name) }

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = syncError(d.Sync())
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// SyncFS reports writeback errors of the whole file system since the last report (Linux >= 5.8).
func (osFS) SyncFS(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	if err = unix.Syncfs(int(d.Fd())); err != nil {
		err = syncError(&os.PathError{Op: "syncfs", Path: name, Err: err})
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) FreeBytes(name string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (osFS) TotalBytes(name string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Blocks) * st.Bsize, nil
}

// osLock is held by the open file description: closing it gives the lock back, and so does the end of the process.
func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

type osFile struct {
	name string
	fd   int
}

func (f *osFile) Name() string { return f.name }
func (f *osFile) Fd() int      { return f.fd }

func (f *osFile) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.name, Err: err}
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := retry(func() (int, error) { return unix.Pread(f.fd, p[n:], off+int64(n)) })
		if err != nil {
			return n, f.wrap("pread", err)
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := retry(func() (int, error) { return unix.Pwrite(f.fd, p[n:], off+int64(n)) })
		if err != nil {
			return n, f.wrap("pwrite", err)
		}
		if m == 0 {
			return n, f.wrap("pwrite", io.ErrShortWrite)
		}
		n += m
	}
	return n, nil
}

func (f *osFile) Size() (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return 0, f.wrap("stat", err)
	}
	return st.Size, nil
}

func (f *osFile) Truncate(size int64) error {
	_, err := retry(func() (int, error) { return 0, unix.Ftruncate(f.fd, size) })
	return f.wrap("truncate", err)
}

// Sync is not retried on any error, EINTR aside: after a failed fdatasync the kernel forgets what it could not write (I19).
func (f *osFile) Sync() error {
	_, err := retry(func() (int, error) { return 0, unix.Fdatasync(f.fd) })
	return syncError(f.wrap("fdatasync", err))
}

func (f *osFile) Allocate(off, n int64) error {
	_, err := retry(func() (int, error) { return 0, unix.Fallocate(f.fd, 0, off, n) })
	return f.wrap("fallocate", err)
}

func (f *osFile) StartWriteback(off, n int64) {
	_ = unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE) // best effort: an error shows again at Sync
}

func (f *osFile) Close() error {
	if f.fd < 0 {
		return f.wrap("close", os.ErrClosed)
	}
	err := unix.Close(f.fd) // no retry on EINTR: Linux has closed it
	f.fd = -1
	return f.wrap("close", err)
}

func (f *osFile) Map(n int64, o MapOptions) (Mapping, error) {
	prot := unix.PROT_READ
	if o.Write {
		prot |= unix.PROT_WRITE
	}
	b, err := unix.Mmap(f.fd, 0, int(n), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, f.wrap("mmap", err)
	}
	return &osMapping{b: b}, nil
}

type osMapping struct{ b []byte }

var pageSize = os.Getpagesize()

func (m *osMapping) Bytes() []byte { return m.b }

// pages widens [off, off+n) to whole pages within the mapping.
func (m *osMapping) pages(off, n int) []byte {
	end := min(off+n+pageSize-1, len(m.b)+pageSize-1) &^ (pageSize - 1)
	off &^= pageSize - 1
	if off < 0 || off >= end {
		return nil
	}
	return unsafe.Slice(&m.b[off], end-off) // the last page is mapped whole even when the mapping's length ends inside it
}

func (m *osMapping) Unmap() error {
	if m.b == nil {
		return os.ErrClosed
	}
	b := m.b
	m.b = nil
	return unix.Munmap(b)
}

// Resident asks in steps so that the answer's vector lives on the stack: 512 bytes tell about 2 MiB, more than a usual slice.
func (m *osMapping) Resident(off, n int) bool {
	p := m.pages(off, n)
	var vec [512]byte
	for len(p) > 0 {
		step := min(len(p), len(vec)*pageSize)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(step), uintptr(unsafe.Pointer(&vec[0])))
		if errno != 0 {
			return false
		}
		for _, v := range vec[:(step+pageSize-1)/pageSize] {
			if v&1 == 0 {
				return false
			}
		}
		p = p[step:]
	}
	return true
}

// retry repeats a system call that a signal interrupted: Go's own preemption signals do that.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
