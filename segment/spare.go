package segment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const spareSuffix = ".spare"

func sparePath(dir, suffix string) string { return filepath.Join(dir, "next"+suffix+spareSuffix) }

// Spare is a segment that is ready for the next roll: created, allocated and mapped. Its base is not known yet.
type Spare struct{ s *Segment }

// Prepare makes a spare, in place of one that was left behind. At most one per folder. It blocks.
func Prepare(dir string, o Options) (*Spare, error) {
	s := newSegment(dir, 0, o)
	s.files.Lock()
	defer s.files.Unlock()
	s.files.spare = true
	if err := s.unlinkLocked(); err != nil {
		return nil, fmt.Errorf("prepare spare: %w", err)
	}
	if err := s.createLocked(maxStep); err != nil {
		return nil, fmt.Errorf("prepare spare: %w", err)
	}
	return &Spare{s}, nil
}

// Fits says whether the spare is what Prepare would make with these options: a topic's settings may have changed since.
func (sp *Spare) Fits(o Options) bool {
	o = o.withDefaults()
	is := &sp.s.o
	return is.MaxBytes == o.MaxBytes && is.MaxIndexBytes == o.MaxIndexBytes && is.IndexInterval == o.IndexInterval && is.Durable == o.Durable
}

// Take turns the spare into the segment at base. It blocks shortly (three renames). The spare is gone, also on error.
func (sp *Spare) Take(base int64) (*Segment, error) {
	s := sp.s
	sp.s = nil
	s.files.Lock()
	defer s.files.Unlock()
	if err := s.renameSpare(base); err != nil {
		s.open.Swap(nil).release(&s.o)
		return nil, errors.Join(fmt.Errorf("take spare: %w", err), s.unlinkLocked())
	}
	s.files.spare = false
	s.base = base
	s.next.Store(base)
	s.flushedTo.Store(base)
	s.stamps.offset = base
	f := s.open.Load()
	f.offsets.Renamed(s.path(indexSuffix))
	f.times.Renamed(s.path(timeSuffix))
	f.offsets.Rebase(base)
	f.times.Rebase(base)
	return s, nil
}

// renameSpare renames the log last: what has a log is a segment. Indexes that a crash left without a log are replaced.
func (s *Segment) renameSpare(base int64) error {
	to := Path(s.dir, base, logSuffix)
	if _, err := s.o.FS.Stat(to); err == nil {
		return fmt.Errorf("%s: %w", to, os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, suffix := range []string{indexSuffix, timeSuffix, logSuffix} {
		if err := s.o.FS.Rename(sparePath(s.dir, suffix), Path(s.dir, base, suffix)); err != nil {
			return err
		}
	}
	return nil
}

// Discard removes a spare that is not needed. It blocks.
func (sp *Spare) Discard() error {
	if sp.s == nil {
		return nil
	}
	return sp.s.Delete()
}
