package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

func listRequest(version int16, topic string, partition int32, timestamp int64) *kmsg.ListOffsetsRequest {
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID = version, -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = partition, timestamp, -1
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	return r
}

func (c *rawClient) list(req *kmsg.ListOffsetsRequest) kmsg.ListOffsetsResponseTopicPartition {
	c.t.Helper()
	return ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
}

// stamped makes a batch whose records have these timestamps.
func stamped(t testing.TB, codec record.Codec, timestamps ...int64) []byte {
	t.Helper()
	var w record.Builder
	w.Reset(record.BuildOptions{Codec: codec})
	for _, ts := range timestamps {
		w.Add(ts, nil, []byte(fmt.Sprint(ts)))
	}
	out, _, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// 2.4 #22 and #19: every special timestamp, look-ups by time, and the epoch of the offset that is answered.
func TestListOffsets19And22(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 2)
	c := dial(t, n)
	put := func(b []byte) {
		t.Helper()
		wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, b)).ErrorCode, wire.None)
	}
	put(stamped(t, record.None, 1000, 2000, 3000)) // 0-2
	bumpEpoch(t, n, "t", id)                       // partition 0 is in epoch 1 now
	put(stamped(t, record.Gzip, 9000, 5000))       // 3-4
	put(stamped(t, record.None, 4000, 9000))       // 5-6
	for _, c := range []struct {
		name      string
		partition int32
		timestamp int64
		offset    int64
		found     int64
		epoch     int32
	}{
		{"latest", 0, -1, 7, -1, 1},
		{"earliest", 0, -2, 0, -1, 0},
		{"max timestamp: the first record that has it", 0, -3, 3, 9000, 1},
		{"earliest local", 0, -4, 0, -1, 0},
		{"latest tiered", 0, -5, -1, -1, -1},
		{"earliest pending upload", 0, -6, -1, -1, -1},
		{"before all", 0, 0, 0, 1000, 0},
		{"exactly", 0, 2000, 1, 2000, 0},
		{"between", 0, 2001, 2, 3000, 0},
		{"in a later batch", 0, 3001, 3, 9000, 1},
		{"the largest", 0, 9000, 3, 9000, 1},
		{"after all", 0, 9001, -1, -1, -1},
		{"latest of an empty log", 1, -1, 0, -1, 0},
		{"earliest of an empty log", 1, -2, 0, -1, 0}, // Kafka's leader notes where its epoch begins before there is a record
		{"max timestamp of an empty log", 1, -3, -1, -1, -1},
		{"a time in an empty log", 1, 1, -1, -1, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := dial(t, n)
			raw.t = t
			got := raw.list(listRequest(11, "t", c.partition, c.timestamp))
			wantCode(t, got.ErrorCode, wire.None)
			if got.Offset != c.offset || got.Timestamp != c.found || got.LeaderEpoch != c.epoch {
				t.Errorf("offset %d timestamp %d epoch %d, not %d %d %d", got.Offset, got.Timestamp, got.LeaderEpoch, c.offset, c.found, c.epoch)
			}
		})
	}
}

func TestListOffsetsInEveryVersion(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a", "b")
	since := map[int64]int16{-1: 1, -2: 1, -3: 7, -4: 8, -5: 9, -6: 11, -7: 99}
	for version := int16(1); version <= 11; version++ {
		for timestamp, first := range since {
			want := wire.None
			if version < first {
				want = wire.UnsupportedVersion
			}
			got := c.list(listRequest(version, "t", 0, timestamp))
			wantCode(t, got.ErrorCode, want)
			if timestamp == -1 && got.Offset != 2 {
				t.Errorf("v%d: latest is %d", version, got.Offset)
			}
		}
	}
}

