package engine

import (
	"cmp"
	"errors"
	"slices"
	"sort"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
)

// Read returns whole batches from the one that holds offset, up to but not including the batch that holds bound (exclusive); a last
// batch may be cut short by maxBytes, but with minOne the first one is whole. It takes no lock. The slice lies in one segment, so
// less than maxBytes does not mean that nothing follows. Errors: wire.OffsetOutOfRange, ErrWait, segment.ErrCold (block=false only;
// block=true only off the loops), or why the log is offline. An empty slice at bound.
func (l *Log) Read(offset, bound int64, maxBytes int, minOne, block bool) (vfs.Slice, error) {
	if err := l.offline(); err != nil {
		return vfs.Slice{}, err
	}
	for {
		// The end before the view: a view that is loaded later holds at least what lies below the end.
		end := l.logEnd.Load()
		v := l.view.Load()
		if v == nil {
			return vfs.Slice{}, l.readClosed(offset, bound)
		}
		if offset < l.logStart.Load() || offset > end {
			return vfs.Slice{}, wire.OffsetOutOfRange
		}
		if !l.used.Load() {
			l.used.Store(true)
		}
		s, err := l.readView(v, offset, min(bound, end), maxBytes, minOne, block)
		switch {
		case err == nil || errors.Is(err, ErrWait) || errors.Is(err, segment.ErrCold):
			return s, err
		case l.view.Load() != v:
			continue // closed, or deleted by retention, under our hands: look again
		case errors.Is(err, segment.ErrClosed):
			return vfs.Slice{}, ErrClosed
		}
		return vfs.Slice{}, l.readFailed(err)
	}
}

func (l *Log) readView(v *view, offset, bound int64, maxBytes int, minOne, block bool) (vfs.Slice, error) {
	i := v.find(offset)
	if i < 0 {
		i = 0 // records below were deleted, or never were
	}
	for ; i < len(v.segments) && offset < bound; i++ {
		s := v.segments[i]
		if s.Base() >= bound {
			break
		}
		// The end of a segment, or a hole that compaction left there, is not the end of the log.
		from := max(offset, s.Base())
		slice, err := s.Slice(from, bound, maxBytes, minOne, block)
		if err == nil && slice.Length == 0 && !minOne {
			// Or there is a batch that does not fit: whatever follows in the next segment must not pass it.
			if slice, err = s.Slice(from, bound, 0, true, block); err == nil && slice.Length > 0 {
				slice.Release()
				return vfs.Slice{}, nil
			}
		}
		if errors.Is(err, segment.ErrWait) {
			return slice, l.wait(s)
		}
		if err != nil || slice.Length > 0 {
			return slice, err
		}
	}
	return vfs.Slice{}, nil
}

// find returns the segment that holds offset, -1 when it lies below all.
func (v *view) find(offset int64) int {
	return sort.Search(len(v.segments), func(i int) bool { return v.segments[i].Base() > offset }) - 1
}

// SegmentEnd is the base offset of the segment after the one that holds offset; LogEnd when that is the last one, or the files are closed.
func (l *Log) SegmentEnd(offset int64) int64 {
	if v := l.view.Load(); v != nil {
		if i := v.find(offset); i+1 < len(v.segments) {
			return v.segments[i+1].Base()
		}
	}
	return l.logEnd.Load()
}

// readClosed answers a read while the files are closed: what the ends alone tell, or the request to open.
func (l *Log) readClosed(offset, bound int64) error {
	l.mu.Lock()
	phase := l.mu.phase
	err := l.takeErrLocked()
	l.mu.Unlock()
	switch {
	case phase == phaseGone || l.dir.closed.Load():
		return ErrClosed
	case err != nil:
		return err
	case phase == phaseUnknown:
		return l.request(askOpen)
	case offset < l.logStart.Load() || offset > l.logEnd.Load():
		return wire.OffsetOutOfRange
	case offset >= min(bound, l.logEnd.Load()) || phase == phaseNone:
		return nil
	}
	return l.request(askOpen)
}

// OffsetForTime finds the first record at or after LogStart with a timestamp >= ts; offset -1 when there is none.
// With block=false it returns segment.ErrCold rather than read cold pages or decompress; block=true only off the loops.
func (l *Log) OffsetForTime(ts int64, block bool) (offset, timestamp int64, leaderEpoch int32, err error) {
	v, err := l.viewForReading()
	if v == nil {
		return -1, -1, -1, err
	}
	start := l.logStart.Load()
	for _, s := range v.segments {
		if s.NextOffset() <= start {
			continue
		}
		f, ok, err := s.OffsetForTime(ts, start, block)
		if err != nil {
			return -1, -1, -1, l.readError(v, s, err)
		}
		if ok {
			return f.Offset, f.Timestamp, f.LeaderEpoch, nil
		}
	}
	return -1, -1, -1, nil
}

