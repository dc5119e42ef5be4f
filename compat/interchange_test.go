//go:build compat

package compat

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka's partition folders and ours are the same files: a folder written by one broker, cleanly stopped, is put under the other
// one, which serves it with the same offsets, timestamps, keys, values and headers.

// shelf is a topic whose folder is moved.
type shelf struct {
	topic   string
	config  map[string]string
	codec   string
	aborted bool // written in transactions, every other one of them aborted
}

func shelves(transactions bool) []shelf {
	var s []shelf
	for i, codec := range codecs {
		config := map[string]string{"segment.bytes": "1048576"}
		if i%2 == 1 {
			config["message.timestamp.type"] = "LogAppendTime"
		}
		s = append(s, shelf{topic: "moved-" + codec, config: config, codec: codec})
	}
	if transactions {
		s = append(s, shelf{topic: "moved-transactions", config: map[string]string{"segment.bytes": "1048576"}, codec: "lz4", aborted: true})
	}
	return s
}

const perShelf = 20_000

// fill writes keyed records with headers and timestamps that go up and down.
func fill(t *testing.T, addr string, s shelf) {
	t.Helper()
	body := part(t, 3, 7, 4<<20)
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(s.topic), kgo.ProducerBatchCompression(kgoCodec(s.codec)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(30_000),
	}
	if s.aborted {
		opts = append(opts, kgo.TransactionalID("mover"))
	}
	c := connect(t, addr, opts...)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	start := time.Now().Add(-time.Hour)
	var failed kgo.FirstErrPromise
	i := 0
	for line := range bytes.Lines(body) {
		if i == perShelf {
			break
		}
		if s.aborted && i%1000 == 0 {
			if i > 0 {
				endTransaction(ctx, t, c, i/1000%2 == 0)
			}
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		r := &kgo.Record{Value: line, Timestamp: start.Add(time.Duration(i-i%7*3) * time.Millisecond)}
		if i%5 != 0 {
			r.Key = fmt.Appendf(nil, "key-%d", i%100)
		}
		if i%11 == 0 {
			r.Value = nil
		}
		if i%3 == 0 {
			r.Headers = []kgo.RecordHeader{{Key: "number", Value: fmt.Append(nil, i)}, {Key: "null"}}
		}
		c.Produce(ctx, r, failed.Promise())
		i++
	}
	if i < perShelf {
		t.Fatalf("only %d lines", i)
	}
	if s.aborted {
		endTransaction(ctx, t, c, true)
	}
	if err := failed.Err(); err != nil {
		t.Fatal(err)
	}
}

func endTransaction(ctx context.Context, t *testing.T, c *kgo.Client, commit bool) {
	t.Helper()
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

// contents is all that a client can learn of a partition.
type contents struct {
	Start, End, Stable int64
	Records            int
	Digest             string          // offsets, timestamps, keys, values, headers
	Committed          string          // the same as a reader of committed records sees it
	ByTime             map[int64]int64 // offset by timestamp
}

func look(t *testing.T, addr string, s shelf, times []int64) contents {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	admin := kadm.NewClient(connect(t, addr))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	offset := func(what string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) int64 {
		t.Helper()
		for begin := time.Now(); ; <-tick.C {
			o, err := list(ctx, s.topic)
			if err == nil {
				err = o.Error()
			}
			if err == nil {
				listed, _ := o.Lookup(s.topic, 0)
				return listed.Offset
			}
			// A broker that has just started may ask for patience, as clients have it.
			if !kerr.IsRetriable(err) || time.Since(begin) > 10*time.Second {
				t.Fatalf("%s offset of %s: %v", what, s.topic, err)
			}
		}
	}
	c := contents{ByTime: map[int64]int64{}}
	c.Start = offset("start", admin.ListStartOffsets)
	c.End = offset("end", admin.ListEndOffsets)
	c.Stable = offset("stable", admin.ListCommittedOffsets)
	for _, ms := range times {
		c.ByTime[ms] = offset(fmt.Sprint("time ", ms), func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return admin.ListOffsetsAfterMilli(ctx, ms, topics...)
		})
	}
	n := perShelf
	c.Records, c.Digest = digestRecords(t, addr, s.topic, n)
	if s.aborted {
		n /= 2
	}
	_, c.Committed = digestRecords(t, addr, s.topic, n, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	return c
}

func digestRecords(t *testing.T, addr, topic string, n int, opts ...kgo.Opt) (int, string) {
	t.Helper()
	d, records := newDigest(), 0
	each(t, addr, topic, n, func(r *kgo.Record) {
		records++
		fmt.Fprintf(d, "%d %d %v %v %q %q %d\n", r.Offset, r.Timestamp.UnixMilli(), r.Attrs.TimestampType(), r.Value == nil, r.Key, r.Value, r.LeaderEpoch)
		for _, h := range r.Headers {
			fmt.Fprintf(d, "%q %q\n", h.Key, h.Value)
		}
	}, opts...)
	return records, d.String()
}

// moments are timestamps to look up: before, within and after those of fill.
func moments() []int64 {
	now := time.Now().UnixMilli()
	times := []int64{0, now - 3_600_000*2, now + 3_600_000}
	for i := range 12 {
		times = append(times, now-3_600_000+int64(i)*2500-2000)
	}
	return append(times, now-1000)
}

var topicID = regexp.MustCompile(`(?m)^topic_id: .*$`)

// move puts a partition folder in the place of another broker's. The topic id is the one the new broker knows.
func move(t *testing.T, from, to, id string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, "partition.metadata")
	p, err := os.ReadFile(path)
	if err != nil || !topicID.Match(p) {
		t.Fatalf("partition.metadata without topic id: %q, %v", p, err)
	}
	if err := os.WriteFile(path, topicID.ReplaceAll(p, []byte("topic_id: "+id)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ids asks a broker for the ids of its topics, as they are written in partition.metadata.
func ids(t *testing.T, addr string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	topics, err := kadm.NewClient(connect(t, addr)).ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, d := range topics {
		m[d.Topic] = base64.RawURLEncoding.EncodeToString(d.ID[:])
	}
	return m
}

// interchange fills topics on one broker, moves their folders under the other one and compares what clients see of them.
func interchange(t *testing.T, transactions bool, from, to func() *server, fromDir, toDir string) {
	source := from()
	times := moments()
	before := map[string]contents{}
	for _, s := range shelves(transactions) {
		create(t, source.addr, s.topic, s.config)
		fill(t, source.addr, s)
		before[s.topic] = look(t, source.addr, s, times)
		if before[s.topic].Records != perShelf {
			t.Fatalf("%s: %+v", s.topic, before[s.topic])
		}
	}
	source.stop()

	target := to()
	for _, s := range shelves(transactions) {
		create(t, target.addr, s.topic, s.config)
	}
	known := ids(t, target.addr)
	target.stop()
	for _, s := range shelves(transactions) {
		move(t, filepath.Join(fromDir, s.topic+"-0"), filepath.Join(toDir, s.topic+"-0"), known[s.topic])
	}
	target = to()
	for _, s := range shelves(transactions) {
		t.Run(s.topic, func(t *testing.T) {
			after := look(t, target.addr, s, times)
			if diff := cmp.Diff(before[s.topic], after); diff != "" {
				t.Fatalf("(-before +after)\n%s", diff)
			}
			// And the log goes on. (Not for an idempotent producer at once: each cluster counts its own producer ids, so a new one may
			// meet the state that an old one has left in the moved log. Kafka and we refuse its first sequence numbers alike.)
			c := connect(t, target.addr, kgo.DefaultProduceTopic(s.topic), kgo.DisableIdempotentWrite())
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			r := &kgo.Record{Value: []byte("one more")}
			if err := c.ProduceSync(ctx, r).FirstErr(); err != nil || r.Offset != after.End {
				t.Errorf("the next record has offset %d, want %d: %v", r.Offset, after.End, err)
			}
		})
	}
	target.restart().stop()
}

func TestKafkasFolderIsServedByUs(t *testing.T) {
	kafkaDir, ourDir := t.TempDir(), t.TempDir()
	interchange(t, true, func() *server { return startKafka(t, kafkaDir) }, func() *server { return startMillrace(t, ourDir) },
		filepath.Join(kafkaDir, "data"), ourDir)
	produced := map[string]int{}
	for _, s := range shelves(false) {
		produced[s.topic] = perShelf + 1
	}
	checkSegments(t, ourDir, produced)
}

func TestOurFolderIsServedByKafka(t *testing.T) {
	kafkaDir, ourDir := t.TempDir(), t.TempDir()
	interchange(t, false, func() *server { return startMillrace(t, ourDir) }, func() *server { return startKafka(t, kafkaDir) },
		ourDir, filepath.Join(kafkaDir, "data"))
}
