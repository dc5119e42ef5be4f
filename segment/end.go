package segment

import (
	"errors"
	"fmt"
	"os"
)

// Seal ends appending. Trimming, the last time index entry and the index files' trimming happen through Go. An appender's call.
func (s *Segment) Seal() {
	if !s.sealed.Swap(true) {
		s.work.want(wantSeal)
	}
}

// Idle closes the files (trimmed, when active) if they are open. The next Append or Slice opens them again. An appender's call, and anybody's
// for a sealed segment: beside Close one of the two lets the files go.
func (s *Segment) Idle() {
	if f := s.open.Load(); f != nil {
		s.idleOffsets.Store(int32(f.offsets.Len()))
		s.idleTimes.Store(int32(f.times.Len()))
		if s.open.CompareAndSwap(f, nil) {
			s.work.close(f)
		}
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
		f.offsets.Renamed(s.path(indexSuffix))
		f.times.Renamed(s.path(timeSuffix))
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
