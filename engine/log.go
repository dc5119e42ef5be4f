package engine

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
)

// Log is the log of one partition. Append, AppendFollower and TruncateTo are called by one goroutine at a time; everything else by
// any. What the comment of a method calls "off the loops" blocks on files.
type Log struct {
	dir       *Dir
	topic     string
	folder    string
	partition int32
	id        wire.UUID
	openAt    int // in dir.mu.open; guarded by dir.mu
	config    atomic.Pointer[Config]

	// Written under mu, read anywhere. flushedTo <= logEnd; logStart <= logEnd.
	logStart, logEnd, flushedTo atomic.Int64
	highWatermark               atomic.Int64            // as noted by the owner
	unstable                    atomic.Int64            // first offset of the oldest transaction that is not over; MaxInt64
	view                        atomic.Pointer[view]    // the segments; nil while the files are closed
	failed                      atomic.Pointer[failure] // this log alone is offline: corruption
	waitOn                      atomic.Pointer[segment.Segment]
	looked                      atomic.Pointer[looked] // what Cleanable has found
	damaged                     atomic.Bool            // a reader met corruption, which was logged
	used                        atomic.Bool            // since the last look of Tick
	breached                    atomic.Bool            // LogStart was moved: whole segments may lie below it

	work     sync.Mutex
	flushing sync.Mutex
	noting   sync.Mutex

	lastUsed atomic.Int64 // ms: when Tick saw it in use
	// Guarded by work.
	previous *Log // of another topic id, whose folder must go before ours can appear
	foreign  bool // the table says that the folder on disk is another topic's
	swaps    int  // of segments that compaction has replaced

	// Guarded by noting.
	slot     int32 // in the table, -1: none
	record   logRecord
	notedEnd int64 // what record told last
	notedHW  int64

	mu struct {
		sync.Mutex
		phase   phase
		asked   ask // work that Go was asked for and that has not ended
		create  bool
		err     error // of the last work; the next call that needs it takes it
		waiters []func()
		o       *opened // phaseOpen only
	}
}

// view is the published list of segments, ascending, never empty, never changed.
type view struct {
	segments []*segment.Segment
}

// opened is what a log holds in memory while its files are open. Guarded by Log.mu, except where said.
type opened struct {
	segments []*segment.Segment // those of the view; the last is active
	txns     []txnIndex         // one for each segment
	epochs   epochs

	producers    producers
	snapshotAt   int64 // offset of our newest producers file; -1: none, and none needed up to producersFrom
	producersNew int64 // base offset of the first batch with a producer that this file does not know; MaxInt64: none
	sinceCapture int64 // the same since the producers were last copied in order to be written down
	capturedAt   int64 // the log's end at that time
	snapshotSize int   // bytes of that file

	epochsDirty             bool  // not in leader-epoch-checkpoint yet
	expiredAt, sealedIdleAt int64 // ms: when Tick last did that

	names        int  // changes of names in the folder
	namesSynced  int  // how many of them are durable
	rootDirty    bool // nor the folder itself
	changed      bool // something was appended since the log was opened
	unflushed    []*segment.Segment
	unnoted      int64 // bytes appended since the table was told
	unsaved      int64 // bytes appended since the producers were written down
	aborts       int   // aborted transactions appended since the log was opened
	abortsNoted  int   // of them, in their index's file; guarded by noting
	abortsSynced int   // of them, durable; guarded by flushing

	firstTimestamp int64 // of the active segment's first batch, -1 when it is empty
	jitter         int64 // ms by which it rolls earlier
	rolling        bool  // no append until the roll has happened
	spare          *segment.Spare
	pace           pace

	rebuilt []completedTxn // aborted ones that a replay found, until their indexes are open

	// Guarded by noting: offsets of the files on disk, ascending.
	snapshots, sidecars []int64
}

// txnIndex is a segment's transaction index, read when it is first needed.
type txnIndex struct {
	*index.Txn
	unread bool // there is a file that nobody has read
}

func (o *opened) active() *segment.Segment { return o.segments[len(o.segments)-1] }

type phase uint8

const (
	phaseNone    phase = iota // no folder: an empty log
	phaseClosed               // ends known, no file open
	phaseUnknown              // somebody has to look
	phaseOpen
	phaseGone // removed, or the directory is closed
)

func (p phase) String() string {
	return [...]string{"none", "closed", "unknown", "open", "gone"}[p]
}

