//go:build compat

package compat

import "github.com/twmb/franz-go/pkg/kmsg"

// stopped is a conversation with a restart of the broker in its middle. The members of its groups outlive it.
type stopped struct {
	one, two, alone *member
	topic           string
}

func (s *stopped) before(c *talk) {
	s.topic = c.topic("a", 2, "segment.ms=123456789")
	c.quiet(9, produceTo(s.topic, 0, -1, batchOf("x", "y", "z")))
	c.ask("trimmed", 2, trimming(s.topic, 1, 0))
	c.quiet(1, changes(aBroker, "", "message.max.bytes=1500000"))
	c.settled(aBroker, "1", "message.max.bytes", "1500000")
	c.quiet(8, commitOf(c.own("simple"), s.topic, 0, 2))
	noted := commitOf(c.own("simple"), s.topic, 1, 0)
	noted.Topics[0].Partitions[0].LeaderEpoch = 0
	c.quiet(8, noted)
	c.quiet(8, commitOf(c.own("deleted"), s.topic, 0, 2))
	c.ask("deleted", 2, deletionOf(c.own("deleted")))
	s.one, s.two = c.member("one", c.own("stable"), 7), c.member("two", c.own("stable"), 7)
	s.one.session, s.two.session = 60_000, 60_000
	c.stable(s.one, s.two)
	s.one.quiet(8, memberCommit(s.one, s.topic, 0, 1))
	s.alone = c.member("alone", c.own("static"), 7)
	s.alone.session, s.alone.instance = 60_000, ptr("i")
	c.stable(s.alone)
	c.ask("the groups", 5, describeGroups(s.one.group, s.alone.group, c.own("simple")))
}

func (s *stopped) after(c *talk) {
	c.awaitCoordinators()
	until(c.speaker, s.topic, 7, listOffsets(s.topic, 2, -1), func(r *kmsg.ListOffsetsResponse) bool { return len(r.Topics) == 1 && allZero(r.Topics[0].Partitions) })
	c.ask("the topic", 12, metadataOf(s.topic))
	c.ask("its beginning", 7, listOffsets(s.topic, 2, -2))
	c.ask("its end", 7, listOffsets(s.topic, 2, -1))
	c.ask("its records", 12, fetchOf(s.topic, 0, 1))
	c.ask("its settings", 4, describeConfigs(aTopic, s.topic, "segment.ms", "max.message.bytes"))
	c.ask("the broker's settings", 4, describeConfigs(aBroker, "1", "message.max.bytes"))
	for _, group := range []string{c.own("simple"), c.own("deleted"), s.one.group} {
		c.ask("the offsets of "+group, 9, offsetsOf(9, group))
	}
	c.ask("the groups", 5, describeGroups(s.one.group, s.alone.group, c.own("simple"), c.own("deleted")))
	c.askList("the groups", 5, kmsg.NewPtrListGroupsRequest())
	s.one.beat("the leader goes on")
	s.two.beat("the follower goes on")
	s.two.ask("its assignment", 5, s.two.sync())
	s.two.ask("commits", 9, memberCommit(s.two, s.topic, 1, 0))
	s.alone.beat("the static member goes on")
	s.alone.id = ""
	s.alone.joined(s.alone.begin("the static member comes back", 7, s.alone.join()))
	s.two.ask("leaves", 5, s.two.leave())
	c.awaitGroup(s.one.group, "PreparingRebalance", 1)
	s.one.joined(s.one.begin("the next generation", 7, s.one.join()))
	s.one.ask("syncs", 5, s.one.sync(s.one))
	c.ask("more records", 9, produceTo(s.topic, 0, -1, batchOf("1")))
	c.ask("all records", 12, fetchOf(s.topic, 0, 1))
	c.quiet(1, changes(aBroker, "", "-message.max.bytes"))
}
