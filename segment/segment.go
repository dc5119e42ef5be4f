// Package segment is one segment of a partition's log: a log file, mapped, with its offset and time index.
//
// The life of a segment: Create (or Prepare and Take a Spare), Append, Seal at the roll, Retire and Delete by retention. While it is
// appended to, the log file is mapped once for its largest size, to be read, and gets its disk space in steps ahead of the tail; an append
// is one pwrite, sometimes an index entry, and the store of the new size. All that waits for the disk is a job given to Options.Go or Rest.
//
// Published bytes never change: sendfile hands out pages, not copies. Truncation makes a new file.
//
// Who may call what: appender's calls (Append, Seal, Idle) one at a time, under the owner's lock, and they never block; Slice and the
// accessors by anybody, without a lock; calls that say they block by any goroutine off the loops.
package segment

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// Segment is one segment of a log.
type Segment struct {
	o    Options
	dir  string
	base int64

	// Written by the appender, next before size; a reader loads size before next and so never sees a batch at or above its next.
	next, size atomic.Int64
	flushedTo  atomic.Int64
	sealed     atomic.Bool
	open       atomic.Pointer[files] // nil: closed
	failure    atomic.Pointer[error] // the first error that poisoned the segment
	badIndex   atomic.Bool           // a look-up met an entry that does not fit the log

	lastIndexed int64 // position of the batch that got the last index entry; the appender's

	stamps struct {
		sync.Mutex
		known              bool
		max, offset, first int64 // first: of the first batch; -1 before it
	}

	work background

	// Index entries when Idle closed an active segment.
	idleOffsets, idleTimes atomic.Int32

	files struct {
		sync.Mutex        // serializes all that opens, closes, grows, trims or renames files; before stamps
		suffix     string // set by Retire
		spare      bool   // not yet taken: it has no base
		closed     bool
		trimmed    bool // sealed and cut to size
		synced     bool // and durable, with its indexes
		complete   bool // active and closed by Idle, which has trimmed it
		dirSynced  bool
	}
	flush sync.Mutex // one Flush at a time; taken before files
}

func newSegment(dir string, base int64, o Options) *Segment {
	s := &Segment{o: o.withDefaults(), dir: dir, base: base}
	s.next.Store(base)
	s.flushedTo.Store(base)
	s.stamps.max, s.stamps.offset, s.stamps.first = -1, base, -1
	s.work.s = s
	s.work.run = s.work.loop
	return s
}

// Create makes the files of an empty segment in an existing folder and opens it for appending. It blocks.
// The names become durable with the first Flush.
func Create(dir string, base int64, o Options) (*Segment, error) {
	s := newSegment(dir, base, o)
	s.files.Lock()
	defer s.files.Unlock()
	if err := s.createLocked(minStep); err != nil {
		return nil, err
	}
	return s, nil
}

// createLocked makes the files, with a first allocation step of so many bytes.
func (s *Segment) createLocked(firstStep int64) error {
	s.stamps.known = true
	f, err := s.openFiles(true, true, 0, 0)
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	f.wroteFrom = 0
	if err := s.step(f, 0, firstStep); err != nil {
		f.release(&s.o)
		_ = s.unlinkLocked()
		return fmt.Errorf("create segment: %w", err)
	}
	s.open.Store(f)
	return nil
}

// path is where a file of the segment is now. The caller holds s.files.
func (s *Segment) path(suffix string) string {
	if s.files.spare {
		return sparePath(s.dir, suffix)
	}
	return Path(s.dir, s.base, suffix) + s.files.suffix
}

// name is how the segment is called in errors and logs.
func (s *Segment) name() string { return Path(s.dir, s.base, logSuffix) }

// Base is the offset the segment is named for.
func (s *Segment) Base() int64 { return s.base }

// NextOffset is one past the last offset appended.
func (s *Segment) NextOffset() int64 { return s.next.Load() }

// Size is the bytes appended.
func (s *Segment) Size() int64 { return s.size.Load() }

// FlushedTo is the offset below which everything is durable.
func (s *Segment) FlushedTo() int64 { return s.flushedTo.Load() }

// Sealed says whether the segment will not be appended to.
func (s *Segment) Sealed() bool { return s.sealed.Load() }

// Opened says whether the segment's files are open.
func (s *Segment) Opened() bool { return s.open.Load() != nil }

// Room is the number of bytes that fit until the segment is full: time to Prepare a spare when it gets small.
func (s *Segment) Room() int { return s.o.MaxBytes - int(s.size.Load()) }

// Err is the error that poisoned the segment, or nil.
func (s *Segment) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail poisons the segment: after a failed sync or a fault nothing more can be promised (I19).
func (s *Segment) fail(err error) error {
	err = fmt.Errorf("segment %s: %w", s.name(), err)
	if s.failure.CompareAndSwap(nil, &err) && s.o.OnError != nil {
		s.o.OnError(err)
	}
	return err
}

