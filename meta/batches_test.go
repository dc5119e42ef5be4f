package meta

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/wire"
)

// large is a cluster of three brokers, all serving, and a topic whose partitions broker 1 leads.
func large(t testing.TB, partitions int) (*Image, *Sessions) {
	im, s := mustApply(t, Empty(), Bootstrap("large")), NewSessions(1000, 0)
	for id := range int32(3) {
		rs, err := BrokerRegistration(im, s, &Registration{ClusterID: "large", PreviousEpoch: -1,
			Broker: Broker{ID: id + 1, Incarnation: wire.UUID{1}, Directories: []wire.UUID{{byte(id + 1)}}}}, 0, &Rules{})
		if err != nil {
			t.Fatal(err)
		}
		im = mustApply(t, im, rs)
		im, _ = beat(t, im, s, id+1, false)
	}
	assignments := make([]Assignment, partitions)
	for i := range assignments {
		assignments[i] = Assignment{int32(i), []int32{1, 2, 3}}
	}
	rs, results := CreateTopics(im, []NewTopic{{Name: "large", Partitions: -1, ReplicationFactor: -1, Assignments: assignments}}, &Rules{}, rand.New(rand.NewPCG(1, 1)).Uint64)
	if results[0].Code != wire.None {
		t.Fatal(results[0].Message)
	}
	return mustApply(t, im, rs), s
}

// beat is a heartbeat of a broker that has applied all.
func beat(t testing.TB, im *Image, s *Sessions, id int32, shutdown bool) (*Image, HeartbeatAnswer) {
	t.Helper()
	h := &Heartbeat{Broker: id, Epoch: im.Broker(id).Epoch, Offset: im.Index(), WantShutdown: shutdown}
	s.Touch(im, h, 0)
	rs, a, err := BrokerHeartbeat(im, s, h, &Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rs) > maxMoves+1 {
		t.Fatalf("%d records in one decision", len(rs))
	}
	if len(rs) > 0 {
		im = mustApply(t, im, rs)
	}
	return im, a
}

func led(im *Image, id int32) (n int) {
	im.EachTopic(func(t *Topic) bool {
		for i := range t.Partitions {
			if t.Partitions[i].Leader == id {
				n++
			}
		}
		return true
	})
	return n
}

// A broker that stops hands over a thousand partitions at a time, and may stop when all are gone and the others have applied the last of it.
func TestShutdownHandsOverInBatches(t *testing.T) {
	im, s := large(t, 2500)
	var a HeartbeatAnswer
	for _, left := range []int{1500, 500, 0} {
		im, a = beat(t, im, s, 1, true)
		if n := led(im, 1); n != left || a.ShutDown || a.Fenced {
			t.Fatalf("it leads %d, wanted %d; answer %+v", n, left, a)
		}
	}
	if im, a = beat(t, im, s, 1, true); a.ShutDown {
		t.Fatal("it may stop, though nobody knows yet that it leads nothing")
	}
	im, _ = beat(t, im, s, 2, false)
	if im, a = beat(t, im, s, 1, true); a.ShutDown {
		t.Fatal("it may stop, though broker 3 does not know yet that it leads nothing")
	}
	im, _ = beat(t, im, s, 3, false)
	if im, a = beat(t, im, s, 1, true); !a.ShutDown || !im.Broker(1).Fenced {
		t.Fatalf("it may not stop: %+v", a)
	}
	p := im.TopicByName("large").Partition(0)
	if p.LeaderEpoch != 1 || p.Leader != 2 || contains(p.ISR, 1) {
		t.Errorf("partition 0: %s", p)
	}
}

func TestBalanceMovesInBatches(t *testing.T) {
	im, s := large(t, 2500)
	rs, err := FenceBroker(im, 1, im.Broker(1).Epoch, &Rules{})
	if err != nil || len(rs) != 2501 {
		t.Fatalf("a fence is one decision: %d records, %v", len(rs), err)
	}
	im = mustApply(t, im, rs)
	im, _ = beat(t, im, s, 1, false)
	if rs, more := BalanceLeaders(im, &Rules{}); len(rs) > 0 || more {
		t.Fatalf("%d leaderships move to a broker that is not in sync", len(rs))
	}
	var changes []ISRChange
	var all []Member
	for id := range int32(3) {
		all = append(all, Member{id + 1, im.Broker(id + 1).Epoch})
	}
	for i := range int32(2500) {
		changes = append(changes, ISRChange{im.TopicByName("large").ID, i, 1, 1, all, false})
	}
	rs, results, err := AlterPartition(im, 2, im.Broker(2).Epoch, changes, &Rules{})
	if err != nil || len(rs) != 2500 || results[2499].Code != wire.None {
		t.Fatalf("%d records, %v", len(rs), err)
	}
	im = mustApply(t, im, rs)
	for _, want := range []int{1000, 1000, 500} {
		rs, more := BalanceLeaders(im, &Rules{})
		if len(rs) != want || more != (want == 1000) {
			t.Fatalf("%d leaderships move, wanted %d; more %t", len(rs), want, more)
		}
		im = mustApply(t, im, rs)
	}
	if n := led(im, 1); n != 2500 {
		t.Errorf("broker 1 leads %d", n)
	}
}

