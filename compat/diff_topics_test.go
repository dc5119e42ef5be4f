//go:build compat

package compat

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var topicConversations = []talking{
	{name: "create", speak: createTopics},
	{name: "assign", speak: assignments},
	{name: "partitions", speak: createPartitions},
	{name: "delete", speak: deleteTopics},
	{name: "metadata", speak: metadata},
	{name: "describe", speak: describeTopicPartitions},
	{name: "dirs", speak: describeLogDirs},
}

type newTopic = kmsg.CreateTopicsRequestTopic

func topicOf(name string, partitions int32, replicas int16, configs ...string) newTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
	}
	return t
}

func creation(topics ...newTopic) *kmsg.CreateTopicsRequest {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.TimeoutMillis, r.Topics = 20_000, topics
	return r
}

// topic makes a topic of this conversation and waits until it can be used. It returns its whole name.
func (c *talk) topic(name string, partitions int32, configs ...string) string {
	name = c.own(name)
	r := c.quiet(7, creation(topicOf(name, partitions, 1, configs...))).(*kmsg.CreateTopicsResponse)
	for _, t := range r.Topics {
		if t.ErrorCode != 0 {
			panic(stop(fmt.Sprintf("%s cannot be created: %d, %s", name, t.ErrorCode, *t.ErrorMessage)))
		}
	}
	c.awaitTopic(name, int(partitions))
	return name
}

// awaitTopic waits until a topic has so many partitions, all with a leader that serves them; 0: until it is gone.
func (c *talk) awaitTopic(name string, partitions int) {
	until(c.speaker, name, 12, metadataOf(name), func(r *kmsg.MetadataResponse) bool {
		if partitions == 0 {
			return len(r.Topics) == 1 && r.Topics[0].ErrorCode == 3
		}
		return len(r.Topics) == 1 && r.Topics[0].ErrorCode == 0 && len(r.Topics[0].Partitions) == partitions && r.Topics[0].Partitions[partitions-1].Leader == 1
	})
	if partitions > 0 {
		until(c.speaker, name, 7, listOffsets(name, partitions, -1), func(r *kmsg.ListOffsetsResponse) bool {
			return len(r.Topics) == 1 && len(r.Topics[0].Partitions) == partitions && allZero(r.Topics[0].Partitions)
		})
	}
}

func allZero(partitions []kmsg.ListOffsetsResponseTopicPartition) bool {
	for _, p := range partitions {
		if p.ErrorCode != 0 {
			return false
		}
	}
	return true
}

// metadataOf asks for topics that must be there.
func metadataOf(names ...string) *kmsg.MetadataRequest {
	r := kmsg.NewPtrMetadataRequest()
	r.AllowAutoTopicCreation, r.Topics = false, []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		r.Topics = append(r.Topics, t)
	}
	return r
}

func (c *talk) topicID(name string) [16]byte {
	r := c.quiet(12, metadataOf(name)).(*kmsg.MetadataResponse)
	if len(r.Topics) != 1 {
		return [16]byte{}
	}
	c.ids.topicID(r.Topics[0].TopicID, name)
	return r.Topics[0].TopicID
}

