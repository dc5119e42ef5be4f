// Package record reads, checks and builds record batches of Kafka's format 2: the bytes a client sends are the bytes on disk
// and the bytes another client receives. All integers are big-endian.
//
//	0            8             12            16      17       21
//	| baseOffset | batchLength | leaderEpoch | magic | crc32c | ...      batchLength counts what follows it;
//	21           23                27              35             43     the checksum covers 21 to the end
//	| attributes | lastOffsetDelta | baseTimestamp | maxTimestamp | ...
//	43           51              53             57      61
//	| producerId | producerEpoch | baseSequence | count | records ...    one block when a codec is set
//
// attributes: bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon. A record is
//
//	length varint | attributes int8 | timestampDelta varint | offsetDelta varint | keyLength varint, key |
//	valueLength varint, value | headerCount varint, { keyLength varint, key, valueLength varint, value }
//
// where varints are zigzag, length counts what follows it, and a length of -1 is null (key, value and header value only).
//
// Nothing here trusts a length, a count or a sum: the bytes come from the network.
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

// fields are the views parse finds in a record.
type fields struct {
	timestampDelta int64
	offsetDelta    int32
	headerCount    int32
	key, value     []byte // nil is null
	headers        []byte // headerCount of them, checked
}

// parse reads the body of one record, which is p without its length. It returns what is wrong with it, or "".
func parse(p []byte, f *fields) string {
	if len(p) == 0 {
		return "record without attributes"
	}
	p = p[1:] // no attribute of a record has a meaning
	var n int
	if f.timestampDelta, n = varlong(p); n == 0 {
		return "bad timestamp delta"
	}
	p = p[n:]
	if f.offsetDelta, n = varint(p); n == 0 {
		return "bad offset delta"
	}
	p = p[n:]
	var ok bool
	if f.key, p, ok = nullable(p); !ok {
		return "bad key length"
	}
	if f.value, p, ok = nullable(p); !ok {
		return "bad value length"
	}
	if f.headerCount, n = varint(p); n == 0 || f.headerCount < 0 {
		return "bad number of headers"
	}
	p = p[n:]
	f.headers = p
	for range f.headerCount {
		// A count that lies ends here: every header takes two bytes at least.
		key, rest, ok := nullable(p)
		if !ok || key == nil {
			return "bad header key length"
		}
		if _, p, ok = nullable(rest); !ok {
			return "bad header value length"
		}
	}
	if len(p) != 0 {
		return "record longer than its fields"
	}
	return ""
}

// appendHeaders appends the headers that parse found to dst, as views.
func (f *fields) appendHeaders(dst []Header) []Header {
	p := f.headers
	for range f.headerCount {
		var key, value []byte
		key, p, _ = nullable(p)
		value, p, _ = nullable(p)
		dst = append(dst, Header{Key: view(key), Value: value})
	}
	return dst
}

// nullable reads a length and that many bytes.
func nullable(p []byte) (b, rest []byte, ok bool) {
	length, n := varint(p)
	if n == 0 || length < -1 || int(length) > len(p)-n {
		return nil, p, false
	}
	if length == -1 {
		return nil, p[n:], true
	}
	end := n + int(length)
	return p[n:end:end], p[end:], true
}
