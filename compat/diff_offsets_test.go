//go:build compat

package compat

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var offsetConversations = []talking{
	{name: "commits", speak: commits},
	{name: "membercommits", speak: memberCommits},
	{name: "fetches", speak: offsetFetches},
	{name: "offsetdelete", speak: offsetDelete},
}

// commitOf is a commit of a client that is in no group.
func commitOf(group, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Group = group
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, ptr("note")
	t.Partitions = append(t.Partitions, p)
	r.Topics = append(r.Topics, t)
	return r
}

func memberCommit(m *member, topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
	r := commitOf(m.group, topic, partition, offset)
	r.MemberID, r.InstanceID, r.Generation = m.id, m.instance, m.generation
	return r
}

// offsetsOf asks for offsets in the form of the version; no topics: all.
func offsetsOf(v int16, group string, topics ...string) *kmsg.OffsetFetchRequest {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Group = group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	for _, t := range topics {
		r.Topics = append(r.Topics, kmsg.OffsetFetchRequestTopic{Topic: t, Partitions: []int32{0, 1, 7}})
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t, Partitions: []int32{0, 1, 7}})
	}
	r.Groups = append(r.Groups, g)
	return r
}

func commits(c *talk) {
	a := c.topic("a", 2)
	id := c.topicID(a)
	c.each(kmsg.OffsetCommit, func(v int16) {
		group := c.own("g" + itoa(int(v)))
		commit := func(topic string, partition int32, offset int64) *kmsg.OffsetCommitRequest {
			r := commitOf(group, topic, partition, offset)
			if v >= 10 {
				if topic == a {
					r.Topics[0].TopicID = id
				} else {
					r.Topics[0].TopicID = [16]byte{9, 9}
				}
			}
			return r
		}
		edited := func(label string, edit func(r *kmsg.OffsetCommitRequest)) {
			r := commit(a, 0, 5)
			edit(r)
			c.ask(label, v, r)
		}
		c.ask("five", v, commit(a, 0, 5))
		c.ask("back to three", v, commit(a, 0, 3))
		c.ask("zero", v, commit(a, 1, 0))
		c.ask("below zero", v, commit(a, 1, -1))
		c.ask("far below zero", v, commit(a, 1, -5))
		c.ask("an unknown partition", v, commit(a, 7, 1))
		c.ask("partition -1", v, commit(a, -1, 1))
		c.ask("an unknown topic", v, commit(c.own("unknown"), 0, 1))
		edited("as large a note as may be", func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("x", 100))
		})
		edited("a note too large", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("x", 101)) })
		edited("a note of letters of two bytes", func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions[0].Metadata = ptr(strings.Repeat("ä", 60))
		})
		edited("no note", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].Metadata = nil })
		edited("with an epoch", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions[0].LeaderEpoch = 4 })
		edited("to be kept for a while", func(r *kmsg.OffsetCommitRequest) { r.RetentionTimeMillis = 1_000_000 })
		edited("of a generation", func(r *kmsg.OffsetCommitRequest) { r.Generation = 3 })
		edited("of a member", func(r *kmsg.OffsetCommitRequest) { r.MemberID = "nobody" })
		edited("of a member of a generation", func(r *kmsg.OffsetCommitRequest) { r.MemberID, r.Generation = "nobody", 3 })
		edited("of an instance", func(r *kmsg.OffsetCommitRequest) { r.InstanceID = ptr("i") })
		edited("of no group", func(r *kmsg.OffsetCommitRequest) { r.Group = "" })
		edited("no partition", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].Partitions = nil })
		edited("no topic", func(r *kmsg.OffsetCommitRequest) { r.Topics = nil })
		edited("a partition twice", func(r *kmsg.OffsetCommitRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, commit(a, 0, 9).Topics[0].Partitions...)
		})
		edited("one good, one bad, one too large", func(r *kmsg.OffsetCommitRequest) {
			r.Topics = append(r.Topics, commit(c.own("unknown"), 0, 9).Topics...)
			p := commit(a, 1, 9).Topics[0].Partitions[0]
			p.Metadata = ptr(strings.Repeat("x", 101))
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		})
		if v >= 10 {
			edited("a topic that has no id", func(r *kmsg.OffsetCommitRequest) { r.Topics[0].TopicID = [16]byte{} })
		}
		c.ask("what is there", 5, offsetsOf(5, group))
		c.ask("the group", 5, describeGroups(group))
	})
}

// memberCommits: commits to groups that have members.
func memberCommits(c *talk) {
	a := c.topic("a", 2)
	c.each(kmsg.OffsetCommit, func(v int16) {
		if v > 9 {
			return
		}
		m := c.member("m", c.own("g"+itoa(int(v))), 7)
		m.topics = []string{a}
		p := m.joining("joins")
		c.awaitGroup(m.group, "PreparingRebalance", 1)
		commit := func(label string) { m.ask(label, v, memberCommit(m, a, 0, 5)) }
		m.joined(p)
		commit("before the sync")
		m.ask("syncs", 5, m.sync(m))
		commit("stable")
		wrong := *m
		wrong.generation++
		m.ask("of a generation to come", v, memberCommit(&wrong, a, 0, 6))
		wrong.generation = -1
		m.ask("of no generation", v, memberCommit(&wrong, a, 0, 6))
		wrong = *m
		wrong.id = "nobody"
		m.ask("of another", v, memberCommit(&wrong, a, 0, 6))
		wrong.instance = ptr("i")
		m.ask("of another instance", v, memberCommit(&wrong, a, 0, 6))
		c.ask("of nobody", v, commitOf(m.group, a, 0, 6))
		c.ask("what is there", 5, offsetsOf(5, m.group, a))
		m.ask("leaves", 5, m.leave())
		commit("after it left")
		c.ask("of nobody, after it left", v, commitOf(m.group, a, 0, 6))
		c.ask("what is there", 5, offsetsOf(5, m.group, a))
	})
}

