package record

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// kafka connects to the Apache Kafka that MILLRACE_KAFKA names.
func kafka(t *testing.T, produce int16, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	address := os.Getenv("MILLRACE_KAFKA")
	if address == "" {
		t.Skip("set MILLRACE_KAFKA=host:port of an Apache Kafka 4.4.0 to compare with it")
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(0, produce) // 12 is the last one that names topics
	versions.SetMaxKeyVersion(1, 12)
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address), kgo.MaxVersions(versions))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// topic creates one for the test.
func topic(t *testing.T, client *kgo.Client, kind string, config map[string]string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	name := fmt.Sprintf("record-%s-%d", kind, time.Now().UnixNano())
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 1, 1
	for k, v := range config {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		rt.Configs = append(rt.Configs, c)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, client)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("create %s: %v %+v", name, err, resp)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		del := kmsg.NewPtrDeleteTopicsRequest()
		del.TopicNames = []string{name}
		dt := kmsg.NewDeleteTopicsRequestTopic()
		dt.Topic = &name
		del.Topics = append(del.Topics, dt)
		if _, err := del.RequestWith(ctx, client); err != nil {
			t.Logf("delete %s: %v", name, err)
		}
	})
	return name
}

func produce(t *testing.T, client *kgo.Client, topic string, payload []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = 1, 10_000
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Records = payload
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, client)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		p := resp.Topics[0].Partitions[0]
		if p.ErrorCode != 3 && p.ErrorCode != 6 { // a new topic is not everywhere at once
			return p
		}
	}
}

func fetch(t *testing.T, client *kgo.Client, topic string, offset int64) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 5000, 1, 1<<20, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes = offset, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0].RecordBatches
}

// Kafka must give the same codes, name the same records, and store the very bytes that Check and Stamp leave.
func TestKafkaAgreesOnVerdicts(t *testing.T) {
	client := kafka(t, 12)
	old := map[int16]*kgo.Client{0: client, 6: kafka(t, 6), 7: kafka(t, 7)}
	// Timestamps are relative to a fixed time in the cases; Kafka's clock is what it is.
	after := fmt.Sprint(limits().TimestampAfterMax + max(0, now-time.Now().UnixMilli())) // should the clock be behind
	plain := topic(t, client, "plain", map[string]string{"message.timestamp.after.max.ms": after, "max.message.bytes": fmt.Sprint(1 << 20)})
	compacted := topic(t, client, "compacted", map[string]string{"message.timestamp.after.max.ms": after, "cleanup.policy": "compact"})
	appends := topic(t, client, "appends", map[string]string{"message.timestamp.type": "LogAppendTime"})
	for _, v := range verdicts(t) {
		t.Run(v.name, func(t *testing.T) {
			name := plain
			if v.compacted {
				name = compacted
			}
			if v.appends {
				name = appends
			}
			p := produce(t, old[v.version], name, v.payload)
			want := v.code
			switch v.kafka {
			case 0:
			case accepted:
				want = 0
			default:
				want = v.kafka
			}
			message := ""
			if p.ErrorMessage != nil {
				message = *p.ErrorMessage
			}
			if p.ErrorCode != want {
				t.Errorf("Kafka's code %d (%s), expected %d", p.ErrorCode, message, want)
			}
			var got []int32
			for _, r := range p.ErrorRecords {
				got = append(got, r.RelativeOffset)
			}
			if v.kafka == 0 && !slices.Equal(got, v.records) {
				t.Errorf("Kafka's records %v, expected %v", got, v.records)
			}
			if p.ErrorCode != 0 || v.code != 0 {
				return
			}
			o := limits()
			if v.appends {
				o.Now = p.LogAppendTime
			}
			b, bad := judge(v, o)
			if bad != nil {
				t.Fatal(bad)
			}
			stored, _, err := Next(fetch(t, client, name, p.BaseOffset))
			if err != nil {
				t.Fatal(err)
			}
			b.Stamp(p.BaseOffset, stored.LeaderEpoch())
			if !bytes.Equal(b, stored) {
				t.Errorf("Kafka stores\n%x\nwe leave\n%x", stored[:HeaderSize], b[:HeaderSize])
			}
		})
	}
}
