package bench

// dealer gives a producer's batches their partitions and keys: without keys partition after partition in turn, with keys the
// partition that a key belongs to. The records of a batch go to one partition, so those after the first get keys of that
// partition, as likely as they are drawn.
type dealer struct {
	keys       *Keys
	workload   *workload
	partitions int
	records    int // of a batch
	turn       int

	stock []partitionKeys // of batches of several records
	order []int32         // partitions of the stock as it was drawn
	next  int
}

type partitionKeys struct {
	keys []byte
	next int
}

// stockKeys is how many keys are drawn beforehand where batches have several records. They come again and again.
const stockKeys = 1 << 18

func newDealer(s Spec, w *workload, producer int) *dealer {
	d := &dealer{keys: w.keys, workload: w, partitions: s.Partitions, records: s.BatchRecords, turn: producer}
	if w.keys.None() || d.records == 1 {
		return d
	}
	d.stock, d.order = make([]partitionKeys, d.partitions), make([]int32, stockKeys)
	var key [KeySize]byte
	for i := range d.order {
		k := w.keys.Draw(key[:0], w.random)
		d.order[i] = KeyPartition(k, d.partitions)
		p := &d.stock[d.order[i]]
		p.keys = append(p.keys, k...)
	}
	return d
}

// batch appends the keys of one batch, and returns its partition.
func (d *dealer) batch(keys []byte) (int32, []byte) {
	switch {
	case d.keys.None():
		p := int32(d.turn % d.partitions)
		d.turn++
		return p, keys
	case d.records == 1:
		keys = d.keys.Draw(keys, d.workload.random)
		return KeyPartition(keys, d.partitions), keys
	}
	partition := d.order[d.next]
	d.next = (d.next + 1) % len(d.order)
	p := &d.stock[partition]
	for range d.records {
		keys = append(keys, p.keys[p.next:p.next+KeySize]...)
		p.next = (p.next + KeySize) % len(p.keys)
	}
	return partition, keys
}
