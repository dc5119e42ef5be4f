//go:build compat

package compat

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var groupConversations = func() (all []talking) {
	all = []talking{
		{name: "coordinators", alone: true, speak: coordinators},
		{name: "lists", alone: true, speak: listGroups},
		{name: "strangers", speak: strangers},
		{name: "bounds", speak: bounds},
		{name: "protocols", speak: protocols},
		{name: "size", speak: groupSize},
		{name: "sessions-end", speak: sessionsEnd},
		{name: "deletions", speak: deletions},
	}
	for v := int16(0); v <= 9; v++ {
		all = append(all, talking{name: "life" + itoa(int(v)), speak: func(c *talk) { life(c, v) }})
		if v >= 5 {
			all = append(all, talking{name: "static" + itoa(int(v)), speak: func(c *talk) { static(c, v) }})
		}
	}
	return all
}()

// member is a client in a group. Every member speaks the version of JoinGroup that it has, and what came with it.
type member struct {
	*speaker
	group      string
	id         string
	instance   *string
	generation int32
	v          int16
	kind       string   // protocol type
	protocols  []string // by preference
	chosen     string   // by the group
	session    int32
	rebalance  int32
	topics     []string // subscribed to
}

func (c *talk) member(name, group string, v int16) *member {
	return &member{speaker: c.as(name), group: group, v: v, kind: "consumer", protocols: []string{"range", "roundrobin"}, session: 10_000, rebalance: 20_000}
}

func (m *member) join() *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.InstanceID, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = m.group, m.id, m.instance, m.kind, m.session, m.rebalance
	for _, p := range m.protocols {
		metadata := kmsg.NewConsumerMemberMetadata()
		metadata.Version, metadata.Topics, metadata.UserData = 1, m.topics, []byte(p+" of "+m.speaker.id)
		r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: metadata.AppendTo(nil)})
	}
	return r
}

// joining begins to join, with the member id that version 4 and up asks for first.
func (m *member) joining(label string) *pending {
	if m.id == "" && m.instance == nil && m.v >= 4 {
		m.id = answered[*kmsg.JoinGroupResponse](m.speaker, label+", without an id", m.v, m.join()).MemberID
	}
	return m.begin(label, m.v, m.join())
}

func (m *member) joined(p *pending) *kmsg.JoinGroupResponse {
	r := p.wait().(*kmsg.JoinGroupResponse)
	m.id, m.generation, m.chosen = r.MemberID, r.Generation, ""
	if r.Protocol != nil {
		m.chosen = *r.Protocol
	}
	return r
}

// sync is a request with assignments, for this member's own generation.
func (m *member) sync(to ...*member) *kmsg.SyncGroupRequest {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.InstanceID, r.Generation = m.group, m.id, m.instance, m.generation
	if m.v >= 7 { // KIP-559 came with JoinGroup 7 and SyncGroup 5
		r.ProtocolType, r.Protocol = &m.kind, ptr(cmp.Or(m.chosen, "range"))
	}
	for _, other := range to {
		r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: other.id, MemberAssignment: []byte("for " + other.speaker.id)})
	}
	return r
}

func (m *member) syncVersion() int16 {
	if m.v < 7 {
		return min(m.v, 4)
	}
	return 5
}
func (m *member) heartbeatVersion() int16 { return min(m.v, 4) }
func (m *member) leaveVersion() int16     { return min(m.v, 5) }
func (m *member) commitVersion() int16    { return min(m.v+2, 9) }

func (m *member) heartbeat() *kmsg.HeartbeatRequest {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID, r.InstanceID, r.Generation = m.group, m.id, m.instance, m.generation
	return r
}

func (m *member) beat(label string) { m.ask(label, m.heartbeatVersion(), m.heartbeat()) }

func (m *member) leave(others ...*member) *kmsg.LeaveGroupRequest {
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Group, r.MemberID = m.group, m.id
	for _, one := range append([]*member{m}, others...) {
		r.Members = append(r.Members, kmsg.LeaveGroupRequestMember{MemberID: one.id, InstanceID: one.instance, Reason: ptr("enough")})
	}
	return r
}

func describeGroups(groups ...string) *kmsg.DescribeGroupsRequest {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Groups = groups
	return r
}

// awaitGroup waits until a group is in a state, with so many members.
func (c *talk) awaitGroup(group, state string, members int) {
	until(c.speaker, group+" "+state, 5, describeGroups(group), func(r *kmsg.DescribeGroupsResponse) bool {
		return len(r.Groups) == 1 && r.Groups[0].State == state && len(r.Groups[0].Members) == members
	})
}

