package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

var errGone = errors.New("records that were synced are gone")

// recover opens a log that was not stopped cleanly. It verifies the batches from the last mark on and nothing below it, cuts what
// follows the last valid batch, and brings epochs, producers and transactions up to there. What ends below the mark is corruption:
// reported, never cut.
func (l *Log) recover() (*opened, error) {
	ls, err := l.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r := l.recordCopy()
	mark, through := l.flushedTo.Load(), int64(-1)
	cached := false // the page cache that the slot tells of is still there
	if l.slotTrusted() {
		through = min(r.through, r.written)
		if cached = r.boot != 0 && r.boot == l.dir.boot; cached {
			mark = max(mark, r.written)
		}
	}
	if len(ls.bases) == 0 {
		if mark > 0 {
			return nil, &segment.CorruptError{Path: l.path(""), Err: fmt.Errorf("%w: no segment, synced up to offset %d", errGone, mark)}
		}
		return l.create()
	}
	o := l.newOpened()
	// A segment that was not flushed since it was sealed may still have the space that was allocated ahead: those that end at or above
	// flushedTo are looked at, even if nothing in them has to be verified.
	i := len(ls.bases) - 1
	for i > 0 && ls.bases[i] >= l.flushedTo.Load() {
		i--
	}
	if err := l.addSealed(o, ls, i); err != nil {
		return nil, err
	}
	from, err := l.loadState(o, ls, max(mark, ls.bases[0]), through, r.snapshot)
	if err != nil {
		return nil, err
	}
	o.epochs.truncateEnd(max(mark, ls.bases[0])) // what began above the mark is learnt from the batches again
	if err := l.replaySegments(o, from, ls.bases[i]); err != nil {
		o.abandon()
		return nil, err
	}
	rec, err := l.recoverSegments(o, ls, i, mark, from, cached)
	if err == nil && o.active().NextOffset() < mark {
		err = &segment.CorruptError{Path: l.path(offsetName(o.active().Base(), logSuffix)), Position: rec.Position,
			Err: fmt.Errorf("%w: the log ends at offset %d, synced up to %d", errGone, o.active().NextOffset(), mark)}
	}
	if err == nil {
		err = l.checkState(o, from)
	}
	if err != nil {
		o.abandon()
		return nil, err
	}
	end := o.active().NextOffset()
	l.noting.Lock()
	dropped := l.dropState(o, 0, end)
	l.noting.Unlock()
	o.changed, o.names, o.rootDirty = true, 1, true
	if l.config.Load().Durable {
		if err := l.settle(o, dropped || ls.bases[len(ls.bases)-1] >= l.flushedTo.Load()); err != nil {
			o.abandon()
			return nil, err
		}
	}
	l.dir.o.Log.Info("log recovered", "topic", l.topic, "partition", l.partition, "from", mark, "logEnd", end, "replayedFrom", from,
		"scannedBytes", rec.Scanned, "cutBytes", rec.Cut)
	return o, nil
}

// settle makes durable what a recovery has found (R9), before anybody can take it for acknowledged. names says that names in the folder
// may not be; those of what was flushed before are, but a file of producers that comes back would tell of records that were cut.
func (l *Log) settle(o *opened, names bool) error {
	for _, s := range append(slices.Clone(o.unflushed), o.active()) {
		if _, err := s.Flush(); err != nil {
			return l.dir.fail(err)
		}
	}
	for _, t := range txnsOf(o.txns) {
		if err := t.Flush(true); err != nil {
			return l.dir.fail(err)
		}
	}
	if names {
		if err := errors.Join(l.dir.fs.SyncDir(l.path("")), l.dir.syncNames()); err != nil {
			return l.dir.fail(err)
		}
	}
	o.unflushed, o.namesSynced, o.rootDirty = nil, o.names, false
	l.mu.Lock()
	l.flushedTo.Store(o.active().NextOffset())
	l.mu.Unlock()
	return nil
}

// slotTrusted says whether the table knows this log and is not stale.
func (l *Log) slotTrusted() bool {
	l.noting.Lock()
	defer l.noting.Unlock()
	return l.slot >= 0 && l.dir.how != stopKafka && l.dir.how != stopUnknown
}

