package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// consume polls until n records have come.
func consume(t testing.TB, cl *kgo.Client, n int) (records []*kgo.Record) {
	t.Helper()
	ctx := testContext(t)
	for len(records) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func produceValues(t testing.TB, n *Node, topic string, from, to int) {
	t.Helper()
	cl := newClient(t, n, kgo.DefaultProduceTopic(topic))
	for i := from; i < to; i++ {
		cl.Produce(context.Background(), &kgo.Record{Key: []byte(fmt.Sprint(i)), Value: []byte(value(i))}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	cl.Close()
}

// The life of a group, as a client library sees it: it consumes, commits, goes, comes back where it was, also after the broker was killed.
func TestGroupConsumesCommitsAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "orders", 3)
	produceValues(t, n, "orders", 0, 100)
	member := func(n *Node) *kgo.Client {
		return newClient(t, n, kgo.ConsumerGroup("payment"), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(), kgo.RebalanceTimeout(time.Second)) // one that does not come back is waited for so long
	}
	for round := range 3 {
		cl := member(n)
		got := consume(t, cl, 100)
		if len(got) != 100 {
			t.Fatalf("round %d: %d records", round, len(got))
		}
		if err := cl.CommitRecords(testContext(t), got...); err != nil {
			t.Fatal(err)
		}
		if round == 1 { // its member does not leave: after the restart its session has to run out, or it comes back
			n.Kill()
		} else {
			cl.Close()
			stopNode(t, n)
		}
		n = startNodeIn(t, dir)
		if round == 1 {
			cl.Close()
		}
		offsets, err := kadm.NewClient(newClient(t, n)).FetchOffsets(testContext(t), "payment")
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if want := int64(100 * (round + 1)); sum != want {
			t.Fatalf("round %d: the group is at %d of %d", round, sum, want)
		}
		produceValues(t, n, "orders", 100*(round+1), 100*(round+2))
	}
}

// coordinated is a connection to a node whose offsets topic is there.
func coordinated(t testing.TB, n *Node) *rawClient {
	t.Helper()
	c := dial(t, n)
	wantCode(t, ask[*kmsg.FindCoordinatorResponse](c, findRequest(3, 0, "g")).ErrorCode, wire.None)
	return c
}

// becomeMember joins a group that has no other members, and syncs.
func becomeMember(t testing.TB, c *rawClient, group string) (member string, generation int32) {
	t.Helper()
	first := ask[*kmsg.JoinGroupResponse](c, joinRequest(group, ""))
	wantCode(t, first.ErrorCode, wire.MemberIDRequired)
	joined := ask[*kmsg.JoinGroupResponse](c, joinRequest(group, first.MemberID))
	wantCode(t, joined.ErrorCode, wire.None)
	synced := ask[*kmsg.SyncGroupResponse](c, syncRequest(group, joined.MemberID, joined.Generation, joined.MemberID))
	wantCode(t, synced.ErrorCode, wire.None)
	if want := "assignment of " + joined.MemberID; string(synced.MemberAssignment) != want {
		t.Errorf("assigned %q, not %q", synced.MemberAssignment, want)
	}
	return joined.MemberID, joined.Generation
}

func TestFindCoordinator(t *testing.T) {
	n := startNode(t, "offsets.topic.num.partitions=7", "offsets.topic.segment.bytes=2000000")
	c := dial(t, n)
	if got := ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest()); got.ErrorCode != 0 || len(got.Groups) != 0 {
		t.Errorf("groups of a new node: %+v", got)
	}
	port := int32(n.Addrs()["PLAINTEXT"].Port())
	for version := range int16(7) {
		got := ask[*kmsg.FindCoordinatorResponse](c, findRequest(version, 0, "payment", ""))
		if version < 4 {
			got.Coordinators = []kmsg.FindCoordinatorResponseCoordinator{{Key: "payment", NodeID: got.NodeID, Host: got.Host, Port: got.Port, ErrorCode: got.ErrorCode}}
			if message := got.ErrorMessage; version > 0 && (message == nil || *message != "NONE") {
				t.Errorf("version %d: message %v", version, message)
			}
		} else if len(got.Coordinators) != 2 || got.Coordinators[1].Key != "" || got.Coordinators[1].ErrorCode != 0 {
			t.Fatalf("version %d: %+v", version, got)
		}
		if g := got.Coordinators[0]; g.Key != "payment" || g.ErrorCode != 0 || g.NodeID != 1 || g.Host != "127.0.0.1" || g.Port != port {
			t.Errorf("version %d: %+v", version, g)
		}
		if version == 0 {
			continue
		}
		for kind, message := range map[int8]string{1: "This broker does not support transactions yet.", 2: "This broker does not support share groups yet.", 9: wire.InvalidRequest.Message()} {
			got := ask[*kmsg.FindCoordinatorResponse](c, findRequest(version, kind, "x"))
			code, text := got.ErrorCode, got.ErrorMessage
			if version >= 4 {
				code, text = got.Coordinators[0].ErrorCode, got.Coordinators[0].ErrorMessage
			}
			want := wire.InvalidRequest
			if kind == 1 && version <= 2 {
				want = wire.TransactionalIDAuthorizationFailed
			}
			if wire.Code(code) != want || text == nil || *text != message {
				t.Errorf("version %d kind %d: %v %v", version, kind, wire.Code(code), text)
			}
		}
	}
	topic := n.image().TopicByName("__consumer_offsets")
	if len(topic.Partitions) != 7 || len(topic.Partitions[0].Replicas) != 1 || topic.Config["cleanup.policy"] != "compact" || topic.Config["segment.bytes"] != "2000000" {
		t.Errorf("the topic has %d partitions, %v", len(topic.Partitions), topic.Config)
	}
}

