package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

// listing is what lies in a partition's folder, offsets ascending.
type listing struct {
	bases     []int64        // of segments
	txns      map[int64]bool // bases with a transaction index
	snapshots []int64        // Kafka's
	sidecars  []int64        // ours
}

// list reads a folder, and clears away what a crash, a deletion or a compaction left half-done.
func (l *Log) list() (ls listing, err error) {
	ls.txns = map[int64]bool{}
	entries, err := l.dir.fs.ReadDir(l.path(""))
	if err != nil {
		return ls, err
	}
	if swapped, err := l.resumeSwaps(entries); err != nil {
		return ls, err
	} else if swapped {
		if entries, err = l.dir.fs.ReadDir(l.path("")); err != nil {
			return ls, err
		}
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			continue
		}
		if strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, cleanedSuffix) || strings.HasSuffix(name, tmpSuffix) || segment.IsLeftover(name) {
			if err := l.dir.fs.Remove(l.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return ls, err
			}
			continue
		}
		if offset, ok := parseOffsetName(name, logSuffix); ok {
			ls.bases = append(ls.bases, offset)
		} else if offset, ok := parseOffsetName(name, txnIndexSuffix); ok {
			ls.txns[offset] = true
		} else if offset, ok := parseOffsetName(name, snapshotSuffix); ok {
			ls.snapshots = append(ls.snapshots, offset)
		} else if offset, ok := parseOffsetName(name, producersSuffix); ok {
			ls.sidecars = append(ls.sidecars, offset)
		}
	}
	slices.Sort(ls.bases)
	slices.Sort(ls.snapshots)
	slices.Sort(ls.sidecars)
	return ls, nil
}

func (l *Log) segmentOptions() segment.Options {
	c := l.config.Load()
	return segment.Options{
		FS:            l.dir.fs,
		Go:            l.dir.o.Go,
		Rest:          l.dir.o.Rest,
		IndexInterval: int(c.IndexInterval),
		MaxBytes:      int(c.SegmentBytes),
		MaxIndexBytes: int(c.SegmentIndexBytes),
		Budget:        l.dir.budget,
		Durable:       c.Durable,
		Log:           l.dir.o.Log.With("topic", l.topic, "partition", l.partition),
		OnError:       func(err error) { _ = l.fail(err) }, // the next call returns it
	}
}

// openJob opens the log, whatever that takes.
func (l *Log) openJob() {
	l.work.Lock()
	l.mu.Lock()
	create := l.mu.create
	l.mu.create = false
	l.mu.Unlock()
	err := l.open(create)
	l.work.Unlock()
	l.end(askOpen, err)
	if err != nil && l.offline() == nil && !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrClosed) {
		l.dir.o.Log.Error("open log", "topic", l.topic, "partition", l.partition, "err", err)
	}
}

// open makes an open log of one in any other phase; of one without a folder only if create says so. Holds work.
func (l *Log) open(create bool) error {
	if err := l.offline(); err != nil {
		return err
	}
	if l.dir.closed.Load() {
		return ErrClosed
	}
	if l.previous != nil {
		if err := l.previous.Remove(); err != nil {
			return err
		}
		l.previous = nil
	}
	l.mu.Lock()
	phase := l.mu.phase
	l.mu.Unlock()
	if phase == phaseClosed || phase == phaseUnknown {
		stranger, err := l.checkMetadata()
		if err != nil {
			return l.fail(err)
		}
		if stranger {
			l.mu.Lock()
			l.mu.phase, phase = phaseNone, phaseNone
			l.mu.Unlock()
		}
	}
	var o *opened
	var err error
	switch phase {
	case phaseOpen:
		return nil
	case phaseGone:
		return ErrClosed
	case phaseNone:
		if !create {
			return nil
		}
		o, err = l.create()
	case phaseClosed:
		if o, err = l.openClean(true); errors.Is(err, errDoubt) {
			l.dir.o.Log.Warn("log is not as it was left", "topic", l.topic, "partition", l.partition, "err", err)
			o, err = l.recover()
		}
	case phaseUnknown:
		err = errDoubt
		if l.dir.how == stopKafka {
			o, err = l.openClean(false)
		} else if l.slotTrusted() && l.recordCopy().clean {
			o, err = l.openClean(true)
		}
		if errors.Is(err, errDoubt) {
			o, err = l.recover()
		}
	}
	if err != nil {
		return l.fail(err)
	}
	return l.install(o)
}

// errDoubt: what lies on disk is not what a clean stop leaves.
var errDoubt = errors.New("doubtful")

func doubt(format string, a ...any) error {
	return fmt.Errorf("%w: %s", errDoubt, fmt.Sprintf(format, a...))
}

