package bench

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/wire/record"
)

// Packing a batch costs more than all that a broker does with it, and a packed one cannot be patched: a generator that packs each batch anew
// is what is measured then. Where no record has to say when it was due, a thread packs some batches beforehand and sends them again and
// again. Inside is which of them it is; the rest is in the header, which is not compressed and which brokers leave alone where there is no
// producer id:
//
//	header: producer epoch = producer, base sequence = lower 32 bits of the first record's number
//	record: producer = packedProducer, sequence = its number modulo the records of all of them, due = 0
//
// So a batch that is lost, repeated or late is found by its header, and one whose records are not its own by them.
const (
	packedProducer = -1
	packedBatches  = 16 // at 64 KB half a megabyte, packed: as warm in the cache as what a real producer has just packed
)

// packed tells whether compressed batches are packed beforehand.
func (s *Spec) packed() bool {
	return s.Mode == "raw" && s.Codec != "none" && s.Consume == "after" && s.Keys == "none" && !s.Idempotent && s.Producers <= math.MaxInt16
}

// packedRecords is after how many records the packed batches come again; 0: each is packed anew.
func (s *Spec) packedRecords() int64 {
	if !s.packed() {
		return 0
	}
	return int64(packedBatches * s.BatchRecords)
}

// pack makes the template a compressed batch of which only the header changes from now on.
func (t *template) pack(run uint64, number int) error {
	first := int64(number * len(t.records))
	frame, err := t.ready(&shipment{producerID: -1, stamp: stamp{run: run, producer: packedProducer, sequence: first}}, new(sealer))
	if err != nil {
		return fmt.Errorf("pack a batch of %s: %w", t.codec, err)
	}
	t.frame, t.coded, t.builder, t.records = frame, nil, record.Builder{}, nil
	t.codec, t.packed = record.None, true
	t.patched = newPatchSum(frame[t.at.batch+batchAttributes:], [][2]int{{batchBaseTimestamp - batchAttributes, batchCount - batchAttributes}})
	return nil
}

// packedHeader is what the header of the batch under way says of its records.
type packedHeader struct {
	baseOffset int64
	producer   int32
	first      int32
}

// batch is called before the records of a batch.
func (t *tracker) batch(b record.Batch) {
	t.header = packedHeader{b.BaseOffset(), int32(b.ProducerEpoch()), b.BaseSequence()}
}

// unpacked puts the producer and the number into the stamp of a record packed beforehand; ok is false when it is none, or not of this batch.
func (t *tracker) unpacked(st stamp, offset int64) (_ stamp, ok bool) {
	h := &t.header
	if st.producer != packedProducer || h.producer < 0 || int(h.producer) >= len(t.producers) {
		return st, false
	}
	// Of the numbers with these lower bits it is the one nearest to what should come.
	next := t.producers[h.producer].next
	number := next + int64(h.first-int32(next)) + offset - h.baseOffset
	ok = number >= 0 && st.sequence == number%t.packed
	st.producer, st.sequence = h.producer, number
	return st, ok
}