// A request for a group before anybody has asked for its coordinator.
func TestNoCoordinatorYet(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 1)
	c := dial(t, n)
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("g", "m", 1)).ErrorCode, wire.NotCoordinator)
	wantCode(t, ask[*kmsg.JoinGroupResponse](c, joinRequest("g", "")).ErrorCode, wire.NotCoordinator)
	got := ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "g", "orders", 0))
	wantCode(t, got.Topics[0].Partitions[0].ErrorCode, wire.NotCoordinator)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"g"}
	wantCode(t, ask[*kmsg.DescribeGroupsResponse](c, describe).Groups[0].ErrorCode, wire.NotCoordinator)
}

// Offsets come back with everything that was stored beside them, in every version; what is missing is said of each partition.
func TestCommitAndFetchOffsets(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "orders", 3)
	unknown := [16]byte{9, 9}
	c := coordinated(t, n)
	for version := int16(2); version <= 10; version++ {
		group := fmt.Sprint("g", version)
		req := commitRequest(version, group, "orders", 0, 99, 2)
		req.Topics[0].TopicID = id
		missing := kmsg.NewOffsetCommitRequestTopic()
		missing.Topic, missing.TopicID = "missing", unknown
		missing.Partitions = append(missing.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
		req.Topics = append(req.Topics, missing)
		got := ask[*kmsg.OffsetCommitResponse](c, req)
		if len(got.Topics) != 2 || len(got.Topics[0].Partitions) != 3 || version >= 10 && (got.Topics[0].TopicID != id || got.Topics[1].TopicID != unknown) {
			t.Fatalf("version %d: %+v", version, got)
		}
		for i, want := range []wire.Code{wire.None, wire.UnknownTopicOrPartition, wire.None} {
			wantCode(t, got.Topics[0].Partitions[i].ErrorCode, want)
		}
		want := wire.UnknownTopicOrPartition
		if version >= 10 {
			want = wire.UnknownTopicID
		}
		wantCode(t, got.Topics[1].Partitions[0].ErrorCode, want)
	}
	epoch := func(version int16) int32 {
		if version < 6 { // of the commit
			return -1
		}
		return 3
	}
	for version := int16(1); version <= 10; version++ {
		group := fmt.Sprint("g", max(version, 2))
		check := func(what string, topics []kmsg.OffsetFetchResponseGroupTopic, found ...bool) {
			t.Helper()
			if len(topics) != 1 || version >= 10 && topics[0].TopicID != id || version < 10 && topics[0].Topic != "orders" || len(topics[0].Partitions) != len(found) {
				t.Fatalf("version %d, %s: %+v", version, what, topics)
			}
			for i, p := range topics[0].Partitions {
				offset, note, e := int64(-1), "", int32(-1)
				if found[i] {
					offset, note = 7, "note"
					if version >= 5 {
						e = epoch(max(version, 2))
					}
				}
				if p.ErrorCode != 0 || p.Offset != offset || p.Metadata == nil || *p.Metadata != note || p.LeaderEpoch != e {
					t.Errorf("version %d, %s: %+v", version, what, p)
				}
			}
		}
		got := ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(version, group, "orders", id, 0, 1, 2, 50))
		check("named", groupTopics(got), true, false, true, false)
		if version >= 2 {
			got = ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(version, group, "", id))
			check("all", groupTopics(got), true, true)
		}
	}
	got := ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(10, "g10", "", unknown, 0, 1))
	for _, p := range got.Groups[0].Topics[0].Partitions {
		wantCode(t, p.ErrorCode, wire.UnknownTopicID)
	}
	// Several groups, one of them not there, and one twice.
	req := fetchOffsets(9, "g9", "orders", id, 0)
	for _, group := range []string{"nobody", "g9", "g9"} {
		req.Groups = append(req.Groups, kmsg.OffsetFetchRequestGroup{Group: group, MemberEpoch: -1})
	}
	got = ask[*kmsg.OffsetFetchResponse](c, req)
	if len(got.Groups) != 3 || got.Groups[1].Group != "nobody" || len(got.Groups[1].Topics) != 0 || len(got.Groups[2].Topics[0].Partitions) != 2 {
		t.Errorf("%+v", got.Groups)
	}
}

