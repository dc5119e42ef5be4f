package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

// CleanerOptions bound what a Cleaner takes.
type CleanerOptions struct {
	KeyBytes   int64                 // memory of the table of keys; 0: 128 MiB
	LoadFactor float64               // how full that gets; 0: 0.9
	IOBytes    int                   // read and written at a time, each; 0: 256 KiB. A larger batch is held whole.
	Pace       func(bytes int) error // hears of all that was read or written, batch by batch; it may wait, and its error ends the cleaning
}

// Cleaner compacts logs, one at a time. It holds the memory that this takes, and little of it between two logs.
//
// Compaction keeps of every key the last record, and what lies above the part of the log that it looked at; a record without value (a tombstone)
// until its delete horizon has passed, which it gets with its first cleaning; no record of an aborted transaction, and none without a key. Offsets,
// timestamps and what an idempotent producer is known by stay.
//
// A cleaning reads the dirty part once, to learn the last offset of each key, as far as the table of keys goes. Then it reads all up to there
// and writes what stays into new segments, each of which takes the place of one or several old ones.
type Cleaner struct {
	o     CleanerOptions
	keys  keyTable
	scan  segment.Scanner
	sieve record.Retainer
	out   []byte
}

// NewCleaner returns a cleaner. It takes memory when it has work.
func NewCleaner(o CleanerOptions) *Cleaner {
	if o.KeyBytes == 0 {
		o.KeyBytes = 128 << 20
	}
	if o.LoadFactor == 0 {
		o.LoadFactor = 0.9
	}
	if o.IOBytes == 0 {
		o.IOBytes = 256 << 10
	}
	if o.Pace == nil {
		o.Pace = func(int) error { return nil }
	}
	return &Cleaner{o: o, scan: segment.Scanner{Chunk: o.IOBytes}}
}

// Cleaned is what a cleaning has done.
type Cleaned struct {
	From, To                    int64 // the dirty offsets it took: all below To is clean now
	Full                        bool  // the table of keys was: To is where
	Segments, Left              int   // segments that were replaced, and by how many
	BytesBefore, BytesAfter     int64 // of the segments it went through
	RecordsBefore, RecordsAfter int64
	NoKey                       int64 // records without a key, which are dropped
	KeyBytes                    int64 // memory of the table of keys
}

// IsCleanerPaused says whether an error of Clean is no reason to give the log up: it has changed under the cleaner's hands, or is gone, or the disk
// is full.
func IsCleanerPaused(err error) bool {
	return errors.Is(err, errChanged) || errors.Is(err, ErrClosed) || errors.Is(err, segment.ErrClosed) || errors.Is(err, ErrDiskFull)
}

// Clean compacts what Cleanable calls dirty, due or not. It may take minutes; appends, reads, flushes, rolls and retention go on meanwhile. An error
// leaves the log as it is, or with some of its segments cleaned, which is as good. Off the loops; one cleaner at a time for a log.
//
// Errors: Pace's; those IsCleanerPaused knows; *segment.CorruptError for records that cannot be read, which harms nobody but this cleaning; ErrOffline.
func (c *Cleaner) Clean(l *Log, now, highWatermark int64) (done Cleaned, err error) {
	defer c.release()
	p, err := c.begin(l, now, highWatermark)
	if p == nil || err != nil {
		return done, err
	}
	if err := p.learn(); err != nil {
		return p.done, l.cleanFailed(err)
	}
	for _, group := range p.groups {
		if err := p.clean(group); err != nil {
			return p.done, l.cleanFailed(err)
		}
	}
	return p.done, p.end()
}

const keptOut = 1 << 20

func (c *Cleaner) release() {
	c.keys.release()
	if cap(c.out) > keptOut {
		c.out = nil
	}
}

// pass is one cleaning of one log.
type pass struct {
	c    *Cleaner
	l    *Log
	o    *opened
	now  int64
	dirt Dirt

	highWatermark int64
	retention     int64              // of tombstones
	segments      []*segment.Segment // all below dirt.bound
	groups        [][]*segment.Segment
	lastOf        map[int64]lastBatch // of active producers
	txns          *cleanedTxns
	entries       []index.Aborted // of the segment that is being written
	at            int64           // where the last batch ended
	done          Cleaned
}