// ask is a set of background jobs.
type ask uint8

const (
	askOpen ask = 1 << iota
	askRoll
	askTxns
	askSpare
	askNote
	askIdle

	askedByCallers = askOpen | askRoll | askTxns // what makes a call return ErrWait
)

// initialize sets up a new Log from what the start of the directory found. Holds dir.mu.
func (l *Log) initialize(d *Dir) {
	l.slot = -1
	l.record = l.newRecord()
	l.unstable.Store(math.MaxInt64)
	if l.previous != nil {
		return
	}
	if !d.mu.folders[l.folder] {
		if f, ok := d.mu.records[l.record.key]; ok {
			// Somebody has removed the folder. Its marks must not be held against what is appended from now on.
			d.o.Log.Warn("the folder is gone; the log begins anew", "topic", l.topic, "partition", l.partition, "logEnd", f.written, "durable", f.durable)
			// They are lowered, so durably, before the first append: after a power cut they would hide what was acknowledged since. An error
			// stays with the table: its next sync, which the first flush waits for, takes the directory offline.
			delete(d.mu.records, l.record.key)
			_ = d.table.release(f.slot)
			_ = d.table.sync()
		}
		return
	}
	delete(d.mu.folders, l.folder)
	l.mu.phase = phaseUnknown
	l.unstable.Store(0) // nothing is committed before somebody has looked
	f, ok := d.mu.records[l.record.key]
	delete(d.mu.records, l.record.key)
	if ok && (f.id == l.id || l.id.IsZero() || f.id.IsZero()) {
		l.slot, l.record = f.slot, f.logRecord
		l.record.id = l.id
		l.logStart.Store(f.logStart)
		l.flushedTo.Store(f.durable)
		l.logEnd.Store(max(f.durable, f.logStart))
		l.highWatermark.Store(f.highWatermark)
		l.breached.Store(f.breached)
		// After a power cut a clean slot may be older than what was flushed since: somebody has to look whether it still fits.
		if f.clean && (d.how == stopClean || f.boot != 0 && f.boot == d.boot) {
			l.mu.phase = phaseClosed
			l.logEnd.Store(f.written)
			l.unstable.Store(f.unstable)
			return
		}
	} else if ok {
		// The folder belongs to an earlier topic of this name; opening moves it aside. Its slot is free.
		_ = d.table.release(f.slot)
		l.foreign = true
	} else {
		l.logStart.Store(max(0, d.mu.kafka.logStarts[l.folder]))
		l.flushedTo.Store(max(0, d.mu.kafka.recoveryPoints[l.folder]))
		l.logEnd.Store(max(l.logStart.Load(), l.flushedTo.Load()))
		l.highWatermark.Store(max(0, d.mu.kafka.highWatermarks[l.folder]))
	}
	d.enqueueLocked(l)
}

func (l *Log) newRecord() logRecord {
	return logRecord{key: keyOf(l.folder), id: l.id, snapshot: -1, oldest: -1, unstable: math.MaxInt64}
}

func (l *Log) path(name string) string { return l.dir.path(l.folder, name) }

// SetConfig applies changed topic settings.
func (l *Log) SetConfig(c Config) {
	l.dir.mu.Lock()
	shared := l.dir.internLocked(c)
	l.dir.mu.Unlock()
	l.setConfig(shared)
}

func (l *Log) setConfig(c *Config) { l.config.Store(c) }

// Topic, ID and Partition name the log.
func (l *Log) Topic() string    { return l.topic }
func (l *Log) ID() wire.UUID    { return l.id }
func (l *Log) Partition() int32 { return l.partition }

// LogStart is the first readable offset.
func (l *Log) LogStart() int64 { return l.logStart.Load() }

// LogEnd is the next offset to be written; a lower bound while Ready returns ErrWait.
func (l *Log) LogEnd() int64 { return l.logEnd.Load() }

// FlushedTo is the first offset not yet known to be durable.
func (l *Log) FlushedTo() int64 { return l.flushedTo.Load() }

// HighWatermark is the last one noted, before this start included, within LogStart and LogEnd.
func (l *Log) HighWatermark() int64 {
	return min(max(l.highWatermark.Load(), l.logStart.Load()), l.logEnd.Load())
}

