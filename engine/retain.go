package engine

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
)

// Retain deletes the segments that the topic's settings or LogStart no longer keep, oldest first, none of which may reach above the
// high watermark. Off the loops.
func (l *Log) Retain(now, highWatermark int64) (deleted int, err error) {
	l.work.Lock()
	defer l.work.Unlock()
	if l.nothingToRetain(now) {
		return 0, l.offline()
	}
	if err := l.open(false); err != nil {
		return 0, err
	}
	l.mu.Lock()
	o := l.mu.o
	l.mu.Unlock()
	if o == nil {
		return 0, nil
	}
	end := l.logEnd.Load()
	n, err := l.countDeletable(o, now, highWatermark)
	if err != nil {
		return 0, l.fail(err)
	}
	l.breached.Store(n+1 < len(o.segments) && l.nextBase(o, n) <= l.logStart.Load())
	if n < len(o.segments) {
		return n, l.deleteSegments(o, n, now)
	}
	// Even the active one is over. A new one takes its place first: it keeps the log's end.
	l.mu.Lock()
	if l.logEnd.Load() != end {
		l.mu.Unlock()
		return n - 1, l.deleteSegments(o, n-1, now) // an append came in between
	}
	o.rolling = true
	l.mu.Unlock()
	r, err := l.roll()
	if err != nil {
		return 0, err
	}
	err = l.deleteSegments(o, n, now)
	l.afterRoll(r)
	return n, err
}

// nothingToRetain answers for a log with closed files, which is most of them most of the time. Holds work.
func (l *Log) nothingToRetain(now int64) bool {
	l.mu.Lock()
	phase := l.mu.phase
	l.mu.Unlock()
	switch phase {
	case phaseNone, phaseGone, phaseUnknown:
		return true
	case phaseOpen:
		return false
	}
	c, r := l.config.Load(), l.recordCopy()
	if l.breached.Load() {
		return false
	}
	if c.KeepAll {
		return true
	}
	expired := c.RetentionMs >= 0 && r.oldest >= 0 && now-r.oldest > c.RetentionMs
	return !expired && (c.RetentionBytes < 0 || r.size <= c.RetentionBytes)
}

// countDeletable counts the oldest segments that may go, by Kafka's rules.
func (l *Log) countDeletable(o *opened, now, highWatermark int64) (n int, err error) {
	c := l.config.Load()
	total := (&view{o.segments}).size()
	for i, s := range o.segments {
		last := i == len(o.segments)-1
		next := l.nextBase(o, i)
		if next > highWatermark || last && s.Size() == 0 {
			break
		}
		over := !last && next <= l.logStart.Load()
		if !over && !c.KeepAll && c.RetentionBytes >= 0 {
			over = total-s.Size() >= c.RetentionBytes
		}
		if !over && !c.KeepAll && c.RetentionMs >= 0 {
			timestamp, _, err := s.MaxTimestamp(true)
			if err != nil {
				return 0, err
			}
			over = timestamp >= 0 && now-timestamp > c.RetentionMs
		}
		if !over {
			break
		}
		total -= s.Size()
		n++
	}
	return n, nil
}

// deleteSegments takes the first n segments out of the log: LogStart moves first, then the files get names that no start takes for a
// part of the log, and later they are unlinked. Slices of them stay valid. Holds work.
func (l *Log) deleteSegments(o *opened, n int, now int64) error {
	if n == 0 {
		return nil
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	// A deletion is not durable at once: as long as a power cut can bring the files back, the marks must hold for them.
	if l.flushedTo.Load() < l.nextBase(o, n-1) {
		if err := l.flush(); err != nil && !errors.Is(err, ErrDiskFull) {
			return err // a full disk is what deletions are for
		}
	}
	l.mu.Lock()
	gone := o.segments[:n:n]
	o.segments, o.txns = slices.Clone(o.segments[n:]), slices.Clone(o.txns[n:])
	o.unflushed = slices.DeleteFunc(o.unflushed, func(s *segment.Segment) bool { return slices.Contains(gone, s) })
	start := o.segments[0].Base()
	l.logStart.Store(max(l.logStart.Load(), start))
	if o.epochs.truncateStart(l.logStart.Load()) {
		o.epochsDirty = true
	}
	l.view.Store(&view{o.segments})
	l.mu.Unlock()
	l.looked.Store(nil)
	if err := l.note(noteForce); err != nil {
		return err
	}
	at := now + l.config.Load().FileDeleteDelayMs
	for _, s := range gone {
		if err := s.Retire(deletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l.fail(err)
		}
		if err := s.Close(false); err != nil {
			return l.fail(err)
		}
		l.dir.throwAway(trash{at: at, name: l.folder + "/" + offsetName(s.Base(), logSuffix), unlink: s.Delete})
	}
	l.noting.Lock()
	l.dropState(o, start, l.logEnd.Load())
	l.noting.Unlock()
	l.dir.o.Log.Info("segments deleted", "topic", l.topic, "partition", l.partition, "count", n, "logStart", l.logStart.Load())
	return nil
}

// DeleteBefore moves LogStart up to offset, durably; nothing below it is served any more. Retain deletes the segments. Off the loops.
func (l *Log) DeleteBefore(offset int64) error {
	l.work.Lock()
	defer l.work.Unlock()
	if err := l.open(false); err != nil {
		return err
	}
	l.mu.Lock()
	if offset > l.logEnd.Load() {
		l.mu.Unlock()
		return wire.OffsetOutOfRange
	}
	o := l.mu.o
	if o == nil {
		l.mu.Unlock()
		return nil // no folder, no records
	}
	if offset > l.logStart.Load() {
		l.logStart.Store(offset)
		l.breached.Store(true)
		if o.epochs.truncateStart(offset) {
			o.epochsDirty = true
		}
	} // otherwise retention was faster, which may not be durable yet
	l.mu.Unlock()
	if err := l.note(noteForce); err != nil {
		return err
	}
	if err := l.dir.table.sync(); err != nil {
		return l.dir.fail(err)
	}
	l.dir.mu.Lock()
	l.dir.mu.kafkaChanged = true
	l.dir.mu.Unlock()
	return nil
}
