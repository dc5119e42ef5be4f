//go:build compat

package compat

import "github.com/twmb/franz-go/pkg/kmsg"

var rebalanceConversations = []talking{
	{name: "pending", speak: pendingMembers},
	{name: "interrupted", speak: interrupted},
	{name: "leaving", speak: leaving},
	{name: "gone", speak: goneTopics},
}

// pendingMembers: ids that were given out and not used yet (KIP-394).
func pendingMembers(c *talk) {
	for _, v := range []int16{4, 9} {
		group := c.own("g" + itoa(int(v)))
		one, two := c.member("one", group, v), c.member("two", group, v)
		one.id = answered[*kmsg.JoinGroupResponse](one.speaker, "an id", v, one.join()).MemberID
		one.generation = 0
		one.beat("with the id alone")
		one.ask("with the id alone", one.syncVersion(), one.sync())
		one.ask("with the id alone", one.commitVersion(), memberCommit(one, c.own("t"), 0, 1))
		one.joined(one.begin("with the id", v, one.join()))
		one.ask("syncs", one.syncVersion(), one.sync(one))
		two.id = answered[*kmsg.JoinGroupResponse](two.speaker, "an id, of a group that is stable", v, two.join()).MemberID
		one.beat("nobody is disturbed by an id")
		two.ask("leaves before it joined", two.leaveVersion(), two.leave())
		two.ask("after it left", v, two.join())
		c.ask("deleted with a member", 2, deletionOf(group))
		one.ask("leaves", one.leaveVersion(), one.leave())
		c.ask("empty", min(v, 6), describeGroups(group))
	}
}

// interrupted: somebody comes or changes in the middle of a rebalance.
func interrupted(c *talk) {
	for _, v := range []int16{2, 6, 9} {
		group := c.own("g" + itoa(int(v)))
		one, two := c.member("one", group, v), c.member("two", group, v)
		one.joined(one.joining("first"))
		c.ask("not synced", 5, describeGroups(group))
		// The second comes between the first's join and sync.
		p2 := two.joining("second, too early")
		c.awaitGroup(group, "PreparingRebalance", 2)
		one.ask("syncs too late", one.syncVersion(), one.sync(one))
		one.beat("told to join")
		one.joined(one.begin("joins again", v, one.join()))
		two.joined(p2)
		// The follower waits for its assignment when the leader joins once more.
		p2 = two.begin("waits for the leader", two.syncVersion(), two.sync())
		one.topics = []string{"changed"}
		p1 := one.begin("the leader joins in the meantime", v, one.join())
		p2.wait()
		p2 = two.begin("joins again", v, two.join())
		one.joined(p1)
		two.joined(p2)
		// The follower joins in the meantime, unchanged: it gets the same generation.
		two.joined(two.begin("the follower joins in the meantime", v, two.join()))
		one.ask("syncs for both", one.syncVersion(), one.sync(one, two))
		two.ask("its share", two.syncVersion(), two.sync())
		c.ask("after all that", 5, describeGroups(group))
	}
}

// leaving: members leave in every state.
func leaving(c *talk) {
	for _, v := range []int16{1, 5, 9} {
		group := c.own("g" + itoa(int(v)))
		one, two, three := c.member("one", group, v), c.member("two", group, v), c.member("three", group, v)
		c.stable(one, two, three)
		two.ask("a follower leaves", two.leaveVersion(), two.leave())
		c.awaitGroup(group, "PreparingRebalance", 2)
		three.beat("told")
		p3 := three.begin("joins first", v, three.join())
		one.joined(one.begin("the leader joins", v, one.join()))
		three.joined(p3)
		p3 = three.begin("waits", three.syncVersion(), three.sync())
		one.ask("the leader leaves before it syncs", one.leaveVersion(), one.leave())
		p3.wait()
		c.awaitGroup(group, "PreparingRebalance", 1)
		three.joined(three.begin("the last is the leader", v, three.join()))
		three.ask("syncs", three.syncVersion(), three.sync(three))
		three.beat("alone")
		three.ask("leaves", three.leaveVersion(), three.leave())
		c.ask("empty", min(v, 6), describeGroups(group))
		if v >= 3 {
			one.id = ""
			c.ask("many leave an empty group", three.leaveVersion(), three.leave(one, two))
		}
	}
}

// goneTopics: what is left of a topic that was deleted, and of the one that takes its name.
func goneTopics(c *talk) {
	a := c.topic("a", 1)
	old := c.topicID(a)
	group := c.own("g")
	c.quiet(9, produceTo(a, 0, -1, batchOf("x", "y")))
	c.quiet(8, commitOf(group, a, 0, 1))
	byID := func(id [16]byte) (*kmsg.FetchRequest, *kmsg.ProduceRequest, *kmsg.MetadataRequest) {
		f, p, m := fetchOf("", 0, 0), produceTo("", 0, -1, batchOf("z")), metadataOf()
		f.Topics[0].TopicID, p.Topics[0].TopicID = id, id
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = id
		m.Topics = append(m.Topics, t)
		return f, p, m
	}
	f, p, m := byID(old)
	f.SessionEpoch = 0
	session := answered[*kmsg.FetchResponse](c.speaker, "a session", 16, f).SessionID
	c.ask("deleted", 6, deletion(a))
	c.awaitTopic(a, 0)
	f.SessionEpoch = -1
	c.ask("what was", 16, f)
	c.ask("what was", 13, p)
	c.ask("what was", 12, m)
	c.ask("what was, by name", 12, fetchOf(a, 0, 0))
	c.ask("what was, by name", 9, produceTo(a, 0, -1, batchOf("z")))
	c.ask("what was", 7, listOffsets(a, 1, -1))
	c.ask("what was", 1, trimming(a, 1))
	c.ask("what was", 3, morePartitions(a, 5))
	c.ask("what was", 1, changes(aTopic, a, "retention.ms=1"))
	c.ask("what was", 4, describeConfigs(aTopic, a))
	next := fetchOf("", 0, 0)
	next.Topics, next.SessionID, next.SessionEpoch = nil, session, 1
	c.ask("the session", 16, next)
	until(c.speaker, "no offset", 5, offsetsOf(5, group), func(r *kmsg.OffsetFetchResponse) bool { return len(r.Topics) == 0 })
	c.ask("its offsets", 5, offsetsOf(5, group, a))
	c.ask("the group", 5, describeGroups(group))
	c.ask("a commit", 8, commitOf(group, a, 0, 3))

	c.topic("a", 1)
	c.ask("the new one is empty", 7, listOffsets(a, 1, -1))
	c.ask("what was, still", 16, f)
	c.ask("what was, still", 13, p)
	c.ask("what was, still", 12, m)
	next.SessionEpoch = 2
	c.ask("the session, still", 16, next)
	f, p, _ = byID(c.topicID(a))
	c.ask("the new one", 13, p)
	f.SessionEpoch = -1
	c.ask("the new one", 16, f)
}
