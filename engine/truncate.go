package engine

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/millrace/millrace/segment"
)

// TruncateTo cuts the log so that LogEnd is offset, or the base of the batch that holds it. No append may run meanwhile. Files that
// readers may hold are not cut: the part that stays is copied (I11). Off the loops.
func (l *Log) TruncateTo(offset int64) error {
	l.work.Lock()
	defer l.work.Unlock()
	if err := l.open(false); err != nil {
		return err
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	o := l.mu.o
	l.mu.Unlock()
	if o == nil || offset >= l.logEnd.Load() {
		return nil
	}
	offset = max(offset, o.segments[0].Base())
	if offset < l.logEnd.Load() && offset > o.segments[0].Base() {
		h, err := headerAt(o.segments, offset)
		switch {
		case err == nil:
			offset = min(offset, h.BaseOffset())
		case !errors.Is(err, errNoBatch):
			return l.fail(err)
		}
	}
	if err := l.lowerMarks(offset); err != nil {
		return err
	}
	l.view.Store(nil) // readers wait: their request to open waits for work
	if err := l.truncate(o, offset); err != nil {
		return l.doubtful(o, err)
	}
	return nil
}

// lowerMarks tells the table, durably, before anything is cut: a start after a crash in between must not miss what was cut.
func (l *Log) lowerMarks(offset int64) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	if err := l.dir.lowerCleaned(l.folder, offset); err != nil {
		return l.dir.fail(err)
	}
	r := &l.record
	r.durable, r.written = min(r.durable, offset), min(r.written, offset)
	r.through, r.snapshot = -1, -1 // look for the newest usable file
	r.logStart = min(r.logStart, offset)
	r.clean = false
	l.notedEnd = -1
	l.mu.Lock()
	l.flushedTo.Store(min(l.flushedTo.Load(), offset))
	l.mu.Unlock()
	if err := l.dir.table.write(l.slot, r); err != nil {
		return l.dir.fail(err)
	}
	if err := l.dir.table.sync(); err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// truncate holds work and flushing.
func (l *Log) truncate(o *opened, offset int64) error {
	keep := len(o.segments)
	for keep > 1 && o.segments[keep-1].Base() >= offset || keep == 1 && o.segments[0].Base() > offset {
		keep--
	}
	for i := len(o.segments) - 1; i >= keep; i-- {
		if err := o.segments[i].Delete(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	kept := slices.Clone(o.segments[:keep])
	txns := slices.Clone(o.txns[:keep])
	last := kept[keep-1]
	var cut *segment.Segment // the last one, when it was cut and another one follows
	var err error
	if last.NextOffset() > offset {
		if last, err = last.TruncateTo(offset); err == nil {
			kept[keep-1] = last
			if last.NextOffset() < offset {
				last.Seal() // compaction has left a hole there, and only a segment's base can tell of the log's end
				cut = last
			}
		}
	}
	if err == nil && last.Sealed() {
		var s *segment.Segment
		if s, err = segment.Create(l.path(""), offset, l.segmentOptions()); err == nil {
			kept, txns = append(kept, s), append(txns, txnIndex{})
		}
	}
	if err == nil {
		err = l.dir.fs.SyncDir(l.path("")) // what was cut must not come back as a ghost among what is appended now
	}
	if err != nil {
		return err
	}

	l.noting.Lock()
	l.dropState(o, 0, offset)
	ls := listing{txns: map[int64]bool{}, snapshots: o.snapshots, sidecars: o.sidecars}
	l.noting.Unlock()
	n := l.newOpened()
	n.segments, n.txns = kept, txns
	for _, s := range kept {
		ls.bases = append(ls.bases, s.Base())
	}
	l.mu.Lock()
	o.producers.uncount() // readers still ask them until the new ones are there
	l.mu.Unlock()
	from, err := l.loadState(n, ls, offset, -1, -1)
	n.epochs.truncateEnd(offset) // what follows may be of an earlier epoch than what was cut
	if err == nil {
		err = l.replaySegments(n, from, offset)
	}
	if err == nil {
		err = l.checkState(n, from)
	}
	if err == nil {
		n.firstTimestamp, err = n.active().FirstTimestamp()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	n.changed, n.names, n.epochsDirty, n.rootDirty = true, 1, true, o.rootDirty
	n.spare = o.spare
	for _, s := range o.unflushed {
		if slices.Contains(kept, s) {
			n.unflushed = append(n.unflushed, s)
		}
	}
	if cut != nil {
		n.unflushed = append(n.unflushed, cut)
	}
	l.mu.o = n
	l.logEnd.Store(offset)
	l.logStart.Store(min(l.logStart.Load(), offset))
	l.flushedTo.Store(min(l.flushedTo.Load(), offset))
	l.highWatermark.Store(min(l.highWatermark.Load(), offset))
	l.unstable.Store(n.producers.unstable(l.highWatermark.Load()))
	l.view.Store(&view{n.segments})
	l.mu.Unlock()
	l.looked.Store(nil)
	return l.note(noteForce)
}
