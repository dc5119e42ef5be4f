package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// atATime is how many partitions are asked for in one request: a controller of Kafka's refuses what makes more than 10,000 records.
const atATime = 5000

// partitionsWithin is how long making, and again deleting, may take.
const partitionsWithin = 3 * time.Minute

// measurePartitions makes a topic of many partitions and deletes it. It is made when each of them tells its end, which only a
// leader that has its log does; the answer to CreateTopics comes earlier.
func measurePartitions(ctx context.Context, s Subject, spec bench.Spec, r *bench.Result) error {
	ctx, cancel := context.WithTimeout(ctx, 2*partitionsWithin)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...), kgo.ClientID("millrace-bench"), kgo.RequestTimeoutOverhead(partitionsWithin), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(partitionsWithin / time.Millisecond))
	topic := fmt.Sprintf("millrace-bench-partitions-%d", time.Now().UnixNano())
	if _, err := admin.ListTopics(ctx); err != nil { // connected
		return err
	}
	before := anon(s.Pids)

	began := time.Now()
	for n := 0; n < spec.Partitions; {
		first := n == 0
		n = min(n+atATime, spec.Partitions)
		if err := makePartitions(ctx, admin, topic, n, first); err != nil {
			return fmt.Errorf("make %d partitions: %w", n, err)
		}
	}
	r.Figures["create"] = milliseconds(time.Since(began))
	if after := anon(s.Pids); len(s.Pids) > 0 && after > before {
		r.Figures["anon_per_partition"] = float64(after-before) / float64(spec.Partitions)
	}
	if r.Target.Durability, err = bench.Durability(ctx, bench.Options{Brokers: s.Brokers, Topic: topic}); err != nil {
		return err
	}

	began = time.Now()
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete %d partitions: %w", spec.Partitions, err)
	}
	if err := until(ctx, func() error { return gone(ctx, admin, topic) }); err != nil {
		return fmt.Errorf("%d partitions were deleted: %w", spec.Partitions, err)
	}
	r.Figures["delete"] = milliseconds(time.Since(began))
	return nil
}

// makePartitions has the topic have n partitions, and waits until each has a leader.
func makePartitions(ctx context.Context, admin *kadm.Client, topic string, n int, first bool) (err error) {
	if first {
		_, err = admin.CreateTopic(ctx, int32(n), -1, nil, topic)
	} else {
		var made kadm.CreatePartitionsResponses
		if made, err = admin.UpdatePartitions(ctx, n, topic); err == nil {
			err = made.Error()
		}
	}
	if err != nil {
		return err
	}
	return until(ctx, func() error { return allLead(ctx, admin, topic, n) })
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// until tries again while the error stays, for as long as making or deleting may take.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, partitionsWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func allLead(ctx context.Context, admin *kadm.Client, topic string, partitions int) error {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	if n := len(ends[topic]); n != partitions {
		return fmt.Errorf("%d of them are known", n)
	}
	return ends.Error()
}

func gone(ctx context.Context, admin *kadm.Client, topic string) error {
	topics, err := admin.ListTopics(ctx, topic)
	switch {
	case err != nil:
		return err
	case errors.Is(topics[topic].Err, kerr.UnknownTopicOrPartition):
		return nil
	}
	return fmt.Errorf("the topic is still there (%v)", topics[topic].Err)
}

// anon is the private memory of processes now.
func anon(pids []int) (sum int64) {
	sampler := host.StartSampler(pids, time.Hour)
	for _, u := range sampler.Stop() {
		sum += u.Anon
	}
	return sum
}