// groupTopics is the answer of either shape.
func groupTopics(r *kmsg.OffsetFetchResponse) (topics []kmsg.OffsetFetchResponseGroupTopic) {
	if r.Version >= 8 {
		return r.Groups[0].Topics
	}
	for _, t := range r.Topics {
		gt := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			gt.Partitions = append(gt.Partitions, kmsg.OffsetFetchResponseGroupTopicPartition{Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch,
				Metadata: p.Metadata, ErrorCode: p.ErrorCode})
		}
		topics = append(topics, gt)
	}
	return topics
}

// What each API says of an empty group id, of a group that is not there, and of one with members.
func TestGroupErrors(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	member, generation := becomeMember(t, c, "busy")

	wantCode(t, ask[*kmsg.JoinGroupResponse](c, joinRequest("", "")).ErrorCode, wire.InvalidGroupID)
	wantCode(t, ask[*kmsg.SyncGroupResponse](c, syncRequest("", "m", 1)).ErrorCode, wire.InvalidGroupID)
	sync := syncRequest("busy", member, generation)
	sync.Version = 5 // without the protocol that it has to name
	wantCode(t, ask[*kmsg.SyncGroupResponse](c, sync).ErrorCode, wire.InconsistentGroupProtocol)
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("", "m", 1)).ErrorCode, wire.InvalidGroupID)
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("none", "m", 1)).ErrorCode, wire.UnknownMemberID)
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("busy", member, generation+1)).ErrorCode, wire.IllegalGeneration)
	wantCode(t, ask[*kmsg.HeartbeatResponse](c, heartbeatRequest("busy", member, generation)).ErrorCode, wire.None)

	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group, leave.MemberID = 1, "busy", "who"
	wantCode(t, ask[*kmsg.LeaveGroupResponse](c, leave).ErrorCode, wire.UnknownMemberID)
	leave.Version, leave.Members = 5, []kmsg.LeaveGroupRequestMember{{MemberID: "who"}}
	left := ask[*kmsg.LeaveGroupResponse](c, leave)
	wantCode(t, left.ErrorCode, wire.None)
	wantCode(t, left.Members[0].ErrorCode, wire.UnknownMemberID)
	leave.Group = ""
	wantCode(t, ask[*kmsg.LeaveGroupResponse](c, leave).ErrorCode, wire.InvalidGroupID)

	commit := ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, "busy", "orders", 0))
	wantCode(t, commit.Topics[0].Partitions[0].ErrorCode, wire.UnknownMemberID)
	req := commitRequest(9, "none", "orders", 0)
	req.Generation = 1
	wantCode(t, ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode, wire.GroupIDNotFound)
	req.Version = 8
	wantCode(t, ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode, wire.IllegalGeneration)
	req = commitRequest(8, "busy", "orders", 0)
	long := strings.Repeat("x", 4097)
	req.MemberID, req.Generation, req.Topics[0].Partitions[0].Metadata = member, generation, &long
	wantCode(t, ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode, wire.OffsetMetadataTooLarge)

	for version := range int16(7) {
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Version, describe.Groups, describe.IncludeAuthorizedOperations = version, []string{"none", "busy", "none"}, true
		got := ask[*kmsg.DescribeGroupsResponse](c, describe)
		if len(got.Groups) != 2 || got.Groups[0].State != "Dead" || got.Groups[1].State != "Stable" || len(got.Groups[1].Members) != 1 {
			t.Fatalf("version %d: %+v", version, got)
		}
		none, busy := got.Groups[0], got.Groups[1]
		if version >= 6 {
			wantCode(t, none.ErrorCode, wire.GroupIDNotFound)
			if none.ErrorMessage == nil || *none.ErrorMessage != "Group none not found." {
				t.Errorf("message %v", none.ErrorMessage)
			}
		} else {
			wantCode(t, none.ErrorCode, wire.None)
		}
		if m := busy.Members[0]; m.MemberID != member || m.ClientID != "raw" || m.ClientHost != "/127.0.0.1" || string(m.MemberAssignment) != "assignment of "+member ||
			busy.Protocol != "range" || busy.ProtocolType != "consumer" || version >= 3 && busy.AuthorizedOperations != 3400 {
			t.Errorf("version %d: %+v", version, busy)
		}
	}
	cgd := kmsg.NewPtrConsumerGroupDescribeRequest()
	cgd.Version, cgd.Groups = 1, []string{"busy", "none", ""}
	for i, want := range []struct {
		code wire.Code
		text string
	}{{wire.GroupIDNotFound, "Group busy is not a consumer group."}, {wire.GroupIDNotFound, "Group none not found."}, {wire.InvalidGroupID, ""}} {
		g := ask[*kmsg.ConsumerGroupDescribeResponse](c, cgd).Groups[i]
		if wantCode(t, g.ErrorCode, want.code); want.text != "" && (g.ErrorMessage == nil || *g.ErrorMessage != want.text) {
			t.Errorf("message %v", g.ErrorMessage)
		}
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Version, del.Groups = 3, []string{"busy", "none", "none"}
	deleted := ask[*kmsg.DeleteGroupsResponse](c, del)
	if len(deleted.Groups) != 2 {
		t.Fatalf("%+v", deleted)
	}
	wantCode(t, deleted.Groups[0].ErrorCode, wire.NonEmptyGroup)
	wantCode(t, deleted.Groups[1].ErrorCode, wire.GroupIDNotFound)
	forget := kmsg.NewPtrOffsetDeleteRequest()
	forget.Group = "none"
	forget.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "missing", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}},
		{Topic: "orders", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
	wantCode(t, ask[*kmsg.OffsetDeleteResponse](c, forget).ErrorCode, wire.GroupIDNotFound)
	forget.Group = ""
	wantCode(t, ask[*kmsg.OffsetDeleteResponse](c, forget).ErrorCode, wire.InvalidGroupID)
	forget.Group = "busy"
	forgot := ask[*kmsg.OffsetDeleteResponse](c, forget)
	wantCode(t, forgot.ErrorCode, wire.None)
	wantCode(t, forgot.Topics[0].Partitions[0].ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, forgot.Topics[1].Partitions[0].ErrorCode, wire.GroupSubscribedToTopic)
	wantCode(t, forgot.Topics[1].Partitions[1].ErrorCode, wire.UnknownTopicOrPartition)
}

