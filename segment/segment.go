// Package segment is one segment of a partition's log: a log file, mapped, with its offset and time index.
//
// The life of a segment: Create (or Prepare and Take a Spare), Append, Seal at the roll, Retire and Delete by retention. While it is
// appended to, the log file is mapped once for its largest size and gets its disk space in steps ahead of the tail; an append is one
// copy, sometimes an index entry, and the store of the new size. All that waits for the disk is a job given to Options.Go.
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
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/invariant"
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
	flush     sync.Mutex // one Flush at a time; taken before files
	lastFlush int64      // size at the last Flush; under flush
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
	if f.touches && firstStep > minStep {
		s.touch(f)
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

// Append copies a stamped batch to the end. The bytes are the caller's again on return.
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
	if end > f.stepAt.Load() || end > f.touchAt.Load() || end > f.writebackAt.Load() {
		s.ahead(f, end)
	}
	return nil
}

// put copies the batch and adds an index entry when one is due.
func (s *Segment) put(f *files, b record.Batch, position, last int64) (err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	t := f.tail
	if f.trickling.Load() {
		t = f.synced
	}
	if err := t.write(b, position); err != nil {
		return err
	}
	s.note(f, b, position, last)
	return nil
}

// note takes down a batch in the indexes: precisely when Kafka does, so that its tools find in them what they expect. The time entry comes
// first: a reader that sees an offset entry sees the time entry that belongs to it.
func (s *Segment) note(f *files, b record.Batch, position, last int64) {
	timestamp := b.MaxTimestamp()
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

// ahead asks for the background work that is due.
func (s *Segment) ahead(f *files, end int64) {
	if end > f.stepAt.Load() {
		f.stepAt.Store(never)
		s.work.want(wantStep)
	}
	if end > f.touchAt.Load() {
		f.touchAt.Store(never)
		s.pinned(f, s.touch)
	}
	if end > f.writebackAt.Load() {
		f.writebackAt.Store(never)
		s.pinned(f, s.writeback)
	}
}

// WhenReady runs f once, when the background work asked for has ended, whatever its result: on a background goroutine, or at once
// in the caller when there is none.
func (s *Segment) WhenReady(f func()) { s.work.whenReady(f) }

// MaxTimestamp is the largest timestamp of the segment and the last offset of the first batch that has it; -1 when there is none. For
// a segment of OpenSealed the first call reads the last entry of the time index and blocks.
func (s *Segment) MaxTimestamp() (timestamp, offset int64, err error) {
	s.stamps.Lock()
	known := s.stamps.known
	timestamp, offset = s.stamps.max, s.stamps.offset
	s.stamps.Unlock()
	if known {
		return timestamp, offset, nil
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

// Seal ends appending. Trimming, the last time index entry and the index files' trimming happen through Go. An appender's call.
func (s *Segment) Seal() {
	if !s.sealed.Swap(true) {
		s.work.want(wantSeal)
	}
}

// Idle closes the files (trimmed, when active) if they are open. The next Append or Slice opens them again. An appender's call.
func (s *Segment) Idle() {
	if f := s.open.Load(); f != nil {
		s.idleOffsets.Store(int32(f.offsets.Len()))
		s.idleTimes.Store(int32(f.times.Len()))
		s.open.Store(nil)
		s.work.close(f)
	}
}

// Close ends the segment. clean: trims, completes the indexes and syncs everything. It blocks. Background work that was asked for and
// has not begun finds nothing to do; no call but accessors may follow, slices stay valid until released.
func (s *Segment) Close(clean bool) error {
	if clean {
		return s.end(s.completeLocked)
	}
	return s.end(nil)
}

// Finish is Close(true) without its syncs: what it leaves is durable after the next vfs.FS.SyncFS. It is for the end of thousands of
// segments at once.
func (s *Segment) Finish() error { return s.end(s.finishLocked) }

func (s *Segment) end(complete func() error) error {
	s.flush.Lock()
	defer s.flush.Unlock()
	s.files.Lock()
	defer s.files.Unlock()
	if s.files.closed {
		return nil
	}
	err := s.Err()
	if complete != nil && err == nil {
		err = complete()
	}
	s.files.closed = true
	s.sealed.Store(true)
	if f := s.open.Swap(nil); f != nil {
		f.release(&s.o)
	}
	return err
}

// finishLocked trims, unless Idle or Seal have done it.
func (s *Segment) finishLocked() error {
	if s.files.trimmed || s.files.complete {
		return nil
	}
	f, err := s.openLocked()
	if err != nil {
		return err
	}
	if err := s.trimLocked(f, true); err != nil {
		return s.fail(err)
	}
	return nil
}

// completeLocked leaves on disk what a clean start expects, durably.
func (s *Segment) completeLocked() error {
	if s.files.synced || s.files.complete && s.flushedTo.Load() == s.next.Load() {
		return nil
	}
	f, err := s.openLocked()
	if err != nil {
		return err
	}
	if !s.files.trimmed {
		if err := s.trimLocked(f, true); err != nil {
			return s.fail(err)
		}
	}
	if err := f.log.Sync(); err != nil {
		return s.fail(err)
	}
	if err := errors.Join(f.offsets.Sync(), f.times.Sync(), s.syncDirLocked()); err != nil {
		return s.fail(err)
	}
	s.files.synced = true
	s.flushedTo.Store(s.next.Load())
	return nil
}

// Retire renames all files of the segment, so that a start does not take it for a part of the log any more. It blocks.
func (s *Segment) Retire(suffix string) error {
	s.files.Lock()
	defer s.files.Unlock()
	names := []string{logSuffix, indexSuffix, timeSuffix, txnSuffix}
	for i, name := range names {
		old := s.path(name)
		if err := s.o.FS.Rename(old, old+suffix); err != nil && (i == 0 || !errors.Is(err, os.ErrNotExist)) {
			return fmt.Errorf("retire segment: %w", err)
		}
	}
	s.files.suffix += suffix
	if f := s.open.Load(); f != nil {
		f.offsets.Renamed(s.path(indexSuffix), s.base)
		f.times.Renamed(s.path(timeSuffix), s.base)
	}
	return nil
}

// Delete closes and unlinks the files, retired or not; slices stay valid until released. It blocks.
func (s *Segment) Delete() error {
	if err := s.Close(false); err != nil && s.Err() == nil {
		return err
	}
	s.files.Lock()
	defer s.files.Unlock()
	return s.unlinkLocked()
}

func (s *Segment) unlinkLocked() error {
	var errs []error
	for _, name := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} {
		if err := s.o.FS.Remove(s.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Segment) syncDirLocked() error {
	if s.files.dirSynced {
		return nil
	}
	if err := s.o.FS.SyncDir(s.dir); err != nil {
		return err
	}
	s.files.dirSynced = true
	return nil
}

// Flush makes durable what was appended before it began and returns the offset below which that is. It blocks; it runs beside Append.
// A sealed segment is trimmed first and its indexes are synced too. The first error poisons the segment.
func (s *Segment) Flush() (int64, error) {
	s.flush.Lock()
	defer s.flush.Unlock()
	if err := s.Err(); err != nil {
		return s.flushedTo.Load(), err
	}
	next, sealed := s.next.Load(), s.sealed.Load()
	f, err := s.beginFlush(next, sealed)
	if f == nil || err != nil {
		return s.flushedTo.Load(), err
	}
	defer f.pin.Release()
	size := s.size.Load()
	if s.o.Tail == TailAuto && f.synced != nil {
		f.trickling.Store(size-s.lastFlush < trickle)
	}
	s.lastFlush = size
	if err := f.log.Sync(); err != nil {
		return s.flushedTo.Load(), s.fail(err)
	}
	if sealed {
		if err := s.syncIndexes(f); err != nil {
			return s.flushedTo.Load(), s.fail(err)
		}
	}
	invariant.Check(next >= s.flushedTo.Load(), "flushed to %d after %d", next, s.flushedTo.Load())
	s.flushedTo.Store(next)
	return next, nil
}

// beginFlush returns the retained files to sync, or nil when there is nothing to do.
func (s *Segment) beginFlush(next int64, sealed bool) (*files, error) {
	s.files.Lock()
	defer s.files.Unlock()
	if s.files.closed {
		return nil, ErrClosed
	}
	if next == s.flushedTo.Load() && (!sealed || s.files.synced) {
		return nil, nil
	}
	f, err := s.openLocked()
	if err != nil {
		return nil, err
	}
	if sealed && !s.files.trimmed {
		if err := s.trimLocked(f, true); err != nil {
			return nil, s.fail(err)
		}
	}
	if err := s.syncDirLocked(); err != nil {
		return nil, s.fail(err)
	}
	if !f.pin.TryRetain() {
		panic("segment: open files without a reference")
	}
	return f, nil
}

func (s *Segment) syncIndexes(f *files) error {
	s.files.Lock()
	defer s.files.Unlock()
	if s.files.closed || s.files.synced {
		return nil
	}
	if err := errors.Join(f.offsets.Sync(), f.times.Sync()); err != nil {
		return err
	}
	s.files.synced = true
	return nil
}
