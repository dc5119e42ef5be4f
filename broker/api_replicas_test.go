package broker

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/meta"
)

// startBesideFenced starts a node in whose cluster there is a second broker, 2, that is fenced, and a topic "pair" of which it has replicas.
func startBesideFenced(t *testing.T, replicas ...[]int32) *adminNode {
	t.Helper()
	a := startAdminNode(t)
	a.mustDecide(func(im *meta.Image) ([]meta.Record, error) {
		return meta.RegisterBroker(im, meta.Broker{ID: 2, Fenced: true, Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Host: "dead", Port: 1}}})
	})
	pair := newTopic("pair", -1, -1)
	for p, ids := range replicas {
		as := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		as.Partition, as.Replicas = int32(p), ids
		pair.ReplicaAssignment = append(pair.ReplicaAssignment, as)
	}
	a.mustCreate(pair)
	return a
}

func (a *adminNode) mustDecide(decide func(im *meta.Image) ([]meta.Record, error)) {
	a.t.Helper()
	if err := a.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) { return decide(im) }); err != nil {
		a.t.Fatal(err)
	}
}

// change makes a change of a partition of "pair" that no decision would make here.
func (a *adminNode) change(r meta.PartitionChangeRecord) {
	a.t.Helper()
	a.mustDecide(func(im *meta.Image) ([]meta.Record, error) {
		r.TopicID = im.TopicByName("pair").ID
		return []meta.Record{r}, nil
	})
}

