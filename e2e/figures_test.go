package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var figures = flag.Bool("figures", false, "take the figures of BENCHMARKS.md")

// TestFigures prints the figures of BENCHMARKS.md's first table. It asserts nothing about time: `make figures` is a benchmark.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("not asked for: make figures")
	}
	t.Run("start", figureStart)
	t.Run("idle", figureIdle)
	t.Run("partitions", figurePartitions)
	t.Run("recovery", figureRecovery)
}

// firstProduce sends one record with acks=all over a connection of its own, without a client library's start-up. The topic is created by
// asking for it.
func firstProduce(t *testing.T, b *broker, topic string) {
	t.Helper()
	c := b.dial()
	defer c.Close()
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version, meta.AllowAutoTopicCreation = 4, true
	meta.Topics = append(meta.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	roundTrip(t, c, frame(1, meta))
	body := roundTrip(t, c, produceFrame(topic, 0, 1, []byte{14, 0, 0, 0, 1, 2, 'x', 0}))
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 9
	if err := resp.ReadFrom(body[5:]); err != nil { // correlation id and the header's tags
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func figureStart(t *testing.T) {
	var fresh, again []time.Duration
	for range 15 {
		dir := t.TempDir()
		began := time.Now()
		b := start(t, dir, 0)
		firstProduce(t, b, "start")
		fresh = append(fresh, time.Since(began))
		b.stop()
		began = time.Now()
		b = start(t, dir, 0)
		firstProduce(t, b, "start")
		again = append(again, time.Since(began))
		b.kill()
	}
	slices.Sort(fresh)
	slices.Sort(again)
	t.Logf("process start to first acknowledged produce: new directory (topic auto-created) p50 %v max %v; existing p50 %v max %v (n=%d)",
		fresh[len(fresh)/2], fresh[len(fresh)-1], again[len(again)/2], again[len(again)-1], len(fresh))
}

func status(t *testing.T, pid int, field string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}

// cpu is the CPU time of a process so far, user and system (100 ticks a second).
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func figureIdle(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	firstProduce(t, b, "idle")
	<-time.After(2 * time.Second)
	began := cpu(t, b.pid())
	<-time.After(20 * time.Second)
	t.Logf("idle: RssAnon %d kB, RssFile %d kB, CPU %.2f %% of a core over 20 s", status(t, b.pid(), "RssAnon"), status(t, b.pid(), "RssFile"),
		100*(cpu(t, b.pid())-began).Seconds()/20)
}

func figurePartitions(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, 0)
	firstProduce(t, b, "warm")
	rss := status(t, b.pid(), "RssAnon")
	adm := kadm.NewClient(b.client())
	began := time.Now()
	if _, err := adm.CreateTopic(within(t, time.Minute), 10_000, 1, nil, "many"); err != nil {
		t.Fatal(err)
	}
	created := time.Since(began)
	<-time.After(time.Second)
	grown := status(t, b.pid(), "RssAnon") - rss
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.pid()))
	t.Logf("10,000 partitions created in %v; RssAnon +%d kB (%.2f kB each); %d open files", created, grown, float64(grown)/10_000, len(fds))

	// One record to each, so that each has a folder and a file; then a clean stop and a start.
	cl := b.client(kgo.DefaultProduceTopic("many"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	var wrote sync.WaitGroup
	for p := range int32(10_000) {
		wrote.Add(1)
		cl.Produce(t.Context(), &kgo.Record{Partition: p, Value: []byte("x")}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
			wrote.Done()
		})
	}
	wrote.Wait()
	cl.Close()
	b.stop()
	var starts []time.Duration
	for range 5 {
		began = time.Now()
		b = start(t, dir, 0)
		firstProduce(t, b, "warm")
		starts = append(starts, time.Since(began))
		b.stop()
	}
	slices.Sort(starts)
	t.Logf("start with 10,000 partitions after a clean stop, to the first acknowledged produce: p50 %v max %v", starts[2], starts[4])
}

func figureRecovery(t *testing.T) {
	const partitions, perPartition = 16, 640 << 20 // 10 GiB
	for _, mode := range []string{"fsync", "replicated", "os"} {
		dir := t.TempDir()
		b := start(t, dir, 0)
		create(t, b, "big", partitions, map[string]string{"millrace.durability": mode})
		var fillers sync.WaitGroup
		for p := range int32(partitions) {
			if p%4 == 0 {
				fillers.Wait()
			}
			fillers.Go(func() { fillRaw(t, b, "big", p, perPartition) })
		}
		fillers.Wait()
		b.kill()
		began := time.Now()
		b = start(t, dir, b.port)
		ready := time.Since(began)
		firstProduce(t, b, "big")
		first := time.Since(began)
		cl := b.client(kgo.DefaultProduceTopic("big"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
		for p := range int32(partitions) {
			if err := cl.ProduceSync(within(t, time.Minute), &kgo.Record{Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("restart after kill -9, %s, %d GiB in %d partitions: ready %v, first acknowledged produce %v, one to each partition %v",
			mode, partitions*perPartition>>30, partitions, ready, first, time.Since(began))
		b.kill()
		if err := os.RemoveAll(filepath.Join(dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// fillRaw writes size bytes to a partition in 1 MB batches of one pre-built record set, a few requests in flight.
func fillRaw(t *testing.T, b *broker, topic string, partition int32, size int) {
	cl := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(4), kgo.ProducerBatchMaxBytes(1_000_000), kgo.MaxBufferedBytes(8<<20))
	value := make([]byte, 490_000)
	for n := 0; n < size; n += len(value) {
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(within(t, 5*time.Minute)); err != nil {
		t.Error(err)
	}
	cl.Close()
}
