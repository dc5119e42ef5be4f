package bench

// book is what one producer sent, partition by partition. Only the goroutine of the producer writes it; it is read when that has
// ended.
type book struct {
	producer   int32
	partitions []page
}

type page struct {
	next   int64  // sequence of the next record: as many have been attempted
	failed ranges // not acknowledged: they may be in the log or not
}

func newBooks(producers, partitions int) []*book {
	books := make([]*book, producers)
	for i := range books {
		books[i] = &book{producer: int32(i), partitions: make([]page, partitions)}
	}
	return books
}

// sent takes the sequences of n more records and returns the first.
func (b *book) sent(partition int32, n int) (first int64) {
	p := &b.partitions[partition]
	first = p.next
	p.next += int64(n)
	return first
}

// failed notes that n records were not acknowledged.
func (b *book) failed(partition int32, first int64, n int) {
	b.partitions[partition].failed.add(first, first+int64(n))
}