// awaitCoordinators waits until groups can be used, whichever partition of the offsets they are in.
func (c *talk) awaitCoordinators() {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = "any"
	until(c.speaker, "a coordinator", 3, find, func(r *kmsg.FindCoordinatorResponse) bool { return r.ErrorCode == 0 })
	for i := range 32 {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID = "warm"+itoa(i), "nobody"
		until(c.speaker, "a loaded partition", 4, beat, func(r *kmsg.HeartbeatResponse) bool { return r.ErrorCode == 25 })
	}
}

func coordinators(c *talk) {
	if c.side.name == "kafka" { // the first who asks has the topics of these made
		for kind, key := range map[int8]string{1: "a", 2: "a:AAAAAAAAAAAAAAAAAAAAAQ:0"} {
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.CoordinatorType, r.CoordinatorKeys = kind, []string{key}
			until(c.speaker, "a coordinator", 6, r, func(r *kmsg.FindCoordinatorResponse) bool {
				return len(r.Coordinators) == 1 && r.Coordinators[0].ErrorCode != 15
			})
		}
	}
	offsets := "__consumer_offsets"
	c.ask("where offsets are", 12, metadataOf(offsets))
	c.ask("how offsets are kept", 4, describeConfigs(aTopic, offsets))
	where := kmsg.NewPtrDescribeTopicPartitionsRequest()
	where.Topics = append(where.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: offsets})
	c.ask("where offsets are", 0, where)
	c.ask("a setting of the offsets", 1, changes(aTopic, offsets, "segment.ms=1000000"))
	c.settled(aTopic, offsets, "segment.ms", "1000000")
	c.ask("and back", 1, changes(aTopic, offsets, "-segment.ms"))
	c.ask("made again", 7, creation(topicOf(offsets, 1, 1)))
	c.each(kmsg.FindCoordinator, func(v int16) {
		for _, kind := range []int8{0, 1, 2, 3, -1} {
			keys := []string{"a", ""}
			if kind == 2 {
				keys = []string{"a:AAAAAAAAAAAAAAAAAAAAAQ:0", "a", ""}
			}
			for _, key := range keys {
				r := kmsg.NewPtrFindCoordinatorRequest()
				r.CoordinatorKey, r.CoordinatorType, r.CoordinatorKeys = key, kind, []string{key}
				if v == 0 && kind != 0 {
					continue
				}
				c.ask(fmt.Sprintf("of kind %d, '%s'", kind, key), v, r)
			}
		}
		if v >= 4 {
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.CoordinatorKeys = []string{"a", "b", "a", "", "ä"}
			c.ask("several", v, r)
			c.ask("none", v, kmsg.NewPtrFindCoordinatorRequest())
		}
	})
}

// askList leaves out of a list what belongs to other conversations.
func (c *talk) askList(label string, v int16, r *kmsg.ListGroupsRequest) {
	p := c.begin(label, v, r)
	resp, _, err := p.read()
	if err != nil {
		c.close()
		p.exchange.lines = []line{{"answer", reason(err)}}
		return
	}
	list := resp.(*kmsg.ListGroupsResponse)
	list.Groups = slices.DeleteFunc(list.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return !strings.HasPrefix(g.Group, c.own("")) })
	p.exchange.lines = c.ids.flatten(list)
}

// stable makes a group of members that are all in it, the first of them its leader.
func (c *talk) stable(members ...*member) {
	waiting := make([]*pending, len(members))
	for i, m := range members {
		waiting[i] = m.joining("into the group")
		c.awaitGroup(m.group, "PreparingRebalance", i+1)
	}
	for i, m := range members {
		m.joined(waiting[i])
	}
	for i, m := range members[1:] {
		waiting[i+1] = m.begin("for its assignment", m.syncVersion(), m.sync())
	}
	leader := members[0]
	leader.ask("with the assignments", leader.syncVersion(), leader.sync(members...))
	for i := range members[1:] {
		waiting[i+1].wait()
	}
}

