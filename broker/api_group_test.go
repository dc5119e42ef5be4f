package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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
