//go:build compat

package compat

import (
	"encoding/binary"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var recordConversations = []talking{
	{name: "produce", speak: produce},
	{name: "idempotent", speak: idempotent},
	{name: "fetch", speak: fetch},
	{name: "sessions", speak: sessions},
	{name: "offsets", speak: listings},
	{name: "epochs", speak: epochs},
	{name: "trim", speak: deleteRecords},
	{name: "producers", speak: initProducerID},
}

// batch is one record batch, with everything that can be wrong with it.
type batch struct {
	kmsg.RecordBatch
	crc int32 // added to the right one
}

// newBatch has records with the values given and keys k0, k1, ...; their timestamps are 1000, 1001, ...
func newBatch(values ...string) *batch {
	b := &batch{}
	b.PartitionLeaderEpoch, b.Magic, b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, 2, -1, -1, -1
	b.FirstTimestamp, b.MaxTimestamp = 1000, 1000+int64(len(values))-1
	b.NumRecords, b.LastOffsetDelta = int32(len(values)), int32(len(values))-1
	for i, value := range values {
		r := kmsg.Record{TimestampDelta64: int64(i), OffsetDelta: int32(i), Key: []byte("k" + itoa(i)), Value: []byte(value)}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = append(b.Records, r.AppendTo(nil)...)
	}
	return b
}

func (b *batch) raw() []byte {
	b.Length = int32(len(b.AppendTo(nil))) - 12
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli))+uint32(b.crc))
	return raw
}

func batchOf(values ...string) []byte { return newBatch(values...).raw() }

func produceTo(topic string, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.Acks, r.TimeoutMillis = acks, 10_000
	r.Topics = append(r.Topics, kmsg.ProduceRequestTopic{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: records}}})
	return r
}

// lastWithNames is the last version of Produce and of Fetch that names topics.
const lastWithNames = 12

func produce(c *talk) {
	a := c.topic("a", 2)
	id := c.topicID(a)
	for v := int16(3); v <= c.side.versions[0][1]; v++ {
		say := func(label, topic string, partition int32, acks int16, raw []byte) {
			r := produceTo(topic, partition, acks, raw)
			if v > lastWithNames {
				if r.Topics[0].Topic = ""; topic == a {
					r.Topics[0].TopicID = id
				} else {
					r.Topics[0].TopicID = [16]byte{9, 9}
				}
			}
			c.ask(label, v, r)
		}
		edited := func(label string, edit func(b *batch)) {
			b := newBatch("x", "y", "z")
			edit(b)
			say(label, a, 0, -1, b.raw())
		}
		say("three records", a, 0, -1, batchOf("x", "y", "z"))
		say("to the leader", a, 1, 1, batchOf("x"))
		say("acks 2", a, 0, 2, batchOf("x"))
		say("acks -2", a, 0, -2, batchOf("x"))
		say("unknown topic", c.own("unknown"), 0, -1, batchOf("x"))
		say("unknown partition", a, 2, -1, batchOf("x"))
		say("partition -1", a, -1, -1, batchOf("x"))
		say("empty records", a, 0, -1, []byte{})
		say("half a batch", a, 0, -1, batchOf("x")[:40])
		say("rubbish", a, 0, -1, []byte("rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish, rubbish"))
		say("two batches", a, 0, -1, append(batchOf("x"), batchOf("y")...))
		say("a batch and a half", a, 0, -1, append(batchOf("x"), batchOf("y")[:30]...))
		edited("a wrong checksum", func(b *batch) { b.crc = 1 })
		edited("magic 1", func(b *batch) { b.Magic = 1 })
		edited("magic 0", func(b *batch) { b.Magic = 0 })
		edited("magic 3", func(b *batch) { b.Magic = 3 })
		edited("a count too large", func(b *batch) { b.NumRecords++; b.LastOffsetDelta++ })
		edited("a count too small", func(b *batch) { b.NumRecords--; b.LastOffsetDelta-- })
		edited("a last offset that is wrong", func(b *batch) { b.LastOffsetDelta = 9 })
		edited("no count", func(b *batch) { b.NumRecords, b.LastOffsetDelta = 0, -1 })
		edited("a codec that is none", func(b *batch) { b.Attributes = 5 })
		edited("compressed, it says", func(b *batch) { b.Attributes = 1 })
		edited("zstd, it says", func(b *batch) { b.Attributes = 4 })
		edited("a control batch", func(b *batch) { b.Attributes = 0x20 })
		edited("of a transaction", func(b *batch) { b.Attributes = 0x10 })
		edited("time of the log, it says", func(b *batch) { b.Attributes = 8 })
		edited("a base offset", func(b *batch) { b.FirstOffset = 77 })
		edited("a leader epoch", func(b *batch) { b.PartitionLeaderEpoch = 5 })
		edited("a largest timestamp that is none", func(b *batch) { b.MaxTimestamp = 5_000 })
		edited("without timestamps", func(b *batch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 })
		edited("from far ahead", func(b *batch) { b.FirstTimestamp, b.MaxTimestamp = 9_000_000_000_000, 9_000_000_000_002 })
		// acks 0 has no answer; the next request's answer is the next that comes.
		r := produceTo(a, 0, 0, batchOf("x"))
		if v > lastWithNames {
			r.Topics[0].Topic, r.Topics[0].TopicID = "", id
		}
		c.send(v, r)
		c.ask("after one without an answer", 0, kmsg.NewPtrFindCoordinatorRequest())
	}
	limits(c)
}

