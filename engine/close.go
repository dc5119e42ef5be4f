package engine

import (
	"errors"
	"io/fs"
	"math"
	"slices"
)

// producersCheck is how often silent producers are looked for, in ms: Kafka's producer.id.expiration.check.interval.ms.
const producersCheck = 600_000

// tick does what is due by the clock for an open log. idle says that it asked for the log to be closed.
func (l *Log) tick(now int64, mayClose bool) (idle bool) {
	if err := l.note(noteTick); err != nil {
		return false // taken care of
	}
	l.mu.Lock()
	o := l.mu.o
	if o != nil {
		if o.expiredAt == 0 {
			o.expiredAt = now // not at once: producers may well send records from long ago
		}
		if now-o.expiredAt >= producersCheck {
			o.expiredAt = now
			o.producers.expire(now, l.dir.producerExpiry.Load())
		}
		if now-o.sealedIdleAt >= l.dir.o.IdleAfter {
			// Who still reads old segments opens them again.
			o.sealedIdleAt = now
			for _, s := range o.segments[:len(o.segments)-1] {
				s.Idle()
			}
		}
	}
	l.mu.Unlock()
	if l.used.Load() {
		l.used.Store(false)
		l.lastUsed.Store(now)
	} else if mayClose && o != nil && now-l.lastUsed.Load() >= l.dir.o.IdleAfter {
		_ = l.request(askIdle)
		return true
	}
	return false
}

func (l *Log) idleJob() {
	l.Idle(l.dir.now.Load(), l.dir.o.IdleAfter)
	l.end(askIdle, nil)
}

// Idle closes the files of a log that was not used since idleAfter ms before now: it is left as a clean stop leaves it. Off the loops;
// Dir.Tick asks for it.
func (l *Log) Idle(now, idleAfter int64) {
	l.work.Lock()
	defer l.work.Unlock()
	if idleAfter > 0 && (l.used.Load() || now-l.lastUsed.Load() < idleAfter) {
		return
	}
	l.mu.Lock()
	waiting := l.mu.o != nil && !l.mu.o.producers.settled(l.highWatermark.Load())
	l.mu.Unlock()
	if waiting && idleAfter > 0 {
		return // the end of a transaction is not visible yet, and only an open log knows
	}
	if err := l.closeFiles(closeClean); err != nil && !errors.Is(err, ErrOffline) {
		l.dir.o.Log.Error("close idle log", "topic", l.topic, "partition", l.partition, "err", err)
	}
}

// How a log's files are closed.
type closing int

const (
	closeAway  closing = iota // as a crash would
	closeClean                // everything flushed, trimmed and written down: the next open scans nothing
	closeLater                // the same, but durable only after a sync of the whole file system; finish completes it
)

// shut closes the log for good when the directory closes.
func (l *Log) shut(how closing) error {
	l.work.Lock()
	defer l.work.Unlock()
	return l.closeFiles(how)
}

// takeOpen takes the open state away: appends and reads ask for opening again, which waits for work. Holds work. The caller gives
// back flushing.
func (l *Log) takeOpen(next phase) *opened {
	l.flushing.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.mu.o
	l.mu.o = nil
	if o != nil || next == phaseGone {
		l.mu.phase = next
	}
	l.view.Store(nil)
	return o
}

// closeFiles closes what is open. Holds work.
func (l *Log) closeFiles(how closing) error {
	if l.offline() != nil {
		how = closeAway
	}
	o := l.takeOpen(phaseClosed)
	defer l.flushing.Unlock()
	if o == nil {
		return nil
	}
	l.dir.removeOpen(l)
	l.noting.Lock()
	defer l.noting.Unlock()
	defer o.producers.clear()
	err := l.closeSegments(o, how)
	if err == nil && how != closeAway {
		err = l.writeDown(o, how == closeClean)
	}
	if err == nil && how == closeClean {
		err = l.finishLocked()
	}
	if err == nil && how != closeAway {
		return nil
	}
	l.mu.Lock()
	l.mu.phase = phaseUnknown
	l.mu.Unlock()
	if err != nil && how != closeAway {
		return l.fail(err)
	}
	return nil
}

// closeSegments holds work, flushing and noting.
func (l *Log) closeSegments(o *opened, how closing) (first error) {
	keep := func(err error) {
		if first == nil && err != nil && !errors.Is(err, fs.ErrNotExist) {
			first = err
		}
	}
	if how == closeAway {
		o.abandon()
		return nil
	}
	if o.spare != nil {
		keep(o.spare.Discard())
	}
	// What retention by time asks of a closed log.
	timestamp, _, err := o.segments[0].MaxTimestamp(true)
	keep(err)
	l.record.oldest = timestamp
	if o.rootDirty && how == closeClean {
		keep(l.dir.syncNames())
	}
	if o.aborts > 0 {
		for _, t := range txnsOf(o.txns) {
			keep(t.Flush(how == closeClean))
		}
	}
	for _, s := range o.segments {
		switch {
		case first != nil:
			_ = s.Close(false)
		case how == closeLater:
			keep(s.Finish())
		default:
			keep(s.Close(true))
		}
	}
	return first
}

