package engine

import (
	"errors"
	"math"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
)

// Flush is Sync and NoteSync.
func (l *Log) Flush() (flushedTo int64, err error) {
	if flushedTo, err = l.Sync(); err == nil {
		err = l.NoteSync()
	}
	return flushedTo, err
}

// Sync makes durable all that was appended before it began, and returns FlushedTo. It blocks: off the loops, concurrent with Append.
// One fdatasync when nothing rolled; rolled segments come first, and the names of new files before anything in them counts.
// The first failed sync takes the whole directory offline (I19).
func (l *Log) Sync() (flushedTo int64, err error) {
	l.flushing.Lock()
	err = l.flush()
	l.flushing.Unlock()
	return l.flushedTo.Load(), err
}

// NoteSync tells the table of logs how far the log is durable. Nobody has to wait for it: until then a start after a crash only looks at more.
func (l *Log) NoteSync() error {
	err := l.note(noteFlush)
	if errors.Is(err, ErrDiskFull) {
		return nil // as above
	}
	return err
}

// flush holds flushing.
func (l *Log) flush() error {
	if err := l.offline(); err != nil {
		return err
	}
	l.mu.Lock()
	o := l.mu.o
	if o == nil || l.flushedTo.Load() == l.logEnd.Load() && o.names == o.namesSynced && len(o.unflushed) == 0 {
		l.mu.Unlock()
		return nil
	}
	// One fdatasync and no allocation when nothing rolled and nothing was aborted.
	var sealed []*segment.Segment
	if len(o.unflushed) > 0 {
		sealed = slices.Clone(o.unflushed)
	}
	var txns []*index.Txn
	aborts, target := o.aborts, l.logEnd.Load()
	if aborts != o.abortsSynced {
		txns = txnsOf(o.txns)
	}
	active, names, rootDirty := o.active(), o.names, o.rootDirty
	folderDirty := names != o.namesSynced
	l.mu.Unlock()

	for _, s := range sealed {
		if _, err := s.Flush(); err != nil {
			return l.syncFailed(err)
		}
	}
	flushed, err := active.Flush()
	if err != nil {
		return l.syncFailed(err)
	}
	// A marker that counts as durable without its index entry would show aborted records after a power cut.
	for _, t := range txns {
		if err := t.Flush(true); err != nil {
			return l.syncFailed(err)
		}
	}
	o.abortsSynced = aborts
	if folderDirty {
		if err := l.dir.fs.SyncDir(l.path("")); err != nil {
			return l.syncFailed(err)
		}
	}
	if rootDirty {
		if err := l.dir.syncNames(); err != nil {
			return l.syncFailed(err)
		}
	}
	l.mu.Lock()
	o.namesSynced = max(o.namesSynced, names)
	if rootDirty {
		o.rootDirty = false
	}
	if len(sealed) > 0 {
		o.unflushed = slices.DeleteFunc(o.unflushed, func(s *segment.Segment) bool { return slices.Contains(sealed, s) })
	}
	if o.aborts != aborts {
		// One that was appended while we synced may not be in its index's file: then only what was there before counts.
		flushed = min(flushed, target)
	}
	if flushed > l.flushedTo.Load() {
		l.flushedTo.Store(flushed)
	}
	l.mu.Unlock()
	return nil
}

func (l *Log) syncFailed(err error) error {
	if errors.Is(err, vfs.ErrNoSpace) {
		return ErrDiskFull // a small file could not be written; nothing that was written is in doubt
	}
	return l.dir.fail(err)
}

// Why the table is told about a log.
type noteReason int

const (
	noteFlush noteReason = iota // after a sync
	noteTick                    // a second has passed, or 16 MiB were appended
	noteForce                   // something that must be in the table now
)

// noteJob tells the table what was appended.
func (l *Log) noteJob() { l.end(askNote, l.note(noteTick)) }

// note writes the log's slot of the table, and before it the small files that the slot relies on. What the table calls written is
// complete in the page cache: the batches, their index entries, the epochs, the aborted transactions, and the producers up to
// through. It costs one small write and no sync, unless epochs or producers are new.
func (l *Log) note(why noteReason) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	if err := l.dir.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	o := l.mu.o
	if o == nil {
		l.mu.Unlock()
		return nil
	}
	written, flushedTo, hw := l.logEnd.Load(), l.flushedTo.Load(), l.HighWatermark()
	moved := written != l.notedEnd || flushedTo != l.record.durable || hw != l.notedHW
	if why == noteFlush && flushedTo == l.record.durable || why == noteTick && !moved {
		l.mu.Unlock()
		return nil
	}
	var epochsFile []byte
	if o.epochsDirty {
		epochsFile = o.epochs.append(nil)
		o.epochsDirty = false
	}
	// The producers' file is as old as what has to be replayed after a crash; it is written again when that is worth it.
	var list []producer
	save := o.producersNew != math.MaxInt64 && o.unsaved >= int64(max(noteBytes, 8*o.snapshotSize))
	if save {
		list = o.captureLocked(written)
	}
	o.unnoted = 0
	var txns []*index.Txn
	aborts := o.aborts
	if aborts != o.abortsNoted {
		txns = txnsOf(o.txns)
	}
	var bases []int64
	if save {
		bases = o.bases()
	}
	l.mu.Unlock()

	if epochsFile != nil {
		if err := replaceFile(l.dir.fs, l.path(epochsName), epochsFile, false); err != nil {
			l.mu.Lock()
			o.epochsDirty = true
			l.mu.Unlock()
			return l.fail(err)
		}
	}
	for _, t := range txns {
		if err := t.Flush(false); err != nil {
			return l.fail(err)
		}
	}
	o.abortsNoted = aborts
	if save {
		if err := l.saveProducers(o, written, list, bases, true); err != nil {
			return l.fail(err)
		}
	}
	r := &l.record
	r.logStart, r.highWatermark = l.logStart.Load(), hw
	r.durable, r.written = flushedTo, written
	l.mu.Lock()
	l.noteStateLocked(o)
	l.mu.Unlock()
	if err := l.dir.table.write(l.slot, r); err != nil {
		return l.fail(err)
	}
	l.notedEnd, l.notedHW = written, hw
	return nil
}
