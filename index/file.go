package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
)

// file is an index file that is mapped: entries are appended by a store, without a system call, and looked up without a lock. Its
// descriptor is closed again after each system call that needs one, so that an open segment costs one descriptor, not three.
//
// One appender; any number of readers, who see the entries below n. Everything else is serialized by the owner.
type file struct {
	fs        vfs.FS
	path      atomic.Pointer[string] // retention renames a file while readers warm it
	base      int64
	entrySize int

	mapping vfs.Mapping // nil when there is nothing to map
	b       []byte
	n       atomic.Int32 // published entries
	room    atomic.Int32 // entries the file has space for
	limit   int          // entries the mapping has space for
}

func (f *file) init(fs vfs.FS, path string, base int64, entrySize int) {
	f.fs, f.base, f.entrySize = fs, base, entrySize
	f.path.Store(&path)
}

// with runs do on the file, opened for the purpose.
func (f *file) with(flag int, do func(vfs.File) error) error {
	h, err := f.fs.OpenFile(*f.path.Load(), flag, 0o644)
	if err != nil {
		return err
	}
	err = do(h)
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	return err
}

// openWrite maps the file for appending, with its first keep entries; whatever else is in it is cut. limit is the most entries it will hold.
func (f *file) openWrite(keep, limit int) error {
	f.limit = max(limit, keep)
	return f.with(os.O_RDWR|os.O_CREATE, func(h vfs.File) error {
		size, err := h.Size()
		if err != nil {
			return err
		}
		kept := int64(keep) * int64(f.entrySize)
		if size < kept {
			return fmt.Errorf("%s: %d bytes, %d entries expected", *f.path.Load(), size, keep)
		}
		if size > kept {
			if err := h.Truncate(kept); err != nil {
				return err
			}
		}
		if f.mapping, err = h.Map(int64(f.limit)*int64(f.entrySize), vfs.MapOptions{Write: true}); err != nil {
			return err
		}
		f.b = f.mapping.Bytes()
		f.room.Store(int32(keep))
		f.n.Store(int32(keep))
		if keep == 0 { // a new segment will want room at once
			return f.grow(h, 1)
		}
		return nil
	})
}

// openRead maps the entries of a file that will not be appended to.
func (f *file) openRead() error {
	return f.with(os.O_RDONLY, func(h vfs.File) error {
		size, err := h.Size()
		if err != nil {
			return err
		}
		f.limit = int(size) / f.entrySize
		if f.limit == 0 {
			return nil
		}
		if f.mapping, err = h.Map(int64(f.limit)*int64(f.entrySize), vfs.MapOptions{}); err != nil {
			return err
		}
		f.b = f.mapping.Bytes()
		f.n.Store(int32(f.limit))
		return nil
	})
}

const allocStep = 4096

// Grow makes room for so many entries (as far as the limit goes). It blocks; it may run beside the appender.
func (f *file) Grow(entries int) error {
	entries = min(entries, f.limit)
	if int32(entries) <= f.room.Load() {
		return nil
	}
	return f.with(os.O_RDWR, func(h vfs.File) error { return f.grow(h, entries) })
}

func (f *file) grow(h vfs.File, entries int) error {
	bytes := (int64(entries)*int64(f.entrySize) + allocStep - 1) / allocStep * allocStep
	bytes = min(bytes, int64(f.limit)*int64(f.entrySize))
	err := h.Allocate(0, bytes)
	if errors.Is(err, vfs.ErrNotSupported) {
		err = h.Truncate(bytes)
	}
	if err == nil {
		f.room.Store(int32(bytes / int64(f.entrySize)))
	}
	return err
}

// Widen makes room for so many entries, beyond the limit if need be: then the mapping moves, so nobody may be looking anything up. After an error in
// that the index is empty.
func (f *file) Widen(entries int) error {
	if entries > f.limit {
		if err := f.with(os.O_RDWR, func(h vfs.File) error { return f.remap(h, entries) }); err != nil {
			return err
		}
	}
	return f.Grow(entries)
}

func (f *file) remap(h vfs.File, limit int) error {
	n := f.n.Load()
	err := f.Close()
	f.mapping, f.b, f.limit = nil, nil, 0
	f.n.Store(0)
	if err != nil {
		return err
	}
	m, err := h.Map(int64(limit)*int64(f.entrySize), vfs.MapOptions{Write: true})
	if err != nil {
		return err
	}
	f.mapping, f.b, f.limit = m, m.Bytes(), limit
	f.n.Store(n)
	return nil
}

// Room is the number of entries that can be appended before Grow.
func (f *file) Room() int { return int(f.room.Load() - f.n.Load()) }

// Len is the number of published entries.
func (f *file) Len() int { return int(f.n.Load()) }

// entries is what is published. The caller must not use it after Close.
func (f *file) entries() []byte {
	n := int(f.n.Load()) * f.entrySize
	return f.b[:n:n]
}

// Resident says whether a look-up in the whole index will not wait for the disk.
func (f *file) Resident() bool {
	n := f.Len() * f.entrySize
	return n == 0 || f.mapping.Resident(0, n)
}

