package record

import "errors"

// BuildOptions are the header fields of a batch to be built.
type BuildOptions struct {
	Codec         Codec
	BaseOffset    int64
	LeaderEpoch   int32
	LogAppendTime int64 // > 0 sets the attribute and MaxTimestamp
	Transactional bool
	Idempotent    bool // ProducerID, ProducerEpoch and BaseSequence are used; otherwise they are -1
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
}

// Builder builds batches. It keeps its buffers: reuse it with Reset.
type Builder struct{}

// Reset begins an empty batch.
func (w *Builder) Reset(o BuildOptions) {}

// Add appends a record; a nil key or value is null. Nothing of its arguments is kept.
func (w *Builder) Add(timestamp int64, key, value []byte, headers ...Header) {}

// Count is the number of records added.
func (w *Builder) Count() int { return 0 }

// Size is the length of the batch were it uncompressed: an upper estimate for all but incompressible records.
func (w *Builder) Size() int { return 0 }

// Build appends the batch to dst and returns dst, and the batch as a view of its end.
func (w *Builder) Build(dst []byte) (out []byte, b Batch, err error) {
	return dst, nil, errors.New("record: not yet")
}

// Marker ends a transaction in a partition.
type Marker struct {
	Commit           bool // or abort
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Timestamp        int64
}

// AppendControl appends the control batch of a marker to dst.
func AppendControl(dst []byte, m Marker) (out []byte, b Batch) { return dst, nil }

// ParseControl reads the marker of a control batch.
func ParseControl(b Batch) (Marker, error) { return Marker{}, errors.New("record: not yet") }
