package broker

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// DeleteRecords, versions 0-2: what lies below an offset is not served any more. protocol.md 2.4, 26.
//
//   - -1 is the high watermark; an offset below the partition's start changes nothing; one beyond the high watermark is refused.
//   - The answer comes when the new start is durable. Files that lie below it whole go with the next retention.
//   - Internal topics are not for clients, and topics that are only compacted keep what they have (POLICY_VIOLATION).

func (n *Node) handleDeleteRecords(c *call) {
	req := new(wire.DeleteRecordsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	count := 0
	for i := range req.Topics {
		count += 1 + len(req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	d := &recordsDeletion{n: n, c: c}
	d.resp.Default()
	order, offsets := deletions(req)
	for _, name := range order {
		rt := d.resp.AddTopic()
		rt.Name = name
		for _, index := range slices.Sorted(maps.Keys(offsets[name])) {
			rp := rt.AddPartition()
			rp.Index = index
			d.parts = append(d.parts, deletion{topic: len(d.resp.Topics) - 1, place: len(rt.Partitions) - 1, offset: offsets[name][index]})
		}
	}
	if len(d.parts) == 0 {
		d.answer()
		return
	}
	d.left.Store(int64(len(d.parts)))
	for range min(len(d.parts), deletionsAtOnce) {
		n.workers.cold.Go(d.one)
	}
}

// deletionsAtOnce is how many partitions of one request are dealt with at a time: they wait for the disk, and several share a flush. The others are
// not queued yet, so that whoever else needs a worker comes in between.
const deletionsAtOnce = 8

// recordsDeletion is one request in work.
type recordsDeletion struct {
	n     *Node
	c     *call
	resp  wire.DeleteRecordsResponse
	parts []deletion
	next  atomic.Int64 // place in parts of what is not begun
	left  atomic.Int64 // not ended
}

// deletion is one partition of the answer, and what is asked of it.
type deletion struct {
	topic, place int
	offset       int64
}

// one deals with the next partition.
func (d *recordsDeletion) one() {
	at := d.parts[d.next.Add(1)-1]
	rt := &d.resp.Topics[at.topic]
	rp := &rt.Partitions[at.place]
	start, err := d.n.deleteRecords(rt.Name, rp.Index, at.offset)
	rp.LowWatermark, rp.ErrorCode = start, codeOf(err)
	switch left := d.left.Add(-1); {
	case left == 0:
		d.answer()
	case left >= deletionsAtOnce: // the others that are under way take the rest
		d.n.workers.cold.Go(d.one)
	}
}

func (d *recordsDeletion) answer() {
	d.c.respond(func(dst []byte) []byte { return d.resp.Append(d.c.header.Version, dst) })
}

// deletions are the offsets asked for, by topic and partition. A partition that is named twice is dealt with once: the last offset counts, as
// in Kafka, and one request cannot ask for very many flushes.
func deletions(req *wire.DeleteRecordsRequest) (order []string, offsets map[string]map[int32]int64) {
	offsets = map[string]map[int32]int64{}
	for i := range req.Topics {
		t := &req.Topics[i]
		if offsets[t.Name] == nil {
			offsets[t.Name] = map[int32]int64{}
			order = append(order, t.Name)
		}
		for _, p := range t.Partitions {
			offsets[t.Name][p.Index] = p.Offset
		}
	}
	return order, offsets
}

func (n *Node) deleteRecords(name string, index int32, offset int64) (start int64, err error) {
	t, err := n.topic(name, wire.UUID{}, false)
	if err != nil {
		return -1, err
	}
	p, err := partitionOf(t, index)
	switch {
	case err != nil:
		return -1, err
	case t.Internal:
		return -1, wire.InvalidTopicException
	case offset < replica.HighWatermarkOffset:
		return -1, wire.OffsetOutOfRange
	}
	for {
		start, err = p.DeleteRecords(offset)
		if !isWait(err) || n.stopping.Load() {
			return start, err
		}
		waitFor(p)
	}
}