// limits: topics whose configuration refuses records.
func limits(c *talk) {
	small := c.topic("small", 1, "max.message.bytes=200", "segment.bytes=1048576")
	compacted := c.topic("compacted", 1, "cleanup.policy=compact")
	logTime := c.topic("time", 1, "message.timestamp.type=LogAppendTime")
	strict := c.topic("strict", 1, "message.timestamp.before.max.ms=1000", "message.timestamp.after.max.ms=1000")
	shy := c.topic("shy", 1, "min.insync.replicas=2")
	for _, v := range []int16{3, 7, 8, 12} {
		say := func(label, topic string, raw []byte) { c.ask(label, v, produceTo(topic, 0, -1, raw)) }
		say("as large as it may be", small, batchOf(strings.Repeat("x", 200-61-9)))
		say("too large", small, batchOf(strings.Repeat("x", 300)))
		say("with keys", compacted, batchOf("x", "y"))
		keyless := newBatch()
		for i := range 2 {
			r := kmsg.Record{OffsetDelta: int32(i), Value: []byte("v")}
			r.Length = int32(len(r.AppendTo(nil)) - 1)
			keyless.Records = append(keyless.Records, r.AppendTo(nil)...)
		}
		keyless.NumRecords, keyless.LastOffsetDelta, keyless.MaxTimestamp = 2, 1, 1000
		say("without keys", compacted, keyless.raw())
		say("at the time of the log", logTime, batchOf("x"))
		say("from long ago", strict, batchOf("x"))
		ahead := newBatch("x")
		ahead.FirstTimestamp, ahead.MaxTimestamp = 9_000_000_000_000, 9_000_000_000_000
		say("from far ahead", strict, ahead.raw())
		say("too few in sync", shy, batchOf("x"))
		c.ask("too few in sync, but acks 1", v, produceTo(shy, 0, 1, batchOf("x")))
	}
	several := produceTo(c.topic("several", 2), 0, -1, batchOf("x"))
	several.Topics[0].Partitions = append(several.Topics[0].Partitions, produceTo("", 1, -1, batchOf("x", "y")).Topics[0].Partitions...)
	several.Topics[0].Partitions = append(several.Topics[0].Partitions, produceTo("", 5, -1, batchOf("x")).Topics[0].Partitions...)
	several.Topics = append(several.Topics, produceTo(c.own("unknown"), 0, -1, batchOf("x")).Topics...)
	c.ask("several", 9, several)
	nothing := produceTo("", 0, -1, nil)
	nothing.Topics = nil
	c.ask("nothing", 9, nothing)
	internal := produceTo("__consumer_offsets", 0, -1, batchOf("x"))
	c.ask("to the offsets", 9, internal)
	transactional := produceTo(c.own("several"), 0, -1, batchOf("x"))
	transactional.TransactionID = ptr("nobody")
	c.ask("of nobody's transaction", 9, transactional)
}

