package segment

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// Suffixes of the files of a segment.
const (
	logSuffix   = ".log"
	indexSuffix = ".index"
	timeSuffix  = ".timeindex"
	txnSuffix   = ".txnindex"
)

// Path is the name of one of a segment's files: Kafka's, the base offset with 20 digits.
func Path(dir string, base int64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
}

// files are the open files of a segment: the log, mapped, and its mapped indexes. They are closed together, by the last Release of the
// pin, because readers look into the indexes while they hold it.
type files struct {
	pin     *vfs.Pin
	log     vfs.File
	mapping vfs.Mapping // of the log; nil where there is no descriptor to map (Mem)
	b       []byte      // of mapping
	offsets *index.OffsetFile
	times   *index.TimeFile

	allocates  bool  // the file system has fallocate; room grows in steps
	wroteFrom  int64 // pages from here on were written since this open: they are hot for a while
	wroteSlots int   // and so are the index entries from this one on

	indexTrust atomic.Int32 // look-ups left before the next question whether the offset index is resident

	room        atomic.Int64 // bytes of the log file that have space on disk
	stepAt      atomic.Int64 // when the tail passes it, ask for the next step
	writebackAt atomic.Int64 // when the tail passes it, ask for writeback of what lies below

	held  int64 // of Budget; under Segment.files
	wrote int64 // writeback was started below; the writeback job's
}

const never = math.MaxInt64

// release gives up the owner's reference and what was held of the budget.
func (f *files) release(o *Options) {
	o.Budget.give(f.held)
	f.held = 0
	f.pin.Release()
}

// indexEntries is the most index entries so many more bytes can bring, and two to spare (the time entry of the seal).
func (s *Segment) indexEntries(bytes int64) int {
	return int(bytes/int64(max(s.o.IndexInterval, record.HeaderSize))) + 2
}

// openFiles opens the files of the segment, with the given number of index entries to keep, for appending or reading.
// The log file is created when create is set. The caller holds s.files.
func (s *Segment) openFiles(write, create bool, offsets, times int) (_ *files, err error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	if create {
		flag |= os.O_CREATE
	}
	f := &files{}
	if f.log, err = s.o.FS.OpenFile(s.path(logSuffix), flag, 0o644); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.close()
		}
	}()
	fileSize, err := f.log.Size()
	if err != nil {
		return nil, err
	}
	size := s.size.Load()
	if create && fileSize != 0 {
		return nil, fmt.Errorf("%s: %w, with %d bytes", s.path(logSuffix), os.ErrExist, fileSize)
	}
	if fileSize < size {
		return nil, &CorruptError{s.path(logSuffix), fileSize, fmt.Errorf("file is shorter than the %d bytes that were written", size)}
	}
	if err := s.mapLog(f, write, size); err != nil {
		return nil, err
	}
	if err := s.openIndexes(f, write, offsets, times); err != nil {
		return nil, err
	}
	f.pin = vfs.NewPin(f.log, f.mapping, func() { s.o.Go(f.closed(s)) })
	return f, nil
}

func (f *files) closed(s *Segment) func() {
	return func() {
		if err := f.close(); err != nil {
			s.o.Log.Warn("closing a segment failed", "path", s.name(), "err", err)
		}
	}
}

// close closes what is open; nobody holds the pin.
func (f *files) close() error {
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	if f.mapping != nil {
		keep(f.mapping.Unmap())
	}
	if f.offsets != nil {
		keep(f.offsets.Close())
	}
	if f.times != nil {
		keep(f.times.Close())
	}
	keep(f.log.Close())
	return err
}

// mapLog maps the log for reading, and says from where on an appender asks for background work.
func (s *Segment) mapLog(f *files, write bool, size int64) error {
	f.wroteFrom = size
	f.wrote = size
	f.stepAt.Store(never)
	f.writebackAt.Store(never)
	f.room.Store(size)
	length := size
	if write {
		length = max(int64(s.o.MaxBytes), size)
	}
	if f.log.Fd() >= 0 && length > 0 {
		m, err := f.log.Map(length, vfs.MapOptions{})
		if err != nil {
			return err
		}
		f.mapping, f.b = m, m.Bytes()
	}
	if !write {
		return nil
	}
	// An empty file learns with its first step whether the file system has fallocate.
	f.allocates = size == 0 || !errors.Is(f.log.Allocate(0, size), vfs.ErrNotSupported)
	if !f.allocates {
		s.withoutFallocate(f)
	}
	if !s.o.Durable {
		f.writebackAt.Store(size + writebackStep)
	}
	return nil
}

// withoutFallocate lets each write find out whether there is space.
func (s *Segment) withoutFallocate(f *files) {
	f.allocates = false
	f.room.Store(int64(s.o.MaxBytes))
}

func (s *Segment) openIndexes(f *files, write bool, offsets, times int) (err error) {
	if !write {
		if f.offsets, err = index.OpenSealedOffsets(s.o.FS, s.path(indexSuffix), s.base); err != nil {
			return err
		}
		f.times, err = index.OpenSealedTimes(s.o.FS, s.path(timeSuffix), s.base)
		return err
	}
	all, more := s.indexEntries(int64(s.o.MaxBytes)), s.indexEntries(int64(s.o.MaxBytes)-s.size.Load())
	limit := func(entries, size int) int {
		return max(min(max(all, entries+more), s.o.MaxIndexBytes/size), entries+2)
	}
	f.offsets, err = index.OpenOffsets(s.o.FS, s.path(indexSuffix), s.base, offsets, limit(offsets, index.OffsetEntrySize))
	if err != nil {
		return err
	}
	f.wroteSlots = offsets
	f.times, err = index.OpenTimes(s.o.FS, s.path(timeSuffix), s.base, times, limit(times, index.TimeEntrySize))
	return err
}