func listGroups(c *talk) {
	a, b := c.topic("a", 1), c.own("connect")
	stableOne := c.member("m", c.own("stable"), 7)
	c.stable(stableOne)
	worker := c.member("w", b, 7)
	worker.kind = "connect"
	c.stable(worker)
	c.quiet(8, commitOf(c.own("simple"), a, 0, 5))
	// A group that is between two generations for as long as it is looked at.
	here, joining := c.member("h", c.own("joining"), 7), c.member("n", c.own("joining"), 7)
	c.stable(here)
	p := joining.joining("the second")
	c.awaitGroup(joining.group, "PreparingRebalance", 2)
	c.each(kmsg.ListGroups, func(v int16) {
		list := func(label string, states, types []string) {
			r := kmsg.NewPtrListGroupsRequest()
			r.StatesFilter, r.TypesFilter = states, types
			c.askList(label, v, r)
		}
		list("all", nil, nil)
		if v >= 4 {
			for _, state := range []string{"Stable", "stable", "Empty", "Dead", "PreparingRebalance", "CompletingRebalance", "Assigning", "NoSuch", ""} {
				list("in state "+state, []string{state}, nil)
			}
			list("in two states", []string{"Stable", "Empty"}, nil)
		}
		if v >= 5 {
			for _, kind := range []string{"classic", "Classic", "consumer", "share", "streams", "nosuch", ""} {
				list("of type "+kind, nil, []string{kind})
			}
			list("in a state and of a type", []string{"Empty"}, []string{"classic"})
		}
	})
	c.each(kmsg.DescribeGroups, func(v int16) {
		r := describeGroups(stableOne.group, b, c.own("simple"), c.own("unknown"), "", stableOne.group)
		c.ask("several", v, r)
		r = describeGroups(stableOne.group, c.own("unknown"))
		r.IncludeAuthorizedOperations = true
		c.ask("with operations", v, r)
		c.ask("none", v, describeGroups())
	})
	c.each(kmsg.ConsumerGroupDescribe, func(v int16) {
		r := kmsg.NewPtrConsumerGroupDescribeRequest()
		r.Groups = []string{stableOne.group, b, c.own("simple"), c.own("unknown"), "", stableOne.group}
		c.ask("classic groups", v, r)
		r = kmsg.NewPtrConsumerGroupDescribeRequest()
		r.Groups, r.IncludeAuthorizedOperations = []string{stableOne.group}, true
		c.ask("with operations", v, r)
		c.ask("none", v, kmsg.NewPtrConsumerGroupDescribeRequest())
	})
	here.joined(here.begin("follows", 7, here.join()))
	joining.joined(p)
	c.ask("not synced yet", 5, describeGroups(joining.group))
	c.askList("not synced yet", 5, kmsg.NewPtrListGroupsRequest())
}

