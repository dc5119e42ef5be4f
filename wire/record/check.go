package record

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Kafka's error codes for batches. The wire room names all codes; it is no part of this room's imports.
const (
	codeCorruptMessage       = 2
	codeMessageTooLarge      = 10
	codeInvalidTimestamp     = 32
	codeUnsupportedCodec     = 76
	codeInvalidRecord        = 87
	maxRecordErrors          = 1000     // listed in one CheckError
	cheapRaw                 = 64 << 10 // D17: the most an event loop inflates
	maxCheapBlocks           = 64       // and how many compressed blocks it looks at to know
	reasonInvalidTimestamp   = "One or more records have been rejected due to invalid timestamp"
	reasonInvalidRecord      = "One or more records have been rejected"
	reasonProducerLogAppend  = "Producer should not set timestamp type to LogAppendTime."
	reasonMissingKey         = "Compacted topic cannot accept message without key"
	reasonDeclaredTooMany    = "fewer records than the header declares"
	reasonDeclaredTooFew     = "more bytes than the declared number of records takes"
	reasonOffsetsNotAdjacent = "offset deltas of the records are not consecutive"
)

// CheckError says why a batch was refused.
type CheckError struct {
	Code    int16  // Kafka's error code
	Index   int32  // of the first bad record in the batch, or -1 when it is the batch that is bad
	Reason  string // for the partition's error message
	Records []RecordError
}

// RecordError names one bad record of an otherwise readable batch.
type RecordError struct {
	Index  int32
	Reason string
}

// MissingKey tells whether it is a record without a key on a compacted topic.
func (e RecordError) MissingKey() bool { return e.Reason == reasonMissingKey }

func (e *CheckError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("record %d: %s", e.Index, e.Reason)
	}
	return e.Reason
}

func refuse(code int16, format string, a ...any) error {
	return &CheckError{Code: code, Index: -1, Reason: fmt.Sprintf(format, a...)}
}

// Only returns the batch of a produce request's partition, which has to be exactly one of this format. As Kafka it refuses no
// batch, a batch cut short, formats 0 and 1 and a second batch, and ignores a second one that is cut short. The error is a
// *CheckError.
func Only(p []byte) (Batch, error) {
	b, rest, err := Next(p)
	if err != nil {
		return nil, refuseFirst(p, err)
	}
	if _, _, err = Next(rest); err == nil || len(rest) > atMagic && rest[atMagic] < 2 {
		return nil, refuse(codeInvalidRecord, "a partition of a produce request needs exactly one record batch, it has more")
	} else if errors.Is(err, ErrBatch) {
		return nil, refuseFirst(rest, err)
	}
	return b, nil
}

func refuseFirst(p []byte, err error) error {
	switch {
	case len(p) > atMagic && p[atMagic] < 2:
		return refuse(codeInvalidRecord, "record format %d is too old: format 2 is needed", p[atMagic])
	case errors.Is(err, ErrBatch):
		return refuse(codeCorruptMessage, "no record batch of format 2")
	}
	return refuse(codeInvalidRecord, "a partition of a produce request needs exactly one record batch, it has none")
}

// CheckHeader checks all that can be known without looking at the records, of any batch in a log: size, magic, checksum,
// offsets and count. Compaction leaves holes, even batches without a record. The error is a *CheckError.
func (b Batch) CheckHeader() error {
	if err := b.checkSum(); err != nil {
		return err
	}
	return b.checkOffsets()
}

// checkShape checks what makes the header's accessors safe.
func (b Batch) checkShape() error {
	if len(b) < HeaderSize || b.Size() != len(b) {
		return refuse(codeCorruptMessage, "record batch of %d bytes is cut short or declares another length", len(b))
	}
	if magic := b.Magic(); magic == 0 || magic == 1 {
		return refuse(codeInvalidRecord, "record format %d is too old: format 2 is needed", magic)
	} else if magic != 2 {
		return refuse(codeCorruptMessage, "unknown record format %d", magic)
	}
	return nil
}

func (b Batch) checkSum() error {
	if err := b.checkShape(); err != nil {
		return err
	}
	if sum := CRC32C(b[atAttributes:]); sum != b.CRC() {
		return refuse(codeCorruptMessage, "checksum is %08x, the record batch says %08x", sum, b.CRC())
	}
	return nil
}