// begin looks at the log. nil: there is nothing to clean.
func (c *Cleaner) begin(l *Log, now, highWatermark int64) (*pass, error) {
	l.work.Lock()
	defer l.work.Unlock()
	if !l.config.Load().Compacted {
		return nil, nil
	}
	o, err := l.openForCleaning()
	if o == nil {
		return nil, err
	}
	dirt, err := l.look(o, now, highWatermark)
	if err != nil || dirt.Dirty == 0 {
		return nil, err
	}
	if err := l.readTxns(0); err != nil {
		return nil, err
	}
	if err := l.noteHoles(); err != nil {
		return nil, err
	}
	// Before anything goes because a newer batch tells more of a producer, that one is on the disk.
	l.mu.Lock()
	lastOf := o.lastBatches()
	l.mu.Unlock()
	if _, err := l.Flush(); err != nil {
		return nil, err
	}
	p := &pass{c: c, lastOf: lastOf, l: l, o: o, now: now, dirt: dirt, highWatermark: highWatermark, retention: l.config.Load().DeleteRetentionMs}
	end := slices.IndexFunc(o.segments, func(s *segment.Segment) bool { return s.Base() >= dirt.bound })
	p.segments = o.segments[:end:end]
	p.done.From = dirt.first
	c.keys.seed = l.dir.o.Rand()
	c.keys.reset(c.o.KeyBytes, c.o.LoadFactor)
	return p, nil
}