// life: one to three members, from the first join to the deletion of the group.
func life(c *talk, v int16) {
	group := c.own("g")
	one, two := c.member("one", group, v), c.member("two", group, v)
	describe := func(label string) { c.ask(label, min(v, 6), describeGroups(group)) }
	describe("before it is there")
	one.beat("nobody yet")
	p := one.joining("first")
	c.awaitGroup(group, "PreparingRebalance", 1)
	describe("while it waits for more")
	one.joined(p)
	one.beat("before the sync")
	describe("before the sync")
	one.ask("its own assignment", one.syncVersion(), one.sync(one))
	one.beat("stable")
	describe("of one")

	one.ask("the same sync again", one.syncVersion(), one.sync())
	wrong := *one
	wrong.generation = 7
	wrong.beat("a generation to come")
	wrong.ask("of a generation to come", one.syncVersion(), wrong.sync(one))
	wrong.generation = 0
	wrong.beat("a generation that is over")
	wrong.generation = -1
	wrong.beat("no generation")
	wrong = *one
	wrong.id = "nobody"
	wrong.beat("unknown member")
	wrong.ask("unknown member", one.syncVersion(), wrong.sync())
	wrong.ask("unknown member", v, wrong.join())
	wrong.id = ""
	wrong.beat("no member")

	waiting := two.joining("the second")
	c.awaitGroup(group, "PreparingRebalance", 2)
	one.beat("while the second joins")
	one.ask("a commit meanwhile", one.commitVersion(), memberCommit(one, c.own("t"), 0, 1))
	one.ask("a sync meanwhile", one.syncVersion(), one.sync(one))
	describe("while the second joins")
	again := one.joining("again")
	one.joined(again)
	two.joined(waiting)
	describe("before the leader has synced")
	waiting = two.begin("the second, before the leader", two.syncVersion(), two.sync())
	one.beat("between join and sync")
	one.ask("the leader", one.syncVersion(), one.sync(one, two))
	waiting.wait()
	describe("of two")
	two.joined(two.begin("the second again, unchanged", v, two.join()))
	two.ask("and its sync", two.syncVersion(), two.sync())
	two.beat("the second")

	// The leader joins again: everybody has to.
	again = one.begin("the leader again", v, one.join())
	c.awaitGroup(group, "PreparingRebalance", 2)
	two.beat("the second is told")
	waiting = two.begin("the second follows", v, two.join())
	one.joined(again)
	two.joined(waiting)
	waiting = two.begin("the second, before the leader", two.syncVersion(), two.sync())
	one.ask("the leader, for one of two", one.syncVersion(), one.sync(one))
	waiting.wait()

	// The second changes what it supports.
	two.topics = []string{"other"}
	waiting = two.begin("the second, changed", v, two.join())
	c.awaitGroup(group, "PreparingRebalance", 2)
	again = one.begin("the leader follows", v, one.join())
	one.joined(again)
	two.joined(waiting)
	one.ask("the leader, for nobody", one.syncVersion(), one.sync())
	two.ask("the second, after the leader", two.syncVersion(), two.sync())
	describe("with nothing assigned")

	stranger := *two
	stranger.id = "nobody"
	if v >= 3 {
		two.ask("leaves, with one who was never there", two.leaveVersion(), two.leave(&stranger))
	} else {
		two.ask("leaves", two.leaveVersion(), two.leave())
		stranger.ask("never was there", two.leaveVersion(), stranger.leave())
	}
	c.awaitGroup(group, "PreparingRebalance", 1)
	two.beat("after it left")
	two.ask("leaves again", two.leaveVersion(), two.leave())
	one.beat("after the second left")
	one.joined(one.joining("alone again"))
	describe("alone, before the sync")
	one.ask("leaves before the sync", one.leaveVersion(), one.leave())
	describe("empty")
	one.beat("after all left")
	one.ask("a sync after all left", one.syncVersion(), one.sync(one))
	one.ask("an id from before", v, one.join())
	c.ask("deleted", 2, deletionOf(group))
	describe("deleted")
	c.ask("deleted again", 2, deletionOf(group))
}

// strangers: requests about groups that are not there, or cannot be.
func strangers(c *talk) {
	for _, group := range []string{c.own("unknown"), ""} {
		m := c.member("m", group, 9)
		for _, id := range []string{"", "nobody"} {
			m.id, m.generation = id, 1
			label := fmt.Sprintf("group '%s', member '%s'", group, id)
			c.each(kmsg.Heartbeat, func(v int16) { m.ask(label, v, m.heartbeat()) })
			c.each(kmsg.SyncGroup, func(v int16) { m.ask(label, v, m.sync(m)) })
			c.each(kmsg.LeaveGroup, func(v int16) { m.ask(label, v, m.leave()) })
			c.each(kmsg.OffsetCommit, func(v int16) {
				if v < 10 {
					m.ask(label, v, memberCommit(m, "t", 0, 1))
				}
			})
			if id != "" || group == "" {
				c.each(kmsg.JoinGroup, func(v int16) { m.ask(label, v, m.join()) })
			}
			m.instance = ptr("i")
			c.each(kmsg.Heartbeat, func(v int16) { m.ask(label+", static", v, m.heartbeat()) })
			c.each(kmsg.LeaveGroup, func(v int16) { m.ask(label+", static", v, m.leave()) })
			c.each(kmsg.SyncGroup, func(v int16) { m.ask(label+", static", v, m.sync()) })
			m.instance = nil
		}
		c.each(kmsg.LeaveGroup, func(v int16) {
			r := m.leave()
			r.Members = nil
			m.ask("nobody leaves '"+group+"'", v, r)
		})
	}
	m := c.member("m", c.own("instance"), 9)
	m.id, m.instance = "nobody", ptr("i")
	m.ask("an instance with a member id from nowhere", 9, m.join())
	m.instance = ptr("")
	m.ask("an empty instance", 9, m.join())
}

func bounds(c *talk) {
	c.each(kmsg.JoinGroup, func(v int16) {
		for _, session := range []int32{-1, 0, 999, 1_800_001} {
			m := c.member("m", c.own("g"), v)
			m.session = session
			m.ask("a session of "+itoa(int(session))+" ms", v, m.join())
		}
		m := c.member("m", c.own("g"), v)
		m.protocols = nil
		m.ask("no protocol", v, m.join())
		m = c.member("m", c.own("g"), v)
		m.kind = ""
		m.ask("no protocol type", v, m.join())
		if v >= 8 {
			m = c.member("m", c.own("g"), v)
			r := m.join()
			r.Reason = ptr(strings.Repeat("why ", 100))
			m.ask("a long reason", v, r)
		}
	})
}