func (a *adminNode) pair(number int32) *meta.Partition {
	return a.image().TopicByName("pair").Partition(number)
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// The codes and texts are those of Apache Kafka 4.4.0: compat/diff_replicas_test.go asks it.
func TestElectLeaders(t *testing.T) {
	elect := func(a *adminNode, v int16, kind int8, topics ...kmsg.ElectLeadersRequestTopic) *kmsg.ElectLeadersResponse {
		t.Helper()
		req := kmsg.NewPtrElectLeadersRequest()
		req.SetVersion(v)
		req.ElectionType, req.Topics = kind, topics
		return askAdmin[*kmsg.ElectLeadersResponse](a, req)
	}
	of := func(topic string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
		return kmsg.ElectLeadersRequestTopic{Topic: topic, Partitions: partitions}
	}
	for v := int16(0); v <= 2; v++ {
		a := startBesideFenced(t, []int32{1, 2}, []int32{2, 1}, []int32{2, 1}, []int32{1, 2})
		a.change(meta.PartitionChangeRecord{Number: 2, Leader: meta.NoLeader, ISR: []int32{}})
		a.change(meta.PartitionChangeRecord{Number: 3, Leader: meta.NoLeader, ISR: []int32{}, ELR: []int32{1}})
		r := elect(a, v, 0, of("pair", 0, 1, 2, 9), of("missing", 0))
		if r.ErrorCode != 0 || len(r.Topics) != 2 || len(r.Topics[0].Partitions) != 4 || len(r.Topics[1].Partitions) != 1 {
			t.Fatalf("v%d: %+v", v, r)
		}
		for i, want := range []struct {
			code    int16
			message string
		}{
			{84, "Leader election not needed for topic partition."}, {80, "The preferred leader was not available."}, {80, "The preferred leader was not available."},
			{3, "No such partition as pair-9"},
		} {
			if p := r.Topics[0].Partitions[i]; p.ErrorCode != want.code || text(p.ErrorMessage) != want.message {
				t.Errorf("v%d: %d: %d %s, want %v", v, p.Partition, p.ErrorCode, text(p.ErrorMessage), want)
			}
		}
		if p := r.Topics[1].Partitions[0]; p.ErrorCode != 3 || text(p.ErrorMessage) != "No such topic as missing" {
			t.Errorf("v%d: %d %s", v, p.ErrorCode, text(p.ErrorMessage))
		}
		// The eligible leader of 3 is the preferred one. Of all partitions only those are told of that needed an election.
		r = elect(a, v, 0)
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 3 || r.Topics[0].Partitions[2].Partition != 3 || r.Topics[0].Partitions[2].ErrorCode != 0 {
			t.Errorf("v%d: all: %+v", v, r.Topics)
		}
		if p := a.pair(3); p.Leader != 1 || !slices.Equal(p.ISR, []int32{1}) || p.LastUncleanEpoch != 0 {
			t.Errorf("v%d: 3 is %s", v, p)
		}
		if v == 0 { // it knows no other kind
			continue
		}
		r = elect(a, v, 1, of("pair", 0, 2))
		if p := r.Topics[0].Partitions; p[0].ErrorCode != 84 || p[1].ErrorCode != 0 {
			t.Errorf("v%d: unclean: %+v", v, p)
		}
		if p := a.pair(2); p.Leader != 1 || !slices.Equal(p.ISR, []int32{1}) || p.LastUncleanEpoch != p.LeaderEpoch {
			t.Errorf("v%d: 2 is %s", v, p)
		}
		r = elect(a, v, 7, of("pair", 0))
		if p := r.Topics[0].Partitions[0]; r.ErrorCode != 42 || p.ErrorCode != 42 || text(p.ErrorMessage) != "Unknown election type 7" {
			t.Errorf("v%d: %+v", v, r)
		}
	}
}

func TestPartitionReassignments(t *testing.T) {
	a := startBesideFenced(t, []int32{1}, []int32{1})
	ask := func(v int16, sizeToo bool, topic string, partition int32, replicas []int32) (int16, string) {
		t.Helper()
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.SetVersion(v)
		req.AllowReplicationFactorChange = sizeToo
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: partition, Replicas: replicas}}}}
		r := askAdmin[*kmsg.AlterPartitionAssignmentsResponse](a, req)
		if r.ErrorCode != 0 || r.ErrorMessage != nil || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || v > 0 && r.AllowReplicationFactorChange != sizeToo {
			t.Fatalf("v%d: %+v", v, r)
		}
		p := r.Topics[0].Partitions[0]
		return p.ErrorCode, text(p.ErrorMessage)
	}
	list := func(topics ...kmsg.ListPartitionReassignmentsRequestTopic) []kmsg.ListPartitionReassignmentsResponseTopic {
		t.Helper()
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.Topics = topics
		r := askAdmin[*kmsg.ListPartitionReassignmentsResponse](a, req)
		if r.ErrorCode != 0 || r.ErrorMessage != nil {
			t.Fatalf("%+v", r)
		}
		return r.Topics
	}
	for i, c := range []struct {
		topic     string
		partition int32
		replicas  []int32
		sameSize  bool
		code      int16
		message   string
	}{
		{"missing", 0, []int32{1}, false, 3, "Unable to find a topic named missing."},
		{"pair", 9, []int32{1}, false, 3, "Unable to find partition pair:9."},
		{"pair", 0, nil, false, 85, "null"},
		{"pair", 0, []int32{}, false, 39, "The manual partition assignment includes an empty replica list."},
		{"pair", 0, []int32{3}, false, 39, "The manual partition assignment includes broker 3, but no such broker is registered."},
		{"pair", 0, []int32{1, 1}, false, 39, "The manual partition assignment includes the broker 1 more than once."},
		{"pair", 0, []int32{1}, false, 0, "null"},
		{"pair", 0, []int32{1, 2}, true, 38, "The replication factor is changed from 1 to 2"},
	} {
		v := int16(1)
		if !c.sameSize {
			v = int16(i % 2)
		}
		if code, message := ask(v, !c.sameSize, c.topic, c.partition, c.replicas); code != c.code || message != c.message {
			t.Errorf("%+v: %d %s", c, code, message)
		}
	}
	if all := list(); len(all) != 0 {
		t.Fatalf("reassigned: %+v", all)
	}

	// A replica on a broker that is away waits for it, until it is not wanted any more.
	for v := int16(0); v <= 1; v++ {
		if code, message := ask(v, true, "pair", 0, []int32{2, 1}); code != 0 {
			t.Fatal(code, message)
		}
		for _, all := range [][]kmsg.ListPartitionReassignmentsResponseTopic{list(), list(kmsg.ListPartitionReassignmentsRequestTopic{Topic: "pair", Partitions: []int32{0, 1, 5}})} {
			if len(all) != 1 || all[0].Topic != "pair" || len(all[0].Partitions) != 1 {
				t.Fatalf("reassigned: %+v", all)
			}
			if p := all[0].Partitions[0]; p.Partition != 0 || !slices.Equal(p.Replicas, []int32{2, 1}) || !slices.Equal(p.AddingReplicas, []int32{2}) || len(p.RemovingReplicas) != 0 {
				t.Errorf("v%d: %+v", v, p)
			}
		}
		if all := list(kmsg.ListPartitionReassignmentsRequestTopic{Topic: "pair", Partitions: []int32{1}}, kmsg.ListPartitionReassignmentsRequestTopic{Topic: "missing"}); len(all) != 0 {
			t.Errorf("v%d: %+v", v, all)
		}
		if code, message := ask(v, true, "pair", 0, nil); code != 0 || len(list()) != 0 {
			t.Errorf("v%d: %d %s, %+v", v, code, message, list())
		}
	}

	// Fewer replicas need nobody to catch up. Who is none any more must not answer in the old epoch.
	if code, message := ask(0, true, "pair", 1, []int32{1, 2}); code != 0 || len(a.pair(1).Replicas) != 2 {
		t.Fatal(code, message)
	}
	if code, message := ask(1, true, "pair", 1, []int32{1}); code != 0 {
		t.Fatal(code, message)
	}
	if p := a.pair(1); !slices.Equal(p.Replicas, []int32{1}) || p.Leader != 1 || p.LeaderEpoch != 1 || p.Reassignment != nil {
		t.Errorf("1 is %s", p)
	}
}

