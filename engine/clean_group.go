package engine

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire/record"
)

// maxRelative is the largest offset of a segment relative to its base.
const maxRelative = math.MaxInt32

// sink is a group of segments on its way into one.
type sink struct {
	p         *pass
	to        *segment.Cleaned
	final     *segment.Segment // the last one that is not empty
	unchanged bool             // so far everything has stayed as it was
	marker    int64            // the last marker of a transaction that goes; -1: none
}

// lastBatch is what must be kept of a producer, empty if need be: the batch at offset, or, of one that has only a marker in the log, any
// marker of its epoch.
type lastBatch struct {
	offset int64 // -1: no batch
	epoch  int16
}

// lastBatches copies by what the producers that are active now are recognised after a restart.
func (o *opened) lastBatches() map[int64]lastBatch {
	list := make(map[int64]lastBatch, len(o.producers.byID))
	for id, p := range o.producers.byID {
		b := lastBatch{-1, p.epoch}
		if last, ok := p.last(); ok {
			b.offset = last.lastOffset
		}
		list[id] = b
	}
	return list
}

// clean writes what stays of a group and puts it in its place.
func (p *pass) clean(group []*segment.Segment) error {
	to, err := segment.CreateCleaned(p.l.path(""), group[0].Base(), p.l.segmentOptions(), p.c.o.IOBytes)
	if err != nil {
		return err
	}
	k := &sink{p: p, to: to, unchanged: len(group) == 1, marker: -1}
	p.entries = nil
	for _, s := range group {
		if s.Size() > 0 {
			k.final = s
		}
	}
	before := p.done
	err = k.copy(group)
	if err == nil {
		p.done.BytesAfter += to.Size()
		err = k.replace(group)
	}
	if err != nil {
		p.done = before
		if aerr := to.Abandon(); aerr != nil && !errors.Is(aerr, fs.ErrNotExist) {
			p.l.dir.o.Log.Warn("an unfinished compaction is left for the next start to clear away", "topic", p.l.topic, "partition", p.l.partition, "err", aerr)
		}
	}
	return err
}

func (k *sink) copy(group []*segment.Segment) error {
	p := k.p
	for i, s := range group {
		next := s.NextOffset()
		if i+1 < len(group) {
			next = group[i+1].Base()
		}
		p.l.mu.Lock()
		p.txns.add(p.o.abortedOf(s.Base(), next))
		p.l.mu.Unlock()
		err := p.read(s, s.Base(), next, func(b record.Batch, position int64) error {
			p.done.BytesBefore += int64(len(b))
			last := s == k.final && position+int64(len(b)) == s.Size()
			if err := k.batch(b, last); err != nil {
				var bad *record.CheckError
				if errors.As(err, &bad) {
					err = p.corrupt(s, position, err)
				}
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// batch writes what stays of one batch. last: it is the group's last one, which stays even if nothing is in it: it tells where the segment ends.
func (k *sink) batch(b record.Batch, last bool) error {
	p, c := k.p, k.p.c
	discardable := p.txns.read(b)
	horizon := b.DeleteHorizonMs()
	discard := discardable && (!b.Control() || horizon != record.NoHorizon && horizon <= p.now)
	keepEmpty := last || b.NextOffset() == p.highWatermark || k.lastOfProducer(b)
	var n record.Retained
	var err error
	switch {
	case !discard:
		o := record.RetainOptions{Horizon: p.now + p.retention, Marker: discardable, KeepEmpty: keepEmpty}
		c.out, n, err = c.sieve.Retain(c.out[:0], b, o, func(offset int64, key []byte, hasValue bool) bool {
			return b.Control() || p.stays(offset, key, hasValue, horizon)
		})
		if err != nil {
			return err
		}
	case keepEmpty:
		c.out = record.AppendEmpty(c.out[:0], b)
	default:
		c.out = c.out[:0]
	}
	p.done.RecordsBefore += int64(b.Count())
	p.done.RecordsAfter += int64(n.Kept)
	k.unchanged = k.unchanged && bytes.Equal(c.out, b)
	if b.Control() && n.Kept < int(b.Count()) {
		k.marker = b.LastOffset()
	}
	if len(c.out) == 0 {
		return nil
	}
	if err := k.to.Append(c.out); err != nil {
		return err
	}
	return p.pace(len(c.out))
}

// lastOfProducer says whether an active producer is known by this batch.
func (k *sink) lastOfProducer(b record.Batch) bool {
	last, ok := k.p.lastOf[b.ProducerID()]
	switch {
	case !ok || b.ProducerID() < 0:
		return false
	case last.offset >= 0:
		return last.offset == b.LastOffset()
	}
	return b.Control() && b.ProducerEpoch() == last.epoch
}

// stays says whether a record does.
func (p *pass) stays(offset int64, key []byte, hasValue bool, horizon int64) bool {
	switch {
	case offset > p.c.keys.latest:
		return true // nobody has looked what comes after it
	case key == nil:
		p.done.NoKey++
		return false
	case !hasValue && horizon != record.NoHorizon && horizon <= p.now:
		return false
	}
	return offset >= p.c.keys.get(key)
}

// replace puts the new segment in the place of the group, unless it is the same.
func (k *sink) replace(group []*segment.Segment) error {
	p := k.p
	p.l.mu.Lock()
	had := p.o.abortedIn(group[0])
	p.l.mu.Unlock()
	if k.unchanged && slices.Equal(had, p.entries) {
		return k.to.Abandon()
	}
	if err := k.writeTxns(group[0].Base()); err != nil {
		return err
	}
	if err := k.to.Finish(); err != nil {
		return err
	}
	if err := p.l.swap(p.o, group, k.to, k.marker, p.now); err != nil {
		return err
	}
	p.done.Segments += len(group)
	p.done.Left++
	return nil
}

// abortedIn lists what is in the transaction index of a segment.
func (o *opened) abortedIn(s *segment.Segment) []index.Aborted {
	if i := slices.Index(o.segments, s); i >= 0 && o.txns[i].Txn != nil {
		return o.txns[i].All()
	}
	return nil
}

// writeTxns writes the transaction index of the new segment. It is there, even empty, when the first segment of the group has one: so it takes its
// place, whenever a crash comes.
func (k *sink) writeTxns(base int64) error {
	l := k.p.l
	_, err := l.dir.fs.Stat(l.path(offsetName(base, txnIndexSuffix)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil && len(k.p.entries) == 0 {
		return nil
	}
	var b []byte
	last := int64(-1)
	for _, a := range k.p.entries {
		if a.LastOffset > last {
			b, last = a.Append(b), a.LastOffset
		}
	}
	h, err := l.dir.fs.OpenFile(k.to.TxnPath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		_, err = h.WriteAt(b, 0)
	}
	if err == nil {
		err = h.Sync()
	}
	return errors.Join(err, h.Close())
}