func createTopics(c *talk) {
	c.each(kmsg.CreateTopics, func(v int16) {
		name := func(s string) string { return c.own(s + itoa(int(v))) }
		c.ask("three partitions", v, creation(topicOf(name("a"), 3, 1)))
		c.awaitTopic(name("a"), 3)
		c.ask("it is there", v, creation(topicOf(name("a"), 3, 1)))
		c.ask("as the broker likes", v, creation(topicOf(name("b"), -1, -1)))
		c.ask("with configs", v, creation(topicOf(name("c"), 1, 1, "cleanup.policy=compact,delete", "segment.bytes=1048576", "retention.ms=-1", "compression.type=gzip")))
		only := creation(topicOf(name("d"), 3, 1), topicOf(name("a"), 1, 1))
		only.ValidateOnly = true
		c.ask("only to see", v, only)
		c.ask("now really", v, creation(topicOf(name("d"), 1, 1)))
		c.ask("nothing", v, creation())
		c.ask("twice", v, creation(topicOf(name("e"), 1, 1), topicOf(name("e"), 1, 1), topicOf(name("f"), 1, 1)))
		c.ask("one good, one bad", v, creation(topicOf(name("g"), 1, 1), topicOf(name("h"), 0, 1)))
	})
	v := c.some(kmsg.CreateTopics)[2]
	for _, t := range []struct {
		label string
		topic newTopic
	}{
		{"an empty name", topicOf("", 1, 1)},
		{"a point", topicOf(".", 1, 1)},
		{"two points", topicOf("..", 1, 1)},
		{"a name of 249 letters", topicOf(c.own(strings.Repeat("x", 249-len(c.own("")))), 1, 1)},
		{"a name of 250 letters", topicOf(c.own(strings.Repeat("x", 250-len(c.own("")))), 1, 1)},
		{"a slash", topicOf("a/b", 1, 1)},
		{"a space", topicOf("a b", 1, 1)},
		{"letters of two bytes", topicOf("ä", 1, 1)},
		{"no partitions", topicOf(c.own("x"), 0, 1)},
		{"-2 partitions", topicOf(c.own("x"), -2, 1)},
		{"too many partitions", topicOf(c.own("x"), 100_001, 1)},
		{"no replicas", topicOf(c.own("x"), 1, 0)},
		{"-2 replicas", topicOf(c.own("x"), 1, -2)},
		{"two replicas", topicOf(c.own("x"), 1, 2)},
		{"an unknown config", topicOf(c.own("x"), 1, 1, "no.such=1")},
		{"a config of a broker", topicOf(c.own("x"), 1, 1, "log.retention.ms=1")},
		{"no number", topicOf(c.own("x"), 1, 1, "retention.ms=soon")},
		{"a number too small", topicOf(c.own("x"), 1, 1, "segment.bytes=13")},
		{"a number too large", topicOf(c.own("x"), 1, 1, "segment.bytes=2147483648")},
		{"no policy", topicOf(c.own("x"), 1, 1, "cleanup.policy=forget")},
		{"an empty policy", topicOf(c.own("x1"), 1, 1, "cleanup.policy=")},
		{"a policy twice", topicOf(c.own("x2"), 1, 1, "cleanup.policy=delete,delete")},
		{"no codec", topicOf(c.own("x"), 1, 1, "compression.type=rar")},
		{"a level of gzip that is none", topicOf(c.own("x"), 1, 1, "compression.gzip.level=17")},
		{"no bool", topicOf(c.own("x"), 1, 1, "preallocate=maybe")},
		{"no ratio", topicOf(c.own("x"), 1, 1, "min.cleanable.dirty.ratio=1.5")},
		{"a lag that ends before it begins", topicOf(c.own("x"), 1, 1, "min.compaction.lag.ms=20", "max.compaction.lag.ms=10")},
		{"a timestamp type", topicOf(c.own("x3"), 1, 1, "message.timestamp.type=LogAppendTime")},
		{"no timestamp type", topicOf(c.own("x"), 1, 1, "message.timestamp.type=Never")},
		{"in sync with none", topicOf(c.own("x"), 1, 1, "min.insync.replicas=0")},
		{"in sync with more than there are", topicOf(c.own("x4"), 1, 1, "min.insync.replicas=2")},
		{"throttled replicas", topicOf(c.own("x5"), 1, 1, "leader.replication.throttled.replicas=*", "follower.replication.throttled.replicas=0:1,1:1")},
		{"throttled replicas that are none", topicOf(c.own("x"), 1, 1, "leader.replication.throttled.replicas=a")},
		{"remote storage", topicOf(c.own("x"), 1, 1, "remote.storage.enable=true")},
		{"a config twice", topicOf(c.own("x6"), 1, 1, "retention.ms=1", "retention.ms=2")},
		{"spaces around a value", topicOf(c.own("x7"), 1, 1, "retention.ms= 5 ")},
		{"offsets", topicOf("__consumer_offsets", 1, 1)},
	} {
		c.ask(t.label, v, creation(t.topic))
	}
	null := topicOf(c.own("x"), 1, 1)
	null.Configs = append(null.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: "retention.ms"})
	c.ask("a config without a value", v, creation(null))
	c.ask("points", v, creation(topicOf(c.own("p.q"), 1, 1)))
	c.ask("lines for points", v, creation(topicOf(c.own("p_q"), 1, 1)))
	c.ask("a line and a point at once", v, creation(topicOf(c.own("r.s"), 1, 1), topicOf(c.own("r_s"), 1, 1)))
}

func placed(name string, replicas ...[]int32) newTopic {
	t := topicOf(name, -1, -1)
	for i, r := range replicas {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: r})
	}
	return t
}