// Append writes a stamped batch to the end. The bytes are the caller's again on return.
// ErrWait, ErrFull and ErrTooLarge change nothing; nor does an error in which errors.Is finds vfs.ErrNoSpace: the next Append tries
// again. Any other error has poisoned the segment. An appender's call.
func (s *Segment) Append(b record.Batch) error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	if s.sealed.Load() {
		return ErrClosed
	}
	position, last := s.size.Load(), b.LastOffset()
	end := position + int64(len(b))
	if next := s.next.Load(); b.BaseOffset() < next || last < b.BaseOffset() || b.Size() != len(b) {
		panic(fmt.Sprintf("segment: append of offsets %d to %d, %d of %d bytes, at next offset %d", b.BaseOffset(), last, len(b), b.Size(), next))
	}
	switch {
	case end <= int64(s.o.MaxBytes) && last-s.base <= math.MaxInt32:
	case position == 0 && end > int64(s.o.MaxBytes):
		return ErrTooLarge
	default:
		return ErrFull
	}
	f := s.open.Load()
	if f == nil {
		return s.work.wait(wantOpen, 0)
	}
	if f.offsets.Len() >= s.o.MaxIndexBytes/index.OffsetEntrySize || f.times.Len() >= s.o.MaxIndexBytes/index.TimeEntrySize-1 {
		return ErrFull
	}
	if end > f.room.Load() || f.offsets.Room() < 1 || f.times.Room() < 1 {
		return s.work.wait(wantStep, end)
	}
	if err := s.put(f, b, position, last); err != nil {
		if errors.Is(err, vfs.ErrNoSpace) {
			return err
		}
		return s.fail(err)
	}
	s.next.Store(last + 1)
	s.size.Store(end)
	if end > f.stepAt.Load() || end > f.writebackAt.Load() {
		s.ahead(f, end)
	}
	return nil
}

// note takes down a batch in the indexes: precisely when Kafka does, so that its tools find in them what they expect. The time entry comes
// first: a reader that sees an offset entry sees the time entry that belongs to it.
func (s *Segment) note(f *files, b record.Batch, position, last int64) {
	timestamp := stampOf(b)
	s.stamps.Lock()
	if position == 0 {
		s.stamps.first = timestamp
	}
	if timestamp > s.stamps.max {
		s.stamps.max, s.stamps.offset = timestamp, last
	}
	largest, at := s.stamps.max, s.stamps.offset
	s.stamps.Unlock()
	if position-s.lastIndexed > int64(s.o.IndexInterval) {
		f.times.MaybeAppend(largest, at)
		f.offsets.Append(last, position)
		s.lastIndexed = position
	}
}

// stampOf is the timestamp that counts of a batch: of one that compaction has emptied, none, for no record has it.
func stampOf(b record.Batch) int64 {
	if b.Count() == 0 {
		return record.NoTimestamp
	}
	return b.MaxTimestamp()
}

// ahead asks for the background work that is due.
func (s *Segment) ahead(f *files, end int64) {
	if end > f.stepAt.Load() {
		f.stepAt.Store(never)
		s.work.want(wantStep)
	}
	if end > f.writebackAt.Load() {
		s.wantWriteback(f)
	}
}

// WhenReady runs f once, when the background work asked for has ended, whatever its result: on a background goroutine, or at once
// in the caller when there is none.
func (s *Segment) WhenReady(f func()) { s.work.whenReady(f) }

// MaxTimestamp is the largest timestamp of the segment and the last offset of the first batch that has it; -1 when there is none. For
// a segment of OpenSealed the first call has to read the last entry of the time index: ErrCold with block=false.
func (s *Segment) MaxTimestamp(block bool) (timestamp, offset int64, err error) {
	s.stamps.Lock()
	known := s.stamps.known
	timestamp, offset = s.stamps.max, s.stamps.offset
	s.stamps.Unlock()
	if known {
		return timestamp, offset, nil
	}
	if !block {
		return -1, -1, ErrCold
	}
	f, err := s.acquire(true) // checks the indexes, rebuilds them if need be
	if err != nil {
		return -1, -1, err
	}
	f.pin.Release()
	s.stamps.Lock()
	defer s.stamps.Unlock()
	return s.stamps.max, s.stamps.offset, nil
}

// FirstTimestamp is the largest timestamp of the first batch, from which Kafka counts the age of a segment; -1 when empty. For a
// segment that was not created by this process the first call reads and blocks.
func (s *Segment) FirstTimestamp() (int64, error) {
	s.stamps.Lock()
	first := s.stamps.first
	s.stamps.Unlock()
	if first >= 0 || s.size.Load() == 0 {
		return first, nil
	}
	f, err := s.acquire(true)
	if err != nil {
		return -1, err
	}
	defer f.pin.Release()
	r := reader{s: s, f: f, limit: s.size.Load(), block: true}
	defer r.done()
	b, err := r.header(0)
	if err != nil {
		return -1, err
	}
	s.stamps.Lock()
	defer s.stamps.Unlock()
	s.stamps.first = b.MaxTimestamp()
	return s.stamps.first, nil
}