// A join that waits holds up nothing but the answers that come after it on its own connection; when its connection goes, nothing is left.
func TestAJoinThatWaits(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	first, second, third := coordinated(t, n), dial(t, n), dial(t, n)
	member, generation := becomeMember(t, first, "g")
	join := func(c *rawClient) int32 {
		id := ask[*kmsg.JoinGroupResponse](c, joinRequest("g", "")).MemberID
		return c.send(joinRequest("g", id))
	}
	waits := join(second)
	behind := second.send(kmsg.NewPtrListGroupsRequest())
	join(third)
	await(t, "a rebalance", func() bool {
		return wire.Code(ask[*kmsg.HeartbeatResponse](first, heartbeatRequest("g", member, generation)).ErrorCode) == wire.RebalanceInProgress
	})
	third.conn.Close()
	wantCode(t, ask[*kmsg.OffsetCommitResponse](first, commitRequest(8, "other", "orders", 0)).Topics[0].Partitions[0].ErrorCode, wire.None)
	rejoined := ask[*kmsg.JoinGroupResponse](first, joinRequest("g", member))
	wantCode(t, rejoined.ErrorCode, wire.None)
	if len(rejoined.Members) != 3 {
		t.Errorf("%d members", len(rejoined.Members))
	}
	joined := kmsg.NewPtrJoinGroupResponse()
	second.receive(joined, 5, waits)
	if wantCode(t, joined.ErrorCode, wire.None); joined.Generation != rejoined.Generation {
		t.Errorf("generation %d and %d", joined.Generation, rejoined.Generation)
	}
	second.receive(kmsg.NewPtrListGroupsResponse(), 0, behind)
}