// NoteHighWatermark remembers the high watermark for the next start. One atomic store.
func (l *Log) NoteHighWatermark(offset int64) { l.highWatermark.Store(offset) }

// Size is the bytes of all segments; of a log that nobody looked at yet, 0.
func (l *Log) Size() int64 {
	if v := l.view.Load(); v != nil {
		return v.size()
	}
	l.noting.Lock()
	defer l.noting.Unlock()
	return l.record.size
}

func (v *view) size() int64 {
	var n int64
	for _, s := range v.segments {
		n += s.Size()
	}
	return n
}

// Ready says whether LogStart, LogEnd and the epochs are known: nil, ErrWait (recovery was asked for: see WhenReady), or why the log
// is offline.
func (l *Log) Ready() error {
	if err := l.offline(); err != nil {
		return err
	}
	l.mu.Lock()
	unknown := l.mu.phase == phaseUnknown
	err := l.takeErrLocked()
	l.mu.Unlock()
	if unknown && err == nil {
		return l.request(askOpen)
	}
	return err
}

// offline is why nothing works, or nil.
func (l *Log) offline() error {
	if f := l.dir.failure.Load(); f != nil {
		return f.err
	}
	if f := l.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail sorts an error of the disk: corruption takes this log offline, a full disk nothing, all else the directory.
func (l *Log) fail(err error) error {
	var corrupt *segment.CorruptError
	switch {
	case errors.Is(err, ErrOffline):
		return err
	case errors.As(err, &corrupt):
		if l.failed.CompareAndSwap(nil, &failure{err}) {
			l.dir.o.Log.Error("log offline: corrupt", "topic", l.topic, "partition", l.partition, "err", err)
		}
		return l.failed.Load().err
	case errors.Is(err, vfs.ErrNoSpace):
		return ErrDiskFull
	}
	return l.dir.fail(err)
}

// exact says whether the log's slot tells all there is to know.
func (l *Log) exact() bool {
	l.mu.Lock()
	unknown := l.mu.phase == phaseUnknown
	l.mu.Unlock()
	return !unknown && l.failed.Load() == nil
}

// onDisk says whether the log has a folder.
func (l *Log) onDisk() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.phase == phaseClosed || l.mu.phase == phaseUnknown || l.mu.phase == phaseOpen
}

func (l *Log) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.phase == phaseGone
}

// takeErrLocked returns the error of the last background work, once: the call after that tries again.
func (l *Log) takeErrLocked() error {
	err := l.mu.err
	l.mu.err = nil
	return err
}

// begin marks a job as asked for; false when it already is.
func (l *Log) begin(a ask) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.asked&a != 0 || l.mu.phase == phaseGone {
		return false
	}
	l.mu.asked |= a
	return true
}

// end marks a job as done and runs those who waited.
func (l *Log) end(a ask, err error) {
	l.mu.Lock()
	l.mu.asked &^= a
	var waiters []func()
	if a&askedByCallers != 0 {
		if err != nil {
			l.mu.err = err
		}
		waiters, l.mu.waiters = l.mu.waiters, nil
	}
	l.mu.Unlock()
	for _, f := range waiters {
		f()
	}
}

// request asks Go for a job and returns ErrWait.
func (l *Log) request(a ask) error {
	if !l.begin(a) {
		return ErrWait
	}
	switch a {
	case askOpen:
		l.dir.o.Go(l.openJob)
	case askRoll:
		l.dir.o.Go(l.rollJob)
	case askTxns:
		l.dir.o.Go(l.txnsJob)
	case askSpare:
		l.dir.o.Go(l.spareJob)
	case askNote:
		l.dir.o.Go(l.noteJob)
	case askIdle:
		l.dir.o.Go(l.idleJob)
	}
	return ErrWait
}

// WhenReady runs f once when the work that made a call return ErrWait has ended, whatever its result: on a background goroutine,
// or at once when nothing is under way. f tries again and may meet ErrWait again.
func (l *Log) WhenReady(f func()) {
	l.mu.Lock()
	if l.mu.asked&askedByCallers != 0 {
		l.mu.waiters = append(l.mu.waiters, f)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if s := l.waitOn.Swap(nil); s != nil {
		s.WhenReady(f)
		return
	}
	f()
}

// wait returns ErrWait for work that a segment has asked for itself.
func (l *Log) wait(s *segment.Segment) error {
	l.waitOn.Store(s)
	return ErrWait
}
