// Package vfs is the seam between the log and the file system: OS is the real one, Mem a deterministic one in memory that can be
// cloned as a crash would leave it. It also holds Slice, the pinned range of a file that travels from segment to netio.
package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// ErrNoSpace is what errors.Is finds in any "disk full" error of an FS.
const ErrNoSpace = syscall.ENOSPC

// ErrLocked: another process, or another lock of this one, holds the file.
var ErrLocked = errors.New("held by another process")

// ErrNotSupported is what errors.Is finds when the file system cannot do what was asked (fallocate on some network file systems).
const ErrNotSupported = syscall.EOPNOTSUPP

// SyncError is a failed Sync, SyncDir or SyncFS. errors.Is finds in it all that is in Err but ErrNoSpace: a full disk that refuses a write
// leaves everything as it was, but when a sync meets it, bytes that were taken are lost, and the next sync would report success (I19).
type SyncError struct{ Err error }

func (e *SyncError) Error() string        { return e.Err.Error() }
func (e *SyncError) Is(target error) bool { return target != ErrNoSpace && errors.Is(e.Err, target) }

func syncError(err error) error {
	if err == nil {
		return nil
	}
	return &SyncError{err}
}

// FS is a file system. All names are paths as the os package takes them. Methods may be called by any goroutine.
type FS interface {
	// OpenFile opens a file. flag is a combination of os.O_RDONLY, O_RDWR, O_CREATE, O_EXCL and O_TRUNC.
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	MkdirAll(name string, perm os.FileMode) error
	Remove(name string) error
	RemoveAll(name string) error
	Rename(oldName, newName string) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]os.DirEntry, error)
	Stat(name string) (os.FileInfo, error)
	// SyncDir makes the entries of a folder (created, renamed, removed names) durable.
	SyncDir(name string) error
	// SyncFS makes everything written so far on the file system that holds name durable, files and names, in one go.
	SyncFS(name string) error
	// FreeBytes is what is left for us on the file system that holds name.
	FreeBytes(name string) (int64, error)
	// TotalBytes is the size of the file system that holds name.
	TotalBytes(name string) (int64, error)
	// Lock takes an exclusive lock on a file, which it creates, and fails at once when somebody else holds it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. It has no file position: every access names one.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes all bytes written so far durable, those written through a mapping included (fdatasync).
	Sync() error
	// Allocate reserves disk space for [off, off+n) and grows the file to off+n if it is shorter; new bytes read as zero.
	Allocate(off, n int64) error
	// StartWriteback begins to write [off, off+n) to disk, best effort, and promises nothing.
	StartWriteback(off, n int64)
	// Map maps n bytes of address space from the start of the file. Bytes past the file's size must not be touched.
	Map(n int64, o MapOptions) (Mapping, error)
	// Fd is the descriptor for sendfile, -1 where there is none.
	Fd() int
}

// MapOptions say how a file is mapped.
type MapOptions struct {
	Write bool // writes through Bytes are allowed and reach the file
}

// Mapping is a shared mapping of a file.
type Mapping interface {
	// Bytes is the mapped range. A page that is not cached blocks the thread that touches it, with its P.
	Bytes() []byte
	// Resident says whether all pages of [off, off+n) are cached (mincore).
	Resident(off, n int) bool
	Unmap() error
}
