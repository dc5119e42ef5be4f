package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// HeaderSize is the length of a batch header: the smallest batch there is.
const HeaderSize = 61

// Positions of the header's fields.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

// The field after the last one is where the records begin, or this does not compile.
const _ = uint(HeaderSize-(atCount+4)) + uint(atCount+4-HeaderSize)

// lengthOverhead is what batchLength does not count: baseOffset and batchLength itself.
const lengthOverhead = 12

// Bits of the attributes.
const (
	codecMask         = 0x07
	knownAttributes   = 0x7f
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// Sentinels of the header.
const (
	NoTimestamp     int64 = -1
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoLeaderEpoch   int32 = -1
)

// Codec names how the records of a batch are compressed.
type Codec int8

// The codecs Kafka knows. Values 5 to 7 fit the attribute bits and are no codec.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", int8(c))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C is the checksum of Kafka's files: batches, producer snapshots.
func CRC32C(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// Batch is one whole record batch, header and records, as it is on the wire and on disk. It is a view: whoever holds the
// bytes owns them. The methods below Next and CheckHeader may be called only on what passed one of them; they read the header
// where it lies and allocate nothing.
type Batch []byte

// ErrBatch is what Next returns for bytes that cannot be the beginning of a batch of this format.
var ErrBatch = errors.New("not a record batch")

// Next splits the first batch off p: its size and magic are checked, its checksum and content are not. When p ends before the
// batch does, err is io.ErrUnexpectedEOF and rest is p; an empty p is io.EOF. The batch's capacity is its length.
func Next(p []byte) (b Batch, rest []byte, err error) {
	if len(p) == 0 {
		return nil, p, io.EOF
	}
	if len(p) < HeaderSize {
		// The magic tells garbage from a cut batch as soon as it is there.
		if len(p) > atMagic && p[atMagic] != 2 {
			return nil, p, ErrBatch
		}
		return nil, p, io.ErrUnexpectedEOF
	}
	if p[atMagic] != 2 {
		return nil, p, ErrBatch
	}
	length := int32(binary.BigEndian.Uint32(p[atLength:]))
	if length < HeaderSize-lengthOverhead || length > math.MaxInt32-lengthOverhead {
		return nil, p, ErrBatch
	}
	size := int(length) + lengthOverhead
	if size > len(p) {
		return nil, p, io.ErrUnexpectedEOF
	}
	return Batch(p[:size:size]), p[size:], nil
}

// BaseOffset is the offset of the batch's first record; a compacted batch may begin before its first remaining record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[atBaseOffset:])) }

// Size is the whole length in bytes that the header declares.
func (b Batch) Size() int { return int(int32(binary.BigEndian.Uint32(b[atLength:]))) + lengthOverhead }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[atLeaderEpoch:])) }

// Magic is the format's version: 2.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// CRC is the stored checksum of all that follows it.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes are the 16 flag bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[atAttributes:])) }

// Codec is how the records are compressed.
func (b Batch) Codec() Codec { return Codec(b[atAttributes+1] & codecMask) }

// LogAppendTime tells whether MaxTimestamp, set by the broker, is the time of every record.
func (b Batch) LogAppendTime() bool { return b[atAttributes+1]&attrLogAppendTime != 0 }

// Transactional tells whether the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b[atAttributes+1]&attrTransactional != 0 }

// Control tells whether the records are transaction markers, which consumers skip.
func (b Batch) Control() bool { return b[atAttributes+1]&attrControl != 0 }

// DeleteHorizon tells whether compaction put the time at which tombstones may go into BaseTimestamp.
func (b Batch) DeleteHorizon() bool { return b[atAttributes+1]&attrDeleteHorizon != 0 }

// LastOffsetDelta is the last offset minus the base offset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[atLastOffsetDelta:])) }

// LastOffset is the offset of the last record the batch was made with.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the base offset of the batch that follows in an uncompacted log.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the timestamps of the records are relative to, in milliseconds since 1970.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[atBaseTimestamp:])) }

// MaxTimestamp is the largest timestamp of the records, or the broker's time of append.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[atMaxTimestamp:])) }

// ProducerID names an idempotent or transactional producer; NoProducerID for all others.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[atProducerID:])) }

// ProducerEpoch is the epoch of that producer.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[atProducerEpoch:])) }

// BaseSequence is the sequence number of the first record; NoSequence without a producer id and in control batches.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[atBaseSequence:])) }

// LastSequence is the sequence number of the last record. Sequences wrap from 2^31-1 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == NoSequence {
		return NoSequence
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// AddSequence adds to a sequence number, which wraps from 2^31-1 to 0. Neither argument may be negative.
func AddSequence(sequence, n int32) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

// Count is the number of records the header declares.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[atCount:])) }

// Records are the bytes after the header: records, or one compressed block of them.
func (b Batch) Records() []byte { return b[HeaderSize:len(b):len(b)] }

// Stamp writes what the leader assigns at append. Both fields lie outside the checksum, which stays as it is.
func (b Batch) Stamp(baseOffset int64, leaderEpoch int32) {
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(baseOffset))
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(leaderEpoch))
}

// SetMaxTimestamp writes the largest timestamp and the kind of timestamps, and the checksum; nothing when both are right already.
// Attribute bits that nobody knows are cleared with it, as in Kafka. Base timestamp and the records' deltas stay: readers of a LogAppendTime batch take MaxTimestamp for every record.
func (b Batch) SetMaxTimestamp(ms int64, logAppendTime bool) {
	if b.MaxTimestamp() == ms && b.LogAppendTime() == logAppendTime {
		return
	}
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	attributes := b.Attributes() & knownAttributes &^ attrLogAppendTime
	if logAppendTime {
		attributes |= attrLogAppendTime
	}
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(attributes))
	b.sum()
}

func (b Batch) sum() { binary.BigEndian.PutUint32(b[atCRC:], CRC32C(b[atAttributes:])) }
