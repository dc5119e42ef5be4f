package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// Stopped cleanly or killed, a node comes back with what it acknowledged, in every durability mode (the operating system lives on, and its
// page cache with it), and with its epochs, offsets and ids.
func TestRestart(t *testing.T) {
	for _, durability := range []string{"fsync", "replicated", "os"} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s clean=%v", durability, clean), func(t *testing.T) {
				dir := t.TempDir()
				n := startNodeIn(t, dir)
				id := createTopic(t, n, "t", 2, "millrace.durability", durability)
				cluster := n.image().ClusterID()
				var want []string
				for round := range 3 {
					c := dial(t, n)
					for i := range 10 {
						want = append(want, fmt.Sprint(round, "-", i))
					}
					fill(c, "t", 1, want[len(want)-10:]...)
					if clean {
						stopNode(t, n)
					} else {
						n.Kill()
					}
					n = startNodeIn(t, dir)
					if n.image().ClusterID() != cluster || n.image().TopicByName("t") == nil || n.image().TopicByName("t").ID != id {
						t.Fatal("another cluster or topic after the restart")
					}
					c = dial(t, n)
					p := c.fetch(fetchRequest(12, "t", id, 1, 0))
					wantValues(t, p, want...)
					if p.HighWatermark != int64(len(want)) {
						t.Errorf("high watermark %d, not %d", p.HighWatermark, len(want))
					}
					if got := c.list(listRequest(7, "t", 1, -1)).Offset; got != int64(len(want)) {
						t.Errorf("latest %d, not %d", got, len(want))
					}
				}
			})
		}
	}
}

// A start opens no partition: the first request that needs one does, a fetch as well as a produce or a look-up.
func TestFirstRequestOpensTheLog(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "t", 30)
	c := dial(t, n)
	for p := range int32(30) {
		fill(c, "t", p, "a")
	}
	n.Kill()
	n = startNodeIn(t, dir)
	c = dial(t, n)
	req := fetchRequest(12, "t", wire.UUID{}, 0, 0)
	req.MaxWaitMillis = 60_000
	for p := int32(1); p < 30; p++ {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchPartition(p, 0))
	}
	for _, p := range ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions {
		wantValues(t, p, "a")
	}
}

// The removal of a topic deletes its folder; one of the same name later begins at offset 0.
func TestTopicComesAndGoes(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	c := dial(t, n)
	for round := range 5 {
		id := createTopic(t, n, "t", 1)
		got := c.produce(produceRequest(13, -1, "", id, 0, batchOf(t, record.None, fmt.Sprint("round ", round))))
		wantCode(t, got.ErrorCode, wire.None)
		if got.BaseOffset != 0 {
			t.Errorf("round %d begins at offset %d", round, got.BaseOffset)
		}
		if round == 3 { // across a restart too
			n.Kill()
			n = startNodeIn(t, dir)
			c = dial(t, n)
		}
		wantValues(t, c.fetch(fetchRequest(13, "", id, 0, 0)), fmt.Sprint("round ", round))
		deleteTopic(t, n, "t")
		wantCode(t, c.fetch(fetchRequest(13, "", id, 0, 0)).ErrorCode, wire.UnknownTopicID)
	}
}

// BenchmarkRestart is the time from the start to the first acknowledged produce, with a partition that has to be opened.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	n := startNodeIn(b, dir)
	createTopic(b, n, "t", 1)
	for b.Loop() {
		stopNode(b, n)
		begin := time.Now()
		n = startNodeIn(b, dir)
		c := dial(b, n)
		wantCode(b, c.produce(produceRequest(9, -1, "t", wire.UUID{}, 0, batchOf(b, record.None, "x"))).ErrorCode, wire.None)
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms/restart")
	}
}

// A log that was recovered may hold records that are not flushed yet: on a durable topic they are flushed when it is opened, and are then
// visible without anybody appending.
func TestRecoveredRecordsBecomeVisibleByThemselves(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "t", 1, "millrace.durability", "os")
	fill(dial(t, n), "t", 0, "a", "b")
	if err := n.decide(func(*meta.Image, int64) ([]meta.Record, error) {
		return []meta.Record{meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: "t"}, Name: "millrace.durability", Value: "fsync"}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	n.Kill()
	n = startNodeIn(t, dir)
	c := dial(t, n)
	await(t, "the recovered records", func() bool {
		got := c.list(listRequest(7, "t", 0, -1))
		return wire.Code(got.ErrorCode) == wire.None && got.Offset == 2
	})
}
