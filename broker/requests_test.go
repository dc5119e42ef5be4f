package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// joinRequest asks for membership of a consumer of topic orders, in version 5.
func joinRequest(group, member string) *kmsg.JoinGroupRequest {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 5, group, member, 30_000, 30_000, "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = []string{"orders"}
	p.Name, p.Metadata = "range", subscription.AppendTo(nil)
	r.Protocols = append(r.Protocols, p)
	return r
}

// syncRequest brings an assignment to each of the members, and asks for the first one's.
func syncRequest(group, member string, generation int32, assigned ...string) *kmsg.SyncGroupRequest {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.Generation = 3, group, member, generation
	for _, id := range assigned {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, []byte("assignment of "+id)
		r.GroupAssignment = append(r.GroupAssignment, a)
	}
	return r
}

// commitRequest stores offset 7 of epoch 3 for some partitions, outside of any generation.
func commitRequest(version int16, group, topic string, partitions ...int32) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.Generation = version, group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for _, i := range partitions {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = i, 7, 3, kmsg.StringPtr("note")
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return r
}

func heartbeatRequest(group, member string, generation int32) *kmsg.HeartbeatRequest {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.Generation = 4, group, member, generation
	return r
}

func findRequest(version int16, kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
	r := kmsg.NewPtrFindCoordinatorRequest()
	r.Version, r.CoordinatorType, r.CoordinatorKey, r.CoordinatorKeys = version, kind, keys[0], keys
	return r
}

// fetchOffsets asks for offsets of one group; no partitions are all of its topics.
func fetchOffsets(version int16, group, topic string, id [16]byte, partitions ...int32) *kmsg.OffsetFetchRequest {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Version, r.Group = version, group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if len(partitions) > 0 {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		r.Topics = append(r.Topics, t)
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.TopicID, gt.Partitions = topic, id, partitions
		g.Topics = append(g.Topics, gt)
	}
	r.Groups = append(r.Groups, g)
	return r
}

// groupRequest is a full request of one of the APIs of groups, nil for other keys. None of them waits: its member is not known.
func groupRequest(key, version int16, id [16]byte) kmsg.Request {
	switch key {
	case 8:
		r := commitRequest(version, "g", "t", 0, 1)
		r.Topics[0].TopicID = id
		return r
	case 9:
		return fetchOffsets(version, "g", "t", id, 0, 1)
	case 10:
		return findRequest(version, 0, "g", "h")
	case 11:
		return joinRequest("g", "m")
	case 12:
		return heartbeatRequest("g", "m", 1)
	case 13:
		r := kmsg.NewPtrLeaveGroupRequest()
		r.Group, r.MemberID, r.Members = "g", "m", []kmsg.LeaveGroupRequestMember{{MemberID: "m", InstanceID: kmsg.StringPtr("i")}, {MemberID: "n"}}
		return r
	case 14:
		return syncRequest("g", "m", 1, "m", "n")
	case 15:
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{"g", "h", ""}
		return r
	case 16:
		r := kmsg.NewPtrListGroupsRequest()
		r.StatesFilter, r.TypesFilter = []string{"Empty", "x"}, []string{"classic"}
		return r
	case 42:
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{"h", ""}
		return r
	case 47:
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group = "g"
		r.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
		return r
	case 69:
		r := kmsg.NewPtrConsumerGroupDescribeRequest()
		r.Groups = []string{"g", "h"}
		return r
	}
	return nil
}
