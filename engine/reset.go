package engine

import (
	"errors"
	"io/fs"
	"math"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/segment"
)

// ResetTo empties the log, which begins and ends at offset then: a snapshot, or a leader whose log begins there, has replaced what it
// held. No append may run meanwhile; readers keep the slices they hold. A crash in between leaves a beginning of what was there, or
// nothing. Off the loops.
func (l *Log) ResetTo(offset int64) error {
	l.work.Lock()
	defer l.work.Unlock()
	if err := l.open(true); err != nil {
		return err
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	o := l.mu.o
	l.mu.Unlock()
	if err := l.lowerMarks(0); err != nil {
		return err
	}
	l.view.Store(nil) // readers wait: their request to open waits for work
	if err := l.reset(o, offset); err != nil {
		return l.doubtful(o, err)
	}
	if err := l.note(noteForce); err != nil {
		return err
	}
	if err := l.dir.table.sync(); err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// reset holds work and flushing.
func (l *Log) reset(o *opened, offset int64) error {
	for _, s := range slices.Backward(o.segments) {
		if err := s.Delete(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	t, err := index.OpenTxn(l.dir.fs, l.path(offsetName(offset, txnIndexSuffix)))
	if err != nil {
		return err
	}
	t.TruncateTo(0)
	s, err := segment.Create(l.path(""), offset, l.segmentOptions())
	if err != nil {
		return err
	}
	if err := l.dir.fs.SyncDir(l.path("")); err != nil {
		return err
	}
	l.noting.Lock()
	l.dropState(o, math.MaxInt64, math.MaxInt64)
	l.noting.Unlock()
	n := l.newOpened()
	n.add(s, txnIndex{Txn: t})
	n.changed, n.names, n.epochsDirty, n.rootDirty, n.spare = true, 1, true, o.rootDirty, o.spare
	l.mu.Lock()
	o.producers.uncount()
	l.mu.o = n
	l.logEnd.Store(offset)
	l.logStart.Store(offset)
	l.flushedTo.Store(offset)
	l.highWatermark.Store(offset)
	l.unstable.Store(math.MaxInt64)
	l.breached.Store(false)
	l.view.Store(&view{n.segments})
	l.mu.Unlock()
	l.looked.Store(nil)
	return nil
}

// doubtful forgets what was open of a log whose files are not any more what it knew of them: the next use looks at the disk.
func (l *Log) doubtful(o *opened, err error) error {
	l.mu.Lock()
	l.mu.o, l.mu.phase = nil, phaseUnknown
	l.logEnd.Store(l.flushedTo.Load())
	l.mu.Unlock()
	l.dir.removeOpen(l)
	o.abandon()
	return l.fail(err)
}
