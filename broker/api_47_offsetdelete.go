package broker

import (
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// OffsetDelete, version 0: a group's offsets of topics that it no longer reads go.
//
//   - Partitions that do not exist are refused one by one, the others are deleted.

type offsetDelete struct {
	c     *call
	req   wire.OffsetDeleteRequest
	ask   group.DeleteOffsetsRequest
	place []int // of each topic of the request, its place in ask; -1: not in it
	exist [][]bool
	got   *group.DeleteOffsetsResponse
}

func (n *Node) handleOffsetDelete(c *call) {
	s := &offsetDelete{c: c}
	if err := s.req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	count := 0
	for i := range s.req.Topics {
		count += 1 + len(s.req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	s.ask.Group = s.req.GroupID
	for i := range s.req.Topics {
		s.sort(n, &s.req.Topics[i])
	}
	if s.req.GroupID == "" {
		s.answer(wire.InvalidGroupID)
		return
	}
	n.askGroup(s.req.GroupID, len(c.body), func(sh *group.Shard, now int64) { s.got = sh.DeleteOffsets(now, &s.ask) }, s.answer)
}

// sort tells what exists of a topic from what does not.
func (s *offsetDelete) sort(n *Node, rt *wire.OffsetDeleteRequestTopic) {
	exist := make([]bool, len(rt.Partitions))
	t := group.DeleteOffsetsTopic{Name: rt.Name}
	if topic, err := n.topic(rt.Name, wire.UUID{}, false); err == nil {
		for j := range rt.Partitions {
			if _, exist[j] = topic.Partition(rt.Partitions[j].Index); exist[j] {
				t.Partitions = append(t.Partitions, rt.Partitions[j].Index)
			}
		}
	}
	place := -1
	if len(t.Partitions) > 0 {
		place = len(s.ask.Topics)
		s.ask.Topics = append(s.ask.Topics, t)
	}
	s.place, s.exist = append(s.place, place), append(s.exist, exist)
}

func (s *offsetDelete) answer(code wire.Code) {
	resp := new(wire.OffsetDeleteResponse)
	resp.Default()
	if code == wire.None {
		code = s.got.Code
	}
	if resp.ErrorCode = code; code == wire.None {
		for i := range s.req.Topics {
			rt, at := &s.req.Topics[i], resp.AddTopic()
			at.Name = rt.Name
			for j := range rt.Partitions {
				p := at.AddPartition()
				if p.Index, p.ErrorCode = rt.Partitions[j].Index, wire.UnknownTopicOrPartition; s.exist[i][j] {
					p.ErrorCode = s.got.Topics[s.place[i]]
				}
			}
		}
	}
	s.c.respond(func(dst []byte) []byte { return resp.Append(s.c.header.Version, dst) })
}
