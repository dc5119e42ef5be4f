package engine

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// windowSize is how many of a producer's last batches are remembered: Kafka's number, which clients rely on when they keep up to
// five requests in flight.
const windowSize = 5

// producerExpiry is the default of Kafka's producer.id.expiration.ms.
const producerExpiry = 24 * 60 * 60 * 1000

// pastBatch is what must be known of a batch to recognise its repetition.
type pastBatch struct {
	lastSequence int32
	offsetDelta  int32 // last offset - base offset = last sequence - first sequence
	lastOffset   int64
	timestamp    int64 // the batch's largest
}

func (b pastBatch) firstSequence() int32 { return subtractSequence(b.lastSequence, b.offsetDelta) }
func (b pastBatch) baseOffset() int64    { return b.lastOffset - int64(b.offsetDelta) }

// subtractSequence undoes record.AddSequence.
func subtractSequence(sequence, n int32) int32 {
	return int32((int64(sequence) - int64(n)) & math.MaxInt32)
}

// producer is what a partition knows of one producer id.
type producer struct {
	id               int64
	epoch            int16
	batches          uint8 // how many of window are filled; only of this epoch
	coordinatorEpoch int32 // of the last marker; -1
	lastTimestamp    int64
	txnFirst         int64 // first offset of the open transaction, or -1
	window           [windowSize]pastBatch
}

func newProducer(id int64, epoch int16) *producer {
	return &producer{id: id, epoch: epoch, coordinatorEpoch: -1, lastTimestamp: record.NoTimestamp, txnFirst: -1}
}

// last is the newest batch of the current epoch.
func (p *producer) last() (pastBatch, bool) {
	if p.batches == 0 {
		return pastBatch{}, false
	}
	return p.window[p.batches-1], true
}

func (p *producer) push(b pastBatch) {
	if p.batches == windowSize {
		copy(p.window[:], p.window[1:])
		p.batches--
	}
	p.window[p.batches] = b
	p.batches++
}

// setEpoch begins a new epoch of the producer: its sequences start again.
func (p *producer) setEpoch(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.batches = epoch, 0
	}
}

// duplicate finds an earlier batch with the same epoch and sequences.
func (p *producer) duplicate(epoch int16, first, last int32) (pastBatch, bool) {
	if epoch != p.epoch {
		return pastBatch{}, false
	}
	for _, b := range p.window[:p.batches] {
		if b.lastSequence == last && b.firstSequence() == first {
			return b, true
		}
	}
	return pastBatch{}, false
}

// producers is the state of all producers of a log: what makes a retried batch appear once (I14), and the open transactions.
// The log's mutex guards it. Nothing in it depends on the order of the map.
type producers struct {
	byID   map[int64]*producer
	open   []openTxn      // by first offset
	done   []completedTxn // ended, but their marker may not be below the high watermark yet; by marker
	max    int
	shared *atomic.Int64 // how many producers all logs of the directory remember together
	bound  int64         // of shared
}

// openTxn is a transaction without its marker.
type openTxn struct {
	producerID, firstOffset int64
}

// completedTxn is a transaction with its marker.
type completedTxn struct {
	producerID, firstOffset int64
	lastOffset              int64 // of the marker
	lastStable              int64 // of the log when the marker was written
	aborted                 bool
}

// check decides whether a batch from a client may be appended. A repetition of a remembered batch returns that one.
// It changes nothing. Batches without a producer id are not its business.
func (ps *producers) check(b record.Batch) (original pastBatch, duplicate bool, err error) {
	p := ps.byID[b.ProducerID()]
	epoch := b.ProducerEpoch()
	if b.Control() {
		return pastBatch{}, false, ps.checkMarker(p, b)
	}
	if p == nil {
		return pastBatch{}, false, nil // state expired, or deleted with the records: any sequence begins
	}
	first := b.BaseSequence()
	if original, ok := p.duplicate(epoch, first, b.LastSequence()); ok {
		return original, true, nil
	}
	if epoch < p.epoch {
		return pastBatch{}, false, wire.InvalidProducerEpoch
	}
	if epoch > p.epoch {
		if first != 0 {
			return pastBatch{}, false, wire.OutOfOrderSequenceNumber
		}
	} else if last, ok := p.last(); ok && first != record.AddSequence(last.lastSequence, 1) || !ok && first != 0 {
		// Without a batch of this epoch (only a marker began it) the first sequence is 0 too.
		return pastBatch{}, false, wire.OutOfOrderSequenceNumber
	}
	if p.txnFirst >= 0 && !b.Transactional() {
		return pastBatch{}, false, wire.InvalidTxnState
	}
	return pastBatch{}, false, nil
}

func (ps *producers) checkMarker(p *producer, b record.Batch) error {
	m, err := record.ParseControl(b)
	switch {
	case err != nil:
		return nil // a control batch that ends no transaction
	case p == nil:
		return nil
	case m.ProducerEpoch < p.epoch:
		return wire.InvalidProducerEpoch
	case m.CoordinatorEpoch < p.coordinatorEpoch:
		return wire.TransactionCoordinatorFenced
	}
	return nil
}

