package bench

import (
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/wire/record"
)

// template is a produce request written beforehand: everything that costs time is in it. What differs between two sendings is
// patched in place by ready: correlation id, partition, timestamps, producer id and sequence, the records' keys and stamps, and
// the checksum over all of it. One thread uses a template; it is free again when send has returned.
type template struct {
	frame   []byte
	at      templateFields
	records []templateRecord
	payload int64     // bytes of keys and values
	patched *patchSum // of large records: their checksum
	packed  bool      // it is compressed, and nothing behind the header changes
	codec   record.Codec
	builder record.Builder // of the compressed batch
	coded   []byte         // the frame with it
}

type templateFields struct{ partition, length, batch int }

// templateRecord is where a record's key and value lie in the frame, and the hash of the value behind the stamp.
type templateRecord struct {
	key, value, end int
	body            uint64
}

// Positions in a batch, see the record package.
const (
	batchLength        = 8
	batchMagic         = 16
	batchCRC           = 17
	batchAttributes    = 21
	batchLastDelta     = 23
	batchBaseTimestamp = 27
	batchMaxTimestamp  = 35
	batchProducerID    = 43
	batchProducerEpoch = 51
	batchSequence      = 53
	batchCount         = 57
)

// newTemplate writes the request of a batch.
func newTemplate(s Spec, topic string, w *workload, values *values) *template {
	t := &template{codec: codecs[s.Codec]}
	t.frame, t.at.partition = appendProduce(nil, topic, acksOf(s.Acks), produceTimeoutMs)
	t.at.length = len(t.frame)
	p := be.AppendUint32(t.frame, 0)
	t.at.batch = len(p)
	p = append(p, make([]byte, record.HeaderSize)...)
	for i := range s.BatchRecords {
		size := w.sizes.Draw(w.random)
		key := -1
		if !w.keys.None() {
			key = keySize
		}
		length := 1 + 1 + varintSize(int64(i)) + varintSize(int64(key)) + max(key, 0) + varintSize(int64(size)) + size + 1
		p = binary.AppendVarint(p, int64(length))
		p = append(p, 0, 0) // no attributes; the batch's timestamp
		p = binary.AppendVarint(p, int64(i))
		p = binary.AppendVarint(p, int64(key))
		at := templateRecord{key: len(p)}
		p = append(p, make([]byte, max(key, 0))...)
		p = binary.AppendVarint(p, int64(size))
		at.value = len(p)
		p = append(p, make([]byte, size)...)
		at.end = len(p)
		p = append(p, 0) // no headers
		body := p[at.value+MinSize : at.end]
		values.Fill(body)
		at.body = xxhash.Sum64(body)
		t.records = append(t.records, at)
		t.payload += int64(max(key, 0) + size)
	}
	t.frame = p
	putSize(t.frame)
	b := p[t.at.batch:]
	be.PutUint32(p[t.at.length:], uint32(len(b)))
	be.PutUint32(b[batchLength:], uint32(len(b)-12))
	b[batchMagic] = 2
	be.PutUint32(b[batchLastDelta:], uint32(s.BatchRecords-1))
	be.PutUint64(b[batchProducerID:], ^uint64(0))
	be.PutUint16(b[batchProducerEpoch:], ^uint16(0))
	be.PutUint32(b[batchSequence:], ^uint32(0))
	be.PutUint32(b[batchCount:], uint32(s.BatchRecords))
	if len(b) > patchFrom*(1+len(t.records)) {
		places := [][2]int{{batchBaseTimestamp - batchAttributes, batchCount - batchAttributes}}
		for _, r := range t.records {
			places = append(places, [2]int{r.key - t.at.batch - batchAttributes, r.value + MinSize - t.at.batch - batchAttributes})
		}
		t.patched = newPatchSum(b[batchAttributes:], places)
	}
	return t
}

func varintSize(v int64) int {
	var p [binary.MaxVarintLen64]byte
	return binary.PutVarint(p[:], v)
}

// shipment is what makes a template the request of one batch.
type shipment struct {
	correlation   int32
	partition     int32
	now           int64 // ms since 1970
	stamp         stamp // of the first record; the sequences of the others follow
	producerID    int64 // -1: not idempotent
	producerEpoch int16
	sequence      int32  // of the producer id in the partition
	keys          []byte // of the records, keySize each; empty: none
}

