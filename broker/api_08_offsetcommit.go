package broker

import (
	"sync"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/wire"
)

// OffsetCommit, versions 2-10: a group stores how far it has come. protocol.md 2.4, 40.
//
//   - The answer comes when the offsets are durable; all commits that come while one append is under way share the next (internal/coord).
//   - Partitions of topics that do not exist are refused one by one, by name or, from version 10 on, by id; the others are stored.
//   - The empty group id is a group, as in Kafka.
//   - The retention time of versions 2-4 is kept, as in Kafka.

// quickCommit is up to how large a commit may be decided on its loop.
const quickCommit = 4 << 10

// commitTask is pooled: commits come as often as fetches.
type commitTask struct {
	coord.Task
	c      *call
	byID   bool
	req    wire.OffsetCommitRequest
	commit group.CommitRequest // the topics that exist
	codes  []wire.Code         // of the request's topics; None: see the commit
	code   wire.Code           // of the commit as a whole
	parts  []group.CommitPartition
	ends   []int // of each of the request's topics: where its part of parts ends
	resp   wire.OffsetCommitResponse
}

var commitTasks sync.Pool

// Not in the declaration: what a task does ends in the pool.
func init() {
	commitTasks.New = func() any {
		t := new(commitTask)
		t.Decide, t.Answer = t.decide, t.answer
		return t
	}
}

func (n *Node) handleOffsetCommit(c *call) {
	t := commitTasks.Get().(*commitTask)
	t.c = c
	if err := t.req.Decode(c.header.Version, c.body); err != nil {
		t.free()
		c.fail(err)
		return
	}
	count := 0
	for i := range t.req.Topics {
		count += 1 + len(t.req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		t.free()
		c.fail(errTooManyPartitions)
		return
	}
	t.Bytes, t.Quick = len(c.body), len(c.body) <= quickCommit
	if !t.sort(n) {
		t.answer(wire.None) // nothing of it exists
		return
	}
	n.groups.Submit(t.req.GroupID, &t.Task)
}

// sort tells topics and partitions that exist from those that do not. False: there are none to be stored.
func (t *commitTask) sort(n *Node) bool {
	version := t.c.header.Version
	t.byID = version >= 10
	r := &t.req
	t.commit = group.CommitRequest{Group: r.GroupID, Member: r.MemberID, Instance: r.GroupInstanceID, Generation: r.GenerationIDOrMemberEpoch,
		RetentionMs: r.RetentionTimeMs, KnowsGroupIDs: version >= 9, Topics: t.commit.Topics[:0]}
	if version > 4 {
		t.commit.RetentionMs = -1
	}
	count := 0
	for i := range r.Topics {
		count += len(r.Topics[i].Partitions)
	}
	if cap(t.parts) < count {
		t.parts = make([]group.CommitPartition, 0, count)
	}
	t.parts = t.parts[:0] // no longer grows: the topics below have views of it
	t.codes, t.ends = t.codes[:0], t.ends[:0]
	for i := range r.Topics {
		rt := &r.Topics[i]
		topic, err := n.topic(rt.Name, rt.TopicID, t.byID)
		from := len(t.parts)
		t.codes, t.ends = append(t.codes, codeOf(err)), append(t.ends, from)
		if err != nil {
			continue
		}
		for j := range rt.Partitions {
			p := &rt.Partitions[j]
			if _, exists := topic.Partition(p.Index); !exists {
				continue
			}
			t.parts = append(t.parts, group.CommitPartition{Partition: p.Index, LeaderEpoch: p.CommittedLeaderEpoch, Offset: p.CommittedOffset,
				Metadata: p.CommittedMetadata})
		}
		t.ends[i] = len(t.parts)
		if len(t.parts) > from {
			t.commit.Topics = append(t.commit.Topics, group.CommitTopic{Name: topic.Name, ID: topic.ID, Partitions: t.parts[from:len(t.parts):len(t.parts)]})
		}
	}
	return len(t.parts) > 0
}

func (t *commitTask) decide(s *group.Shard, now int64) {
	t.code = s.Commit(now, &t.commit)
	t.Ready()
}

// answer repeats the request's partitions in its order. Those that exist are t.parts, in the same order.
func (t *commitTask) answer(code wire.Code) {
	if code == wire.None {
		code = t.code
	}
	t.resp.Default()
	next := 0
	for i := range t.req.Topics {
		rt := &t.req.Topics[i]
		if len(rt.Partitions) == 0 {
			continue
		}
		at := t.resp.AddTopic()
		at.Name, at.TopicID = rt.Name, rt.TopicID
		for j := range rt.Partitions {
			ap := at.AddPartition()
			ap.Index = rt.Partitions[j].Index
			switch {
			case t.codes[i] != wire.None:
				ap.ErrorCode = t.codes[i]
			case next == t.ends[i] || t.parts[next].Partition != ap.Index:
				ap.ErrorCode = wire.UnknownTopicOrPartition
			default:
				if ap.ErrorCode = code; code == wire.None {
					ap.ErrorCode = t.parts[next].Code
				}
				next++
			}
		}
	}
	c := t.c
	r, h := c.reply, c.header
	r.Buf = wire.AppendResponseHeader(r.Buf, h.Key, h.Version, h.CorrelationID)
	r.Buf = t.resp.Append(h.Version, r.Buf)
	t.free()
	c.finish()
	r.Send()
}

// maxKept bounds what a pooled task keeps.
const maxKept = 1024

func (t *commitTask) free() {
	t.c, t.code = nil, wire.None
	t.req.Default()
	clear(t.commit.Topics)
	clear(t.parts)
	t.commit = group.CommitRequest{Topics: t.commit.Topics[:0]}
	if max(cap(t.parts), cap(t.codes)) > maxKept {
		t.parts, t.codes, t.ends, t.commit.Topics = nil, nil, nil, nil
	}
	commitTasks.Put(t)
}