// What one request makes the controller do is bounded, with Kafka's code.
func TestLargeRequestsAreRefused(t *testing.T) {
	im, _ := large(t, 1)
	rs, results := AlterPartitionReassignments(im, make([]PartitionReassignment, MaxPartitionsPerRequest+1), false, &Rules{})
	if len(rs) > 0 || results[0].Code != wire.PolicyViolation || results[MaxPartitionsPerRequest].Code != wire.PolicyViolation {
		t.Errorf("reassignments: %d records, %v", len(rs), results[0])
	}
	assigned := make([]PartitionRecord, 0, 2*MaxPartitionsPerRequest)
	for i := range 2 {
		for n := range int32(MaxPartitionsPerRequest) {
			assigned = append(assigned, PartitionRecord{wire.UUID{byte(i + 1)}, n, Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 2}})
		}
	}
	records := []Record{TopicRecord{"a", wire.UUID{1}}, TopicRecord{"b", wire.UUID{2}}}
	for _, r := range assigned {
		records = append(records, r)
	}
	im = mustApply(t, im, records)
	rs, _, err := ElectLeaders(im, PreferredElection, nil, &Rules{})
	if code := wire.Code(0); len(rs) > 0 || !errors.As(err, &code) || code != wire.PolicyViolation {
		t.Errorf("elections: %d records, %v", len(rs), err)
	}
	topics := []TopicPartitions{{"a", nil}}
	for n := range int32(MaxPartitionsPerRequest) {
		topics[0].Partitions = append(topics[0].Partitions, n)
	}
	if rs, _, err = ElectLeaders(im, PreferredElection, topics, &Rules{}); len(rs) != MaxPartitionsPerRequest || err != nil {
		t.Errorf("elections of one topic: %d records, %v", len(rs), err)
	}
}

// A setting that was lowered in the brokers' files leaves no record. Whom it made eligible while it was higher is not trusted afterwards: the high
// watermark has gone on without them.
func TestTheEligibleOfAHigherSettingAreForgotten(t *testing.T) {
	im, _ := large(t, 1)
	id := im.TopicByName("large").ID
	three := &Rules{Topics: sameRules(TopicRules{MinISR: 3})}
	rs, _, err := AlterPartition(im, 1, im.Broker(1).Epoch, []ISRChange{{id, 0, 0, 0, []Member{{1, im.Broker(1).Epoch}}, false}}, three)
	if err != nil {
		t.Fatal(err)
	}
	im = mustApply(t, im, rs)
	if p := im.TopicByID(id).Partition(0); len(p.ELR) != 2 {
		t.Fatalf("the other two are not eligible: %s", p)
	}
	one := &Rules{Topics: sameRules(TopicRules{MinISR: 1})}
	if rs, err = FenceBroker(im, 1, im.Broker(1).Epoch, one); err != nil {
		t.Fatal(err)
	}
	im = mustApply(t, im, rs)
	if p := im.TopicByID(id).Partition(0); p.Leader != NoLeader || len(p.ELR) != 1 || p.ELR[0] != 1 {
		t.Errorf("only broker 1 has all records: %s", p)
	}
}

// The directories of 10,000 partitions are one list, too.
func TestPartitionsShareTheirDirectories(t *testing.T) {
	im, _ := large(t, MaxPartitionsPerRequest)
	back, err := DecodeSnapshot(im.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range []*Image{im, back} {
		lists := map[string]bool{}
		for _, p := range im.TopicByName("large").Partitions {
			lists[fmt.Sprintf("%p", p.Dirs)] = true
		}
		if len(lists) != 1 {
			t.Errorf("%d lists of directories", len(lists))
		}
	}
}

// What stands between the death of a broker that leads 10,000 partitions and their next leaders, on the controller: the decision, and its records applied.
func BenchmarkFence10000Leaders(b *testing.B) {
	im, _ := large(b, MaxPartitionsPerRequest)
	for b.Loop() {
		rs, err := FenceBroker(im, 1, im.Broker(1).Epoch, &Rules{})
		if err != nil || len(rs) != MaxPartitionsPerRequest+1 {
			b.Fatal(len(rs), err)
		}
		mustApply(b, im, rs)
	}
}

// sameRules are the same rules for all topics.
func sameRules(r TopicRules) func(*Image) func(*Topic) TopicRules {
	return func(*Image) func(*Topic) TopicRules { return func(*Topic) TopicRules { return r } }
}
