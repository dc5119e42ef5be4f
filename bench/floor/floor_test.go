package floor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// start serves a variant until the test ends.
func start(t *testing.T, variant string) (address, dir string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, Options{Variant: variant, Dir: dir, files: 1 << 20}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s has been left behind", left[0].Name())
		}
	})
	return listener.Addr().String(), dir
}

func client(t *testing.T, address string, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(address))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Every record comes back as it was sent, in order, from a consumer that reads along and from one that begins afterwards: through
// several files, in batches of one small record and of one that is larger than what a read takes.
func TestEveryVariantGivesBackWhatItTook(t *testing.T) {
	for _, variant := range Variants {
		t.Run(variant, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			address, _ := start(t, variant)
			const partitions, perPartition = 12, 4
			admin := kadm.NewClient(client(t, address))
			if _, err := admin.CreateTopic(ctx, partitions, -1, nil, "t"); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.CreateTopic(ctx, 1, -1, nil, "t"); !errors.Is(err, kerr.TopicAlreadyExists) {
				t.Errorf("a topic twice: %v", err)
			}
			along := client(t, address, kgo.ConsumeTopics("t"), kgo.FetchMaxPartitionBytes(64<<10))
			random := rand.New(rand.NewPCG(1, 2))
			var sent [partitions][][]byte
			producers := []*kgo.Client{}
			for range 3 {
				producers = append(producers, client(t, address, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0), kgo.DefaultProduceTopic("t")))
			}
			n := 0
			produce := func(partition, size int) {
				value := make([]byte, size)
				for i := 0; i+8 <= size; i += 8 {
					binary.LittleEndian.PutUint64(value[i:], random.Uint64())
				}
				sent[partition] = append(sent[partition], value)
				producers[partition%3].Produce(ctx, &kgo.Record{Partition: int32(partition), Value: value}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
				n++
			}
			for range perPartition {
				for p := range partitions {
					produce(p, 100)
				}
			}
			for range 30 {
				produce(partitions-1, 100)
				produce(partitions-1, 500_000)
				produce(partitions-2, 40_000)
			}
			for _, p := range producers {
				if err := p.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			ends, err := admin.ListEndOffsets(ctx, "t")
			if err != nil || ends.Error() != nil {
				t.Fatal(err, ends.Error())
			}
			for p := range sent {
				if o, _ := ends.Lookup("t", int32(p)); o.Offset != int64(len(sent[p])) {
					t.Errorf("partition %d ends at %d, want %d", p, o.Offset, len(sent[p]))
				}
			}
			for name, c := range map[string]*kgo.Client{"along": along, "afterwards": client(t, address, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))} {
				var next [partitions]int
				for got := 0; got < n; {
					fetches := c.PollFetches(ctx)
					if err := fetches.Err(); err != nil {
						t.Fatalf("%s: %v after %d of %d records", name, err, got, n)
					}
					fetches.EachRecord(func(r *kgo.Record) {
						if i := next[r.Partition]; int(r.Offset) != i || !bytes.Equal(r.Value, sent[r.Partition][i]) {
							t.Fatalf("%s: partition %d, offset %d: not what was sent as number %d", name, r.Partition, r.Offset, i)
						}
						next[r.Partition]++
						got++
					})
				}
			}
			if _, err := admin.DeleteTopic(ctx, "t"); err != nil {
				t.Error(err)
			}
			if _, err := admin.DeleteTopic(ctx, "t"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
				t.Errorf("a topic that is gone: %v", err)
			}
		})
	}
}

func TestConfigsTellTheDurability(t *testing.T) {
	address, _ := start(t, "")
	admin := kadm.NewClient(client(t, address))
	if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	all, err := admin.DescribeTopicConfigs(t.Context(), "t")
	if err != nil || len(all) != 1 || len(all[0].Configs) != 1 || all[0].Configs[0].Key != "flush.messages" || all[0].Configs[0].MaybeValue() != "9223372036854775807" {
		t.Errorf("%+v, %v", all, err)
	}
	brokers, err := admin.ListBrokers(t.Context())
	if err != nil || len(brokers) != 1 || fmt.Sprintf("%s:%d", brokers[0].Host, brokers[0].Port) != address {
		t.Errorf("%+v, %v", brokers, err)
	}
}

func TestOptions(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), listener, Options{Variant: "fast"}); err == nil || !strings.Contains(err.Error(), `no variant "fast"`) {
		t.Errorf("%v", err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

// What is no request of Kafka's ends the connection, and no other.
func TestNonsenseEndsItsConnection(t *testing.T) {
	address, _ := start(t, "direct+mapping")
	good := kadm.NewClient(client(t, address))
	if _, err := good.CreateTopic(t.Context(), 1, -1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x08\x7f\xff\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x01a", "\x00\x00\x00\x0a\x00\x00\x00\x03\x00\x00\x00\x00\x00\xffab"} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: %d bytes, %v; want a closed connection", bad, n, err)
		}
		_ = c.Close()
	}
	if _, err := good.ListEndOffsets(t.Context(), "t"); err != nil {
		t.Error(err)
	}
}
