package broker

import (
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/wire"
)

// OffsetFetch, versions 1-10: what groups have committed; of one group up to version 7, of many from version 8 on. protocol.md 2.4, 19, 41.
//
//   - A partition without an offset is offset -1, leader epoch -1, no metadata and no error, whether or not the topic exists; from version 10
//     on, where topics are named by id, one that is not known is UNKNOWN_TOPIC_ID.
//   - Null topics are all that the group has offsets of; version 10 leaves out those whose topic is gone, because it could not name them.
//   - Only durable offsets are told, so requireStable asks for what is anyway.
//   - The empty group id is a group, as in Kafka.

type offsetFetch struct {
	n       *Node
	c       *call
	version int16
	groups  []string
	asks    []group.FetchRequest
	unknown [][]int // of each group: places in the request of topics whose ids are not known
	req     wire.OffsetFetchRequest
	got     []*group.FetchResponse
	size    atomic.Int64 // of got as an answer, about
}

func (n *Node) handleOffsetFetch(c *call) {
	s := &offsetFetch{n: n, c: c, version: c.header.Version}
	if err := s.req.Decode(s.version, c.body); err != nil {
		c.fail(err)
		return
	}
	if s.version < 8 {
		s.oneGroup()
	}
	if len(s.req.Groups) > maxGroupsNamed {
		c.fail(errTooManyGroups)
		return
	}
	count := 0
	for i := range s.req.Groups {
		for j := range s.req.Groups[i].Topics {
			count += 1 + len(s.req.Groups[i].Topics[j].PartitionIndexes)
		}
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	s.dropRepeated()
	for i := range s.req.Groups {
		s.ask(&s.req.Groups[i])
	}
	s.got = make([]*group.FetchResponse, len(s.groups))
	n.askGroups(s.groups, len(c.body), func(sh *group.Shard, now int64, i int) {
		if s.size.Load() <= maxGroupAnswer { // else nobody will be told
			s.got[i] = sh.FetchOffsets(now, &s.asks[i])
			s.size.Add(int64(fetchedSize(s.got[i])))
		}
	}, s.answer)
}

// fetchedSize is about how many bytes the offsets of a group take.
func fetchedSize(r *group.FetchResponse) (size int) {
	for i := range r.Topics {
		t := &r.Topics[i]
		size += len(t.Name) + 20
		for j := range t.Partitions {
			size += len(t.Partitions[j].Metadata) + 24
		}
	}
	return size
}

// oneGroup brings an old request into the shape of the new ones.
func (s *offsetFetch) oneGroup() {
	g := wire.OffsetFetchRequestGroup{GroupID: s.req.GroupID}
	if s.req.Topics != nil {
		g.Topics = make([]wire.OffsetFetchRequestGroupTopic, len(s.req.Topics))
	}
	for i := range s.req.Topics {
		g.Topics[i].Name, g.Topics[i].PartitionIndexes = s.req.Topics[i].Name, s.req.Topics[i].PartitionIndexes
	}
	s.req.Groups = []wire.OffsetFetchRequestGroup{g}
}

// dropRepeated answers a group that is asked for all its offsets once, however often the request says so: the answer may be long.
func (s *offsetFetch) dropRepeated() {
	all := map[string]bool{}
	s.req.Groups = slices.DeleteFunc(s.req.Groups, func(g wire.OffsetFetchRequestGroup) bool {
		if g.Topics != nil {
			return false
		}
		twice := all[g.GroupID]
		all[g.GroupID] = true
		return twice
	})
}

func (s *offsetFetch) ask(g *wire.OffsetFetchRequestGroup) {
	ask := group.FetchRequest{Group: g.GroupID, All: g.Topics == nil}
	var unknown []int
	for i := range g.Topics {
		rt := &g.Topics[i]
		t := group.FetchTopic{Name: rt.Name, ID: rt.TopicID, Partitions: rt.PartitionIndexes}
		topic, err := s.n.topic(rt.Name, rt.TopicID, s.version >= 10)
		switch {
		case err == nil:
			t.Name, t.ID = topic.Name, topic.ID
		case s.version >= 10:
			unknown = append(unknown, i)
			continue
		}
		ask.Topics = append(ask.Topics, t)
	}
	s.groups = append(s.groups, g.GroupID)
	s.asks = append(s.asks, ask)
	s.unknown = append(s.unknown, unknown)
}

func (s *offsetFetch) answer(codes []wire.Code) {
	if s.size.Load() > maxGroupAnswer {
		s.c.fail(errAnswerTooLarge)
		return
	}
	resp := new(wire.OffsetFetchResponse)
	resp.Default()
	for i := range s.groups {
		rg := resp.AddGroup()
		if rg.GroupID, rg.ErrorCode = s.groups[i], codes[i]; codes[i] == wire.None {
			s.fill(rg, i)
		}
	}
	if s.version < 8 {
		s.flatten(resp)
	}
	s.c.respond(func(dst []byte) []byte { return resp.Append(s.version, dst) })
}

// fill puts a group's offsets into the answer, in the order of the request.
func (s *offsetFetch) fill(rg *wire.OffsetFetchResponseGroup, i int) {
	asked, unknown, got := s.req.Groups[i].Topics, s.unknown[i], s.got[i].Topics
	for j := 0; len(got) > 0 || len(unknown) > 0; j++ {
		if len(unknown) > 0 && unknown[0] == j {
			unknown = unknown[1:]
			t := rg.AddGroupTopic()
			t.TopicID = asked[j].TopicID
			for _, index := range asked[j].PartitionIndexes {
				p := t.AddGroupPartition()
				p.Index, p.CommittedOffset, p.Metadata, p.ErrorCode = index, -1, wire.Str(""), wire.UnknownTopicID
			}
			continue
		}
		g := &got[0]
		got = got[1:]
		if s.version >= 10 && g.ID.IsZero() {
			topic, err := s.n.topic(g.Name, g.ID, false)
			if err != nil {
				continue
			}
			g.ID = topic.ID
		}
		t := rg.AddGroupTopic()
		t.Name, t.TopicID = g.Name, g.ID
		for k := range g.Partitions {
			from, p := &g.Partitions[k], t.AddGroupPartition()
			p.Index, p.CommittedOffset, p.CommittedLeaderEpoch, p.ErrorCode = from.Partition, from.Offset, from.LeaderEpoch, from.Code
			p.Metadata = wire.Str(from.Metadata)
		}
	}
}

// flatten brings an answer into the shape of the old versions.
func (s *offsetFetch) flatten(resp *wire.OffsetFetchResponse) {
	g := &resp.Groups[0]
	resp.ErrorCode = g.ErrorCode
	for i := range g.Topics {
		from, t := &g.Topics[i], resp.AddTopic()
		t.Name = from.Name
		for j := range from.Partitions {
			q, p := &from.Partitions[j], t.AddPartition()
			p.Index, p.CommittedOffset, p.CommittedLeaderEpoch, p.Metadata, p.ErrorCode = q.Index, q.CommittedOffset, q.CommittedLeaderEpoch, q.Metadata, q.ErrorCode
		}
	}
	if g.ErrorCode == wire.None || s.version >= 2 {
		return
	}
	for i := range s.req.Topics { // version 1 has no code for the whole
		from, t := &s.req.Topics[i], resp.AddTopic()
		t.Name = from.Name
		for _, index := range from.PartitionIndexes {
			p := t.AddPartition()
			p.Index, p.CommittedOffset, p.CommittedLeaderEpoch, p.Metadata, p.ErrorCode = index, -1, -1, wire.Str(""), g.ErrorCode
		}
	}
}
