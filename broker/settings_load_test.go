package broker

import (
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Settings change under an idempotent producer and a consumer: every record is there once, in order, whatever codec, durability, segment size
// or time type it met, and after kill -9.
func TestSettingsChangeUnderLoad(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1))
	const records, changes = 3000, 60
	cl := newClient(t, a.Node, kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.ProducerLinger(0))
	ctx := testContext(t)
	var produced sync.WaitGroup
	produced.Go(func() {
		for i := range records {
			var acked sync.WaitGroup
			acked.Add(1)
			cl.Produce(ctx, kgo.StringRecord(value(i)), func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("record %d: %v", i, err)
				}
				acked.Done()
			})
			if i%7 == 0 {
				acked.Wait() // now and then alone in flight, else up to seven
			}
		}
		if err := cl.Flush(ctx); err != nil {
			t.Error(err)
		}
	})
	codecs := []string{"gzip", "producer", "lz4", "uncompressed", "zstd", "snappy"}
	modes := []string{"os", "fsync", "replicated"}
	for i := range changes {
		switch i % 4 {
		case 0:
			a.mustAlter(ofBroker, "", "compression.type="+codecs[i/4%len(codecs)])
		case 1:
			a.mustAlter(ofTopic, "t", "millrace.durability="+modes[i/4%len(modes)])
		case 2:
			a.mustAlter(ofBroker, "1", fmt.Sprintf("log.segment.bytes=%d", 1<<20+i), fmt.Sprintf("message.max.bytes=%d", 1<<20+i))
		case 3:
			a.mustAlter(ofTopic, "t", "message.timestamp.type="+[]string{"LogAppendTime", "CreateTime"}[i/4%2], fmt.Sprintf("compression.type=%s", codecs[(i/4+3)%len(codecs)]))
			a.mustAlter(ofTopic, "t", "-compression.type")
		}
	}
	produced.Wait()
	if t.Failed() {
		return
	}
	for round := range 2 {
		consumer := newClient(t, a.Node, kgo.ConsumeTopics("t"))
		for next := 0; next < records; {
			fetches := consumer.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if string(r.Value) != value(next) || r.Offset != int64(next) {
					t.Fatalf("round %d: record %d is %s at offset %d", round, next, r.Value, r.Offset)
				}
				next++
			})
		}
		consumer.Close()
		if round == 0 {
			a.restart()
		}
	}
	a.wantSetting(ofTopic, "t", "millrace.durability", modes[(changes-3)/4%len(modes)]+"@1")
}