func TestUnregisterBroker(t *testing.T) {
	a := startBesideFenced(t, []int32{1, 2})
	a.change(meta.PartitionChangeRecord{Leader: meta.LeaderUnchanged, ELR: []int32{2}})
	describe := func() kmsg.DescribeTopicPartitionsResponseTopicPartition {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "pair"}}
		return askAdmin[*kmsg.DescribeTopicPartitionsResponse](a, req).Topics[0].Partitions[0]
	}
	if p := describe(); !slices.Equal(p.EligibleLeaderReplicas, []int32{2}) || !slices.Equal(p.OfflineReplicas, []int32{2}) {
		t.Errorf("before: %+v", p)
	}
	for _, c := range []struct {
		broker  int32
		code    int16
		message string
	}{
		{1, 42, "Broker 1 is running: it can be unregistered when it has been stopped, and is fenced"},
		{2, 0, ""},
		{2, 102, "Broker ID 2 is not currently registered"},
		{-1, 102, "Broker ID -1 is not currently registered"},
	} {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = c.broker
		r := askAdmin[*kmsg.UnregisterBrokerResponse](a, req)
		if r.ErrorCode != c.code || text(r.ErrorMessage) != c.message {
			t.Errorf("%d: %d %s", c.broker, r.ErrorCode, text(r.ErrorMessage))
		}
	}
	if p := describe(); len(p.EligibleLeaderReplicas) != 0 || !slices.Equal(p.Replicas, []int32{1, 2}) {
		t.Errorf("after: %+v", p)
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.SetVersion(2)
	req.IncludeFencedBrokers = true
	if r := askAdmin[*kmsg.DescribeClusterResponse](a, req); len(r.Brokers) != 1 || r.Brokers[0].NodeID != 1 {
		t.Errorf("after: %+v", r.Brokers)
	}
}
