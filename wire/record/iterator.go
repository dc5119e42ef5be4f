package record

import "errors"

// Limits bound what an Iterator may spend on one batch. The zero value is the default.
type Limits struct {
	MaxRaw    int64 // decompressed bytes of the batch; 0 is 64 MiB
	MaxRecord int   // one record, which has to lie in memory whole; 0 is MaxRaw
}

// Iterator walks through the records of one batch:
//
//	it := record.NewIterator(b, record.Limits{})
//	defer it.Close()
//	for it.Next() { use(it.Record()) }
//	return it.Err()
type Iterator struct{ err error }

// NewIterator returns an iterator before the first record of b, which has passed CheckHeader.
func NewIterator(b Batch, l Limits) *Iterator { return &Iterator{err: errors.New("record: not yet")} }

// Iterate calls f for each record until f returns an error.
func (b Batch) Iterate(l Limits, f func(Record) error) error { return errors.New("record: not yet") }

// Next advances to the next record.
func (it *Iterator) Next() bool { return false }

// Record is the current record. Its bytes live until the next call of Next or Close.
func (it *Iterator) Record() Record { return Record{} }

// Err is why Next returned false, or nil at the end of the batch.
func (it *Iterator) Err() error { return it.err }

// Close gives buffers and decoders back to their pools.
func (it *Iterator) Close() {}