// 2.4 #19 and #22: fencing, unknown partitions, partitions asked for twice, and the last stable offset under read_committed.
func TestListOffsets19And22Errors(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	c := dial(t, n)
	fill(c, "t", 0, "a")
	wantCode(t, c.list(listRequest(7, "nowhere", 0, -1)).ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, c.list(listRequest(7, "t", 9, -1)).ErrorCode, wire.UnknownTopicOrPartition)
	twice := listRequest(7, "t", 0, -1)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	answers := 0
	for _, rt := range ask[*kmsg.ListOffsetsResponse](c, twice).Topics {
		for _, rp := range rt.Partitions {
			answers++
			wantCode(t, rp.ErrorCode, wire.InvalidRequest)
		}
	}
	if answers != 1 {
		t.Errorf("%d answers for a partition that is asked for twice", answers)
	}
	bumpEpoch(t, n, "t", id)
	for epoch, code := range map[int32]wire.Code{0: wire.FencedLeaderEpoch, 1: wire.None, 2: wire.UnknownLeaderEpoch} {
		req := listRequest(7, "t", 0, -1)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		wantCode(t, c.list(req).ErrorCode, code)
	}
	transaction(t, n.table.Lookup("t", 0), 1, 0, nil)
	for isolation, want := range map[int8]int64{0: 2, 1: 1} {
		req := listRequest(7, "t", 0, -1)
		req.IsolationLevel = isolation
		if got := c.list(req).Offset; got != want {
			t.Errorf("isolation %d: latest is %d, not %d", isolation, got, want)
		}
	}
}

// 2.4 #20: the largest epoch up to the one asked for, and its end; -1 and -1 when unknown.
func TestOffsetForLeaderEpoch20(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a", "b") // epoch 0: 0-1
	bumpEpoch(t, n, "t", id)
	bumpEpoch(t, n, "t", id)
	fill(c, "t", 0, "c") // epoch 2: 2
	bumpEpoch(t, n, "t", id)
	for _, want := range []struct {
		asked, epoch int32
		end          int64
	}{{0, 0, 2}, {1, 0, 2}, {2, 2, 3}, {3, 3, 3}, {4, -1, -1}, {-1, -1, -1}} {
		for version := int16(2); version <= 4; version++ {
			r := kmsg.NewPtrOffsetForLeaderEpochRequest()
			r.Version, r.ReplicaID = version, -1
			rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
			rt.Topic = "t"
			rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			rp.CurrentLeaderEpoch, rp.LeaderEpoch = -1, want.asked
			rt.Partitions = append(rt.Partitions, rp)
			r.Topics = append(r.Topics, rt)
			got := ask[*kmsg.OffsetForLeaderEpochResponse](c, r).Topics[0].Partitions[0]
			wantCode(t, got.ErrorCode, wire.None)
			if got.LeaderEpoch != want.epoch || got.EndOffset != want.end {
				t.Errorf("v%d epoch %d: %d ends at %d, not %d at %d", version, want.asked, got.LeaderEpoch, got.EndOffset, want.epoch, want.end)
			}
			rt.Partitions[0].CurrentLeaderEpoch = 1
			wantCode(t, ask[*kmsg.OffsetForLeaderEpochResponse](c, r).Topics[0].Partitions[0].ErrorCode, wire.FencedLeaderEpoch)
		}
	}
}

// A request for very many partitions is no work for a loop. It is answered all the same, each partition in its place.
func TestManyPartitionsAreLookedUpByAWorker(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "t", lookOnLoop+1)
	c := dial(t, n)
	list, epochs := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrOffsetForLeaderEpochRequest()
	list.Version, list.ReplicaID, epochs.Version = 7, -1, 4
	lt, et := kmsg.NewListOffsetsRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopic()
	lt.Topic, et.Topic = "t", "t"
	for i := range int32(lookOnLoop + 1) {
		lp, ep := kmsg.NewListOffsetsRequestTopicPartition(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		lp.Partition, lp.Timestamp, ep.Partition = i, -1, i
		lt.Partitions, et.Partitions = append(lt.Partitions, lp), append(et.Partitions, ep)
	}
	list.Topics, epochs.Topics = append(list.Topics, lt), append(epochs.Topics, et)
	workers := func() int {
		n.workers.cold.mu.Lock()
		defer n.workers.cold.mu.Unlock()
		return n.workers.cold.started
	}
	for i, p := range ask[*kmsg.ListOffsetsResponse](c, list).Topics[0].Partitions {
		if p.Partition != int32(i) || p.ErrorCode != 0 || p.Offset != 0 {
			t.Fatalf("%+v", p)
		}
	}
	if workers() == 0 {
		t.Error("the loop did it")
	}
	for i, p := range ask[*kmsg.OffsetForLeaderEpochResponse](c, epochs).Topics[0].Partitions {
		if p.Partition != int32(i) || p.ErrorCode != 0 {
			t.Fatalf("%+v", p)
		}
	}
}
