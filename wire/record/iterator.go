package record

import "slices"

// Limits bound what an Iterator may spend on one batch. The zero value is the default.
type Limits struct {
	MaxRaw int64 // decompressed bytes of the batch; 0 is 64 MiB
}

// Iterator walks through the records of one batch, through whatever codec:
//
//	it := record.NewIterator(b, record.Limits{})
//	defer it.Close()
//	for it.Next() {
//		use(it.Record())
//	}
//	return it.Err()
//
// In memory it holds a window of the decompressed records and the current one.
type Iterator struct {
	batch   Batch
	cur     cursor
	read    int32 // records so far
	record  Record
	raw     []byte   // the current record without its length
	headers []Header // kept for the next record
	whole   []byte   // a record that crossed the end of a window
	err     error
}

// NewIterator returns an iterator before the first record of b, which has passed CheckHeader or Check.
func NewIterator(b Batch, l Limits) *Iterator {
	it := new(Iterator)
	it.Reset(b, l)
	return it
}

// Reset makes it an iterator of b. It keeps its buffers.
func (it *Iterator) Reset(b Batch, l Limits) {
	it.Close()
	it.batch, it.read, it.err, it.record = b, 0, nil, Record{}
	if b.Codec() == None {
		it.cur = cursor{win: b.Records()}
	} else {
		it.cur = cursor{in: openInflater(b, l.MaxRaw)}
	}
}

// Iterate calls f for each record until f returns an error, which it returns. The record's bytes live as long as that call.
func (b Batch) Iterate(l Limits, f func(Record) error) error {
	var it Iterator
	it.Reset(b, l)
	defer it.Close()
	for it.Next() {
		if err := f(it.record); err != nil {
			return err
		}
	}
	return it.err
}

// Next advances to the next record.
func (it *Iterator) Next() bool {
	if it.err != nil || it.batch == nil {
		return false
	}
	if it.read == it.batch.Count() {
		if !it.cur.end() {
			it.err = it.batch.unreadable(&it.cur, it.read, reasonDeclaredTooFew)
		}
		it.batch = nil
		return false
	}
	body, why := it.body()
	var f fields
	if why == "" {
		why = parse(body, &f)
	}
	if why == "" && (f.offsetDelta < 0 || f.offsetDelta > it.batch.LastOffsetDelta()) {
		why = "offset outside the batch"
	}
	if why != "" {
		it.err = it.batch.unreadable(&it.cur, it.read, why)
		return false
	}
	it.read++
	it.raw = body
	it.headers = f.appendHeaders(it.headers[:0])
	it.record = Record{
		Offset:    it.batch.BaseOffset() + int64(f.offsetDelta),
		Timestamp: it.batch.BaseTimestamp() + f.timestampDelta,
		Key:       f.key,
		Value:     f.value,
		Headers:   slices.Clip(it.headers),
	}
	if it.batch.LogAppendTime() {
		it.record.Timestamp = it.batch.MaxTimestamp()
	}
	return true
}

// body returns the next record without its length: from the window, or put together from several.
func (it *Iterator) body() (p []byte, why string) {
	c := &it.cur
	if len(c.win) == 0 && !c.refill() {
		return nil, reasonDeclaredTooMany
	}
	length, n := varint(c.win)
	if n == 0 {
		s := stepper{c: c, left: maxVarint} // perhaps the length itself crosses the end of the window
		if length = s.varint(); s.failed {
			return nil, "bad record length"
		}
	}
	c.win = c.win[n:]
	if length < 0 {
		return nil, "bad record length"
	}
	if int(length) <= len(c.win) {
		p, c.win = c.win[:length:length], c.win[length:]
		return p, ""
	}
	// The buffer grows with what is really there, not with what the length promises.
	it.whole = append(it.whole[:0], c.win...)
	c.win = nil
	for len(it.whole) < int(length) {
		if !c.refill() {
			return nil, "record longer than the batch"
		}
		m := min(int(length)-len(it.whole), len(c.win))
		it.whole = append(it.whole, c.win[:m]...)
		c.win = c.win[m:]
	}
	return it.whole, ""
}

// Record is the current record. Its bytes live until the next call of Next, Reset or Close.
func (it *Iterator) Record() Record { return it.record }

// Err is why Next returned false, or nil at the end of the batch. It is a *CheckError.
func (it *Iterator) Err() error { return it.err }

// Close gives buffers and decoders back to their pools. The iterator may be Reset.
func (it *Iterator) Close() {
	if it.cur.in != nil {
		it.cur.in.close()
	}
	it.cur, it.batch, it.raw = cursor{}, nil, nil
	if cap(it.whole) > keptOutput {
		it.whole = nil
	}
}