// Shutdown does not wait for joins: those who wait are told to look for another coordinator.
func TestShutdownAnswersJoinsThatWait(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	first, second := coordinated(t, n), dial(t, n)
	becomeMember(t, first, "g")
	id := ask[*kmsg.JoinGroupResponse](second, joinRequest("g", "")).MemberID
	waits := second.send(joinRequest("g", id))
	await(t, "the join", func() bool {
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{"g"}
		return len(ask[*kmsg.DescribeGroupsResponse](first, describe).Groups[0].Members) == 2
	})
	stopNode(t, n)
	joined := kmsg.NewPtrJoinGroupResponse()
	second.receive(joined, 5, waits)
	wantCode(t, joined.ErrorCode, wire.NotCoordinator)
}

func TestListGroupsFilters(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	becomeMember(t, c, "busy")
	for _, group := range []string{"", "b", "a"} {
		ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, group, "orders", 0))
	}
	for _, x := range []struct {
		states, types []string
		want          string
	}{
		{nil, nil, " a b busy"},
		{[]string{"empty"}, nil, " a b"},
		{[]string{"Stable", "nonsense"}, []string{"Classic"}, "busy"},
		{nil, []string{"consumer"}, ""},
	} {
		r := kmsg.NewPtrListGroupsRequest()
		r.Version, r.StatesFilter, r.TypesFilter = 5, x.states, x.types
		var names []string
		for _, g := range ask[*kmsg.ListGroupsResponse](c, r).Groups {
			if g.GroupType != "classic" || (g.Group == "busy") != (g.GroupState == "Stable") {
				t.Errorf("%+v", g)
			}
			names = append(names, g.Group)
		}
		if got := strings.Join(names, " "); got != x.want {
			t.Errorf("%v %v: %q, not %q", x.states, x.types, got, x.want)
		}
	}
}

