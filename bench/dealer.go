package bench

// dealer gives a producer's batches their partitions and keys: without keys partition after partition in turn, with keys the
// partition that a key belongs to. The records of a batch go to one partition, so those after the first get keys of that
// partition, as likely as they are drawn.
type dealer struct {
	keys       *keys
	workload   *workload
	partitions int
	records    int // of a batch
	turn       int

	stock *keyStock // of batches of several records
}

// keyStock is keys drawn beforehand. The producers of a thread take from one.
type keyStock struct {
	partitions []partitionKeys
	order      []int32 // partitions as they were drawn
	next       int
}

type partitionKeys struct {
	keys []byte
	next int
}

// stockKeys is how many keys are drawn beforehand where batches have several records. They come again and again.
const stockKeys = 1 << 18

// newKeyStock draws the keys, if they are needed: nil otherwise.
func newKeyStock(s Spec, w *workload) *keyStock {
	if w.keys.None() || s.BatchRecords == 1 {
		return nil
	}
	k := &keyStock{partitions: make([]partitionKeys, s.Partitions), order: make([]int32, stockKeys)}
	var room [keySize]byte
	for i := range k.order {
		key := w.keys.Draw(room[:0], w.random)
		k.order[i] = KeyPartition(key, s.Partitions)
		p := &k.partitions[k.order[i]]
		p.keys = append(p.keys, key...)
	}
	return k
}

func newDealer(s Spec, w *workload, stock *keyStock, producer int) *dealer {
	return &dealer{keys: w.keys, workload: w, partitions: s.Partitions, records: s.BatchRecords, turn: producer, stock: stock}
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
	return d.stock.batch(keys, d.records)
}

func (k *keyStock) batch(keys []byte, records int) (int32, []byte) {
	partition := k.order[k.next]
	k.next = (k.next + 1) % len(k.order)
	p := &k.partitions[partition]
	for range records {
		keys = append(keys, p.keys[p.next:p.next+keySize]...)
		p.next = (p.next + keySize) % len(p.keys)
	}
	return partition, keys
}
