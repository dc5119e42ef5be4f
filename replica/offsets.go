package replica

import (
	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/wire"
)

// The special timestamps of ListOffsets.
const (
	LatestTimestamp        = -1 // high watermark, or last stable offset
	EarliestTimestamp      = -2 // logStart
	MaxTimestamp           = -3 // the first record with the largest timestamp
	EarliestLocalTimestamp = -4 // the first offset on this disk: logStart without tiered storage
	LatestTieredTimestamp  = -5 // the last offset in tiered storage: none
	EarliestPendingUpload  = -6 // the first offset not in tiered storage yet: none
)

// Located is a record's place in the log: -1, -1, -1 when there is none.
type Located struct {
	Offset, Timestamp int64
	LeaderEpoch       int32 // of the record at Offset
}

var nowhere = Located{-1, -1, -1}

// OffsetFor finds the first record with a timestamp of at least timestamp, or what a special timestamp names. Records consumers may not see do
// not count. Errors: wire.Code, ErrWait, segment.ErrCold (block false only) and engine's.
func (p *Partition) OffsetFor(timestamp int64, currentLeaderEpoch int32, committed, block bool) (Located, error) {
	var role int64
	if err := p.fence(currentLeaderEpoch, &role); err != nil {
		return nowhere, err
	}
	end := p.highWatermark.Load()
	final := end >= p.firstOfEpoch()
	if committed {
		end = p.log.LastStable(end)
	}
	at := nowhere
	var err error
	switch timestamp {
	case LatestTimestamp:
		if !final {
			return nowhere, wire.OffsetNotAvailable // a new leader never answers a smaller latest than the old one did
		}
		return Located{end, -1, int32(role >> roleBits)}, nil
	case EarliestTimestamp, EarliestLocalTimestamp:
		start := p.log.LogStart()
		epoch := int32(role >> roleBits) // of an empty log: the next record will be this leader's
		if start < p.log.LogEnd() {
			if epoch, err = p.log.EpochAt(start); err != nil {
				return nowhere, err
			}
		}
		return Located{start, -1, epoch}, nil
	case LatestTieredTimestamp, EarliestPendingUpload:
		return nowhere, nil
	case MaxTimestamp:
		at.Offset, at.Timestamp, at.LeaderEpoch, err = p.log.MaxTimestamp(block)
	default:
		at.Offset, at.Timestamp, at.LeaderEpoch, err = p.log.OffsetForTime(timestamp, block)
	}
	switch {
	case err != nil:
		return nowhere, err
	case at.Offset < 0:
		return nowhere, nil
	case at.Offset >= end && !final:
		return nowhere, wire.OffsetNotAvailable
	case at.Offset >= end:
		return nowhere, nil
	}
	return at, nil
}

// firstOfEpoch is the log's end when this leader's epoch began: until the high watermark has reached it, the old leader may have shown more.
func (p *Partition) firstOfEpoch() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.epochStart
}

// EpochEnd is the largest epoch up to epoch that the log knows, and its end (exclusive); -1, -1 when unknown.
func (p *Partition) EpochEnd(epoch, currentLeaderEpoch int32) (found int32, end int64, err error) {
	var role int64
	if err := p.fence(currentLeaderEpoch, &role); err != nil {
		return -1, -1, err
	}
	own := int32(role >> roleBits)
	switch {
	case epoch == -1 || epoch > own:
		return -1, -1, nil
	case epoch == own:
		return own, p.log.LogEnd(), nil
	}
	latest, err := p.log.LatestEpoch()
	switch {
	case err != nil:
		return -1, -1, err
	case latest < 0: // nothing written yet: the first epoch there will be is this leader's
		return epoch, p.firstOfEpoch(), nil
	case epoch > latest: // nothing written in this leader's epoch yet
		epoch = latest
	}
	return p.log.EpochEnd(epoch)
}

// Aborted appends to dst the aborted transactions that overlap offsets [from, to).
func (p *Partition) Aborted(dst []engine.AbortedTxn, from, to int64) ([]engine.AbortedTxn, error) {
	return p.log.Aborted(dst, from, to)
}

// Retain deletes what the topic's retention no longer keeps. Off the loops.
func (p *Partition) Retain(now int64) (deleted int, err error) {
	if err := p.learn(); err != nil {
		return 0, err
	}
	return p.log.Retain(now, p.highWatermark.Load())
}

// learn sees to it that the high watermark is known.
func (p *Partition) learn() error {
	if p.opened.Load() {
		return nil
	}
	p.mu.Lock()
	flush, err := p.openLocked()
	p.mu.Unlock()
	p.flushUnlocked(flush)
	return err
}

// Cleanable says how much of a compacted partition is dirty. Off the loops.
func (p *Partition) Cleanable(now int64) (engine.Dirt, error) {
	if err := p.learn(); err != nil {
		return engine.Dirt{}, err
	}
	return p.log.Cleanable(now, p.highWatermark.Load())
}

// Clean compacts it. Off the loops; one cleaner at a time.
func (p *Partition) Clean(c *engine.Cleaner, now int64) (engine.Cleaned, error) {
	return c.Clean(p.log, now, p.highWatermark.Load())
}

// Removed is whether the topic was deleted.
func (p *Partition) Removed() bool { return p.removed() }

// HighWatermarkOffset, given to DeleteRecords, deletes all that consumers can see.
const HighWatermarkOffset = -1

// DeleteRecords moves the start of the log up to offset; an offset below the start changes nothing. It is durable when the call returns, and
// logStart is the new start: nothing below it is served any more. Retain removes the files that lie below it whole. Off the loops.
//
// Errors: wire.OffsetOutOfRange beyond the high watermark, wire.PolicyViolation for a topic that is only compacted, the role's, ErrWait (WhenReady
// tells when to try again) and engine's.
func (p *Partition) DeleteRecords(offset int64) (logStart int64, err error) {
	c := p.Topic.Config()
	p.mu.Lock()
	var flush bool
	if err = p.lead(); err == nil {
		flush, err = p.openLocked()
	}
	highWatermark := p.highWatermark.Load()
	p.mu.Unlock()
	p.flushUnlocked(flush)
	if offset == HighWatermarkOffset {
		offset = highWatermark
	}
	switch {
	case err != nil:
		return -1, err
	case c.CleanupCompact && !c.CleanupDelete:
		return -1, wire.PolicyViolation
	case offset < 0 || offset > highWatermark:
		return -1, wire.OffsetOutOfRange
	}
	if err := p.log.DeleteBefore(offset); err != nil {
		return -1, err
	}
	return p.log.LogStart(), nil
}

// Size is the bytes of the partition's segments, whether or not they are open.
func (p *Partition) Size() int64 { return p.log.Size() }

// Log is the partition's log.
func (p *Partition) Log() *engine.Log { return p.log }