func assignments(c *talk) {
	for _, v := range c.some(kmsg.CreateTopics) {
		name := func(s string) string { return c.own(s + itoa(int(v))) }
		c.ask("good", v, creation(placed(name("a"), []int32{1}, []int32{1})))
		c.ask("another broker", v, creation(placed(name("b"), []int32{2})))
		c.ask("the same broker twice", v, creation(placed(name("b"), []int32{1, 1})))
		c.ask("no broker", v, creation(placed(name("b"), []int32{})))
		c.ask("of different size", v, creation(placed(name("b"), []int32{1}, []int32{1, 2})))
		gap := placed(name("b"), []int32{1}, []int32{1})
		gap.ReplicaAssignment[1].Partition = 2
		c.ask("with a gap", v, creation(gap))
		double := placed(name("b"), []int32{1}, []int32{1})
		double.ReplicaAssignment[1].Partition = 0
		c.ask("a partition twice", v, creation(double))
		counted := placed(name("b"), []int32{1})
		counted.NumPartitions = 1
		c.ask("and a number of partitions", v, creation(counted))
		factor := placed(name("b"), []int32{1})
		factor.ReplicationFactor = 1
		c.ask("and a number of replicas", v, creation(factor))
	}
}

func morePartitions(name string, count int32, replicas ...[]int32) *kmsg.CreatePartitionsRequest {
	r := kmsg.NewPtrCreatePartitionsRequest()
	r.TimeoutMillis = 20_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, one := range replicas {
		t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: one})
	}
	r.Topics = append(r.Topics, t)
	return r
}

func createPartitions(c *talk) {
	c.each(kmsg.CreatePartitions, func(v int16) {
		name := c.topic("a"+itoa(int(v)), 2)
		only := morePartitions(name, 5)
		only.ValidateOnly = true
		c.ask("only to see", v, only)
		c.ask("three", v, morePartitions(name, 3))
		c.awaitTopic(name, 3)
		c.ask("three again", v, morePartitions(name, 3))
		c.ask("fewer", v, morePartitions(name, 2))
		c.ask("none", v, morePartitions(name, 0))
		c.ask("-1", v, morePartitions(name, -1))
		c.ask("too many", v, morePartitions(name, 100_000))
		c.ask("unknown", v, morePartitions(c.own("unknown"), 3))
		c.ask("no name", v, morePartitions("", 3))
		c.ask("a bad name", v, morePartitions("a/b", 3))
		c.ask("assigned", v, morePartitions(name, 5, []int32{1}, []int32{1}))
		c.ask("assigned to another", v, morePartitions(name, 6, []int32{2}))
		c.ask("assigned twice", v, morePartitions(name, 6, []int32{1, 1}))
		c.ask("assigned to nobody", v, morePartitions(name, 6, []int32{}))
		c.ask("too few assignments", v, morePartitions(name, 7, []int32{1}))
		c.ask("too many assignments", v, morePartitions(name, 6, []int32{1}, []int32{1}))
		twice := morePartitions(name, 8)
		twice.Topics = append(twice.Topics, morePartitions(name, 9).Topics...)
		twice.Topics = append(twice.Topics, morePartitions(c.topic("b"+itoa(int(v)), 1), 2).Topics...)
		c.ask("the same topic twice, and one more", v, twice)
		c.ask("nothing", v, kmsg.NewPtrCreatePartitionsRequest())
	})
}

func deletion(names ...string) *kmsg.DeleteTopicsRequest {
	r := kmsg.NewPtrDeleteTopicsRequest()
	r.TimeoutMillis = 20_000
	for _, name := range names {
		r.TopicNames = append(r.TopicNames, name)
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		r.Topics = append(r.Topics, t)
	}
	return r
}

func deleteTopics(c *talk) {
	c.each(kmsg.DeleteTopics, func(v int16) {
		a, b := c.topic("a"+itoa(int(v)), 2), c.topic("b"+itoa(int(v)), 1)
		c.ask("one of two", v, deletion(a, c.own("unknown")))
		c.awaitTopic(a, 0)
		c.ask("again", v, deletion(a))
		c.ask("twice", v, deletion(b, b))
		c.ask("no name", v, deletion(""))
		c.ask("a bad name", v, deletion("a/b"))
		c.ask("nothing", v, deletion())
	})
	v := c.some(kmsg.DeleteTopics)[2]
	a, b := c.topic("c", 1), c.topic("d", 1)
	byID := func(id [16]byte, name *string) kmsg.DeleteTopicsRequestTopic {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.TopicID, t.Topic = id, name
		return t
	}
	r := deletion()
	r.Topics = append(r.Topics, byID(c.topicID(a), nil), byID([16]byte{9, 9}, nil), byID([16]byte{}, nil), byID(c.topicID(b), &b), byID([16]byte{9, 8}, &b))
	c.ask("by id", v, r)
	both := deletion()
	both.Topics = append(both.Topics, byID(c.topicID(b), nil), byID([16]byte{}, &b))
	c.ask("by id and by name", v, both)
}