// writeDown writes the small files that the next open relies on, and makes the record exact. Holds noting.
func (l *Log) writeDown(o *opened, sync bool) error {
	end := l.logEnd.Load()
	if o.epochsDirty || o.changed {
		if err := replaceFile(l.dir.fs, l.path(epochsName), o.epochs.append(nil), sync); err != nil {
			return err
		}
	}
	if o.changed && o.producersNew < end {
		list := o.producers.sorted()
		bases := o.bases()
		o.capturedAt, o.sinceCapture = end, end
		if err := l.saveProducers(o, end, list, bases, sync); err != nil {
			return err
		}
		if err := l.writeSnapshot(o, end, list, bases, sync); err != nil {
			return err
		}
	}
	if sync && (o.changed || o.epochsDirty || o.names != o.namesSynced) {
		if err := l.dir.fs.SyncDir(l.path("")); err != nil {
			return err
		}
	}
	r := &l.record
	r.logStart, r.highWatermark = l.logStart.Load(), l.HighWatermark()
	r.durable, r.written = end, end
	l.noteStateLocked(o)
	r.activeSize, r.size = o.active().Size(), (&view{o.segments}).size()
	r.unstable = o.producers.unstable(math.MaxInt64)
	r.clean = true
	return nil
}

// finish tells the table that the log is closed cleanly, once all of it is durable.
func (l *Log) finish() error {
	l.noting.Lock()
	defer l.noting.Unlock()
	if !l.record.clean || l.slot < 0 {
		return nil
	}
	return l.finishLocked()
}

func (l *Log) finishLocked() error {
	l.flushedTo.Store(l.record.durable)
	l.notedEnd = -1
	return l.dir.table.write(l.slot, &l.record)
}

// Remove makes the log unusable, renames its folder and unlinks it later. Off the loops. Readers keep the slices they hold.
func (l *Log) Remove() error {
	l.work.Lock()
	defer l.work.Unlock()
	if l.gone() {
		return nil
	}
	if p := l.previous; p != nil {
		l.previous = nil
		if err := p.Remove(); err != nil {
			return err
		}
	}
	onDisk := l.onDisk()
	o := l.takeOpen(phaseGone)
	defer l.flushing.Unlock()
	if o != nil {
		l.dir.removeOpen(l)
		for _, s := range slices.Backward(o.segments) {
			_ = s.Close(false) // its files go
		}
		if o.spare != nil {
			_ = o.spare.Discard()
		}
		o.producers.clear()
	}
	l.mu.Lock()
	waiters := l.mu.waiters
	l.mu.waiters = nil
	l.mu.Unlock()
	var err error
	if onDisk {
		err = l.moveAside(deleteFolderSuffix, func(path string) error { return l.dir.fs.RemoveAll(path) })
	}
	l.dir.mu.Lock()
	if l.dir.mu.logs[l.folder] == l {
		delete(l.dir.mu.logs, l.folder)
	}
	l.dir.mu.Unlock()
	for _, f := range waiters {
		f()
	}
	if err != nil && l.dir.Err() == nil {
		return l.dir.fail(err)
	}
	return err
}

// moveAside renames the folder and gives its slot back; with unlink, that is done to it later. Holds work.
func (l *Log) moveAside(suffix string, unlink func(path string) error) error {
	l.noting.Lock()
	defer l.noting.Unlock()
	name := asideName(l.topic, l.partition, [2]uint64{l.dir.o.Rand(), l.dir.o.Rand()}, suffix)
	if err := l.dir.fs.Rename(l.path(""), l.dir.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.slot >= 0 {
		err := l.dir.table.release(l.slot)
		l.slot = -1
		if err != nil {
			return err
		}
	}
	l.record = l.newRecord()
	if err := l.dir.forgetCleaned(l.folder); err != nil {
		return err
	}
	// A topic that was deleted must not come back after a power cut, nor its marks be held against a new one of the same name.
	if err := l.dir.fs.SyncDir(l.dir.o.Path); err != nil {
		return err
	}
	if err := l.dir.table.sync(); err != nil {
		return err
	}
	if unlink != nil {
		path := l.dir.path(name)
		l.dir.throwAway(trash{at: l.dir.now.Load() + l.config.Load().FileDeleteDelayMs, name: name, unlink: func() error { return unlink(path) }})
	}
	l.dir.mu.Lock()
	l.dir.mu.kafkaChanged = true
	l.dir.mu.Unlock()
	return nil
}
