// franz-go drives github.com/twmb/franz-go; see compat/clients/README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/compat/clients/go/contract"
)

func main() {
	contract.Main(map[string]func(contract.Flags) error{
		"produce": produce, "consume": consume, "assign": assign, "seek": seek,
		"offsets": offsets, "describe": describe, "groups": groups, "delete-group": deleteGroup, "transact": transact,
	})
}

func dial(f contract.Flags, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(f["bootstrap"]), kgo.ClientID("franz-go"), kgo.RetryTimeout(15*time.Second))...)
}

func codec(f contract.Flags) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[f["codec"]]
}

func produce(f contract.Flags) error {
	records, err := contract.Input(f["in"])
	if err != nil {
		return err
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codec(f)), kgo.DefaultProduceTopic(f["topic"])}
	if !f.Bool("idempotent") {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	c, err := dial(f, opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	var failed kgo.FirstErrPromise
	for _, r := range records {
		out := &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		c.Produce(context.Background(), out, failed.Promise())
	}
	if err := failed.Err(); err != nil {
		return err
	}
	contract.Say("done", len(records))
	return nil
}

func record(r *kgo.Record) contract.Record {
	out := contract.Record{Partition: int(r.Partition), Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, contract.Header{Name: h.Key, Value: h.Value})
	}
	return out
}

func balancer(name string) kgo.GroupBalancer {
	switch name {
	case "range":
		return kgo.RangeBalancer()
	case "roundrobin":
		return kgo.RoundRobinBalancer()
	case "sticky":
		return kgo.StickyBalancer()
	}
	return kgo.CooperativeStickyBalancer()
}

func consume(f contract.Flags) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if f.Int("count") == 0 {
		go func() { <-contract.Stopped(); stop() }()
	}
	reading, owned := contract.NewReading(f), map[string][]int{}
	commit := func(c *kgo.Client) (err error) {
		out := map[string]map[int32]kgo.EpochOffset{f["topic"]: {}}
		for p, offset := range reading.Pending {
			out[f["topic"]][int32(p)] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
		c.CommitOffsetsSync(context.Background(), out, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, e error) {
			err = e
			if err == nil {
				err = commitError(resp)
			}
		})
		if err == nil {
			reading.Committed()
		}
		return err
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(f["group"]), kgo.ConsumeTopics(f["topic"]), kgo.Balancers(balancer(f["assignor"])), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(time.Second), kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, now map[string][]int32) {
			for topic, ps := range now {
				for _, p := range ps {
					owned[topic] = append(owned[topic], int(p))
				}
			}
			contract.SayAssigned(owned)
		}),
	}
	gone := func(wanted bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, c *kgo.Client, now map[string][]int32) {
			if wanted && !f.Bool("stay") && len(reading.Pending) > 0 {
				_ = commit(c) // a group that has gone on refuses it, and the records are read again
			}
			for topic, ps := range now {
				for _, p := range ps {
					reading.Lost(int(p))
					owned[topic] = without(owned[topic], int(p))
				}
			}
			contract.SayAssigned(owned)
		}
	}
	opts = append(opts, kgo.OnPartitionsRevoked(gone(true)), kgo.OnPartitionsLost(gone(false)))
	if f["instance"] != "" {
		opts = append(opts, kgo.InstanceID(f["instance"]))
	}
	c, err := dial(f, opts...)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for !reading.Done() {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			if len(reading.Pending) > 0 {
				return commit(c)
			}
			return nil
		}
		if err := pollError(fetches); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done() && !reading.Done(); {
			if reading.Add(record(it.Next())) {
				if err := commit(c); err != nil && (!moved(err) || reading.Done()) {
					return fmt.Errorf("commit: %w", err)
				}
			}
		}
		c.AllowRebalance()
	}
	return nil
}

// commitError is the first error of a partition.
func commitError(resp *kmsg.OffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved tells that the group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
func moved(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID)
}

// pollError leaves out that a topic of the subscription does not exist yet.
func pollError(fs kgo.Fetches) error {
	var bad []error
	fs.EachError(func(topic string, p int32, err error) {
		if !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.UnknownTopicID) {
			bad = append(bad, fmt.Errorf("%s:%d: %w", topic, p, err))
		}
	})
	return errors.Join(bad...)
}

func without(ps []int, p int) []int {
	var rest []int
	for _, q := range ps {
		if q != p {
			rest = append(rest, q)
		}
	}
	return rest
}

