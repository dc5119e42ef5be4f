package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An operator asks the real binary for what needs several brokers: leaders elected, replicas moved, a broker removed. One broker says what there is to say,
// takes no harm, and serves the same records afterwards, and after a kill.
func TestReplicasOfOneBroker(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, 0)
	ctx := within(t, 60*time.Second)
	produce := func(b *broker, value string) {
		t.Helper()
		cl := b.client(kgo.DefaultProduceTopic("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		for p := range int32(2) {
			if err := cl.ProduceSync(ctx, &kgo.Record{Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	adm := kadm.NewClient(b.client())
	if _, err := adm.CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	produce(b, "before")

	var both, missing kadm.TopicsSet
	both.Add("orders", 0, 1)
	missing.Add("orders", 7)
	for _, how := range []kadm.ElectLeadersHow{kadm.ElectPreferredReplica, kadm.ElectLiveReplica} {
		elected, err := adm.ElectLeaders(ctx, how, both)
		if err != nil || len(elected["orders"]) != 2 {
			t.Fatalf("%v, %v", elected, err)
		}
		for p, r := range elected["orders"] {
			if !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				t.Errorf("partition %d is elected: %v", p, r.Err)
			}
		}
		if elected, err = adm.ElectLeaders(ctx, how, missing); err != nil || !errors.Is(elected["orders"][7].Err, kerr.UnknownTopicOrPartition) {
			t.Errorf("a partition that is not there: %v, %v", elected, err)
		}
	}

	var move kadm.AlterPartitionAssignmentsReq
	move.Assign("orders", 0, []int32{1})
	move.Assign("orders", 1, []int32{1, 2})
	moved, err := adm.AlterPartitionAssignments(ctx, move)
	if err != nil || moved["orders"][0].Err != nil || !errors.Is(moved["orders"][1].Err, kerr.InvalidReplicaAssignment) {
		t.Errorf("moved: %v, %v", moved, err)
	}
	var back kadm.AlterPartitionAssignmentsReq
	back.CancelAssign("orders", 0)
	if moved, err = adm.AlterPartitionAssignments(ctx, back); err != nil || !errors.Is(moved["orders"][0].Err, kerr.NoReassignmentInProgress) {
		t.Errorf("taken back: %v, %v", moved, err)
	}
	if moving, err := adm.ListPartitionReassignments(ctx, nil); err != nil || len(moving) != 0 {
		t.Errorf("moving: %v, %v", moving, err)
	}

	for id, code := range map[int32]int16{1: kerr.InvalidRequest.Code, 2: kerr.BrokerIDNotRegistered.Code} {
		remove := kmsg.NewPtrUnregisterBrokerRequest()
		remove.BrokerID = id
		if r, err := remove.RequestWith(ctx, b.client()); err != nil || r.ErrorCode != code {
			t.Errorf("broker %d is removed: %v, %v", id, r, err)
		}
	}
	produce(b, "after")
	b.kill()

	b = start(t, dir, 0)
	produce(b, "killed")
	ends, err := kadm.NewClient(b.client()).ListEndOffsets(ctx, "orders")
	if err != nil || ends.Error() != nil {
		t.Fatal(err, ends.Error())
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 3 {
			t.Errorf("partition %d has %d records", o.Partition, o.Offset)
		}
	})
}