// The first list after a start is whole: whoever asks before all logs have been looked for waits.
func TestTheFirstListIsWhole(t *testing.T) {
	if invariant.Enabled {
		t.Skip("it takes the node apart")
	}
	n := startNode(t)
	createTopic(t, n, "orders", 1)
	c := coordinated(t, n)
	for i := range 20 {
		ask[*kmsg.OffsetCommitResponse](c, commitRequest(8, fmt.Sprint("group-", i), "orders", 0))
	}
	await(t, "the search of the start", n.groupsFound.Load)
	n.groups.Stop()
	n.groups, n.findGroups = n.newGroups(), sync.Once{} // as it is when the start begins to look
	n.groupsFound.Store(false)
	got := ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest())
	wantCode(t, got.ErrorCode, wire.None)
	if len(got.Groups) != 20 {
		t.Errorf("%d groups of 20", len(got.Groups))
	}
}

// Every partition has its own answer, whatever partitions of that number the next topic has.
func TestCommitOfPartitionsThatDoNotExist(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "one", 1)
	createTopic(t, n, "six", 6)
	c := coordinated(t, n)
	req := commitRequest(8, "g", "one", 0, 5)
	req.Topics = append(req.Topics, commitRequest(8, "g", "six", 5, 6).Topics...)
	got := ask[*kmsg.OffsetCommitResponse](c, req)
	for i, want := range [][]wire.Code{{wire.None, wire.UnknownTopicOrPartition}, {wire.None, wire.UnknownTopicOrPartition}} {
		for j := range want {
			if p := got.Topics[i].Partitions[j]; wire.Code(p.ErrorCode) != want[j] {
				t.Errorf("%s-%d: %v, want %v", got.Topics[i].Topic, p.Partition, wire.Code(p.ErrorCode), want[j])
			}
		}
	}
}

