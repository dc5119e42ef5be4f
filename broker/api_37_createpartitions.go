package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// CreatePartitions, versions 0-3: more partitions for topics that exist; there is no way to have fewer.
//
// Each topic stands for itself; meta.CreatePartitions decides, with Kafka's codes and texts. The answer comes when the partitions are durable
// and this broker serves them.

func (n *Node) handleCreatePartitions(c *call) {
	req := new(wire.CreatePartitionsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.Topics) > maxPartitions {
		c.fail(errTooManyResources)
		return
	}
	topics := make([]meta.MorePartitions, len(req.Topics))
	for i := range req.Topics {
		t := &req.Topics[i]
		topics[i] = meta.MorePartitions{Name: t.Name, Count: t.Count, Assigned: t.Assignments != nil}
		for _, a := range t.Assignments {
			topics[i].Assignments = append(topics[i].Assignments, a.BrokerIDs)
		}
	}
	var results []meta.TopicResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results = meta.CreatePartitions(im, topics, random64)
		if req.ValidateOnly {
			rs = nil
		}
		return rs, nil
	}, func(_ *meta.Image, err error) {
		if err != nil && results == nil { // it never came to a decision
			for i := range topics {
				results = append(results, meta.TopicResult{Name: topics[i].Name})
			}
		}
		n.workers.check.Go(func() { // a long answer is not for the quorum's goroutine
			resp := new(wire.CreatePartitionsResponse)
			resp.Default()
			for i := range results {
				r, x := &results[i], resp.AddResult()
				if err != nil && r.Code == wire.None {
					r.Code, r.Message = proposalCode(err), err.Error()
				}
				x.Name, x.ErrorCode, x.ErrorMessage = r.Name, r.Code, wire.StrOrNull(r.Message)
			}
			c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
		})
	})
}
