package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// AlterPartitionReassignments, versions 0-1: other replicas for partitions, or an end to getting them.
//
//   - meta.AlterPartitionReassignments decides, each partition by itself, with Kafka's codes and texts. The answer comes when the decision is durable;
//     the move itself goes on until the new replicas are in sync, and ListPartitionReassignments shows it.
//   - A partition that the request has twice gets what is asked first, and is refused after that; Kafka lets the last one win.

func (n *Node) handleAlterPartitionReassignments(c *call) {
	req := new(wire.AlterPartitionReassignmentsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	var asked []meta.PartitionReassignment
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			asked = append(asked, meta.PartitionReassignment{Topic: t.Name, Partition: p.PartitionIndex, Cancel: p.Replicas == nil, Replicas: p.Replicas})
		}
	}
	if len(asked)+len(req.Topics) > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	var results []meta.PartitionResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results = meta.AlterPartitionReassignments(im, asked, !req.AllowReplicationFactorChange, n.topicRules())
		return rs, nil
	}, func(_ *meta.Image, err error) {
		n.workers.check.Go(func() { // a long answer is not for the quorum's goroutine
			resp := new(wire.AlterPartitionReassignmentsResponse)
			resp.Default()
			resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
			if err != nil {
				code, message := refusalOf(err)
				resp.ErrorCode, resp.ErrorMessage = code, wire.Str(message)
				if results == nil { // it never came to a decision
					results = make([]meta.PartitionResult, len(asked))
				}
				results = allRefused(nil, results, code, message)
			}
			next := 0
			for i := range req.Topics {
				topic := resp.AddTopic()
				topic.Name = req.Topics[i].Name
				for _, p := range req.Topics[i].Partitions {
					r, a := &results[next], topic.AddPartition()
					a.PartitionIndex, a.ErrorCode, a.ErrorMessage = p.PartitionIndex, r.Code, wire.StrOrNull(r.Message)
					next++
				}
			}
			c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
		})
	})
}