func (b Batch) checkOffsets() error {
	base, delta, count := b.BaseOffset(), b.LastOffsetDelta(), b.Count()
	if base < 0 || delta < 0 || base > math.MaxInt64-1-int64(delta) {
		return refuse(codeInvalidRecord, "record batch has the impossible offsets %d + %d", base, delta)
	}
	if count < 0 || int64(count) > int64(delta)+1 {
		return refuse(codeInvalidRecord, "record batch declares %d records in %d offsets", count, int64(delta)+1)
	}
	return nil
}

// CheckOptions say what a batch must be. The zero value checks the format alone.
type CheckOptions struct {
	Now                int64 // the broker's clock, milliseconds since 1970; 0: timestamps are not checked
	TimestampBeforeMax int64 // message.timestamp.before.max.ms: how far behind Now a timestamp may be
	TimestampAfterMax  int64 // message.timestamp.after.max.ms: how far ahead of Now
	LogAppendTime      bool  // message.timestamp.type: Now becomes the timestamp of all records
	Compacted          bool  // cleanup.policy holds compact: every record needs a key
	HeaderOnly         bool  // millrace.batch.validation=header: the records are not read, unless Compacted
	ZstdAllowed        bool  // Produce v7 and later
	MaxBytes           int   // max.message.bytes; 0 is no limit
	MaxRaw             int64 // bound of the decompressed records in bytes; 0 is 64 MiB
	FromClient         bool  // a producer's batch, not a coordinator's or another broker's
}

// Check is what Kafka checks before it appends a batch, in its order and with its codes. In place it rewrites the timestamp
// type and the largest timestamp where they are not what they should be. The error is a *CheckError.
//
// It is stricter than Kafka where no known client goes: the offset deltas of the records have to be consecutive (Kafka stores
// such an uncompressed batch), lengths below -1 are not null, nothing may follow a gzip or lz4 stream (other consumers than
// Java's fail there). And what cannot be decompressed is INVALID_RECORD, where Kafka answers UNKNOWN_SERVER_ERROR.
func (b Batch) Check(o *CheckOptions) error {
	if err := b.checkShape(); err != nil {
		return err
	}
	codec := b.Codec()
	if codec == Zstd && !o.ZstdAllowed && o.FromClient {
		return refuse(codeUnsupportedCodec, "zstd needs Produce version 7 or later")
	}
	if o.FromClient && b.BaseOffset() != 0 {
		return refuse(codeInvalidRecord, "a producer's record batch has base offset 0, not %d", b.BaseOffset())
	}
	if o.MaxBytes > 0 && len(b) > o.MaxBytes {
		return refuse(codeMessageTooLarge, "record batch of %d bytes is larger than max.message.bytes=%d", len(b), o.MaxBytes)
	}
	if err := b.checkSum(); err != nil {
		return err
	}
	if err := b.checkOffsets(); err != nil {
		return err
	}
	if codec > Zstd {
		return refuse(codeInvalidRecord, "unknown compression codec %d", int8(codec))
	}
	if o.FromClient {
		if err := b.checkClient(); err != nil {
			return err
		}
	}
	if o.HeaderOnly && !o.Compacted {
		return b.checkTimestamps(o)
	}
	return b.checkRecords(o)
}

// checkClient checks what only a producer's batches have to fulfil.
func (b Batch) checkClient() error {
	if count, offsets := b.Count(), int64(b.LastOffsetDelta())+1; count == 0 || int64(count) != offsets {
		return refuse(codeInvalidRecord, "record batch declares %d records in %d offsets", count, offsets)
	}
	if b.Control() {
		return refuse(codeInvalidRecord, "a producer does not write control batches")
	}
	if b.ProducerID() >= 0 && b.BaseSequence() < 0 {
		return refuse(codeInvalidRecord, "sequence number %d of producer %d is negative", b.BaseSequence(), b.ProducerID())
	}
	return nil
}

// badTimestamp tells whether a timestamp is refused. Differences wrap as Kafka's do: message.timestamp.before.max.ms is 2^63-1
// by default.
func (o *CheckOptions) badTimestamp(ts int64, producerLogAppend bool) bool {
	if o.LogAppendTime || ts == NoTimestamp {
		return producerLogAppend && o.Now != 0
	}
	late := o.Now - ts
	return (late > o.TimestampBeforeMax || -late > o.TimestampAfterMax) && o.Now != 0
}

// describe says what is wrong with the timestamp of a record, in Kafka's words.
func (o *CheckOptions) describe(ts int64, i int32) string {
	if o.LogAppendTime || ts == NoTimestamp {
		return reasonProducerLogAppend
	}
	return fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]", ts, i, o.Now-o.TimestampBeforeMax, o.Now+o.TimestampAfterMax)
}

