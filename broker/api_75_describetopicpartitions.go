package broker

import (
	"slices"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// DescribeTopicPartitions, version 0: topics with their partitions, in the order of their names, page by page. protocol.md 2.4, 29.
//
//   - A page has as many partitions as the request allows, at least one and at most max.request.partition.size.limit. Where it ends is the
//     cursor of the answer, and where the next request begins.
//   - No topics named means all of them. Topics that are not there are answered with a code and count for nothing.
//   - The lists of eligible leaders are never null: Kafka's own admin client fails on null.

func (n *Node) handleDescribeTopicPartitions(c *call) {
	req := new(wire.DescribeTopicPartitionsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	if len(req.Topics) > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	// A request may name very many topics: not on the connection's loop.
	n.workers.check.Go(func() {
		d := topicsPage{
			metadata: metadataAnswer{node: n, conn: c.conn, version: apiFor(wire.KeyMetadata).max, image: n.image()},
			left:     max(1, min(int(req.ResponsePartitionLimit), n.config.Int("max.request.partition.size.limit"))),
		}
		d.resp.Default()
		d.metadata.brokers()
		d.describe(req)
		c.respond(func(dst []byte) []byte { return d.resp.Append(c.header.Version, dst) })
	})
}

// topicsPage is an answer in the making.
type topicsPage struct {
	metadata metadataAnswer // knows the brokers and the states of partitions
	resp     wire.DescribeTopicPartitionsResponse
	left     int // partitions that there is still room for
}

func (d *topicsPage) describe(req *wire.DescribeTopicPartitionsRequest) {
	var from string
	var first int32
	if at := req.Cursor; at != nil {
		from, first = at.TopicName, at.PartitionIndex
		named := func(t wire.DescribeTopicPartitionsRequestTopic) bool { return t.Name == from }
		if first < 0 || len(req.Topics) > 0 && !slices.ContainsFunc(req.Topics, named) {
			d.refuse(req)
			return
		}
	}
	more := func(name string, t *meta.Topic) bool {
		if name < from {
			return true
		}
		begin := int32(0)
		if name == from {
			begin = first
		}
		return d.topic(name, t, begin)
	}
	if len(req.Topics) == 0 {
		d.metadata.image.EachTopic(func(t *meta.Topic) bool { return more(t.Name, t) })
		return
	}
	names := make([]string, len(req.Topics))
	for i := range req.Topics {
		names[i] = req.Topics[i].Name
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !more(name, d.metadata.image.TopicByName(name)) {
			return
		}
	}
}

// refuse answers a cursor that is none.
func (d *topicsPage) refuse(req *wire.DescribeTopicPartitionsRequest) {
	for i := range req.Topics {
		a := d.resp.AddTopic()
		a.ErrorCode, a.Name = wire.InvalidRequest, wire.Str(req.Topics[i].Name)
	}
}

// topic adds a topic, nil when it is not there, from a partition on. False: the page is full.
func (d *topicsPage) topic(name string, t *meta.Topic, begin int32) bool {
	if d.left == 0 {
		d.resp.NextCursor = &wire.DescribeTopicPartitionsResponseCursor{TopicName: name}
		return false
	}
	a := d.resp.AddTopic()
	a.Name, a.IsInternal, a.TopicAuthorizedOperations = wire.Str(name), meta.Internal(name), topicOperations
	if t == nil {
		if a.ErrorCode = wire.UnknownTopicOrPartition; meta.CheckName(name) != "" {
			a.ErrorCode = wire.InvalidTopicException
		}
		return true
	}
	a.TopicID = t.ID
	end := int32(len(t.Partitions))
	for i := begin; i < end; i++ {
		if d.left == 0 {
			d.resp.NextCursor = &wire.DescribeTopicPartitionsResponseCursor{TopicName: name, PartitionIndex: i}
			return false
		}
		d.left--
		d.partition(a.AddPartition(), i, &t.Partitions[i])
	}
	return true
}

func (d *topicsPage) partition(a *wire.DescribeTopicPartitionsResponsePartition, index int32, p *meta.Partition) {
	var m wire.MetadataResponsePartition
	d.metadata.partition(&m, index, p)
	a.ErrorCode, a.Index, a.LeaderID, a.LeaderEpoch = m.ErrorCode, m.Index, m.LeaderID, m.LeaderEpoch
	a.ReplicaNodes, a.ISRNodes, a.OfflineReplicas = m.ReplicaNodes, m.ISRNodes, m.OfflineReplicas
	a.EligibleLeaderReplicas, a.LastKnownELR = append([]int32{}, p.ELR...), append([]int32{}, p.LastKnownELR...)
}