// MaxTimestamp finds the first record that has the largest timestamp of the newest segment that has it; offset -1 in an empty log.
func (l *Log) MaxTimestamp(block bool) (offset, timestamp int64, leaderEpoch int32, err error) {
	v, err := l.viewForReading()
	if v == nil {
		return -1, -1, -1, err
	}
	type stamped struct {
		s         *segment.Segment
		timestamp int64
	}
	var list []stamped
	for _, s := range v.segments {
		ts, _, err := s.MaxTimestamp(block)
		if err != nil {
			return -1, -1, -1, l.readError(v, s, err)
		}
		if ts >= 0 {
			list = append(list, stamped{s, ts})
		}
	}
	slices.SortStableFunc(list, func(a, b stamped) int { return cmp.Compare(b.timestamp, a.timestamp) })
	start := l.logStart.Load()
	for _, x := range list {
		f, ok, err := x.s.OffsetForTime(x.timestamp, start, block)
		if err != nil {
			return -1, -1, -1, l.readError(v, x.s, err)
		}
		if ok {
			return f.Offset, f.Timestamp, f.LeaderEpoch, nil
		}
		// Deleted from the front meanwhile, or compaction has left nothing but empty batches there.
	}
	return -1, -1, -1, nil
}

// viewForReading returns the segments; nil and no error for an empty log without files.
func (l *Log) viewForReading() (*view, error) {
	if err := l.offline(); err != nil {
		return nil, err
	}
	if v := l.view.Load(); v != nil {
		if !l.used.Load() {
			l.used.Store(true)
		}
		return v, nil
	}
	return nil, l.readClosed(l.logStart.Load(), l.logEnd.Load())
}

func (l *Log) readError(v *view, s *segment.Segment, err error) error {
	switch {
	case errors.Is(err, segment.ErrWait):
		return l.wait(s)
	case errors.Is(err, segment.ErrCold):
		return err
	case l.view.Load() != v:
		return ErrWait // the list changed meanwhile; nothing is under way, so the caller comes back at once
	}
	return l.readFailed(err)
}

// readFailed sorts an error of a read. Damage that a reader meets refuses that range and no more: it is neither skipped, nor are the
// records around it, nor appends, taken from those who can still use them.
func (l *Log) readFailed(err error) error {
	var corrupt *segment.CorruptError
	if !errors.As(err, &corrupt) {
		return l.fail(err)
	}
	if !l.damaged.Swap(true) {
		l.dir.o.Log.Error("damaged records in the log", "topic", l.topic, "partition", l.partition, "err", err)
	}
	return err
}

// EpochAt is the leader epoch of the record at offset; -1 when unknown.
func (l *Log) EpochAt(offset int64) (epoch int32, err error) {
	epoch = -1
	err = l.withEpochs(func(e *epochs) { epoch = e.at(offset) })
	return epoch, err
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch <= the one asked for, and its end; (-1, -1) when unknown.
func (l *Log) EpochEnd(epoch int32) (foundEpoch int32, endOffset int64, err error) {
	foundEpoch, endOffset = -1, -1
	err = l.withEpochs(func(e *epochs) { foundEpoch, endOffset = e.end(epoch, l.logEnd.Load()) })
	return foundEpoch, endOffset, err
}

// LatestEpoch is the leader epoch of the last batch, -1 in an empty log.
func (l *Log) LatestEpoch() (epoch int32, err error) {
	epoch = -1
	err = l.withEpochs(func(e *epochs) { epoch = e.latest() })
	return epoch, err
}

func (l *Log) withEpochs(f func(*epochs)) error {
	if err := l.offline(); err != nil {
		return err
	}
	l.mu.Lock()
	if o := l.mu.o; o != nil {
		f(&o.epochs)
		l.mu.Unlock()
		return nil
	}
	phase := l.mu.phase
	err := l.takeErrLocked()
	l.mu.Unlock()
	switch {
	case err != nil:
		return err
	case phase == phaseNone:
		return nil
	case phase == phaseGone:
		return ErrClosed
	}
	return l.request(askOpen)
}