// protocols: which one a group chooses, and who may not come in.
func protocols(c *talk) {
	group := c.own("g")
	one, two, three := c.member("one", group, 7), c.member("two", group, 7), c.member("three", group, 7)
	one.protocols, two.protocols, three.protocols = []string{"a", "b", "c"}, []string{"b", "c", "a"}, []string{"c", "b"}
	p1 := one.joining("prefers a")
	c.awaitGroup(group, "PreparingRebalance", 1)
	p2 := two.joining("prefers b")
	c.awaitGroup(group, "PreparingRebalance", 2)
	p3 := three.joining("prefers c, and has no a")
	c.awaitGroup(group, "PreparingRebalance", 3)
	one.joined(p1)
	two.joined(p2)
	three.joined(p3)
	for _, odd := range []struct {
		label          string
		kind, protocol *string
	}{{"another protocol", ptr("consumer"), ptr("a")}, {"another type", ptr("connect"), ptr("b")}, {"no type", nil, ptr("b")}, {"no protocol", ptr("consumer"), nil}} {
		r := one.sync(one)
		r.ProtocolType, r.Protocol = odd.kind, odd.protocol
		one.ask(odd.label, 5, r)
	}
	late := c.member("late", group, 7)
	for _, odd := range []struct {
		label, kind string
		protocols   []string
	}{{"another type", "connect", []string{"b"}}, {"nothing in common", "consumer", []string{"z"}}, {"in common with some", "consumer", []string{"a"}}, {"nothing", "consumer", nil}} {
		late.kind, late.protocols = odd.kind, odd.protocols
		late.ask("late, with "+odd.label, 7, late.join())
		late.ask("late, with "+odd.label, 3, late.join())
	}
	sync := one.sync(one, two, three)
	p2 = two.begin("for its assignment", 4, two.sync())
	one.ask("for all", 5, sync)
	p2.wait()
	c.ask("what was chosen", 5, describeGroups(group))
	one.protocols = []string{"c", "a"}
	p1 = one.begin("has no b any more", 7, one.join())
	c.awaitGroup(group, "PreparingRebalance", 3)
	p2 = two.begin("follows", 7, two.join())
	p3 = three.begin("follows", 7, three.join())
	one.joined(p1)
	two.joined(p2)
	three.joined(p3)
	one.protocols = []string{"z"}
	one.ask("suddenly nothing in common", 7, one.join())
	all := one.leave(two, three)
	c.ask("all leave at once", 5, all)
	c.ask("what is left", 5, describeGroups(group))
	late.kind, late.protocols = "connect", []string{"default"}
	late.joined(late.joining("an empty group takes another type"))
	c.ask("what it is now", 5, describeGroups(group))
}

// groupSize: three members are all that group.max.size allows.
func groupSize(c *talk) {
	for _, v := range []int16{3, 9} {
		group := c.own("g" + itoa(int(v)))
		var all []*member
		for i := range 3 {
			all = append(all, c.member(fmt.Sprintf("m%d", i), group, v))
		}
		c.stable(all...)
		late := c.member("late", group, v)
		late.ask("one too many", v, late.join())
		late.instance = ptr("i")
		if v >= 5 {
			late.ask("one too many, static", v, late.join())
		}
		c.ask("the group", 5, describeGroups(group))
		all[0].beat("undisturbed")
	}
}