// ready patches the template and returns the frame to send.
func (t *template) ready(s *shipment, seal *sealer) ([]byte, error) {
	p := t.frame
	be.PutUint32(p[atCorrelation:], uint32(s.correlation))
	be.PutUint32(p[t.at.partition:], uint32(s.partition))
	for i := range t.records {
		r := &t.records[i]
		var key []byte
		if len(s.keys) > 0 {
			key = p[r.key : r.key+keySize]
			copy(key, s.keys[i*keySize:])
		}
		seal.seal(p[r.value:r.end], s.stamp, r.body, key)
		s.stamp.sequence++
	}
	if t.codec != record.None {
		return t.compressed(s)
	}
	b := p[t.at.batch:]
	be.PutUint64(b[batchBaseTimestamp:], uint64(s.now))
	be.PutUint64(b[batchMaxTimestamp:], uint64(s.now))
	if s.producerID >= 0 || t.packed {
		be.PutUint64(b[batchProducerID:], uint64(s.producerID))
		be.PutUint16(b[batchProducerEpoch:], uint16(s.producerEpoch))
		be.PutUint32(b[batchSequence:], uint32(s.sequence))
	}
	if t.patched != nil {
		be.PutUint32(b[batchCRC:], t.patched.update(b[batchAttributes:]))
	} else {
		be.PutUint32(b[batchCRC:], record.CRC32C(b[batchAttributes:]))
	}
	return p, nil
}

// compressed builds the batch anew: a compressed one cannot be patched.
func (t *template) compressed(s *shipment) ([]byte, error) {
	t.builder.Reset(record.BuildOptions{
		Codec: t.codec, LeaderEpoch: record.NoLeaderEpoch, Idempotent: s.producerID >= 0, ProducerID: s.producerID, ProducerEpoch: s.producerEpoch, BaseSequence: s.sequence,
	})
	for i := range t.records {
		r := &t.records[i]
		var key []byte
		if len(s.keys) > 0 {
			key = t.frame[r.key : r.key+keySize]
		}
		t.builder.Add(s.now, key, t.frame[r.value:r.end])
	}
	t.coded = append(t.coded[:0], t.frame[:t.at.batch]...)
	coded, b, err := t.builder.Build(t.coded)
	if err != nil {
		return nil, err
	}
	t.coded = coded
	be.PutUint32(coded[t.at.length:], uint32(len(b)))
	putSize(coded)
	return coded, nil
}

var codecs = map[string]record.Codec{"none": record.None, "gzip": record.Gzip, "snappy": record.Snappy, "lz4": record.LZ4, "zstd": record.Zstd}

func acksOf(acks string) int16 {
	return map[string]int16{"all": -1, "1": 1, "0": 0}[acks]
}

// produceTimeoutMs is how long a broker may wait for its replicas.
const produceTimeoutMs = 30_000

// templates is a thread's stock, taken in turn: enough of them that sizes and bodies vary, few enough that they stay in the
// processor's cache, as what a real producer has just written does.
type templates struct {
	list    []*template
	next    int
	records int64 // of a batch, when they are packed: then a batch's number says which
}

const (
	templateBytes = 512 << 10
	minTemplates  = 8
	maxTemplates  = 1024
)

func newTemplates(s Spec, topic string, run uint64, w *workload) (*templates, error) {
	ts := &templates{}
	values := newValues(s.Entropy, w.source)
	if s.packed() {
		ts.records = int64(s.BatchRecords)
		for i := range packedBatches {
			t := newTemplate(s, topic, w, values)
			if err := t.pack(run, i); err != nil {
				return nil, err
			}
			ts.list = append(ts.list, t)
		}
		return ts, nil
	}
	for bytes := 0; len(ts.list) < minTemplates || bytes < templateBytes && len(ts.list) < maxTemplates; {
		t := newTemplate(s, topic, w, values)
		bytes += len(t.frame)
		ts.list = append(ts.list, t)
	}
	return ts, nil
}

// take returns the template of the batch that begins with a producer's record of that number.
func (ts *templates) take(first int64) *template {
	if ts.records > 0 {
		return ts.list[first/ts.records%int64(len(ts.list))]
	}
	t := ts.list[ts.next]
	if ts.next++; ts.next == len(ts.list) {
		ts.next = 0
	}
	return t
}

// unixMs is a moment of the run as records carry it.
func (c clock) unixMs(at time.Duration) int64 { return c.zero.UnixMilli() + at.Milliseconds() }