// apply takes note of an appended batch; it cannot fail. It serves clients' batches after check, and batches of a leader or of the
// own log without: those are facts. It returns the transaction that the batch ended, if it did.
func (ps *producers) apply(b record.Batch) (completedTxn, bool) {
	id := b.ProducerID()
	if id < 0 {
		return completedTxn{}, false
	}
	if b.Control() {
		return ps.applyMarker(b)
	}
	p := ps.get(id, b.ProducerEpoch())
	p.setEpoch(b.ProducerEpoch())
	p.lastTimestamp = b.MaxTimestamp()
	p.push(pastBatch{b.LastSequence(), b.LastOffsetDelta(), b.LastOffset(), b.MaxTimestamp()})
	if b.Transactional() && p.txnFirst < 0 {
		p.txnFirst = b.BaseOffset()
		ps.open = append(ps.open, openTxn{id, p.txnFirst})
	}
	return completedTxn{}, false
}

func (ps *producers) applyMarker(b record.Batch) (completedTxn, bool) {
	m, err := record.ParseControl(b)
	if err != nil {
		return completedTxn{}, false
	}
	p := ps.get(b.ProducerID(), m.ProducerEpoch)
	p.setEpoch(m.ProducerEpoch)
	p.coordinatorEpoch = m.CoordinatorEpoch
	p.lastTimestamp = b.MaxTimestamp()
	if p.txnFirst < 0 {
		return completedTxn{}, false // a marker for a transaction that wrote nothing here
	}
	c := completedTxn{producerID: p.id, firstOffset: p.txnFirst, lastOffset: b.LastOffset(), aborted: !m.Commit}
	p.txnFirst = -1
	ps.open = slices.DeleteFunc(ps.open, func(t openTxn) bool { return t.producerID == p.id })
	c.lastStable = c.lastOffset + 1
	if len(ps.open) > 0 {
		c.lastStable = ps.open[0].firstOffset
	}
	ps.done = append(ps.done, c)
	return c, true
}

func (ps *producers) get(id int64, epoch int16) *producer {
	p := ps.byID[id]
	if p == nil {
		p = newProducer(id, epoch)
		ps.add(p)
	}
	return p
}

func (ps *producers) add(p *producer) {
	if ps.byID == nil {
		ps.byID = make(map[int64]*producer)
	}
	if ps.byID[p.id] == nil && ps.shared != nil {
		ps.shared.Add(1)
	}
	ps.byID[p.id] = p
	if ps.max > 0 && len(ps.byID) > ps.max || ps.shared != nil && ps.shared.Load() > ps.bound && len(ps.byID) > windowSize {
		ps.evict(p)
	}
}

// evict forgets the producers that were silent for longest, an eighth of all, so that its sort is paid for by many additions.
// Producers with an open transaction stay, and so does the one just added.
func (ps *producers) evict(keep *producer) {
	old := make([]*producer, 0, len(ps.byID))
	for _, p := range ps.byID {
		if p.txnFirst < 0 && p != keep {
			old = append(old, p)
		}
	}
	slices.SortFunc(old, func(a, b *producer) int {
		return cmp.Or(cmp.Compare(a.lastTimestamp, b.lastTimestamp), cmp.Compare(a.id, b.id))
	})
	ps.forget(old[:(len(old)+7)/8])
}

// expire forgets the producers that were silent for so many ms.
func (ps *producers) expire(now, after int64) {
	var old []*producer
	for _, p := range ps.byID {
		if p.txnFirst < 0 && now-p.lastTimestamp >= after {
			old = append(old, p)
		}
	}
	ps.forget(old)
}

func (ps *producers) forget(old []*producer) {
	for _, p := range old {
		delete(ps.byID, p.id)
	}
	if ps.shared != nil {
		ps.shared.Add(int64(-len(old)))
	}
}

// uncount gives back what they are of the directory's number: others take their place.
func (ps *producers) uncount() {
	if ps.shared != nil {
		ps.shared.Add(int64(-len(ps.byID)))
		ps.shared = nil
	}
}

// clear forgets everything.
func (ps *producers) clear() {
	if ps.shared != nil {
		ps.shared.Add(int64(-len(ps.byID)))
	}
	ps.byID, ps.open, ps.done = nil, nil, nil
}

// sorted copies all producers, by id.
func (ps *producers) sorted() []producer {
	list := make([]producer, 0, len(ps.byID))
	for _, p := range ps.byID {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b producer) int { return cmp.Compare(a.id, b.id) })
	return list
}

// load replaces everything by what a snapshot holds.
func (ps *producers) load(list []producer) {
	ps.clear()
	for i := range list {
		p := list[i]
		if ps.byID[p.id] != nil {
			continue
		}
		ps.add(&p)
		if p.txnFirst >= 0 {
			ps.open = append(ps.open, openTxn{p.id, p.txnFirst})
		}
	}
	slices.SortFunc(ps.open, func(a, b openTxn) int {
		return cmp.Or(cmp.Compare(a.firstOffset, b.firstOffset), cmp.Compare(a.producerID, b.producerID))
	})
}

// unstable is the first offset of the oldest transaction that is open, or that ended at or above the high watermark: until its marker
// is visible, a read-committed reader must not see its records. MaxInt64 when there is none.
func (ps *producers) unstable(highWatermark int64) int64 {
	i := 0
	for i < len(ps.done) && ps.done[i].lastOffset < highWatermark {
		i++
	}
	if i > 0 {
		ps.done = append(ps.done[:0], ps.done[i:]...)
	}
	first := int64(math.MaxInt64)
	if len(ps.open) > 0 {
		first = ps.open[0].firstOffset
	}
	for _, c := range ps.done {
		first = min(first, c.firstOffset)
	}
	return first
}

// settled says whether the markers of all transactions that ended are below the high watermark.
func (ps *producers) settled(highWatermark int64) bool {
	return len(ps.done) == 0 || ps.done[len(ps.done)-1].lastOffset < highWatermark
}