func static(c *talk, v int16) {
	group := c.own("g")
	one, two := c.member("one", group, v), c.member("two", group, v)
	one.instance, two.instance = ptr("i1"), ptr("i2")
	c.stable(one, two)
	c.ask("the group", 5, describeGroups(group))
	// The leader's process starts anew: same instance, no member id.
	before := *one
	one.speaker, one.id = c.as("one-again"), ""
	one.joined(one.begin("the leader comes back", v, one.join()))
	c.ask("the group", 5, describeGroups(group))
	one.ask("the leader's sync", one.syncVersion(), one.sync())
	before.beat("the leader from before")
	before.ask("the leader from before", v, before.join())
	before.ask("the leader from before", before.syncVersion(), before.sync())
	before.ask("the leader from before", before.commitVersion(), memberCommit(&before, c.own("t"), 0, 1))
	before.ask("the leader from before", before.leaveVersion(), before.leave())
	one.beat("the leader")
	two.beat("the follower")
	was := *two
	two.speaker, two.id = c.as("two-again"), ""
	two.joined(two.begin("the follower comes back", v, two.join()))
	two.ask("the follower's sync", two.syncVersion(), two.sync())
	was.beat("the follower from before")
	unknown := *two
	unknown.instance = ptr("i3")
	unknown.beat("an instance that is not there")
	unknown.ask("an instance that is not there", two.syncVersion(), unknown.sync())
	unknown.ask("an instance that is not there", two.leaveVersion(), unknown.leave())
	unknown.ask("an instance that is not there, with another's id", v, unknown.join())
	without := *two
	without.instance = nil
	without.beat("without its instance")
	// The follower comes back and reads something else, which nobody is told; and then without the protocol that was chosen.
	two.speaker, two.id, two.topics = c.as("two-changed"), "", []string{"other"}
	two.joined(two.begin("the follower comes back changed", v, two.join()))
	two.ask("the follower's sync", two.syncVersion(), two.sync())
	two.speaker, two.id, two.protocols = c.as("two-choosing"), "", []string{"roundrobin"}
	p := two.begin("the follower comes back with another protocol", v, two.join())
	c.awaitGroup(group, "PreparingRebalance", 2)
	one.beat("the leader is told")
	again := one.begin("the leader follows", v, one.join())
	one.joined(again)
	two.joined(p)
	one.ask("the leader's sync", one.syncVersion(), one.sync(one, two))
	two.ask("the follower's sync", two.syncVersion(), two.sync())
	// Somebody removes the follower by its instance alone.
	nobody := *two
	nobody.id = ""
	c.ask("removed by its instance", 5, nobody.leave())
	c.awaitGroup(group, "PreparingRebalance", 1)
	two.beat("the follower, removed")
	one.joined(one.begin("the leader alone", v, one.join()))
	one.ask("the leader alone", one.syncVersion(), one.sync(one))
	one.ask("leaves", one.leaveVersion(), one.leave())
	c.ask("the group", 5, describeGroups(group))
}

// sessionsEnd: members that fall silent, and one that does not join in time.
func sessionsEnd(c *talk) {
	group := c.own("silent")
	m := c.member("silent", group, 5)
	m.session = 1000
	c.stable(m)
	c.awaitGroup(group, "Empty", 0)
	c.ask("after a second of silence", 5, describeGroups(group))
	m.beat("too late")

	group = c.own("late")
	one, two := c.member("one", group, 5), c.member("two", group, 5)
	one.rebalance, two.rebalance = 1500, 1500
	c.stable(one)
	p := two.joining("the second")
	two.joined(p)
	one.beat("too late for the rebalance")
	two.ask("alone", two.syncVersion(), two.sync(two))
	c.ask("the late one is gone", 5, describeGroups(group))

	group = c.own("unsynced")
	one, two = c.member("one", group, 5), c.member("two", group, 5)
	one.rebalance, two.rebalance = 1500, 1500
	p1 := one.joining("the leader")
	c.awaitGroup(group, "PreparingRebalance", 1)
	p2 := two.joining("the follower")
	one.joined(p1)
	two.joined(p2)
	two.ask("the leader never syncs", two.syncVersion(), two.sync())
	c.ask("the group", 5, describeGroups(group))

	m = c.member("instance", c.own("static"), 5)
	m.session, m.instance = 1000, ptr("i")
	c.stable(m)
	m.ask("a static member cannot leave before version 3", 2, m.leave())
	c.awaitGroup(m.group, "Empty", 0)
	m.beat("too late")
}

func deletionOf(groups ...string) *kmsg.DeleteGroupsRequest {
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.Groups = groups
	return r
}

func deletions(c *talk) {
	a := c.topic("a", 1)
	m := c.member("m", c.own("stable"), 7)
	c.stable(m)
	c.each(kmsg.DeleteGroups, func(v int16) {
		simple := c.own("simple" + itoa(int(v)))
		c.quiet(8, commitOf(simple, a, 0, 5))
		c.ask("all kinds", v, deletionOf(m.group, simple, c.own("unknown"), ""))
		c.ask("twice", v, deletionOf(simple, simple))
		c.ask("none", v, deletionOf())
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Group = simple
		fetch.Topics = nil
		c.ask("its offsets are gone", 5, fetch)
	})
}
