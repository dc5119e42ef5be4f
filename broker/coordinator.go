package broker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/coord"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// groupOperations are what DescribeGroups tells who asks what he may do: read, delete, describe, describe and alter configurations.
const groupOperations int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// Bounds of requests that name many groups, and of what they are answered.
const (
	maxGroupsNamed = 64 << 10
	maxGroupAnswer = 64 << 20
)

var (
	errTooManyGroups  = fmt.Errorf("the request names more than %d groups", maxGroupsNamed)
	errAnswerTooLarge = fmt.Errorf("the answer takes more than %d MiB: ask for less at once", maxGroupAnswer>>20)
)

// newGroups makes the group coordinator. It runs nothing until it is used.
func (n *Node) newGroups() *coord.Groups {
	c := n.config
	o := coord.Options{
		Table: n.table,
		Now:   n.options.Now,
		Log:   n.log.With("topic", coord.Topic),
		Exists: func(topic string, id wire.UUID) bool {
			t := n.table.Topic(topic)
			return t != nil && (id.IsZero() || t.ID == id)
		},
		ExpireMs:  c.Int64("offsets.retention.check.interval.ms"),
		LoadBytes: min(c.Int("offsets.load.buffer.size"), 16<<20),
		Codec:     record.Codec(c.Int("offsets.topic.compression.codec")),
		Group: group.Options{
			InitialRebalanceDelayMs: orNone(c.Int64("group.initial.rebalance.delay.ms")),
			MinSessionMs:            orNone(c.Int64("group.min.session.timeout.ms")),
			MaxSessionMs:            orNone(c.Int64("group.max.session.timeout.ms")),
			MaxSize:                 c.Int("group.max.size"),
			MaxMetadataBytes:        int(orNone(c.Int64("offset.metadata.max.bytes"))),
			OffsetsRetentionMs:      c.Int64("offsets.retention.minutes") * 60_000,
			NewID:                   newMemberID,
		},
	}
	return coord.New(o)
}

// orNone is a setting as an option of package group, where zero is the default and a negative number is nothing.
func orNone(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// newMemberID is a random UUID, version 4 of RFC 9562, as text.
func newMemberID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:], id[:4])
	hex.Encode(text[9:], id[4:6])
	hex.Encode(text[14:], id[6:8])
	hex.Encode(text[19:], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// loadGroups starts the coordinators of the partitions that hold something, so that the sessions of their members run. It may have to look
// into many folders: not on a loop.
func (n *Node) loadGroups() {
	n.findGroups.Do(func() {
		for _, d := range n.dir.Partitions() {
			if d.Topic == coord.Topic {
				n.groups.Load(d.Partition)
			}
		}
		n.groupsFound.Store(true)
	})
}

// onImage follows the cluster image: the partitions first, then the groups that depend on them. On the quorum's goroutine.
func (n *Node) onImage(old, new *meta.Image) {
	n.apply(old, new)
	meta.EachTopicChange(old, new, func(was, is *meta.Topic) {
		switch {
		case was != nil && was.Name == coord.Topic:
			n.groups.Changed()
		case is == nil:
			n.groups.TopicRemoved(was.Name, was.ID)
		}
	})
}

// offsetsTopic is the topic of groups and offsets in the newest image, nil when it has not been needed yet.
func (n *Node) offsetsTopic() *meta.Topic { return n.image().TopicByName(coord.Topic) }

// createOffsetsTopic makes that topic; done runs when this broker serves it.
func (n *Node) createOffsetsTopic(done func(err error)) {
	var results []meta.TopicResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		factor := n.config.Int("offsets.topic.replication.factor")
		if brokers := im.BrokerCount(); factor > brokers {
			if n.config.Source("offsets.topic.replication.factor") != config.Default {
				n.log.Warn("there are fewer brokers than offsets.topic.replication.factor", "topic", coord.Topic, "wanted", factor, "replicas", brokers)
			}
			factor = brokers
		}
		rs, results = meta.CreateTopics(im, []meta.NewTopic{{
			Name:              coord.Topic,
			Partitions:        int32(n.config.Int("offsets.topic.num.partitions")),
			ReplicationFactor: int16(factor),
			Configs: []meta.ConfigValue{
				{Name: "cleanup.policy", Value: "compact"},
				{Name: "compression.type", Value: "producer"},
				{Name: "segment.bytes", Value: n.config.String("offsets.topic.segment.bytes")},
			},
		}}, n.topicRules(), random64)
		return rs, nil
	}, func(_ *meta.Image, err error) {
		if err == nil && results[0].Code != wire.None && results[0].Code != wire.TopicAlreadyExists {
			err = errors.New(results[0].Message)
		}
		if err != nil {
			n.log.Error("the topic of groups and offsets cannot be created", "topic", coord.Topic, "err", err)
		}
		done(err)
	})
}

// askGroup has the shard of a group decide. answer is told None when what was decided may be told.
func (n *Node) askGroup(groupID string, bytes int, decide func(s *group.Shard, now int64), answer func(code wire.Code)) {
	n.groups.Submit(groupID, groupTask(bytes, decide, answer))
}

func groupTask(bytes int, decide func(s *group.Shard, now int64), answer func(code wire.Code)) *coord.Task {
	t := &coord.Task{Bytes: bytes, Answer: answer}
	t.Decide = func(s *group.Shard, now int64) {
		decide(s, now)
		t.Ready()
	}
	return t
}

// askGroups has the shards of several groups decide, each asked once for those of its groups, by their places in ids. done runs when all have
// answered; codes has what came in the way of a group, by its place.
func (n *Node) askGroups(ids []string, bytes int, decide func(s *group.Shard, now int64, i int), done func(codes []wire.Code)) {
	codes := make([]wire.Code, len(ids))
	topic := n.offsetsTopic()
	if topic == nil || len(ids) == 0 {
		for i := range codes {
			codes[i] = wire.NotCoordinator
		}
		done(codes)
		return
	}
	places := map[int32][]int{}
	for i, id := range ids {
		p := coord.Partition(id, int32(len(topic.Partitions)))
		places[p] = append(places[p], i)
	}
	var left atomic.Int32
	left.Store(int32(len(places)))
	for p, places := range places {
		n.groups.SubmitTo(p, groupTask(bytes/len(ids)*len(places), func(s *group.Shard, now int64) {
			for _, i := range places {
				decide(s, now, i)
			}
		}, func(code wire.Code) {
			for _, i := range places {
				codes[i] = code
			}
			switch {
			case left.Add(-1) > 0:
			case len(ids) == 1:
				done(codes)
			default:
				n.workers.check.Go(func() { done(codes) }) // a long answer: not on a shard's goroutine
			}
		}))
	}
}

// distinct are the names without repetitions, in order.
func distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		twice := seen[name]
		seen[name] = true
		return twice
	})
}