// recoverSegments verifies the segments from the one at i on. The first one that does not end where the next begins is the last.
func (l *Log) recoverSegments(o *opened, ls listing, i int, mark, from int64, cached bool) (total segment.Recovered, err error) {
	holes, cleanedTo, err := l.holes()
	if err != nil {
		return total, err
	}
	// Segments begin where the last one ended, and what compaction has made of one was durable before it counted: only what is known to be durable
	// can end early. Of a log that Kafka has left behind nobody knows.
	whole := int64(math.MaxInt64)
	if l.dir.how != stopKafka && l.dir.how != stopUnknown {
		whole = max(mark, cleanedTo)
	}
	for ; i < len(ls.bases); i++ {
		base, next := ls.bases[i], int64(math.MaxInt64)
		if i+1 < len(ls.bases) {
			next = ls.bases[i+1]
		}
		verified := min(max(mark, base), next)
		ro := segment.RecoverOptions{
			From:          verified,
			Durable:       l.flushedTo.Load(),
			MinEpoch:      o.epochs.latest(),
			Holes:         holes,
			Replay:        min(max(from, base), verified),
			DistrustIndex: !cached,
		}
		s, rec, err := segment.Recover(l.path(""), base, l.segmentOptions(), ro, func(b record.Batch, _ int64) error {
			if b.BaseOffset() >= from {
				o.replay(b)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total.Scanned += rec.Scanned
		total.Cut += rec.Cut
		total.Position = rec.Position
		o.add(s, txnIndex{unread: ls.txns[base]})
		if i+1 == len(ls.bases) {
			break
		}
		if rec.Cut > 0 || s.NextOffset() < next && (!holes || next > whole) {
			return total, l.dropSegments(o, ls.bases[i+1:], mark)
		}
		s.Seal()
		o.unflushed = append(o.unflushed, s)
	}
	return total, nil
}

// holes says whether offsets may be missing in the log: it is compacted, or was, by us or by Kafka. cleanedTo is up to where it surely was.
func (l *Log) holes() (holes bool, cleanedTo int64, err error) {
	cleanedTo, cleaned, err := l.dir.cleanedTo(l.folder)
	return cleaned || l.config.Load().Compacted || l.recordCopy().holes, cleanedTo, err
}

// keptTorn bounds what is kept of segments that are put aside.
const keptTorn = 1 << 20

// dropSegments puts aside the segments after a torn one: an earlier part of the log was lost that had not been synced, so nothing above
// it was acknowledged as durable either. Their first MiB is kept for people, under a name Kafka ignores, until the topic goes.
func (l *Log) dropSegments(o *opened, bases []int64, mark int64) error {
	if bases[0] < mark {
		return &segment.CorruptError{Path: l.path(offsetName(o.active().Base(), logSuffix)), Position: o.active().Size(),
			Err: fmt.Errorf("%w: the segment ends at offset %d, synced up to %d", errGone, o.active().NextOffset(), mark)}
	}
	l.dir.o.Log.Warn("segments after a torn one put aside", "topic", l.topic, "partition", l.partition, "baseOffsets", slices.Clone(bases))
	left := int64(keptTorn)
	for _, base := range bases {
		kept, err := l.putAside(base, left)
		if err != nil {
			return err
		}
		left -= kept
		for _, suffix := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
			l.unlink(offsetName(base, suffix))
		}
	}
	return nil
}

// putAside renames a segment's log file and cuts it to so many bytes; without any it removes it.
func (l *Log) putAside(base, limit int64) (kept int64, err error) {
	name := l.path(offsetName(base, logSuffix))
	if limit == 0 {
		return 0, l.dir.fs.Remove(name)
	}
	if err := l.dir.fs.Rename(name, name+".torn"); err != nil {
		return 0, err
	}
	f, err := l.dir.fs.OpenFile(name+".torn", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	if kept, err = f.Size(); err == nil && kept > limit {
		kept, err = limit, f.Truncate(limit)
	}
	return kept, errors.Join(err, f.Close())
}