// 10,000 groups commit, are listed, and are there again after the broker was killed.
func TestTenThousandGroups(t *testing.T) {
	const groups, connections = 10_000, 8
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "orders", 1)
	coordinated(t, n)
	var all sync.WaitGroup
	for i := range connections {
		c := dial(t, n)
		all.Go(func() {
			for g := i; g < groups; g += connections {
				c.write(c.frame(commitRequest(8, fmt.Sprint("group-", g), "orders", 0)))
			}
		})
		all.Go(func() {
			for g := i; g < groups; g += connections {
				if _, err := c.readFrame(patience); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for range 2 {
		c := dial(t, n)
		var got *kmsg.ListGroupsResponse
		await(t, "all groups to be loaded", func() bool {
			got = ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest())
			return got.ErrorCode == 0 // a list without an error is whole, right after the start, too
		})
		if len(got.Groups) != groups {
			t.Fatalf("%d groups", len(got.Groups))
		}
		req := fetchOffsets(8, "group-0", "orders", [16]byte{}, 0)
		for _, g := range got.Groups[1:] {
			req.Groups = append(req.Groups, fetchOffsets(8, g.Group, "orders", [16]byte{}, 0).Groups[0])
		}
		offsets := ask[*kmsg.OffsetFetchResponse](c, req)
		for _, g := range offsets.Groups {
			if g.ErrorCode != 0 || g.Topics[0].Partitions[0].Offset != 7 {
				t.Fatalf("%+v", g)
			}
		}
		n.Kill()
		n = startNodeIn(t, dir)
	}
}

// A heartbeat costs its two names and, when its answer comes back to its loop, the loop's wake-up.
func TestHeartbeatsAllocateLittle(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	n := startNode(t)
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	member, generation := becomeMember(t, c, "g")
	x := newExchange(t, n, c.frame(heartbeatRequest("g", member, generation)))
	if got := x.allocations(4.05); got > 4.05 {
		t.Errorf("%.2f allocations per heartbeat", got)
	}
}

// Requests that would be answered with very much, or make very much work, end their connection; the broker goes on.
func TestGroupRequestsAreBounded(t *testing.T) {
	n := startNode(t, "offset.metadata.max.bytes=1000000")
	createTopic(t, n, "orders", 1)
	coordinated(t, n)
	many := make([]string, maxGroupsNamed+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = many
	cgd := kmsg.NewPtrConsumerGroupDescribeRequest()
	cgd.Groups = many
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = many
	find := findRequest(4, 0, many...)
	offsets := fetchOffsets(8, "g", "orders", [16]byte{}, 0)
	for _, g := range many {
		offsets.Groups = append(offsets.Groups, kmsg.OffsetFetchRequestGroup{Group: g})
	}
	parts := make([]int32, maxPartitions)
	drop := kmsg.NewPtrOffsetDeleteRequest()
	drop.Group, drop.Topics = "g", []kmsg.OffsetDeleteRequestTopic{{Topic: "orders", Partitions: make([]kmsg.OffsetDeleteRequestTopicPartition, maxPartitions)}}
	for _, req := range []kmsg.Request{describe, cgd, del, find, offsets, drop, commitRequest(8, "g", "orders", parts...), fetchOffsets(8, "g", "orders", [16]byte{}, parts...)} {
		c := dial(t, n)
		c.send(req)
		c.mustClose()
	}
	c := dial(t, n)
	long := strings.Repeat("x", 30_000)
	commit := commitRequest(8, "g", "orders", 0)
	commit.Topics[0].Partitions[0].Metadata = &long
	wantCode(t, ask[*kmsg.OffsetCommitResponse](c, commit).Topics[0].Partitions[0].ErrorCode, wire.None)
	c.send(fetchOffsets(8, "g", "orders", [16]byte{}, make([]int32, 3000)...)) // the same offset, and its text, again and again
	c.mustClose()
	c = dial(t, n)
	wantCode(t, ask[*kmsg.OffsetFetchResponse](c, fetchOffsets(8, "g", "orders", [16]byte{}, 0)).Groups[0].ErrorCode, wire.None)
}

// The settings of groups do what they say.
func TestGroupSettings(t *testing.T) {
	n := startNode(t, "group.min.session.timeout.ms=1000", "group.max.session.timeout.ms=20000", "group.max.size=1", "offset.metadata.max.bytes=5",
		"offsets.topic.compression.codec=3", "group.initial.rebalance.delay.ms=0")
	createTopic(t, n, "orders", 3)
	c := coordinated(t, n)
	for session, want := range map[int32]wire.Code{999: wire.InvalidSessionTimeout, 1000: wire.MemberIDRequired, 20_000: wire.MemberIDRequired, 20_001: wire.InvalidSessionTimeout} {
		r := joinRequest(fmt.Sprint("s", session), "")
		r.SessionTimeoutMillis = session
		wantCode(t, ask[*kmsg.JoinGroupResponse](c, r).ErrorCode, want)
	}
	join := func(member string) *kmsg.JoinGroupResponse {
		r := joinRequest("g", member)
		r.SessionTimeoutMillis = 10_000
		return ask[*kmsg.JoinGroupResponse](c, r)
	}
	first := join(join("").MemberID)
	wantCode(t, first.ErrorCode, wire.None)
	wantCode(t, ask[*kmsg.SyncGroupResponse](c, syncRequest("g", first.MemberID, first.Generation, first.MemberID)).ErrorCode, wire.None)
	wantCode(t, join("").ErrorCode, wire.GroupMaxSizeReached)
	for text, want := range map[string]wire.Code{"12345": wire.None, "123456": wire.OffsetMetadataTooLarge} {
		r := commitRequest(8, "other", "orders", 0)
		r.Topics[0].Partitions[0].Metadata = &text
		wantCode(t, ask[*kmsg.OffsetCommitResponse](c, r).Topics[0].Partitions[0].ErrorCode, want)
	}
	var batch record.Batch
	for p := range int32(50) {
		partition := n.table.Lookup("__consumer_offsets", p)
		if partition.Log().LogEnd() == 0 {
			continue
		}
		got := c.fetch(fetchRequest(12, "__consumer_offsets", wire.UUID{}, p, 0))
		batch, _, _ = record.Next(got.RecordBatches)
		if batch.Codec() != record.LZ4 {
			t.Errorf("partition %d: codec %v", p, batch.Codec())
		}
	}
	if batch == nil {
		t.Error("nothing was stored")
	}
}
