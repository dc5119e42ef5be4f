package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// ListPartitionReassignments, version 0: the partitions that are getting other replicas, of those asked for, or of all. What is not there, or stays where it
// is, is left out.

func (n *Node) handleListPartitionReassignments(c *call) {
	req := new(wire.ListPartitionReassignmentsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	var topics []meta.TopicPartitions // nil: all
	count := 0
	if req.Topics != nil {
		topics = make([]meta.TopicPartitions, len(req.Topics))
		for i := range req.Topics {
			t := &req.Topics[i]
			topics[i] = meta.TopicPartitions{Topic: t.Name, Partitions: t.PartitionIndexes}
			count += 1 + len(t.PartitionIndexes)
		}
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	// All partitions of a cluster are many: not on the connection's loop.
	n.workers.check.Go(func() {
		resp := new(wire.ListPartitionReassignmentsResponse)
		resp.Default()
		var topic *wire.ListPartitionReassignmentsResponseTopic
		for _, r := range meta.ListPartitionReassignments(n.image(), topics) {
			if topic == nil || topic.Name != r.Topic {
				topic = resp.AddTopic()
				topic.Name = r.Topic
			}
			p := topic.AddPartition()
			p.PartitionIndex, p.Replicas, p.AddingReplicas, p.RemovingReplicas = r.Partition, r.Replicas, r.Adding, r.Removing
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}