func idempotent(c *talk) {
	a := c.topic("a", 1)
	ready := func(r *kmsg.InitProducerIDResponse) bool { return r.ErrorCode == 0 }
	r := until(c.speaker, "a producer id", 5, kmsg.NewPtrInitProducerIDRequest(), ready)
	other := until(c.speaker, "a producer id", 5, kmsg.NewPtrInitProducerIDRequest(), ready)
	say := func(label string, id int64, epoch int16, sequence int32, values ...string) {
		b := newBatch(values...)
		b.ProducerID, b.ProducerEpoch, b.FirstSequence = id, epoch, sequence
		c.ask(label, 8, produceTo(a, 0, -1, b.raw()))
	}
	id := r.ProducerID
	say("first", id, 0, 0, "a", "b")
	say("the same", id, 0, 0, "a", "b")
	say("next", id, 0, 2, "c")
	say("the same", id, 0, 2, "c")
	say("the first again", id, 0, 0, "a", "b")
	say("half of the first", id, 0, 0, "a")
	say("a gap", id, 0, 4, "e")
	say("before", id, 0, 1, "x")
	for i := range int32(5) {
		say("and on", id, 0, 3+i, "d")
	}
	say("the first, long after", id, 0, 0, "a", "b")
	say("a new epoch", id, 1, 0, "a")
	say("a new epoch in the middle", id, 2, 5, "a")
	say("the old epoch", id, 0, 8, "x")
	say("a sequence below zero", id, 1, -1, "x")
	say("an epoch below zero", id, -1, 0, "x")
	say("another producer in the middle", other.ProducerID, 0, 7, "x")
	say("a producer from nowhere", 987654, 0, 0, "x")
	say("about to wrap", 987655, 0, 1<<31-2, "x")
	say("wraps", 987655, 0, 1<<31-1, "x", "y")
	say("has wrapped", 987655, 0, 1, "z")
}

func fetchOf(topic string, partition int32, offset int64) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.MaxWaitMillis, r.MaxBytes = 0, 1<<20
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

func fetch(c *talk) {
	a := c.topic("a", 2)
	id := c.topicID(a)
	c.quiet(9, produceTo(a, 0, -1, batchOf("x", "y", "z")))
	c.quiet(9, produceTo(a, 0, -1, batchOf("1")))
	c.quiet(9, produceTo(a, 0, -1, batchOf("2", "3")))
	c.each(kmsg.Fetch, func(v int16) {
		say := func(label, topic string, partition int32, offset int64, edit func(r *kmsg.FetchRequest)) {
			r := fetchOf(topic, partition, offset)
			if v > lastWithNames {
				if r.Topics[0].Topic = ""; topic == a {
					r.Topics[0].TopicID = id
				} else if topic != "" {
					r.Topics[0].TopicID = [16]byte{9, 9}
				}
			}
			if edit != nil {
				edit(r)
			}
			c.ask(label, v, r)
		}
		say("all", a, 0, 0, nil)
		say("from the middle", a, 0, 1, nil)
		say("from the second", a, 0, 3, nil)
		say("at the end", a, 0, 6, nil)
		say("beyond the end", a, 0, 7, nil)
		say("before the beginning", a, 0, -1, nil)
		say("an empty partition", a, 1, 0, nil)
		say("an unknown partition", a, 2, 0, nil)
		say("an unknown topic", c.own("unknown"), 0, 0, nil)
		say("no topic", "", 0, 0, nil)
		say("committed", a, 0, 0, func(r *kmsg.FetchRequest) { r.IsolationLevel = 1 })
		say("of an isolation that is none", a, 0, 0, func(r *kmsg.FetchRequest) { r.IsolationLevel = 2 })
		say("little", a, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 1 })
		say("little of all", a, 0, 0, func(r *kmsg.FetchRequest) { r.MaxBytes = 1 })
		say("nothing of all", a, 0, 0, func(r *kmsg.FetchRequest) { r.MaxBytes = 0 })
		say("two of three", a, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 200 })
		say("an epoch to come", a, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 100 })
		say("this epoch", a, 0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 0 })
		say("diverging", a, 0, 6, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = 3 })
		say("not diverging", a, 0, 6, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].LastFetchedEpoch = 0 })
		say("for a while", a, 0, 6, func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 100, 1 })
		say("for a while, with an error", a, 7, 6, func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 100_000, 1 })
		say("from another rack", a, 0, 0, func(r *kmsg.FetchRequest) { r.Rack = "elsewhere" })
		say("two partitions", a, 0, 0, func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, fetchOf("", 1, 0).Topics[0].Partitions...)
		})
		say("the same partition twice", a, 0, 0, func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, fetchOf("", 0, 3).Topics[0].Partitions...)
		})
		say("nothing", a, 0, 0, func(r *kmsg.FetchRequest) { r.Topics = nil })
	})
}

// end is where a partition ends.
func (c *talk) end(topic string, partition int) (offset int64) {
	r := c.quiet(7, listOffsets(topic, partition+1, -1)).(*kmsg.ListOffsetsResponse)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if p.Partition == int32(partition) {
				offset = p.Offset
			}
		}
	}
	return offset
}

