package floor

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// segment is a file of records and its mapping. Whoever uses it has a reference: its topic, the pre-toucher, each piece of a reply
// that is still to be sent. The last one takes it away.
type segment struct {
	path  string
	fd    int
	bytes []byte // the whole size, which the file has from the start only when appends go through it
	refs  atomic.Int32

	asked int // the loop's: up to where pages have been touched, or are being
}

// newSegment makes a file. When appends go through the mapping its blocks are allocated: without space on the disk a touch would
// be a SIGBUS.
func newSegment(path string, size int, mapped bool) (*segment, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	protection := unix.PROT_READ
	if mapped {
		protection |= unix.PROT_WRITE
		if err = unix.Fallocate(fd, 0, 0, int64(size)); err != nil {
			err = fmt.Errorf("allocate %d bytes for %s: %w", size, path, err)
		}
	}
	var bytes []byte
	if err == nil {
		if bytes, err = unix.Mmap(fd, 0, size, protection, unix.MAP_SHARED); err != nil {
			err = fmt.Errorf("map %s: %w", path, err)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		_ = unix.Unlink(path)
		return nil, err
	}
	s := &segment{path: path, fd: fd, bytes: bytes}
	s.refs.Store(1)
	return s, nil
}

func (s *segment) retain() { s.refs.Add(1) }

func (s *segment) release() {
	if s.refs.Add(-1) == 0 {
		_ = unix.Munmap(s.bytes)
		_ = unix.Close(s.fd)
		_ = unix.Unlink(s.path)
	}
}