func offsetFetches(c *talk) {
	a, b := c.topic("a", 2), c.topic("b", 2)
	ids := map[string][16]byte{a: c.topicID(a), b: c.topicID(b)}
	group, other := c.own("g"), c.own("h")
	c.quiet(8, commitOf(group, a, 0, 5))
	r := commitOf(group, b, 1, 6)
	r.Topics[0].Partitions[0].LeaderEpoch, r.Topics[0].Partitions[0].Metadata = 3, nil
	c.quiet(8, r)
	c.quiet(8, commitOf(other, a, 1, 7))
	m := c.member("m", c.own("members"), 7)
	c.stable(m)
	m.quiet(8, memberCommit(m, a, 0, 8))
	c.each(kmsg.OffsetFetch, func(v int16) {
		of := func(group string, topics ...string) *kmsg.OffsetFetchRequest {
			r := offsetsOf(v, group, topics...)
			if v >= 10 {
				for i := range r.Groups[0].Topics {
					if id, ok := ids[r.Groups[0].Topics[i].Topic]; ok {
						r.Groups[0].Topics[i].TopicID = id
					} else {
						r.Groups[0].Topics[i].TopicID = [16]byte{9, 9}
					}
				}
			}
			return r
		}
		c.ask("two topics", v, of(group, a, b))
		c.ask("a topic that is not there", v, of(group, a, c.own("unknown")))
		c.ask("another group", v, of(other, a, b))
		c.ask("a group with members", v, of(m.group, a))
		c.ask("a group that is not there", v, of(c.own("unknown"), a))
		c.ask("no group", v, of("", a))
		c.ask("all", v, of(group))
		c.ask("all of a group that is not there", v, of(c.own("unknown")))
		r := of(group, a)
		r.Topics, r.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
		c.ask("none", v, r)
		r = of(group, a, a)
		c.ask("a topic twice", v, r)
		r = of(group, a)
		r.RequireStable = true
		c.ask("stable", v, r)
		if v < 8 {
			return
		}
		r = of(group, a)
		r.Groups = append(r.Groups, of(other).Groups[0], of(c.own("unknown"), a).Groups[0], of("", a).Groups[0], of(group, b).Groups[0])
		c.ask("several groups", v, r)
		r = of(group, a)
		r.Groups = nil
		c.ask("no groups", v, r)
		for _, who := range []struct {
			label, group string
			id           *string
			epoch        int32
		}{{"a member of the group", m.group, &m.id, 1}, {"a member of no group", group, ptr("nobody"), 1}, {"a member without an epoch", group, ptr("nobody"), -1}, {"an epoch without a member", group, nil, 4},
			{"no member", group, ptr(""), -1}} {
			r = of(who.group, a)
			r.Groups[0].MemberID, r.Groups[0].MemberEpoch = who.id, who.epoch
			c.ask("as "+who.label, v, r)
		}
		if v >= 10 {
			r = of(group, a)
			r.Groups[0].Topics[0].TopicID = [16]byte{}
			c.ask("a topic that has no id", v, r)
		}
	})
}

func offsetDelete(c *talk) {
	a, b := c.topic("a", 2), c.topic("b", 2)
	deletion := func(group string, topics ...string) *kmsg.OffsetDeleteRequest {
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group = group
		for _, t := range topics {
			r.Topics = append(r.Topics, kmsg.OffsetDeleteRequestTopic{Topic: t, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 1}, {Partition: 7}}})
		}
		return r
	}
	simple := c.own("simple")
	for i := range int32(2) {
		c.quiet(8, commitOf(simple, a, i, 5))
		c.quiet(8, commitOf(simple, b, i, 5))
	}
	c.ask("of one topic", 0, deletion(simple, a))
	c.ask("what is left", 5, offsetsOf(5, simple, a, b))
	c.ask("again", 0, deletion(simple, a))
	c.ask("of a topic that is not there", 0, deletion(simple, c.own("unknown"), b))
	c.ask("what is left", 5, offsetsOf(5, simple, a, b))
	c.ask("nothing", 0, deletion(simple))
	c.ask("of a group that is not there", 0, deletion(c.own("unknown"), a))
	c.ask("of no group", 0, deletion("", a))
	c.ask("the group", 5, describeGroups(simple))

	m := c.member("m", c.own("subscribed"), 7)
	m.topics = []string{a}
	c.stable(m)
	m.quiet(8, memberCommit(m, a, 0, 8))
	m.quiet(8, memberCommit(m, b, 0, 8))
	c.ask("of one that is read and one that is not", 0, deletion(m.group, a, b))
	c.ask("what is left", 5, offsetsOf(5, m.group, a, b))
	m.ask("leaves", 5, m.leave())
	c.ask("after it left", 0, deletion(m.group, a, b))
	c.ask("what is left", 5, offsetsOf(5, m.group, a, b))

	w := c.member("w", c.own("connect"), 7)
	w.kind = "connect"
	c.stable(w)
	w.quiet(8, memberCommit(w, a, 0, 8))
	c.ask("of a group of another type with members", 0, deletion(w.group, a))
	w.ask("leaves", 5, w.leave())
	c.ask("of a group of another type, empty", 0, deletion(w.group, a))
}