// noteHoles tells the table, durably, that a recovery has to expect holes from now on. Holds work.
func (l *Log) noteHoles() error {
	l.noting.Lock()
	defer l.noting.Unlock()
	if l.record.holes {
		return nil
	}
	l.record.holes = true
	if err := l.dir.table.write(l.slot, &l.record); err != nil {
		return l.dir.fail(err)
	}
	if err := l.dir.table.sync(); err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// cleanFailed sorts an error of a cleaning. What is wrong with the records is the cleaner's trouble only; the disk's errors are everybody's.
func (l *Log) cleanFailed(err error) error {
	var corrupt *segment.CorruptError
	switch {
	case errors.As(err, &corrupt) || errors.Is(err, errPaced) || IsCleanerPaused(err) || errors.Is(err, ErrOffline):
		return err
	case errors.Is(err, vfs.ErrNoSpace):
		return ErrDiskFull
	case l.gone() || errors.Is(err, fs.ErrNotExist):
		return errChanged
	}
	return l.fail(err)
}

// errPaced marks what Pace has returned.
var errPaced = errors.New("ended by its pace")

// pace lets the owner slow the cleaning down, and keeps the log's files open.
func (p *pass) pace(bytes int) error {
	if !p.l.used.Load() {
		p.l.used.Store(true)
	}
	if err := p.c.o.Pace(bytes); err != nil {
		return &paceError{err}
	}
	return nil
}

type paceError struct{ err error }

func (e *paceError) Error() string        { return e.err.Error() }
func (e *paceError) Unwrap() error        { return e.err }
func (e *paceError) Is(target error) bool { return target == errPaced }

// learn fills the table of keys from the dirty part, and decides which segments are cleaned together.
func (p *pass) learn() error {
	keys := &p.c.keys
	txns := newCleanedTxns(nil)
	p.l.mu.Lock()
	txns.add(p.o.abortedOf(p.dirt.first, p.dirt.bound))
	p.l.mu.Unlock()
	for i, s := range p.segments {
		next := p.next(i)
		if next <= p.dirt.first {
			continue
		}
		err := p.read(s, max(p.dirt.first, s.Base()), next, func(b record.Batch, position int64) error {
			return p.learnBatch(s, b, position, txns)
		})
		if errors.Is(err, errKeysFull) {
			p.done.Full = true
			break
		}
		if err != nil {
			return err
		}
		keys.latest = max(keys.latest, next-1) // a hole at its end is no reason to come back
	}
	p.done.To = max(keys.latest+1, p.dirt.first)
	p.done.KeyBytes = int64(len(keys.slots)) * keySlotSize
	return p.group()
}

// read calls fn for the batches of a segment, which ends at next, from the one that holds offset on. It leaves the segment's files as open as it finds them: a log may
// have thousands.
func (p *pass) read(s *segment.Segment, offset, next int64, fn func(b record.Batch, position int64) error) error {
	opened := s.Opened()
	p.at = s.Base()
	err := p.c.scan.Scan(s, offset, func(b record.Batch, position int64) error {
		if err := p.pace(len(b)); err != nil {
			return err
		}
		if err := p.check(b, next); err != nil {
			return p.corrupt(s, position, err)
		}
		return fn(b, position)
	})
	if !opened {
		p.l.mu.Lock()
		s.Idle()
		p.l.mu.Unlock()
	}
	return err
}

// next is where the segment at i ends at the latest.
func (p *pass) next(i int) int64 {
	if i+1 < len(p.segments) {
		return p.segments[i+1].Base()
	}
	return p.dirt.bound
}

var errKeysFull = errors.New("the table of keys is full")

func (p *pass) learnBatch(s *segment.Segment, b record.Batch, position int64, txns *cleanedTxns) error {
	keys := &p.c.keys
	if !txns.read(b) && !b.Control() {
		full := false
		err := b.Iterate(record.Limits{}, func(r record.Record) error {
			if r.Key == nil || r.Offset < p.dirt.first || keys.put(r.Key, r.Offset) {
				return nil
			}
			full = true
			return errKeysFull
		})
		if full {
			return errKeysFull
		}
		if err != nil {
			return p.corrupt(s, position, err)
		}
	}
	keys.latest = max(keys.latest, b.LastOffset())
	return nil
}

// check checks the header of the next batch, of a segment that ends at next. Its checksum does not cover the base offset.
func (p *pass) check(b record.Batch, next int64) error {
	if err := b.CheckHeader(); err != nil {
		return err
	}
	if b.BaseOffset() < p.at || b.NextOffset() > next {
		return fmt.Errorf("offsets %d to %d, where only those from %d to %d can be", b.BaseOffset(), b.LastOffset(), p.at, next-1)
	}
	p.at = b.NextOffset()
	return nil
}

func (p *pass) corrupt(s *segment.Segment, position int64, err error) error {
	return &segment.CorruptError{Path: p.l.path(offsetName(s.Base(), logSuffix)), Position: position, Err: err}
}

// group puts neighbours together whose records fit one segment.
func (p *pass) group() error {
	c := p.l.config.Load()
	var bytes, offsets, times int64
	for i, s := range p.segments {
		if s.Base() >= p.done.To {
			break
		}
		x, t, err := s.IndexSizes()
		if err != nil {
			return err
		}
		last := len(p.groups) - 1
		if last >= 0 && bytes+s.Size() <= int64(c.SegmentBytes) && offsets+x <= int64(c.SegmentIndexBytes) && times+t <= int64(c.SegmentIndexBytes) &&
			p.next(i)-1-p.groups[last][0].Base() <= maxRelative {
			p.groups[last] = append(p.groups[last], s)
			bytes, offsets, times = bytes+s.Size(), offsets+x, times+t
			continue
		}
		p.groups = append(p.groups, []*segment.Segment{s})
		bytes, offsets, times = s.Size(), x, t
	}
	p.txns = newCleanedTxns(func(a index.Aborted) { p.entries = append(p.entries, a) })
	return nil
}

// end notes how far the log is clean, if it still is the one that was cleaned.
func (p *pass) end() error {
	l := p.l
	l.work.Lock()
	defer l.work.Unlock()
	l.mu.Lock()
	same := l.mu.o == p.o
	l.mu.Unlock()
	if !same {
		return errChanged
	}
	if err := l.dir.setCleaned(l.folder, p.done.To); err != nil {
		return l.cleanFailed(err)
	}
	l.looked.Store(nil)
	d := &p.done
	l.dir.o.Log.Info("log compacted", "topic", l.topic, "partition", l.partition, "fromOffset", d.From, "toOffset", d.To, "segments", d.Segments,
		"newSegments", d.Left, "bytes", d.BytesBefore, "newBytes", d.BytesAfter, "records", d.RecordsBefore, "newRecords", d.RecordsAfter)
	if d.NoKey > 0 {
		l.dir.o.Log.Warn("records without a key were dropped by compaction", "topic", l.topic, "partition", l.partition, "records", d.NoKey)
	}
	return nil
}
