package record

import (
	"fmt"
	"math"
)

// NoHorizon is the delete horizon of a batch that has none.
const NoHorizon int64 = -1

// DeleteHorizonMs is the time from which compaction may drop the batch's tombstones (or its marker), or NoHorizon.
func (b Batch) DeleteHorizonMs() int64 {
	if b.DeleteHorizon() {
		return b.BaseTimestamp()
	}
	return NoHorizon
}

// RetainOptions say what becomes of a batch beside its records.
type RetainOptions struct {
	Horizon   int64 // the delete horizon that a batch gets which has none and keeps a tombstone (or: any record, with Marker)
	Marker    bool  // a control batch whose transaction has no other batch any more
	KeepEmpty bool  // when no record stays, the header does
	MaxRaw    int64 // bound of the decompressed records in bytes; 0 is 64 MiB
}

// Retained counts.
type Retained struct {
	Read, Kept int // records
}

// Retainer makes batches anew from those of their records that stay, as compaction does. Base and last offset, producer id, epoch and sequence,
// leader epoch, codec and timestamps stay what they were. It keeps its buffers; the zero value is ready.
type Retainer struct {
	it   Iterator
	kept []byte  // bodies of the records that stay, with their lengths
	w    Builder // for its encoders
}

// Retain appends to dst what stays of b: the batch itself when all does, nothing when nothing does. keep is asked for every record; its bytes live
// as long as the call. The batch has passed CheckHeader.
func (r *Retainer) Retain(dst []byte, b Batch, o RetainOptions, keep func(offset int64, key []byte, hasValue bool) bool) (out []byte, n Retained, err error) {
	tombstone, largest, err := r.sift(b, o.MaxRaw, &n, keep)
	if err != nil {
		return dst, n, err
	}
	horizon := b.DeleteHorizonMs()
	fresh := (tombstone || o.Marker) && horizon == NoHorizon
	if fresh {
		horizon = o.Horizon
	}
	switch {
	case n.Kept == 0:
		if o.KeepEmpty {
			dst = AppendEmpty(dst, b)
		}
		return dst, n, nil
	case n.Kept == n.Read && !fresh:
		return append(dst, b...), n, nil
	}
	if b.LogAppendTime() {
		largest = b.MaxTimestamp()
	}
	out, err = r.rebuild(dst, b, n.Kept, horizon, largest)
	if cap(r.kept) > keptRecords {
		r.kept, r.w.records = nil, nil // one large batch must not be remembered for ever
	}
	return out, n, err
}

const keptRecords = 4 << 20

// sift reads the records and copies those that stay.
func (r *Retainer) sift(b Batch, maxRaw int64, n *Retained, keep func(offset int64, key []byte, hasValue bool) bool) (tombstone bool, largest int64, err error) {
	r.kept, largest = r.kept[:0], NoTimestamp
	it := &r.it
	it.Reset(b, Limits{MaxRaw: maxRaw})
	defer it.Close()
	for it.Next() {
		rec := &it.record
		n.Read++
		if !keep(rec.Offset, rec.Key, rec.Value != nil) {
			continue
		}
		n.Kept++
		tombstone = tombstone || rec.Value == nil
		largest = max(largest, rec.Timestamp)
		r.kept = appendVarint(r.kept, int64(len(it.raw)))
		r.kept = append(r.kept, it.raw...)
	}
	return tombstone, largest, it.Err()
}

// rebuild writes a batch of the records in kept. Their timestamps become relative to the horizon, or to the first of them.
func (r *Retainer) rebuild(dst []byte, b Batch, count int, horizon, largest int64) ([]byte, error) {
	records := r.w.records[:0]
	base, known := horizon, horizon != NoHorizon
	for p := r.kept; len(p) > 0; {
		length, n := varint(p)
		body := p[n : n+int(length)]
		p = p[n+int(length):]
		delta, m := varlong(body[1:])
		timestamp := b.BaseTimestamp() + delta
		if b.LogAppendTime() {
			timestamp = b.MaxTimestamp()
		}
		if !known {
			base, known = timestamp, true
		}
		rest := body[1+m:]
		delta = timestamp - base
		records = appendVarint(records, int64(1+varintSize(delta)+len(rest)))
		records = append(records, body[0])
		records = appendVarint(records, delta)
		records = append(records, rest...)
	}
	r.w.records = records
	r.w.o.Codec = b.Codec()
	at := len(dst)
	dst = grow(dst, HeaderSize+len(records))[:at+HeaderSize]
	dst, err := r.w.compress(dst)
	if err == nil && len(dst)-at > math.MaxInt32 {
		err = fmt.Errorf("batch larger than 2 GiB")
	}
	if err != nil {
		return dst[:at], fmt.Errorf("record: %s: %w", b.Codec(), err)
	}
	attributes := b.Attributes() & knownAttributes &^ attrDeleteHorizon
	if horizon != NoHorizon {
		attributes |= attrDeleteHorizon
	}
	out := Batch(dst[at:len(dst):len(dst)])
	out.putHeader(header{
		baseOffset: b.BaseOffset(), leaderEpoch: b.LeaderEpoch(), attributes: attributes, lastOffsetDelta: b.LastOffsetDelta(),
		baseTimestamp: base, maxTimestamp: largest, producerID: b.ProducerID(), producerEpoch: b.ProducerEpoch(),
		baseSequence: b.BaseSequence(), count: int32(count),
	})
	out.sum()
	return dst, nil
}

// AppendEmpty appends b without its records: offsets, producer and sequence are what is wanted of it.
func AppendEmpty(dst []byte, b Batch) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	out := Batch(dst[at:len(dst):len(dst)])
	out.putHeader(header{
		baseOffset: b.BaseOffset(), leaderEpoch: b.LeaderEpoch(), attributes: b.Attributes() & (attrLogAppendTime | attrTransactional | attrControl),
		lastOffsetDelta: b.LastOffsetDelta(), baseTimestamp: NoTimestamp, maxTimestamp: b.MaxTimestamp(), producerID: b.ProducerID(),
		producerEpoch: b.ProducerEpoch(), baseSequence: b.BaseSequence(),
	})
	out.sum()
	return dst
}