// checkMetadata compares partition.metadata with the topic id. A folder of another topic of the same name is put aside, not deleted.
func (l *Log) checkMetadata() (stranger bool, err error) {
	b, err := readFile(l.dir.fs, l.path(partitionName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	missing := err != nil
	id, err := parsePartitionMetadata(b)
	switch {
	case err != nil && l.foreign: // a power cut may have emptied it
	case missing:
		return false, l.writeMetadata()
	case err != nil:
		l.dir.o.Log.Warn("partition.metadata rewritten", "topic", l.topic, "partition", l.partition, "err", err)
		return false, l.writeMetadata()
	case l.id.IsZero() || id == l.id:
		return false, nil
	}
	l.dir.o.Log.Warn("folder of another topic of this name put aside", "topic", l.topic, "partition", l.partition, "topicId", id.String())
	if err := l.moveAside(strayFolderSuffix, nil); err != nil {
		return false, err
	}
	l.foreign = false
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resetLocked(0)
	return true, nil
}

func (l *Log) resetLocked(offset int64) {
	l.logStart.Store(offset)
	l.logEnd.Store(offset)
	l.flushedTo.Store(offset)
	l.highWatermark.Store(offset)
	l.unstable.Store(math.MaxInt64)
}

func (l *Log) writeMetadata() error {
	if l.id.IsZero() {
		return nil
	}
	return replaceFile(l.dir.fs, l.path(partitionName), appendPartitionMetadata(nil, l.id), false) // rewritten when it is unreadable
}

// create makes the folder and the first segment (D4). Nothing of it is durable before the first flush.
func (l *Log) create() (*opened, error) {
	if err := l.dir.beginUncleaned(l.folder); err != nil {
		return nil, err
	}
	if err := l.dir.fs.MkdirAll(l.path(""), 0o755); err != nil {
		return nil, err
	}
	if err := l.writeMetadata(); err != nil {
		return nil, err
	}
	base := l.logEnd.Load()
	s, err := segment.Create(l.path(""), base, l.segmentOptions())
	if err != nil {
		return nil, err
	}
	o := l.newOpened()
	o.add(s, txnIndex{})
	o.rootDirty = true // the folder itself is synced by the segment's first flush
	return o, nil
}

func (l *Log) newOpened() *opened {
	o := &opened{snapshotAt: -1, producersNew: math.MaxInt64, sinceCapture: math.MaxInt64, firstTimestamp: -1}
	o.producers.max = l.dir.o.MaxProducers
	o.producers.shared, o.producers.bound = &l.dir.producers, l.dir.o.AllProducers
	return o
}

// add appends a segment; without an index in t it has no aborted transactions yet.
func (o *opened) add(s *segment.Segment, t txnIndex) {
	o.segments = append(slices.Clip(o.segments), s)
	o.txns = append(slices.Clip(o.txns), t)
}

// install makes the open log visible. From here on appends may happen, so the table must not call the log clean any more.
func (l *Log) install(o *opened) error {
	if err := l.prepare(o); err != nil {
		o.abandon()
		return l.fail(err)
	}
	l.mu.Lock()
	l.logStart.Store(l.record.logStart)
	l.logEnd.Store(l.record.written)
	l.flushedTo.Store(l.record.durable)
	l.unstable.Store(o.producers.unstable(l.highWatermark.Load()))
	l.mu.o = o
	l.mu.phase = phaseOpen
	l.mu.Unlock()
	l.used.Store(true)
	l.view.Store(&view{o.segments})
	l.dir.addOpen(l)
	return nil
}

// prepare completes an open log and writes its slot.
func (l *Log) prepare(o *opened) (err error) {
	if last := len(o.txns) - 1; o.txns[last].Txn == nil {
		t, err := l.readTxn(o, last)
		if err != nil {
			return err
		}
		o.txns[last] = txnIndex{Txn: t}
	}
	if o.firstTimestamp, err = o.active().FirstTimestamp(); err != nil {
		return err
	}
	o.jitter = l.jitter()
	l.noting.Lock()
	defer l.noting.Unlock()
	if l.slot < 0 {
		l.slot = l.dir.table.allocate()
	}
	end := o.active().NextOffset()
	r := &l.record
	r.logStart = min(max(l.logStart.Load(), o.segments[0].Base()), end)
	r.durable, r.written = min(l.flushedTo.Load(), end), end
	l.noteStateLocked(o)
	return l.dir.table.write(l.slot, r)
}

// noteStateLocked fills in the part of the record that an open log keeps up to date beside its ends. Holds noting.
func (l *Log) noteStateLocked(o *opened) {
	r := &l.record
	r.through, r.snapshot = min(r.written, o.producersNew), o.snapshotAt
	if o.snapshotAt == noSnapshot {
		r.through, r.snapshot = -1, -1 // look for the newest usable file
	}
	r.activeBase, r.boot, r.clean = o.active().Base(), l.dir.boot, false
	r.unstable = o.producers.unstable(0)
	r.breached = l.breached.Load()
}

// openClean opens a log that was stopped cleanly: it trusts what a look at the last batch does not contradict. With exact the table's
// record has to fit too.
func (l *Log) openClean(exact bool) (*opened, error) {
	ls, err := l.list()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, doubt("the folder is gone")
	}
	if err != nil {
		return nil, err
	}
	n := len(ls.bases)
	if n == 0 {
		return nil, doubt("no segment")
	}
	r := l.recordCopy()
	if exact && ls.bases[n-1] != r.activeBase {
		return nil, doubt("the last segment is %d, not %d", ls.bases[n-1], r.activeBase)
	}
	o := l.newOpened()
	if err := l.addSealed(o, ls, n-1); err != nil {
		return nil, err
	}
	s, err := segment.Open(l.path(""), ls.bases[n-1], l.segmentOptions())
	if err != nil {
		return nil, doubt("%v", err)
	}
	o.add(s, txnIndex{unread: ls.txns[ls.bases[n-1]]})
	end := s.NextOffset()
	if exact && (end != r.written || s.Size() != r.activeSize) {
		o.abandon()
		return nil, doubt("the last segment ends at offset %d, position %d, not %d, %d", end, s.Size(), r.written, r.activeSize)
	}
	through := int64(-1)
	if exact {
		through = r.through
	}
	from, err := l.loadState(o, ls, end, through, r.snapshot)
	if err == nil {
		err = l.replaySegments(o, from, end)
	}
	if err == nil {
		err = l.checkState(o, from)
	}
	if err != nil {
		o.abandon()
		return nil, err
	}
	if !exact {
		l.flushedTo.Store(end) // Kafka's marker says so
	}
	return o, nil
}

// addSealed adds the first n segments of a listing, which nobody will append to. It opens no file.
func (l *Log) addSealed(o *opened, ls listing, n int) error {
	for i, base := range ls.bases[:n] {
		s, err := segment.OpenSealed(l.path(""), base, ls.bases[i+1], l.segmentOptions())
		if err != nil {
			return err
		}
		o.add(s, txnIndex{unread: ls.txns[base]})
	}
	return nil
}

func (o *opened) abandon() {
	if o.spare != nil {
		_ = o.spare.Discard() // of no use to anybody else; a start clears what is left
	}
	for _, s := range o.segments {
		_ = s.Close(false) // nothing was written
	}
	o.producers.clear()
}

func (l *Log) recordCopy() logRecord {
	l.noting.Lock()
	defer l.noting.Unlock()
	return l.record
}

// loadState loads what was written down about epochs and producers, none of it newer than end, and returns the offset from which
// batches have to be replayed to bring it to end. It needs no segment. With through >= 0 the table says that the
// state of the producers at through is that of the file snapshot.
func (l *Log) loadState(o *opened, ls listing, end, through, snapshot int64) (from int64, err error) {
	o.snapshots, o.sidecars = ls.snapshots, ls.sidecars
	if b, err := readFile(l.dir.fs, l.path(epochsName)); err == nil {
		if o.epochs, err = parseEpochs(b); err != nil {
			l.dir.o.Log.Warn("leader epochs rebuilt", "topic", l.topic, "partition", l.partition, "err", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if o.epochs.truncateEnd(end + 1) { // the last one may have begun where an emptied log ends
		o.epochsDirty = true
	}
	from, ok := l.loadNamed(o, end, through, snapshot)
	if !ok {
		from = l.loadNewest(&o.producers, ls, end, ls.bases[0])
		switch {
		case slices.Contains(ls.sidecars, from):
			o.snapshotAt = from
		case len(o.producers.byID) > 0:
			o.snapshotAt = noSnapshot // they come from Kafka's file
		}
	}
	return from, nil
}

// replaySegments brings epochs, producers and transactions from offset from to end. Blocks.
func (l *Log) replaySegments(o *opened, from, end int64) error {
	for i, s := range o.segments {
		if from >= end || s.Base() >= end || i+1 < len(o.segments) && o.segments[i+1].Base() <= from {
			continue
		}
		err := s.Scan(max(from, s.Base()), func(b record.Batch, _ int64) error {
			if b.BaseOffset() >= from && b.BaseOffset() < end {
				o.replay(b)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replay takes note of a batch of our own log.
func (o *opened) replay(b record.Batch) {
	if b.LeaderEpoch() > o.epochs.latest() && o.epochs.assign(b.LeaderEpoch(), b.BaseOffset()) {
		o.epochsDirty = true
	}
	if b.ProducerID() < 0 {
		return
	}
	o.noteProducer(b.BaseOffset())
	if done, ended := o.producers.apply(b); ended && done.aborted {
		o.rebuilt = append(o.rebuilt, done)
	}
}

// checkState completes what a replay from offset from has found, once all segments are there: it puts the aborted transactions where
// they belong, and compares the epochs with what the batches say: the last one that the replay did not see, whose epoch must come from
// the checkpoint, and the last one of all.
func (l *Log) checkState(o *opened, from int64) error {
	for i, s := range o.segments {
		next := l.nextBase(o, i)
		if next <= from && i+1 < len(o.segments) {
			continue // the last one may hold entries of what was cut
		}
		t, err := l.readTxn(o, i)
		if err != nil {
			return err
		}
		t.TruncateTo(from)
		for _, done := range o.rebuilt {
			if done.lastOffset >= s.Base() && done.lastOffset < next {
				t.Append(abortedEntry(done))
			}
		}
		o.txns[i] = txnIndex{Txn: t}
	}
	o.rebuilt = nil
	o.aborts++ // perhaps: the indexes may differ from their files now
	for _, offset := range []int64{from, o.active().NextOffset()} {
		first := max(o.segments[0].Base(), l.logStart.Load())
		if offset <= first || offset > o.active().NextOffset() {
			continue
		}
		h, err := headerAt(o.segments, offset-1)
		if errors.Is(err, errNoBatch) {
			continue
		}
		if err != nil {
			return err
		}
		// The checkpoint is as old as its last write and may have lost epochs at its end; at its beginning, when LogStart went back.
		if h.LeaderEpoch() >= 0 && (o.epochs.at(offset-1) != h.LeaderEpoch() || o.epochs.at(first) < 0) {
			l.dir.o.Log.Warn("leader epochs rebuilt", "topic", l.topic, "partition", l.partition, "offset", offset-1,
				"leaderEpoch", h.LeaderEpoch(), "checkpoint", o.epochs.String())
			return l.rebuildEpochs(o)
		}
	}
	return nil
}

// nextBase is where the segment at i ends at the latest.
func (l *Log) nextBase(o *opened, i int) int64 {
	if i+1 < len(o.segments) {
		return o.segments[i+1].Base()
	}
	return o.segments[i].NextOffset()
}

// rebuildEpochs finds where each leader epoch begins by bisection: epochs never go down, so a few dozen headers tell.
func (l *Log) rebuildEpochs(o *opened) error {
	first, end := o.segments[0].Base(), o.active().NextOffset()
	o.epochs, o.epochsDirty = epochs{}, true
	if first >= end {
		return nil
	}
	newest := int32(math.MaxInt32)
	if h, err := headerAt(o.segments, end-1); err == nil {
		newest = h.LeaderEpoch()
	} else if !errors.Is(err, errNoBatch) {
		return err
	}
	for at := first; at < end; {
		h, err := headerAt(o.segments, at)
		if errors.Is(err, errNoBatch) {
			return nil
		}
		if err != nil {
			return err
		}
		epoch := h.LeaderEpoch()
		o.epochs.assign(epoch, max(at, h.BaseOffset()))
		if epoch >= newest {
			return nil
		}
		low, high := at, end // the epoch at low is still this one, at high it is not
		for high-low > 1 {
			middle := low + (high-low)/2
			h, err := headerAt(o.segments, middle)
			switch {
			case errors.Is(err, errNoBatch) || err == nil && h.LeaderEpoch() > epoch:
				high = middle
			case err != nil:
				return err
			default:
				low = middle
			}
		}
		at = high
	}
	return nil
}

// errNoBatch: compaction has left nothing there, up to the end of the log.
var errNoBatch = errors.New("no batch")

// headerAt reads the header of the batch that holds offset, or of the first one above it. Blocks.
func headerAt(segments []*segment.Segment, offset int64) (record.Batch, error) {
	v := &view{segments}
	for i := max(0, v.find(offset)); i < len(segments); i++ {
		s, err := segments[i].Slice(max(offset, segments[i].Base()), math.MaxInt64, record.HeaderSize, true, true)
		if err != nil {
			return nil, err
		}
		if s.Length == 0 {
			s.Release()
			continue
		}
		h := make([]byte, record.HeaderSize)
		_, err = s.ReadAt(h, 0)
		s.Release()
		return h, err
	}
	return nil, fmt.Errorf("%w at or above offset %d", errNoBatch, offset)
}
