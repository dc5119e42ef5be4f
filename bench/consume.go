package bench

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Consume reads the topic from its beginning to where it ends now, and holds every record against the ledger.
func Consume(ctx context.Context, o Options, ledger *Ledger) (*Phase, error) {
	o = o.withDefaults()
	starts, ends, err := bounds(ctx, &o)
	if err != nil {
		return nil, wrap("consume", err)
	}
	left, total := 0, int64(0)
	from := map[int32]kgo.Offset{}
	for partition, end := range ends {
		if end > starts[partition] {
			from[partition] = kgo.NewOffset().At(starts[partition])
			left++
			total += end - starts[partition]
		}
	}
	var count counters
	stop := count.watch(o.Progress, total)
	if left > 0 {
		var client *kgo.Client
		client, err = o.client(
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: from}),
			kgo.FetchMaxWait(500e6),
			kgo.FetchMaxPartitionBytes(4<<20),
			kgo.WithHooks(requestCounter{&count.requests}),
		)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		for left > 0 && err == nil {
			fetches := client.PollFetches(ctx)
			if err = fetches.Err0(); err != nil {
				break
			}
			fetches.EachError(func(_ string, partition int32, e error) {
				err = fmt.Errorf("partition %d: %w", partition, e)
			})
			fetches.EachPartition(func(p kgo.FetchTopicPartition) {
				var bytes int64
				for _, r := range p.Records {
					ledger.Came(r.Partition, r.Offset, r.Key, r.Value)
					bytes += int64(len(r.Key) + len(r.Value))
				}
				if n := len(p.Records); n > 0 {
					count.records.Add(int64(n))
					count.bytes.Add(bytes)
					count.done.Add(int64(n))
					if end, waiting := ends[p.Partition]; waiting && p.Records[n-1].Offset >= end-1 { // somebody else may have written on
						delete(ends, p.Partition)
						left--
					}
				}
			})
		}
	}
	return stop(), wrap("consume", err)
}

// bounds asks for the first offset and the end of every partition.
func bounds(ctx context.Context, o *Options) (starts, ends map[int32]int64, err error) {
	client, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var list [2]map[int32]int64
	for i, ask := range []func(context.Context, ...string) (kadm.ListedOffsets, error){admin.ListStartOffsets, admin.ListEndOffsets} {
		listed, err := ask(ctx, o.Topic)
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, nil, err
		}
		list[i] = map[int32]int64{}
		listed.Each(func(l kadm.ListedOffset) { list[i][l.Partition] = l.Offset })
	}
	return list[0], list[1], nil
}
