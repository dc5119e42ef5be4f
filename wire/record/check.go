package record

import "errors"

// CheckHeader checks all that can be known without looking at the records: size, magic, checksum, counts and deltas.
func (b Batch) CheckHeader() error { return errors.New("record: not yet") }

// CheckOptions say what a batch must be. The zero value checks the format alone.
type CheckOptions struct {
	Now                int64 // the broker's clock, milliseconds since 1970
	TimestampBeforeMax int64 // message.timestamp.before.max.ms; how far behind Now a timestamp may be
	TimestampAfterMax  int64 // message.timestamp.after.max.ms; how far ahead of Now
	LogAppendTime      bool  // message.timestamp.type: the broker's clock overwrites the timestamps
	Compacted          bool  // cleanup.policy holds compact: every record needs a key
	HeaderOnly         bool  // millrace.batch.validation=header: the records are not read
	ZstdAllowed        bool  // Produce v7 and later
	MaxBytes           int   // max.message.bytes; 0 is no limit
	MaxRaw             int64 // bound of the decompressed records in bytes; 0 is 64 MiB
	FromClient         bool  // not from a coordinator or another broker: no control batch
}

// CheckError says why a batch was refused.
type CheckError struct {
	Code   int16 // Kafka's error code
	Index  int32 // of the record in the batch, or -1
	Reason string
}

func (e *CheckError) Error() string { return e.Reason }

// Check is what Kafka checks before an append. With LogAppendTime, or when maxTimestamp is not the largest timestamp, it
// rewrites the header (and its checksum) in place. The error is a *CheckError.
func (b Batch) Check(o *CheckOptions) error { return errors.New("record: not yet") }

// Cheap tells whether Check may run on an event loop: uncompressed, or lz4 or snappy of at most 64 KiB raw.
func (b Batch) Cheap() bool { return b.Codec() == None }