func assign(f contract.Flags) error {
	topic, p, ctx := f["topic"], int32(f.Int("partition")), context.Background()
	at := kgo.NewOffset().At(int64(f.Int("offset")))
	if f.Int("offset") < 0 {
		c, err := dial(f)
		if err != nil {
			return err
		}
		defer c.Close()
		committed, err := kadm.NewClient(c).FetchOffsets(ctx, f["group"])
		if err != nil {
			return err
		}
		o, ok := committed.Lookup(topic, p)
		if !ok {
			return fmt.Errorf("group %s has no offset for %s:%d", f["group"], topic, p)
		}
		at = kgo.NewOffset().At(o.At)
	}
	c, err := dial(f, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: at}}))
	if err != nil {
		return err
	}
	defer c.Close()
	next := int64(-1)
	for left := f.Int("count"); left > 0; {
		fetches := c.PollFetches(ctx)
		if err := pollError(fetches); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done() && left > 0; left-- {
			r := it.Next()
			contract.SayRecords(record(r))
			next = r.Offset + 1
		}
	}
	var out kadm.Offsets
	out.AddOffset(topic, p, next, -1)
	if err := kadm.NewClient(c).CommitAllOffsets(ctx, f["group"], out); err != nil {
		return err
	}
	contract.Say("committed", p, next)
	return nil
}

func seek(f contract.Flags) error {
	topic, ctx := f["topic"], context.Background()
	c, err := dial(f)
	if err != nil {
		return err
	}
	defer c.Close()
	found, err := kadm.NewClient(c).ListOffsetsAfterMilli(ctx, int64(f.Int("timestamp")), topic)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return err
	}
	from := map[string]map[int32]kgo.Offset{topic: {}}
	for _, o := range found.Offsets().Sorted() {
		at := o.At
		if l, _ := found.Lookup(topic, o.Partition); l.Timestamp == -1 {
			at = -1 // kadm answers with the end of the partition
		} else {
			from[topic][o.Partition] = kgo.NewOffset().At(at)
		}
		contract.Say("offset", topic, o.Partition, at)
	}
	c.AddConsumePartitions(from)
	for seen := map[int32]bool{}; len(seen) < len(from[topic]); {
		fetches := c.PollFetches(ctx)
		if err := pollError(fetches); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !seen[r.Partition] {
				seen[r.Partition] = true
				contract.SayRecords(record(r))
			}
		})
	}
	return nil
}

func admin(f contract.Flags, ask func(context.Context, *kadm.Client) error) error {
	c, err := dial(f)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return ask(ctx, kadm.NewClient(c))
}

func offsets(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kadm.Client) error {
		all, err := a.FetchOffsets(ctx, f["group"])
		if err == nil {
			err = all.Error()
		}
		for _, o := range all.Sorted() {
			contract.Say("offset", o.Topic, o.Partition, o.At)
		}
		return err
	})
}

func describe(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kadm.Client) error {
		all, err := a.DescribeGroups(ctx, f["group"])
		if err == nil {
			err = all.Error()
		}
		for _, g := range all {
			contract.Say("group", g.State, g.Protocol, len(g.Members))
		}
		return err
	})
}

func groups(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kadm.Client) error {
		all, err := a.ListGroups(ctx)
		for _, name := range all.Groups() {
			contract.Say("name", name)
		}
		return err
	})
}

func deleteGroup(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kadm.Client) error {
		all, err := a.DeleteGroups(ctx, f["group"])
		if err == nil {
			err = all.Error()
		}
		if err != nil {
			contract.Say("refused", err)
			return nil
		}
		contract.Say("deleted")
		return nil
	})
}

func transact(f contract.Flags) error {
	c, err := dial(f, kgo.TransactionalID("franz-go-"+f["topic"]), kgo.DefaultProduceTopic(f["topic"]))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	try := func() error {
		if err := c.BeginTransaction(); err != nil {
			return err
		}
		if err := c.ProduceSync(ctx, kgo.StringRecord("in a transaction")).FirstErr(); err != nil {
			return err
		}
		return c.EndTransaction(ctx, kgo.TryCommit)
	}
	if err := try(); err != nil {
		contract.Say("refused", strings.ReplaceAll(err.Error(), "\n", " "))
		return nil
	}
	contract.Say("committed")
	return nil
}
