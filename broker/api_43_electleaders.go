package broker

import (
	"errors"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// ElectLeaders, versions 0-2: leaders elected because somebody asks for it, the preferred ones or unclean ones.
//
//   - meta.ElectLeaders decides, with Kafka's codes and texts; the answer comes when the elections are durable and this broker knows of them.
//   - Asked for all partitions, Kafka names every topic, most of them with nothing to tell; here those are left out.

func (n *Node) handleElectLeaders(c *call) {
	req := new(wire.ElectLeadersRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	var topics []meta.TopicPartitions // nil: all
	count := 0
	if req.TopicPartitions != nil {
		topics = make([]meta.TopicPartitions, len(req.TopicPartitions))
		for i := range req.TopicPartitions {
			t := &req.TopicPartitions[i]
			topics[i] = meta.TopicPartitions{Topic: t.Topic, Partitions: t.Partitions}
			count += 1 + len(t.Partitions)
		}
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	var results []meta.PartitionResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results, err = meta.ElectLeaders(im, meta.ElectionType(req.ElectionType), topics, n.topicRules())
		return rs, err
	}, func(_ *meta.Image, err error) {
		n.workers.check.Go(func() { // a long answer is not for the quorum's goroutine
			resp := new(wire.ElectLeadersResponse)
			resp.Default()
			if err != nil {
				code, message := refusalOf(err)
				resp.ErrorCode = code
				results = allRefused(topics, results, code, message)
			}
			answerElections(resp, topics, results)
			c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
		})
	})
}

// refusalOf is what a client is told when a request comes to nothing as a whole.
func refusalOf(err error) (wire.Code, string) {
	if refusal := (*meta.Refusal)(nil); errors.As(err, &refusal) {
		return refusal.Code, refusal.Message
	}
	return proposalCode(err), err.Error()
}

// allRefused are the results of partitions none of which has had what was asked for it. Those that were refused by themselves keep their reason.
func allRefused(topics []meta.TopicPartitions, results []meta.PartitionResult, code wire.Code, message string) []meta.PartitionResult {
	if results == nil {
		for _, t := range topics {
			for _, p := range t.Partitions {
				results = append(results, meta.PartitionResult{Topic: t.Topic, Partition: p})
			}
		}
	}
	for i := range results {
		if r := &results[i]; r.Code == wire.None {
			r.Code, r.Message = code, message
		}
	}
	return results
}

// answerElections puts the results, one for each partition asked for, or those of all topics, under their topics.
func answerElections(resp *wire.ElectLeadersResponse, topics []meta.TopicPartitions, results []meta.PartitionResult) {
	add := func(topic string, count int) {
		t := resp.AddResult()
		t.Topic = topic
		for _, r := range results[:count] {
			p := t.AddPartition()
			p.PartitionID, p.ErrorCode, p.ErrorMessage = r.Partition, r.Code, wire.StrOrNull(r.Message)
		}
		results = results[count:]
	}
	for _, t := range topics {
		add(t.Topic, len(t.Partitions))
	}
	for len(results) > 0 {
		topic, count := results[0].Topic, 1
		for count < len(results) && results[count].Topic == topic {
			count++
		}
		add(topic, count)
	}
}