// Warm reads the index into the page cache, by pread. It blocks. A file that its owner is just renaming is not found: the mapping has it all the same,
// only whoever looks something up may wait.
func (f *file) Warm() error {
	err := f.with(os.O_RDONLY, func(h vfs.File) error {
		buf := make([]byte, 128<<10)
		for off, end := 0, f.Len()*f.entrySize; off < end; off += len(buf) {
			if _, err := h.ReadAt(buf, int64(off)); err != nil && err != io.EOF {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Trim cuts the file behind its last entry, so that Kafka's tools can read it. It blocks. The next append needs Grow.
func (f *file) Trim() error {
	f.room.Store(f.n.Load())
	return f.with(os.O_RDWR, func(h vfs.File) error { return h.Truncate(int64(f.Len()) * int64(f.entrySize)) })
}

// Sync makes the file's entries durable. It blocks.
func (f *file) Sync() error { return f.with(os.O_RDWR, vfs.File.Sync) }

// Renamed tells the file that its owner has renamed it. Readers may be looking things up.
func (f *file) Renamed(path string) { f.path.Store(&path) }

// Rebase gives an empty index, which nobody reads yet, another base.
func (f *file) Rebase(base int64) { f.base = base }

// Close unmaps. Nobody may be looking anything up.
func (f *file) Close() error {
	if f.mapping == nil {
		return nil
	}
	return f.mapping.Unmap()
}

// OffsetFile is a mapped offset index.
type OffsetFile struct{ file }

// OpenOffsets maps an index for appending. It keeps the first keep entries of the file, which is created when missing.
func OpenOffsets(fs vfs.FS, path string, base int64, keep, limit int) (*OffsetFile, error) {
	f := &OffsetFile{}
	f.init(fs, path, base, OffsetEntrySize)
	if err := f.openWrite(keep, limit); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return f, nil
}

// OpenSealedOffsets maps an index for look-ups only.
func OpenSealedOffsets(fs vfs.FS, path string, base int64) (*OffsetFile, error) {
	f := &OffsetFile{}
	f.init(fs, path, base, OffsetEntrySize)
	if err := f.openRead(); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return f, nil
}

// View is the published entries, for as long as the file is open.
func (f *OffsetFile) View() Offsets { return Offsets{f.base, f.entries()} }

// Append adds an entry; the caller has seen Room. The store may fault like any store into a mapping.
func (f *OffsetFile) Append(offset, position int64) {
	n := f.n.Load()
	appendOffset(f.b[int(n)*OffsetEntrySize:][:OffsetEntrySize], uint32(offset-f.base), uint32(position))
	f.n.Store(n + 1)
}

// TimeFile is a mapped time index.
type TimeFile struct{ file }

// OpenTimes maps a time index for appending, as OpenOffsets does.
func OpenTimes(fs vfs.FS, path string, base int64, keep, limit int) (*TimeFile, error) {
	f := &TimeFile{}
	f.init(fs, path, base, TimeEntrySize)
	if err := f.openWrite(keep, limit); err != nil {
		return nil, fmt.Errorf("open time index: %w", err)
	}
	return f, nil
}

// OpenSealedTimes maps a time index for look-ups only.
func OpenSealedTimes(fs vfs.FS, path string, base int64) (*TimeFile, error) {
	f := &TimeFile{}
	f.init(fs, path, base, TimeEntrySize)
	if err := f.openRead(); err != nil {
		return nil, fmt.Errorf("open time index: %w", err)
	}
	return f, nil
}

// View is the published entries, for as long as the file is open.
func (f *TimeFile) View() Times { return Times{f.base, f.entries()} }

// MaybeAppend adds an entry if its timestamp is larger than the last one's (-1 before the first); the caller has seen Room.
func (f *TimeFile) MaybeAppend(timestamp, offset int64) {
	n := f.n.Load()
	last := int64(-1)
	if n > 0 {
		last, _ = f.View().At(int(n) - 1)
	}
	if timestamp <= last {
		return
	}
	appendTime(f.b[int(n)*TimeEntrySize:][:TimeEntrySize], timestamp, uint32(offset-f.base))
	f.n.Store(n + 1)
}

// ReadOffsets reads an offset index whole, without what was allocated ahead. A missing file is an empty index.
func ReadOffsets(fs vfs.FS, path string, base int64) (Offsets, error) {
	b, err := readWhole(fs, path)
	return Offsets{base, trim(b, OffsetEntrySize)}, err
}

// ReadTimes reads a time index whole, as ReadOffsets does.
func ReadTimes(fs vfs.FS, path string, base int64) (Times, error) {
	b, err := readWhole(fs, path)
	t := trim(b, TimeEntrySize)
	if len(t) == 0 && len(b) == TimeEntrySize {
		t = b // timestamp 0 at relative offset 0
	}
	return Times{base, t}, err
}

func readWhole(fs vfs.FS, path string) ([]byte, error) {
	h, err := fs.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := h.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	} else {
		b = b[:n]
	}
	return b, nil
}

// LastOffset reads the last entry of a trimmed offset index. n is the number of entries; 0 for an empty or missing file.
func LastOffset(fs vfs.FS, path string, base int64) (n int, offset, position int64, err error) {
	var e [OffsetEntrySize]byte
	if n, err = readLast(fs, path, e[:]); n > 0 {
		offset, position = Offsets{base, e[:]}.At(0)
	}
	return n, offset, position, err
}

// LastTime reads the last entry of a trimmed time index, as LastOffset does.
func LastTime(fs vfs.FS, path string, base int64) (n int, timestamp, offset int64, err error) {
	var e [TimeEntrySize]byte
	if n, err = readLast(fs, path, e[:]); n > 0 {
		timestamp, offset = Times{base, e[:]}.At(0)
	}
	return n, timestamp, offset, err
}

func readLast(fs vfs.FS, path string, e []byte) (n int, err error) {
	h, err := fs.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return 0, err
	}
	if size%int64(len(e)) != 0 {
		return 0, &CheckError{int(size) / len(e), fmt.Sprintf("file of %d bytes has a part of an entry at its end", size)}
	}
	n = int(size) / len(e)
	if n == 0 {
		return 0, nil
	}
	_, err = h.ReadAt(e, size-int64(len(e)))
	return n, err
}