func sessions(c *talk) {
	a, b := c.topic("a", 2), c.topic("b", 1)
	c.quiet(9, produceTo(a, 0, -1, batchOf("x")))
	for v := int16(7); v <= c.side.versions[1][1]; v++ {
		named := func(topic string, partition int32, offset int64) *kmsg.FetchRequest {
			r := fetchOf(topic, partition, offset)
			if v > lastWithNames {
				r.Topics[0].TopicID, r.Topics[0].Topic = c.topicID(topic), ""
			}
			return r
		}
		in := func(id, epoch int32, r *kmsg.FetchRequest) *kmsg.FetchRequest {
			r.SessionID, r.SessionEpoch = id, epoch
			return r
		}
		none := func() *kmsg.FetchRequest {
			r := named(a, 0, 0)
			r.Topics = nil
			return r
		}
		first := named(a, 0, 0)
		first.Topics[0].Partitions = append(first.Topics[0].Partitions, named(a, 1, 0).Topics[0].Partitions...)
		id := answered[*kmsg.FetchResponse](c.speaker, "a session", v, in(0, 0, first)).SessionID
		c.ask("the next", v, in(id, 1, named(a, 0, 1)))
		c.ask("nothing new", v, in(id, 2, none()))
		c.quiet(9, produceTo(a, 1, -1, batchOf("new")))
		end := c.end(a, 1)
		c.ask("something new", v, in(id, 3, none()))
		c.ask("past it", v, in(id, 4, named(a, 1, end)))
		c.ask("one more topic", v, in(id, 5, named(b, 0, 0)))
		without := none()
		without.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: a, TopicID: named(a, 0, 0).Topics[0].TopicID, Partitions: []int32{0}}}
		c.ask("one partition less", v, in(id, 6, without))
		c.ask("beyond the end", v, in(id, 7, named(a, 1, end+100)))
		c.ask("still beyond the end", v, in(id, 8, none()))
		c.ask("an unknown partition", v, in(id, 9, named(a, 7, 0)))
		c.ask("an epoch too old", v, in(id, 3, none()))
		c.ask("an epoch too new", v, in(id, 30, none()))
		c.ask("in order again", v, in(id, 10, none()))
		c.ask("no such session", v, in(123456789, 1, none()))
		c.ask("closed", v, in(id, -1, none()))
		c.ask("after it was closed", v, in(id, 11, none()))
		c.ask("without a session", v, in(0, -1, named(a, 0, 0)))
		c.ask("a session of nothing", v, in(0, 0, none()))
	}
}

func listOffsets(topic string, partitions int, at int64) *kmsg.ListOffsetsRequest {
	r := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for i := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = int32(i), at
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return r
}

func listings(c *talk) {
	a := c.topic("a", 3)
	c.quiet(9, produceTo(a, 0, -1, batchOf("x", "y", "z")))
	late := newBatch("1", "2")
	late.FirstTimestamp, late.MaxTimestamp = 500, 501
	c.quiet(9, produceTo(a, 0, -1, late.raw()))
	without := newBatch("1")
	without.FirstTimestamp, without.MaxTimestamp = -1, -1
	c.quiet(9, produceTo(a, 1, -1, without.raw()))
	c.each(kmsg.ListOffsets, func(v int16) {
		for _, at := range []int64{-1, -2, -3, -4, -5, -6, -7, -8, 0, 500, 501, 502, 1001, 1002, 1003, 1 << 60, -1 << 60} {
			c.ask("at "+itoa(int(at)), v, listOffsets(a, 3, at))
			committed := listOffsets(a, 1, at)
			committed.IsolationLevel = 1
			c.ask("committed, at "+itoa(int(at)), v, committed)
		}
		c.ask("unknown topic", v, listOffsets(c.own("unknown"), 1, -1))
		c.ask("unknown partition", v, listOffsets(a, 4, -1))
		c.ask("no topic", v, listOffsets("", 1, -1))
		r := listOffsets(a, 1, -1)
		r.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
		c.ask("an epoch to come", v, r)
		r = listOffsets(a, 1, -1)
		r.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
		c.ask("this epoch", v, r)
		r = listOffsets(a, 1, -1)
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		c.ask("twice", v, r)
		r = listOffsets(a, 1, 1000)
		r.ReplicaID = -2
		c.ask("as a debugger", v, r)
		r = listOffsets(a, 1, -1)
		r.ReplicaID = 5
		c.ask("as a broker that is not there", v, r)
		c.ask("nothing", v, kmsg.NewPtrListOffsetsRequest())
	})
}

