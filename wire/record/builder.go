package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// BuildOptions are the header fields of a batch to be built.
type BuildOptions struct {
	Codec         Codec
	BaseOffset    int64
	LeaderEpoch   int32
	LogAppendTime int64 // above 0 it sets the attribute and is the batch's MaxTimestamp
	Transactional bool
	Idempotent    bool // ProducerID, ProducerEpoch and BaseSequence are used; otherwise they are -1
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
}

// Builder builds batches. It keeps its buffers and encoders: reuse it with Reset. The zero value is an empty batch without
// compression.
type Builder struct {
	o             BuildOptions
	records       []byte
	count         int
	base, largest int64 // timestamps

	gzip *gzip.Writer
	lz4  *lz4.Compressor
	zstd *zstd.Encoder
}

// Reset begins an empty batch.
func (w *Builder) Reset(o BuildOptions) {
	w.o, w.records, w.count, w.base, w.largest = o, w.records[:0], 0, 0, NoTimestamp
}

// Add appends a record, with the offset after the last one's; a nil key or value is null. Nothing of its arguments is kept.
func (w *Builder) Add(timestamp int64, key, value []byte, headers ...Header) {
	if w.count == 0 {
		w.base, w.largest = timestamp, NoTimestamp // the largest of negative timestamps is -1, as Check and Kafka have it
	}
	w.largest = max(w.largest, timestamp)
	delta := timestamp - w.base

	size := 1 + varintSize(delta) + varintSize(int64(w.count)) + nullableSize(key) + nullableSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + nullableSize(h.Value)
	}
	p := appendVarint(w.records, int64(size))
	p = append(p, 0)
	p = appendVarint(p, delta)
	p = appendVarint(p, int64(w.count))
	p = appendNullable(p, key)
	p = appendNullable(p, value)
	p = appendVarint(p, int64(len(headers)))
	for _, h := range headers {
		p = appendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendNullable(p, h.Value)
	}
	w.records = p
	w.count++
}

func nullableSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

// Count is the number of records added.
func (w *Builder) Count() int { return w.count }

// Size is the length of the batch before compression, which adds a little to what cannot be compressed.
func (w *Builder) Size() int { return HeaderSize + len(w.records) }

// Build appends the batch to dst. It returns the longer dst and the batch, a view of its end. The builder stays as it is until
// Reset.
func (w *Builder) Build(dst []byte) (out []byte, b Batch, err error) {
	if w.count == 0 {
		return dst, nil, errors.New("record: no records in the batch")
	}
	at := len(dst)
	dst = grow(dst, HeaderSize+len(w.records))[:at+HeaderSize]
	if dst, err = w.compress(dst); err != nil {
		return dst[:at], nil, fmt.Errorf("record: %s: %w", w.o.Codec, err)
	}
	if len(dst)-at > math.MaxInt32 || w.count > math.MaxInt32 {
		return dst[:at], nil, errors.New("record: batch larger than 2 GiB")
	}
	o := &w.o
	attributes := int16(o.Codec)
	largest := w.largest
	if o.LogAppendTime > 0 {
		attributes |= attrLogAppendTime
		largest = o.LogAppendTime
	}
	if o.Transactional {
		attributes |= attrTransactional
	}
	b = Batch(dst[at:len(dst):len(dst)])
	b.putHeader(header{
		baseOffset: o.BaseOffset, leaderEpoch: o.LeaderEpoch, attributes: attributes, lastOffsetDelta: int32(w.count - 1),
		baseTimestamp: w.base, maxTimestamp: largest, producerID: NoProducerID, producerEpoch: NoProducerEpoch,
		baseSequence: NoSequence, count: int32(w.count),
	})
	if o.Idempotent {
		b.setProducer(o.ProducerID, o.ProducerEpoch, o.BaseSequence)
	}
	b.sum()
	return dst, b, nil
}

func (w *Builder) compress(dst []byte) ([]byte, error) {
	switch w.o.Codec {
	case None:
		return append(dst, w.records...), nil
	case Gzip:
		buf := bytes.NewBuffer(dst)
		if w.gzip == nil {
			w.gzip = gzip.NewWriter(buf)
		}
		w.gzip.Reset(buf)
		if _, err := w.gzip.Write(w.records); err != nil {
			return dst, err
		}
		err := w.gzip.Close()
		return buf.Bytes(), err
	case Snappy:
		return appendSnappy(dst, w.records), nil
	case LZ4:
		if w.lz4 == nil {
			w.lz4 = new(lz4.Compressor)
		}
		return appendLZ4(dst, w.records, w.lz4), nil
	case Zstd:
		if w.zstd == nil {
			var err error
			w.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
			if err != nil {
				return dst, err
			}
		}
		return w.zstd.EncodeAll(w.records, dst), nil
	}
	return dst, errors.New("unknown codec")
}

// grow makes room for n bytes behind dst and returns dst with its old length.
func grow(dst []byte, n int) []byte { return slices.Grow(dst, n) }

type header struct {
	baseOffset                  int64
	leaderEpoch                 int32
	attributes                  int16
	lastOffsetDelta             int32
	baseTimestamp, maxTimestamp int64
	producerID                  int64
	producerEpoch               int16
	baseSequence                int32
	count                       int32
}

// putHeader writes all fields but the checksum; the length is that of b.
func (b Batch) putHeader(h header) {
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-lengthOverhead))
	b.Stamp(h.baseOffset, h.leaderEpoch)
	b[atMagic] = 2
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(h.attributes))
	binary.BigEndian.PutUint32(b[atLastOffsetDelta:], uint32(h.lastOffsetDelta))
	binary.BigEndian.PutUint64(b[atBaseTimestamp:], uint64(h.baseTimestamp))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(h.maxTimestamp))
	b.setProducer(h.producerID, h.producerEpoch, h.baseSequence)
	binary.BigEndian.PutUint32(b[atCount:], uint32(h.count))
}

func (b Batch) setProducer(id int64, epoch int16, baseSequence int32) {
	binary.BigEndian.PutUint64(b[atProducerID:], uint64(id))
	binary.BigEndian.PutUint16(b[atProducerEpoch:], uint16(epoch))
	binary.BigEndian.PutUint32(b[atBaseSequence:], uint32(baseSequence))
}
