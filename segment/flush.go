package segment

import (
	"errors"

	"github.com/millrace/millrace/internal/invariant"
)

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
