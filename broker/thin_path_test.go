package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// One record from a real producer to a real consumer, through all the rooms.
func TestRecordsGoFromProducerToConsumer(t *testing.T) {
	for _, durability := range []string{"fsync", "replicated", "os"} {
		t.Run(durability, func(t *testing.T) {
			n := startNode(t)
			createTopic(t, n, "events", 3, "millrace.durability", durability)
			producer := newClient(t, n, kgo.DefaultProduceTopic("events"))
			ctx := testContext(t)
			const count = 1000
			for i := range count {
				producer.Produce(ctx, kgo.StringRecord(value(i)), func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := producer.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			consumer := newClient(t, n, kgo.ConsumeTopics("events"))
			seen := map[string]int{}
			for len(seen) < count {
				fs := consumer.PollFetches(ctx)
				if err := fs.Err(); err != nil {
					t.Fatalf("after %d records: %v", len(seen), err)
				}
				fs.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
			}
			for i := range count {
				if seen[value(i)] != 1 {
					t.Fatalf("%s was seen %d times", value(i), seen[value(i)])
				}
			}
		})
	}
}
