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
	resp := new(wire.DeleteRecordsResponse)
	resp.Default()
	order, offsets := deletions(req)
	for _, name := range order {
		rt := resp.AddTopic()
		rt.Name = name
		for _, index := range slices.Sorted(maps.Keys(offsets[name])) {
			rp := rt.AddPartition()
			rp.Index = index
		}
	}
	var left atomic.Int64
	left.Store(1)
	answer := func() {
		if left.Add(-1) == 0 {
			c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
		}
	}
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			left.Add(1)
			n.workers.cold.Go(func() { // it waits for the disk; several at a time share a flush
				start, err := n.deleteRecords(rt.Name, rp.Index, offsets[rt.Name][rp.Index])
				rp.LowWatermark, rp.ErrorCode = start, codeOf(err)
				answer()
			})
		}
	}
	answer()
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