// checkTimestamps judges a batch by the timestamps in its header, where the records are not to be read.
func (b Batch) checkTimestamps(o *CheckOptions) error {
	for _, ts := range [...]int64{b.BaseTimestamp(), b.MaxTimestamp()} {
		if o.badTimestamp(ts, b.LogAppendTime()) {
			return refuse(codeInvalidTimestamp, "%s", o.describe(ts, 0))
		}
	}
	b.settleTimestamp(o, b.MaxTimestamp())
	return nil
}

// settleTimestamp leaves the batch with the timestamp type of its topic and the right largest timestamp.
func (b Batch) settleTimestamp(o *CheckOptions, largest int64) {
	switch {
	case o.Now == 0:
	case o.LogAppendTime:
		b.SetMaxTimestamp(o.Now, true)
	default:
		b.SetMaxTimestamp(largest, false)
	}
}

// checkRecords reads every record.
func (b Batch) checkRecords(o *CheckOptions) error {
	c := cursor{win: b.Records()}
	if b.Codec() != None {
		c = cursor{in: openInflater(b, o.MaxRaw)}
		defer c.in.close()
	}
	var (
		base, largest = b.BaseTimestamp(), NoTimestamp
		appendTime    = b.LogAppendTime()
		bad           *CheckError
	)
	count := b.Count()
	for i := range count {
		size, delta, offsetDelta, hasKey := skimPlain(c.win)
		if size > 0 {
			c.win = c.win[size:]
		} else {
			var why string
			if delta, offsetDelta, hasKey, why = c.skim(); why != "" {
				return b.unreadable(&c, i, why)
			}
		}
		if o.FromClient && offsetDelta != i || offsetDelta < 0 || offsetDelta > b.LastOffsetDelta() {
			return refuse(codeInvalidRecord, "%s: record %d has %d", reasonOffsetsNotAdjacent, i, offsetDelta)
		}
		ts := base + delta
		if appendTime {
			ts = b.MaxTimestamp()
		}
		largest = max(largest, ts)
		if o.Compacted && !hasKey {
			bad = bad.add(codeInvalidRecord, i, reasonMissingKey)
		} else if o.badTimestamp(ts, appendTime) {
			bad = bad.add(codeInvalidTimestamp, i, o.describe(ts, i))
		}
	}
	if !c.end() {
		return b.unreadable(&c, count, reasonDeclaredTooFew)
	}
	if bad != nil {
		return bad
	}
	if count > 0 {
		b.settleTimestamp(o, largest)
	}
	return nil
}

// unreadable is the error of a record that could not be read, or of the decompressor behind it.
func (b Batch) unreadable(c *cursor, i int32, why string) error {
	if c.in != nil && c.in.err != nil && c.in.err != io.EOF {
		if c.in.err == errRawTooLarge {
			return refuse(codeMessageTooLarge, "%s inflates to more than %d bytes", b.Codec(), c.in.maxRaw)
		}
		return refuse(codeInvalidRecord, "%s: %v", b.Codec(), c.in.err)
	}
	return refuse(codeInvalidRecord, "record %d of %d: %s", i, b.Count(), why)
}

// add notes a bad record. A bad timestamp decides over a missing key, as in Kafka.
func (e *CheckError) add(code int16, index int32, why string) *CheckError {
	if e == nil {
		e = &CheckError{Code: code, Index: index, Reason: reasonInvalidRecord}
	}
	if code == codeInvalidTimestamp {
		e.Code, e.Reason = code, reasonInvalidTimestamp
	}
	if len(e.Records) < maxRecordErrors {
		e.Records = append(e.Records, RecordError{Index: index, Reason: why})
	}
	return e
}

// Cheap tells whether Check may run on an event loop (D17): the records are not compressed, or are lz4, snappy or zstd that inflate
// to at most 64 KiB; of zstd that does not declare its size a block of 128 KiB. It trusts nothing and takes less time than Check. b has
// come from Next.
func (b Batch) Cheap() bool {
	switch b.Codec() {
	case None:
		return true
	case Snappy:
		return snappyCheap(b.Records(), cheapRaw)
	case LZ4:
		return lz4Cheap(b.Records(), cheapRaw)
	case Zstd:
		return zstdCheap(b.Records(), cheapRaw)
	case Gzip:
		return false
	}
	return true // no codec: refused at once
}
