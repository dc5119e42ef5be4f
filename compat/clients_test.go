//go:build compat

package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// limit bounds one client's run over its part of the text.
const limit = 3 * time.Minute

// digest is what a consumer made of a topic: all values, each with a line feed behind it.
type digest struct {
	hash.Hash
	bytes int
}

func newDigest() *digest { return &digest{Hash: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	d.bytes += len(p)
	return d.Hash.Write(p)
}

func (d *digest) String() string { return fmt.Sprintf("%d bytes, sha256 %x", d.bytes, d.Sum(nil)) }

func digestOf(p []byte) string {
	d := newDigest()
	_, _ = d.Write(p)
	return d.String()
}

// client is one implementation of Kafka's clients. Both functions work on partition 0 of a topic, one record for each line.
type client struct {
	name    string
	produce func(t *testing.T, addr, topic, codec string, text []byte)
	consume func(t *testing.T, addr, topic string, lines int, d *digest)
}

var clients = []client{
	{"kcat", kcatProduce, kcatConsume},
	{"franz-go", kgoProduce, kgoConsume},
	{"java", javaProduce, javaConsume},
}

func kcatProduce(t *testing.T, addr, topic, codec string, text []byte) {
	run(t, limit, bytes.NewReader(text), nil, "kcat", "-P", "-b", addr, "-t", topic, "-p", "0", "-X", "compression.codec="+codec, "-X", "linger.ms=5")
}

func kcatConsume(t *testing.T, addr, topic string, _ int, d *digest) {
	run(t, limit, nil, d, "kcat", "-C", "-b", addr, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true")
}

func javaProduce(t *testing.T, addr, topic, codec string, text []byte) {
	run(t, limit, bytes.NewReader(text), nil, java(kafkaJars, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", addr, "--topic", topic,
		"--compression-codec", codec, "--batch-size", "65536", "--request-required-acks", "all")...)
}

// Without a group: the partition is assigned.
func javaConsume(t *testing.T, addr, topic string, lines int, d *digest) {
	run(t, limit, nil, d, java(kafkaJars, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", addr, "--topic", topic,
		"--partition", "0", "--offset", "earliest", "--max-messages", itoa(lines), "--timeout-ms", "30000")...)
}

func connect(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func kgoCodec(codec string) kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[codec]
}

func kgoProduce(t *testing.T, addr, topic, codec string, text []byte) {
	c := connect(t, addr, kgo.ProducerBatchCompression(kgoCodec(codec)), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic),
		kgo.MaxBufferedRecords(50_000), kgo.ProducerLinger(5*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var failed kgo.FirstErrPromise
	for line := range bytes.Lines(text) {
		c.Produce(ctx, &kgo.Record{Value: line[:len(line)-1]}, failed.Promise())
	}
	if err := failed.Err(); err != nil {
		t.Fatal(err)
	}
}

func kgoConsume(t *testing.T, addr, topic string, lines int, d *digest) {
	each(t, addr, topic, lines, func(r *kgo.Record) {
		_, _ = d.Write(r.Value)
		_, _ = d.Write([]byte{'\n'})
	})
}

// each calls f for the first n records of a topic's partition 0.
func each(t *testing.T, addr, topic string, n int, f func(r *kgo.Record), opts ...kgo.Opt) {
	t.Helper()
	c := connect(t, addr, append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for n > 0 {
		fs := c.PollFetches(ctx)
		var bad []error
		fs.EachError(func(_ string, _ int32, err error) { bad = append(bad, err) })
		if err := errors.Join(bad...); err != nil {
			t.Fatalf("%s, %d records missing: %v", topic, n, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if n--; n >= 0 {
				f(r)
			}
		})
	}
	if n < 0 {
		t.Errorf("%s has %d records too many", topic, -n)
	}
}

// create creates a topic of one partition.
func create(t *testing.T, addr, topic string, config map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	settings := map[string]*string{}
	for k, v := range config {
		settings[k] = &v
	}
	admin := kadm.NewClient(connect(t, addr))
	if _, err := admin.CreateTopic(ctx, 1, 1, settings, topic); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
	// Kafka answers before its brokers show the topic.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		if ends, err := admin.ListEndOffsets(ctx, topic); err == nil && ends.Error() == nil {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("%s does not appear: %v, %v", topic, err, ends.Error())
		}
	}
}
