package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/wire"
)

// kgoConsumer is one client that reads for a group: partitions dealt out once, or whatever the group protocol gives it. Reading is
// paused until the run begins to consume.
type kgoConsumer struct {
	*run
	client   *kgo.Client
	trackers []*tracker // of the group, by partition
	meter    meter
	rec      *recorder
	assigned atomic.Int64 // partitions, by the group protocol
}

func newKgoConsumer(ctx context.Context, r *run, group, number int) (*kgoConsumer, error) {
	c := &kgoConsumer{run: r, trackers: r.trackers[group], rec: r.collect.recorder(endToEndKind, catchUpKind), meter: meter{api: wire.KeyFetch}}
	opts := []kgo.Opt{
		kgo.FetchMaxWait(r.spec.FetchMaxWait),
		kgo.FetchMinBytes(int32(r.spec.FetchMinBytes)),
		kgo.FetchMaxBytes(int32(r.spec.FetchMaxBytes)),
		kgo.FetchMaxPartitionBytes(int32(r.spec.FetchMaxBytes)),
		kgo.WithHooks(&c.meter),
	}
	if r.spec.GroupProtocol {
		opts = append(opts, c.join(group)...)
	} else {
		from := map[int32]kgo.Offset{}
		for partition := number; partition < r.spec.Partitions; partition += r.spec.Consumers {
			from[int32(partition)] = kgo.NewOffset().At(r.place.starts[partition])
		}
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.place.topic: from}))
	}
	var err error
	o := Options{Brokers: r.setup.Target.Brokers, Client: r.setup.Client}
	if c.client, err = o.client(opts...); err != nil {
		return nil, err
	}
	c.client.PauseFetchTopics(r.place.topic)
	if err := c.client.Ping(ctx); err != nil {
		c.client.Close()
		return nil, err
	}
	return c, nil
}

// work reads until ctx ends.
func (c *kgoConsumer) work(ctx context.Context) {
	c.rec.start(c.span, c.clock.now())
	defer c.rec.end()
	for reading := false; ctx.Err() == nil; {
		if now := c.clock.now(); !reading && now >= c.readFrom() {
			c.client.ResumeFetchTopics(c.place.topic)
			reading = true
		}
		polling, cancel := context.WithTimeout(ctx, c.pollTime(reading))
		fetches := c.client.PollFetches(polling)
		cancel()
		c.take(fetches, c.clock.now())
		c.client.AllowRebalance()
	}
}

// pollTime is how long to wait for records: until the next look around, or until reading begins.
func (c *kgoConsumer) pollTime(reading bool) time.Duration {
	if reading {
		return idle
	}
	return min(idle, c.readFrom()-c.clock.now())
}

// take holds what came against what should. All of it came now: the client gives a whole answer at once.
func (c *kgoConsumer) take(fetches kgo.Fetches, now time.Duration) {
	c.rec.turn(now)
	fetches.EachError(func(_ string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			c.errors.note("consume partition %d: %v", partition, err)
		}
	})
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if p.Partition < 0 { // an error of no partition
			return
		}
		t := c.trackers[p.Partition]
		behind := c.spec.Backlog > 0 && t.caughtUp.Load() == 0
		for _, r := range p.Records {
			c.came(t, r, behind, now)
		}
		if p.Err == nil {
			t.reached(now, t.position.Load(), p.HighWatermark)
		}
	})
	c.rec.sheet.fetches += c.meter.requests.Swap(0)
}

func (c *kgoConsumer) came(t *tracker, r *kgo.Record, behind bool, now time.Duration) {
	due, ok := t.came(r.Offset, r.Key, r.Value)
	switch {
	case !ok || c.spec.Consume != "live":
	case behind:
		c.rec.catchingUp(now, due, 1)
	default:
		c.rec.consumed(now, due, 1)
	}
	t.consumed.Add(1)
	t.position.Store(r.Offset + 1)
	c.rec.sheet.consumed++
	c.rec.sheet.fetchedSize += int64(len(r.Key) + len(r.Value))
}