func metadata(c *talk) {
	a, b := c.topic("a", 3), c.topic("b", 1)
	c.each(kmsg.Metadata, func(v int16) {
		if v >= 4 { // those before make it
			c.ask("two, and one that is not there", v, metadataOf(a, c.own("unknown"), b))
		}
		c.ask("twice", v, metadataOf(a, a))
		c.ask("bad names", v, metadataOf("", "a/b", strings.Repeat("x", 300)))
		r := metadataOf(a)
		r.IncludeTopicAuthorizedOperations = true
		c.ask("with operations", v, r)
		if v >= 4 {
			return
		}
		// Versions that cannot say no make the topic: it is there a little later.
		c.ask("one to be made", v, metadataOf(c.own("auto"+itoa(int(v)))))
		c.awaitTopic(c.own("auto"+itoa(int(v))), 2)
	})
	for v := int16(10); v <= c.side.versions[3][1]; v++ {
		id := func(ids ...[16]byte) *kmsg.MetadataRequest {
			r := metadataOf()
			for _, id := range ids {
				t := kmsg.NewMetadataRequestTopic()
				t.TopicID = id
				r.Topics = append(r.Topics, t)
			}
			return r
		}
		c.ask("by id", v, id(c.topicID(a), [16]byte{9, 9}))
		c.ask("by no id", v, id([16]byte{}))
		both := id(c.topicID(a))
		both.Topics[0].Topic = &a
		c.ask("by id and by its name", v, both)
		both = id(c.topicID(a))
		both.Topics[0].Topic = &b
		c.ask("by id and by another name", v, both)
		c.ask("one by id, one by name", v, func() *kmsg.MetadataRequest {
			r := id(c.topicID(a))
			r.Topics = append(r.Topics, metadataOf(b).Topics...)
			return r
		}())
	}
	for _, name := range []string{c.own("auto"), "a/b"} {
		r := metadataOf(name)
		r.AllowAutoTopicCreation = true
		c.ask("one to be made", 12, r)
	}
	c.awaitTopic(c.own("auto"), 2)
	c.ask("what was made", 12, metadataOf(c.own("auto")))
}

func describeTopicPartitions(c *talk) {
	names := []string{c.topic("a", 3), c.topic("b", 1), c.topic("c", 4)}
	ask := func(label string, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) *kmsg.DescribeTopicPartitionsResponse {
		r := kmsg.NewPtrDescribeTopicPartitionsRequest()
		r.ResponsePartitionLimit, r.Cursor = limit, cursor
		for _, t := range topics {
			r.Topics = append(r.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: t})
		}
		return answered[*kmsg.DescribeTopicPartitionsResponse](c.speaker, label, 0, r)
	}
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		return &kmsg.DescribeTopicPartitionsRequestCursor{Topic: topic, Partition: partition}
	}
	ask("three topics", 2000, nil, names...)
	ask("in another order, one twice", 2000, nil, names[2], names[0], names[0], names[1])
	ask("with one that is not there", 2000, nil, names[0], c.own("unknown"), names[1])
	ask("bad names", 2000, nil, "", "a/b")
	for limit := range int32(9) {
		next := ask("the first so many", limit, nil, names...).NextCursor
		for pages := 0; next != nil && pages < 10; pages++ {
			next = ask("and on", limit, at(next.Topic, next.Partition), names...).NextCursor
		}
	}
	ask("a limit below zero", -1, nil, names...)
	ask("a limit beyond all", 1<<31-1, nil, names...)
	ask("from a partition", 2000, at(names[0], 1), names...)
	ask("from the last", 2000, at(names[2], 3), names...)
	ask("from beyond the last", 2000, at(names[2], 4), names...)
	ask("from partition -1", 2000, at(names[0], -1), names...)
	ask("from a topic that is not there", 2000, at(c.own("b1"), 0), names...)
	ask("from a topic that is not asked for", 2000, at(names[1], 0), names[0], names[2])
	ask("from no topic", 2000, at("", 0), names...)
	ask("from behind all", 2000, at("zzz", 0), names...)
}

func describeLogDirs(c *talk) {
	a := c.topic("a", 2)
	c.speaker.quiet(7, produceTo(a, 0, -1, batchOf("x", "y")))
	c.each(kmsg.DescribeLogDirs, func(v int16) {
		r := kmsg.NewPtrDescribeLogDirsRequest()
		r.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: a, Partitions: []int32{0, 1, 7}}, {Topic: c.own("unknown"), Partitions: []int32{0}}}
		c.ask("some", v, r)
		r = kmsg.NewPtrDescribeLogDirsRequest()
		r.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		c.ask("none", v, r)
		r = kmsg.NewPtrDescribeLogDirsRequest()
		r.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: a}}
		c.ask("no partitions", v, r)
	})
}
