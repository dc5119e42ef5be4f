// Package record reads, checks and builds record batches of Kafka's format 2: the bytes a client sends are the bytes on disk
// and the bytes another client receives. All integers are big-endian.
//
//	0            8             12            16    17      21
//	| baseOffset | batchLength | leaderEpoch | magic | crc32c | ...       batchLength counts what follows it;
//	21           23                27              35             43      the checksum covers 21 to the end
//	| attributes | lastOffsetDelta | baseTimestamp | maxTimestamp | ...
//	43           51              53             57      61
//	| producerId | producerEpoch | baseSequence | count | records ...     one block when a codec is set
//
// attributes: bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon. A record is
//
//	length varint | attributes int8 | timestampDelta varint | offsetDelta varint | keyLength varint, key |
//	valueLength varint, value | headerCount varint, { keyLength varint, key, valueLength varint, value }
//
// where varints are zigzag, length counts what follows it, and a length of -1 is null (key, value and header value only).
//
// Nothing here trusts a length, a count or a sum: bytes come from the network.
package record

// Record is one record of a batch. Key, Value and Headers are views: see Iterator for how long they live.
type Record struct {
	Offset    int64
	Timestamp int64  // milliseconds since 1970; the batch's MaxTimestamp under LogAppendTime
	Key       []byte // nil is null
	Value     []byte // nil is null
	Headers   []Header
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte // nil is null
}