func epochs(c *talk) {
	a := c.topic("a", 2)
	c.quiet(9, produceTo(a, 0, -1, batchOf("x", "y", "z")))
	c.each(kmsg.OffsetForLeaderEpoch, func(v int16) {
		for _, epoch := range []int32{0, 1, -1, -2, 100} {
			for _, current := range []int32{-1, 0, 9} {
				r := kmsg.NewPtrOffsetForLeaderEpochRequest()
				r.ReplicaID = -1
				t := kmsg.OffsetForLeaderEpochRequestTopic{Topic: a}
				for i := range int32(3) {
					t.Partitions = append(t.Partitions, kmsg.OffsetForLeaderEpochRequestTopicPartition{Partition: i, CurrentLeaderEpoch: current, LeaderEpoch: epoch})
				}
				r.Topics = append(r.Topics, t, kmsg.OffsetForLeaderEpochRequestTopic{Topic: c.own("unknown"), Partitions: t.Partitions[:1]})
				c.ask("epoch "+itoa(int(epoch))+" in "+itoa(int(current)), v, r)
			}
		}
		c.ask("nothing", v, kmsg.NewPtrOffsetForLeaderEpochRequest())
	})
}

func trimming(topic string, offsets ...int64) *kmsg.DeleteRecordsRequest {
	r := kmsg.NewPtrDeleteRecordsRequest()
	r.TimeoutMillis = 10_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	for i, offset := range offsets {
		t.Partitions = append(t.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: int32(i), Offset: offset})
	}
	r.Topics = append(r.Topics, t)
	return r
}

func deleteRecords(c *talk) {
	compacted := c.topic("compacted", 1, "cleanup.policy=compact")
	both := c.topic("both", 1, "cleanup.policy=compact,delete")
	c.each(kmsg.DeleteRecords, func(v int16) {
		a := c.topic("a"+itoa(int(v)), 2)
		c.quiet(9, produceTo(a, 0, -1, batchOf("x", "y", "z")))
		c.quiet(9, produceTo(a, 0, -1, batchOf("1", "2", "3")))
		show := func() {
			c.ask("the beginning", 7, listOffsets(a, 2, -2))
			c.ask("the end", 7, listOffsets(a, 2, -1))
			c.ask("from the beginning", 11, fetchOf(a, 0, 0))
			c.ask("from the fifth", 11, fetchOf(a, 0, 4))
		}
		c.ask("none", v, trimming(a, 0, 0))
		c.ask("two", v, trimming(a, 2, 0))
		show()
		c.ask("fewer", v, trimming(a, 1))
		show()
		c.ask("too many", v, trimming(a, 7, 1))
		c.ask("-2", v, trimming(a, -2))
		c.ask("of partitions that are not there", v, trimming(a, 2, 0, 0))
		c.ask("of a topic that is not there", v, trimming(c.own("unknown"), 2))
		c.ask("of no topic", v, trimming("", 2))
		c.ask("of a bad name", v, trimming("a/b", 2))
		c.ask("compacted", v, trimming(compacted, 0))
		c.ask("compacted and deleted", v, trimming(both, 0))
		c.ask("offsets", v, trimming("__consumer_offsets", 0))
		c.ask("all", v, trimming(a, -1, -1))
		show()
		c.ask("all of nothing", v, trimming(a, -1))
		twice := trimming(a, 6)
		twice.Topics = append(twice.Topics, twice.Topics[0])
		c.ask("the same topic twice", v, twice)
		c.ask("nothing", v, kmsg.NewPtrDeleteRecordsRequest())
	})
}

func initProducerID(c *talk) {
	c.each(kmsg.InitProducerID, func(v int16) {
		if v > 5 { // two-phase commit: Kafka's listener has it, and calls it unstable
			return
		}
		ask := func(label string, edit func(r *kmsg.InitProducerIDRequest)) {
			r := kmsg.NewPtrInitProducerIDRequest()
			r.TransactionTimeoutMillis = 60_000
			if edit != nil {
				edit(r)
			}
			c.ask(label, v, r)
		}
		ask("one", nil)
		ask("another", nil)
		ask("with an empty transactional id", func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = ptr("") })
		ask("without a time-out", func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = -1 })
		ask("with an id and no epoch", func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 5 })
		ask("with an epoch and no id", func(r *kmsg.InitProducerIDRequest) { r.ProducerEpoch = 5 })
		ask("with id and epoch", func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = 5, 5 })
	})
}
