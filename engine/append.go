package engine

import (
	"errors"
	"math"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// noteBytes is after how many appended bytes the table is told, so that a recovery after kill -9 verifies little more than that.
const noteBytes = 16 << 20

// Append checks the producer's sequence, stamps base offset and leader epoch into b and appends it. One appender at a time.
// now is the broker's clock in ms. Errors: ErrWait, wire.Code, ErrOffline, ErrDiskFull, ErrClosed, *segment.CorruptError.
// b's stamped fields are undefined after an error; nothing else has changed then.
func (l *Log) Append(b record.Batch, leaderEpoch int32, now int64) (Appended, error) {
	l.mu.Lock()
	a, want, err := l.appendLocked(b, leaderEpoch, now)
	l.mu.Unlock()
	if want != 0 {
		if w := l.request(want); err == nil && want&askedByCallers != 0 {
			err = w
		}
	}
	return a, err
}

// appendLocked also returns the background work that the append showed to be needed. Without an error and with work that callers
// wait for, nothing was appended.
func (l *Log) appendLocked(b record.Batch, leaderEpoch int32, now int64) (a Appended, want ask, err error) {
	o, want, err := l.writableLocked()
	if o == nil {
		return a, want, err
	}
	if b.ProducerID() >= 0 {
		original, duplicate, err := o.producers.check(b)
		if err != nil {
			return a, 0, err
		}
		if duplicate {
			return Appended{original.baseOffset(), original.lastOffset, original.timestamp, l.logStart.Load(), true}, 0, nil
		}
	}
	if leaderEpoch < o.epochs.latest() {
		return a, 0, wire.FencedLeaderEpoch
	}
	base := l.logEnd.Load()
	if want, err = l.placeLocked(o, b, base, leaderEpoch, now); err != nil || want&askedByCallers != 0 {
		return a, want, err
	}
	a = Appended{BaseOffset: base, LastOffset: b.LastOffset(), LogAppendTime: record.NoTimestamp, LogStart: l.logStart.Load()}
	if b.LogAppendTime() {
		a.LogAppendTime = b.MaxTimestamp()
	}
	return a, want, nil
}

// AppendFollower appends one batch as the leader wrote it: its base offset must be LogEnd, or above it on a compacted topic. The
// leader has checked sequences; here they are facts. Otherwise as Append.
func (l *Log) AppendFollower(b record.Batch, now int64) error {
	l.mu.Lock()
	o, want, err := l.writableLocked()
	if o != nil {
		base, end := b.BaseOffset(), l.logEnd.Load()
		switch {
		case base < end || base > end && !l.config.Load().Compacted:
			err = wire.InvalidRecord
		case b.LeaderEpoch() < o.epochs.latest():
			err = wire.FencedLeaderEpoch
		default:
			want, err = l.placeLocked(o, b, base, b.LeaderEpoch(), now)
		}
	}
	l.mu.Unlock()
	if want != 0 {
		if w := l.request(want); err == nil && want&askedByCallers != 0 {
			err = w
		}
	}
	return err
}

// writableLocked returns the open log, or what has to happen first.
func (l *Log) writableLocked() (o *opened, want ask, err error) {
	if err := l.offline(); err != nil {
		return nil, 0, err
	}
	if l.mu.phase == phaseGone || l.dir.closed.Load() {
		return nil, 0, ErrClosed
	}
	if l.mu.err != nil {
		return nil, 0, l.takeErrLocked()
	}
	if l.mu.phase != phaseOpen {
		l.mu.create = true
		return nil, askOpen, nil
	}
	if l.mu.o.rolling {
		return nil, askRoll, nil
	}
	return l.mu.o, 0, nil
}

// placeLocked stamps and appends a batch that may be appended, and takes note of it.
func (l *Log) placeLocked(o *opened, b record.Batch, base int64, leaderEpoch int32, now int64) (want ask, err error) {
	if !l.used.Load() {
		l.used.Store(true)
	}
	s := o.active()
	config := l.config.Load()
	if s.Size() > 0 && mustRoll(o, s, b, base, now, config) {
		o.rolling = true
		return askRoll, nil
	}
	b.Stamp(base, leaderEpoch)
	if err := s.Append(b); err != nil {
		return l.refusedLocked(o, s, err)
	}
	if o.firstTimestamp < 0 {
		o.firstTimestamp = b.MaxTimestamp()
	}
	if leaderEpoch > o.epochs.latest() && o.epochs.assign(leaderEpoch, base) {
		o.epochsDirty = true
	}
	if b.ProducerID() >= 0 {
		l.producedLocked(o, b)
	}
	o.changed = true
	l.logEnd.Store(b.NextOffset())
	o.unnoted += int64(len(b))
	o.unsaved += int64(len(b))
	if o.unnoted >= noteBytes && l.mu.asked&askNote == 0 {
		want |= askNote
	}
	if o.spare == nil && l.mu.asked&askSpare == 0 && o.pace.nearlyFull(int(s.Size()), min(int(config.SegmentBytes), int(s.Size())+s.Room()), now) {
		want = askSpare // the note is asked for by the next append
	}
	return want, nil
}

// refusedLocked sorts the reasons for which a segment did not take a batch.
func (l *Log) refusedLocked(o *opened, s *segment.Segment, err error) (ask, error) {
	switch {
	case errors.Is(err, segment.ErrWait):
		return 0, l.wait(s)
	case errors.Is(err, segment.ErrTooLarge):
		return 0, wire.RecordListTooLarge
	case errors.Is(err, segment.ErrFull):
		if s.Size() == 0 {
			return 0, wire.RecordListTooLarge
		}
		o.rolling = true
		return askRoll, nil
	case errors.Is(err, vfs.ErrNoSpace):
		return 0, ErrDiskFull
	}
	return 0, l.fail(err)
}

// producedLocked notes a batch of an idempotent producer, or the end of a transaction.
func (l *Log) producedLocked(o *opened, b record.Batch) {
	wasOpen, wasDone := len(o.producers.open), len(o.producers.done)
	done, ended := o.producers.apply(b)
	o.noteProducer(b.BaseOffset())
	if ended && done.aborted {
		o.txns[len(o.txns)-1].Append(abortedEntry(done))
		o.aborts++
		o.names++ // perhaps: its index may not have a file yet
	}
	if len(o.producers.open) != wasOpen || len(o.producers.done) != wasDone {
		// The owner's high watermark prunes here what no reader asks about.
		l.unstable.Store(o.producers.unstable(l.highWatermark.Load()))
	}
}

// mustRoll says whether a batch begins a new segment, by Kafka's rules: size, age by the records' own timestamps, offsets that do not
// fit an index entry.
func mustRoll(o *opened, s *segment.Segment, b record.Batch, base, now int64, c *Config) bool {
	if s.Size()+int64(len(b)) > int64(c.SegmentBytes) {
		return true
	}
	timestamp := b.MaxTimestamp()
	if timestamp < 0 {
		timestamp = now
	}
	if o.firstTimestamp >= 0 && timestamp-o.firstTimestamp > c.SegmentMs-o.jitter {
		return true
	}
	return base+int64(b.LastOffsetDelta())-s.Base() > math.MaxInt32
}

// pace tells when a segment will be full, from how fast it grew lately.
type pace struct {
	size, at int64 // when last looked
	next     int   // size at which to look again
}

const spareMs = 5000 // a spare is prepared when the roll is that near

func (p *pace) nearlyFull(size, limit int, now int64) bool {
	if size < p.next {
		return false
	}
	grown, took, known := float64(int64(size)-p.size), float64(max(1, now-p.at)), p.at != 0
	p.size, p.at = int64(size), now
	p.next = size + min(max(limit/64, 1), 1<<20)
	return known && float64(limit-size)*took <= grown*spareMs
}
