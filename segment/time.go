package segment

import (
	"errors"
	"runtime/debug"

	"github.com/millrace/millrace/wire/record"
)

// Found is a record found by its timestamp.
type Found struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// OffsetForTime finds the first record with a timestamp >= timestamp and an offset >= from. ok is false when there is none here.
// block=false: ErrWait, or ErrCold when it would have to wait for the disk or to decompress. block=true: only off the loops.
func (s *Segment) OffsetForTime(timestamp, from int64, block bool) (found Found, ok bool, err error) {
	f, err := s.acquire(block)
	if err != nil {
		return Found{}, false, err
	}
	defer f.pin.Release()
	size := s.size.Load()
	s.stamps.Lock()
	known, largest := s.stamps.known, s.stamps.max
	s.stamps.Unlock()
	if size == 0 || known && timestamp > largest {
		return Found{}, false, nil
	}
	r := reader{s: s, f: f, limit: size, block: block}
	defer r.done()
	found, ok, err = r.searchTime(timestamp, from)
	return found, ok, s.damage(err)
}

func (r *reader) searchTime(timestamp, from int64) (found Found, ok bool, err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	position, err := r.lookupTime(timestamp, from)
	if err != nil {
		return Found{}, false, err
	}
	for position < r.limit {
		b, err := r.header(position)
		if err != nil {
			return Found{}, false, err
		}
		size := int64(b.Size())
		if b.MaxTimestamp() >= timestamp && b.LastOffset() >= from {
			found, ok, err = r.searchBatch(b, position, timestamp, from)
			if err != nil || ok {
				return found, ok, err
			}
		}
		position += size
	}
	return Found{}, false, nil
}

var errFound = errors.New("found")

func (r *reader) searchBatch(b record.Batch, position, timestamp, from int64) (found Found, ok bool, err error) {
	size := b.Size()
	if b.LogAppendTime() && b.BaseOffset() >= from && int64(b.Count()) == int64(b.LastOffsetDelta())+1 {
		return Found{b.BaseOffset(), b.MaxTimestamp(), b.LeaderEpoch()}, true, nil // every record has the batch's timestamp
	}
	if !r.block && b.Codec() != record.None {
		return Found{}, false, ErrCold
	}
	var whole record.Batch
	switch {
	case r.f.mapping != nil && (position >= r.f.hot(r.limit) || r.f.mapping.Resident(int(position), size)):
		whole = record.Batch(r.f.b[position : position+int64(size) : position+int64(size)])
	case r.f.mapping != nil && !r.block:
		return Found{}, false, ErrCold
	default:
		whole = make(record.Batch, size)
		if n, err := r.f.log.ReadAt(whole, position); n < size {
			return Found{}, false, err
		}
	}
	epoch := whole.LeaderEpoch()
	err = whole.Iterate(record.Limits{}, func(rec record.Record) error {
		if rec.Timestamp < timestamp || rec.Offset < from {
			return nil
		}
		found, ok = Found{rec.Offset, rec.Timestamp, epoch}, true
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return Found{}, false, r.corrupt(position, err)
	}
	return found, ok, nil
}

// lookupTime returns a position before which no record at or above from has the timestamp. An entry of the offset index comes with one
// of the time index unless the largest timestamp had not grown, so the last offset entry before the time entry that reaches timestamp
// bounds the scan to one interval, however long timestamps stood still.
func (r *reader) lookupTime(timestamp, from int64) (int64, error) {
	if r.s.badIndex.Load() {
		return 0, nil
	}
	if !r.f.times.Resident() || !r.f.offsets.Resident() {
		if !r.block {
			return 0, ErrCold
		}
		if err := errors.Join(r.f.times.Warm(), r.f.offsets.Warm()); err != nil {
			return 0, err
		}
	}
	offsets, times := r.f.offsets.View(), r.f.times.View() // in this order: the appender writes the time entry first
	slot := times.Slot(timestamp)
	before := offsets.Len() - 1 // the last offset entry up to which no record reaches timestamp
	if slot+1 < times.Len() {
		_, reached := times.At(slot + 1)
		before = offsets.Slot(reached-1, 0)
	}
	if before >= 0 {
		last, _ := offsets.At(before)
		from = max(from, last)
	}
	return r.seek(from)
}
