//go:build compat

package compat

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/wire/record"
)

var (
	compactionMiB   = flag.Int("compaction.mib", 64, "log to compact, in MiB")
	compactionKeys  = flag.Int("compaction.keys", 20_000, "keys in it")
	compactionKills = flag.Int("compaction.kills", 5, "kill -9 of Millrace while it compacts")
	compactionQuiet = flag.Duration("compaction.quiet", 2*time.Second, "time without compaction before each of the three with it")
	compactionTail  = flag.Float64("compaction.tail", 0, "fail when the p99.9 of produce grows more than so many times with compaction; 0: only print it")
)

// compactionLimit bounds every step.
func compactionLimit() time.Duration { return limit * time.Duration(max(1, *compactionMiB/256)) }

// Compaction beside Apache Kafka's: both get the same batches, byte for byte, so both begin their segments at the same offsets. When both have
// cleaned all but the active segment, the same records must be left.

// keyedInput makes batches of all codecs, of producers with and without sequences: keys at random, one record of ten a tombstone.
type keyedInput struct {
	r        *rand.Rand
	b        record.Builder
	keys     int
	made     int // batches
	sequence [4]int32
	now      int64
	latest   map[string]uint64 // by key: digest of the newest record, none for a tombstone
	offset   int64
	value    []byte
}

// inputBegins is the timestamp before the first record's: the same for both brokers.
var inputBegins = time.Now().Add(-12 * time.Hour).UnixMilli()

func newKeyedInput(seed uint64, keys int) *keyedInput {
	in := &keyedInput{r: rand.New(rand.NewPCG(seed, 7)), keys: keys, now: inputBegins, latest: map[string]uint64{}}
	in.value = make([]byte, 1<<16)
	for i := range in.value {
		in.value[i] = "abcdefghijklmnop"[in.r.IntN(16)] // half a byte of information each
	}
	return in
}

// next makes a batch of about size bytes before compression.
func (in *keyedInput) next(size int) record.Batch {
	o := record.BuildOptions{Codec: record.Codec(in.made % 5)}
	producer := in.made % 7
	if producer < 4 {
		o.Idempotent, o.ProducerID, o.BaseSequence = true, int64(1000+producer), in.sequence[producer]
	}
	in.made++
	in.b.Reset(o)
	for in.b.Size() < size {
		key := fmt.Appendf(nil, "key-%08d", in.r.IntN(in.keys))
		var value []byte
		if in.r.IntN(10) > 0 {
			from := in.r.IntN(len(in.value) - 1000)
			value = in.value[from : from+100+in.r.IntN(800)]
		}
		in.now++
		in.b.Add(in.now, key, value)
		if value == nil {
			delete(in.latest, string(key))
		} else {
			in.latest[string(key)] = digestRecord(in.offset, in.now, key, value)
		}
		in.offset++
	}
	_, b, err := in.b.Build(nil)
	if err != nil {
		panic(err)
	}
	if producer < 4 {
		in.sequence[producer] = record.AddSequence(b.LastSequence(), 1)
	}
	return b
}

func digestRecord(offset, timestamp int64, key, value []byte) uint64 {
	h := fnv.New64a()
	var n [17]byte
	binary.BigEndian.PutUint64(n[:], uint64(offset))
	binary.BigEndian.PutUint64(n[8:], uint64(timestamp))
	if value == nil {
		n[16] = 1
	}
	_, _ = h.Write(n[:])
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	return h.Sum64()
}

// raw is a client that sends batches as they are.
func raw(t *testing.T, addr string) *kgo.Client {
	return connect(t, addr, kgo.MaxVersions(kversion.V3_0_0()), kgo.RequestRetries(0))
}

func sendBatch(ctx context.Context, c *kgo.Client, topic string, b record.Batch) error {
	r := kmsg.NewPtrProduceRequest()
	r.Acks, r.TimeoutMillis = -1, 30_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, p)
	r.Topics = append(r.Topics, rt)
	resp, err := c.Broker(1).Request(ctx, r)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}

// survivor is a record that was found in a log's files.
type survivor struct {
	offset    int64
	digest    uint64
	tombstone bool
}

// survivors reads the records of a partition's files, whose broker has stopped.
func survivors(t *testing.T, folder string) (list []survivor) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log in %s: %v", folder, err)
	}
	slices.Sort(logs)
	for _, path := range logs {
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for len(p) > 0 {
			b, rest, err := record.Next(p)
			if err == nil {
				err = b.CheckHeader()
			}
			if err != nil {
				t.Fatalf("%s, %d bytes before its end: %v", path, len(p), err)
			}
			p = rest
			if err := b.Iterate(record.Limits{}, func(r record.Record) error {
				list = append(list, survivor{r.Offset, digestRecord(r.Offset, r.Timestamp, r.Key, r.Value), r.Value == nil})
				return nil
			}); err != nil {
				t.Fatalf("%s, offset %d: %v", path, b.BaseOffset(), err)
			}
		}
	}
	return list
}

// cleanedUpTo is what the checkpoint of cleaners says of a partition, and the base of its active segment.
func cleanedUpTo(dir, topic string) (cleaned, active int64) {
	cleaned, active = -1, -1
	b, _ := os.ReadFile(filepath.Join(dir, "cleaner-offset-checkpoint"))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == topic && f[1] == "0" {
			cleaned, _ = strconv.ParseInt(f[2], 10, 64)
		}
	}
	logs, _ := filepath.Glob(filepath.Join(dir, topic+"-0", "*.log"))
	for _, path := range logs {
		base, _ := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".log"), 10, 64)
		active = max(active, base)
	}
	return cleaned, active
}

// awaitCleaned waits until all but the active segment is clean.
func awaitCleaned(t *testing.T, s *server, dir, topic string) {
	t.Helper()
	s.await(compactionLimit(), func() bool {
		cleaned, active := cleanedUpTo(dir, topic)
		return active > 0 && cleaned == active
	})
}

// readTable reads a topic to its end, as somebody does who rebuilds a table from it, and compares it with what was sent.
func readTable(t *testing.T, addr, topic string, in *keyedInput) {
	t.Helper()
	c := connect(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}), kgo.FetchMaxPartitionBytes(8<<20))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), compactionLimit())
	defer cancel()
	table := make(map[string]uint64, len(in.latest))
	for at := int64(-1); at < in.offset-1; {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("read %s at offset %d of %d: %v", topic, at, in.offset, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if r.Offset <= at {
				t.Fatalf("offset %d after %d", r.Offset, at)
			}
			at = r.Offset
			if r.Value == nil {
				delete(table, string(r.Key))
			} else {
				table[string(r.Key)] = digestRecord(r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value)
			}
		})
	}
	if !maps.Equal(table, in.latest) {
		t.Fatalf("%s reads as %d keys, want %d, or other values", topic, len(table), len(in.latest))
	}
}

func TestCompactionLeavesWhatKafkasDoes(t *testing.T) {
	start := time.Now()
	const topic, buried = "compacted", "buried"
	segment := max(1<<20, *compactionMiB<<20/32)
	// The large log is cleaned when it is complete: a ratio that is reached at once would have it cleaned over and over again.
	config := map[string]string{"cleanup.policy": "compact", "segment.bytes": itoa(segment), "min.cleanable.dirty.ratio": "1"}
	graves := map[string]string{"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "1"}
	batch := max(32<<10, *compactionMiB<<6) // of records, before compression
	quick := []string{"log.cleaner.backoff.ms=100"}

	kafkaDir, ourDir := t.TempDir(), t.TempDir()
	fillAll := func(s *server) (main, tombs *keyedInput) {
		t.Helper()
		c := raw(t, s.addr)
		main, tombs = newKeyedInput(1, *compactionKeys), newKeyedInput(2, 500)
		send := func(topic string, in *keyedInput, bytes int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), compactionLimit())
			defer cancel()
			for sent := 0; sent < bytes; {
				b := in.next(batch)
				if err := sendBatch(ctx, c, topic, b); err != nil {
					t.Fatalf("%s, batch %d: %v", topic, in.made, err)
				}
				sent += len(b)
			}
		}
		send(topic, main, *compactionMiB<<20)
		// Tombstones go one cleaning after the one that has seen them first. That takes dirt: keys that are new each time.
		send(buried, tombs, 6<<20)
		alterTopic(t, s.addr, topic, "min.cleanable.dirty.ratio", "0")
		return main, tombs
	}

	// Kafka.
	kafka := startKafka(t, kafkaDir, append(quick, "log.cleaner.dedupe.buffer.size=134217728")...)
	create(t, kafka.addr, topic, config)
	create(t, kafka.addr, buried, graves)
	fillAll(kafka)
	filled := time.Now()
	awaitCleaned(t, kafka, filepath.Join(kafkaDir, "data"), topic)
	t.Logf("Kafka: cleaned %v after the last batch", time.Since(filled).Round(time.Millisecond))
	kafkaLast := bury(t, kafka, filepath.Join(kafkaDir, "data"), buried)
	kafka.stop()

	// Millrace, which is slow at first and killed while it cleans.
	slow := append(slices.Clone(quick), fmt.Sprint("log.cleaner.io.max.bytes.per.second=", max(4<<20, *compactionMiB<<20/16)))
	ours := startMillrace(t, ourDir, slow...)
	create(t, ours.addr, topic, config)
	create(t, ours.addr, buried, graves)
	main, _ := fillAll(ours)
	r := rand.New(rand.NewPCG(3, 3))
	for kill := range *compactionKills {
		ours.await(compactionLimit(), func() bool {
			at, _ := filepath.Glob(filepath.Join(ourDir, "*-0", "*.cleaned"))
			if swap, _ := filepath.Glob(filepath.Join(ourDir, "*-0", "*.swap")); kill%2 == 1 {
				return len(swap) > 0 || len(at) > 0 && r.IntN(20) == 0
			}
			return len(at) > 0
		})
		time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond) // the moment of the kill is to be anywhere
		_ = ours.cmd.Process.Kill()
		<-ours.exited
		ours = startMillrace(t, ourDir, slow...)
		readTable(t, ours.addr, topic, main)
	}
	ours.stop()
	ours = startMillrace(t, ourDir, quick...)
	before := rssAnon(t, ours)
	began, most := time.Now(), before
	ours.await(compactionLimit(), func() bool {
		most = max(most, rssAnon(t, ours))
		cleaned, active := cleanedUpTo(ourDir, topic)
		return cleaned == active
	})
	t.Logf("Millrace: killed %d times, then cleaned within %v; private memory %d MiB at first, at most %d MiB", *compactionKills,
		time.Since(began).Round(time.Millisecond), before>>20, most>>20)
	if most > before+(128+64)<<20 {
		t.Errorf("the cleaner took %d MiB", (most-before)>>20)
	}
	ourLast := bury(t, ours, ourDir, buried)
	readTable(t, ours.addr, topic, main)
	ours.stop()

	compareSurvivors(t, topic, survivors(t, filepath.Join(kafkaDir, "data", topic+"-0")), survivors(t, filepath.Join(ourDir, topic+"-0")))
	values := func(list []survivor, below int64) []survivor {
		return slices.DeleteFunc(list, func(s survivor) bool { return s.tombstone || s.offset >= below })
	}
	if kafkaLast != ourLast {
		t.Fatalf("%s: the input ended at %d and %d", buried, kafkaLast, ourLast)
	}
	compareSurvivors(t, buried, values(survivors(t, filepath.Join(kafkaDir, "data", buried+"-0")), kafkaLast), values(survivors(t, filepath.Join(ourDir, buried+"-0")), ourLast))

	var logs, indexes []string
	for _, name := range []string{topic, buried} {
		l, i := segments(t, filepath.Join(ourDir, name+"-0"))
		logs, indexes = append(logs, l...), append(indexes, i...)
	}
	_, complaints := dumpSegments(t, "--deep-iteration", logs)
	for _, mode := range []string{"--verify-index-only", "--index-sanity-check"} {
		_, c := dumpSegments(t, mode, indexes)
		complaints = append(complaints, c...)
	}
	for _, c := range complaints {
		t.Error(c)
	}
	t.Logf("took %v", time.Since(start).Round(time.Millisecond))
}

// alterTopic changes one setting.
func alterTopic(t *testing.T, addr, topic, name, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := connect(t, addr)
	defer c.Close()
	r, err := kadm.NewClient(c).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	if err == nil {
		err = r[0].Err
	}
	if err != nil {
		t.Fatalf("%s of %s: %v", name, topic, err)
	}
}

// bury makes a broker clean a topic until no tombstone of its input is left, and returns where the input ends.
func bury(t *testing.T, s *server, dir, topic string) (end int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), compactionLimit())
	defer cancel()
	c := raw(t, s.addr)
	offsets, err := kadm.NewClient(connect(t, s.addr)).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := offsets.Lookup(topic, 0)
	end = at.Offset
	in := newKeyedInput(9, 1)
	in.offset = end
	for round := range 6 {
		// Two segments of one key each, told apart by round, which bring a cleaning about.
		in.b.Reset(record.BuildOptions{})
		for i := range 40 {
			in.now++
			in.b.Add(in.now, fmt.Appendf(nil, "filler-%d-%d", round, i), in.value[:60_000])
			if i%10 == 9 {
				_, b, err := in.b.Build(nil)
				if err == nil {
					err = sendBatch(ctx, c, topic, b)
				}
				if err != nil {
					t.Fatal(err)
				}
				in.b.Reset(record.BuildOptions{})
			}
		}
		awaitCleaned(t, s, dir, topic)
	}
	return end
}

func compareSurvivors(t *testing.T, topic string, kafka, ours []survivor) {
	t.Helper()
	if len(kafka) == 0 {
		t.Fatalf("%s: Kafka has kept nothing", topic)
	}
	t.Logf("%s: %d records survive in Kafka, %d in Millrace", topic, len(kafka), len(ours))
	for i := range max(len(kafka), len(ours)) {
		if i >= len(kafka) || i >= len(ours) || kafka[i] != ours[i] {
			t.Fatalf("%s: record %d differs: Kafka %+v, Millrace %+v", topic, i, kafka[i:min(i+2, len(kafka))], ours[i:min(i+2, len(ours))])
		}
	}
}

// rssAnon is a process's private memory in bytes.
func rssAnon(t *testing.T, s *server) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestProduceDuringCompaction produces at a steady rate while three logs are compacted, one after the other, with pauses in between: what it adds to
// the latency of an append that has nothing to do with it.
func TestProduceDuringCompaction(t *testing.T) {
	const rate = 1000 // records a second, of 1 KiB, each in a batch of its own, acks=all after its fsync
	dir := t.TempDir()
	s := startMillrace(t, dir, "log.cleaner.backoff.ms=50")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	each := *compactionMiB << 20 / 3
	topics := []string{"first", "second", "third"}
	for i, topic := range topics {
		create(t, s.addr, topic, map[string]string{"segment.bytes": itoa(max(1<<20, each/8)), "min.cleanable.dirty.ratio": "0", "millrace.durability": "os"})
		c, in := raw(t, s.addr), newKeyedInput(uint64(i), *compactionKeys/3)
		for sent := 0; sent < each; {
			b := in.next(64 << 10)
			if err := sendBatch(ctx, c, topic, b); err != nil {
				t.Fatal(err)
			}
			sent += len(b)
		}
		c.Close()
	}
	create(t, s.addr, "load", nil)
	c := connect(t, s.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "load", Value: []byte("warm")}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	// The input was some garbage. Collecting it beside a compaction would be this process's latency, not the broker's.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))

	var compacting atomic.Bool
	stop := make(chan struct{})
	var mu sync.Mutex
	latencies := map[bool][]time.Duration{}
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		var acks sync.WaitGroup
		defer acks.Wait()
		value, begin := make([]byte, 1000), time.Now()
		for i := 0; ; i++ {
			due := begin.Add(time.Duration(i) * time.Second / rate)
			if wait := time.Until(due); wait > 0 {
				select {
				case <-stop:
					return
				case <-time.After(wait):
				}
			}
			acks.Add(1)
			c.Produce(ctx, &kgo.Record{Topic: "load", Value: value}, func(_ *kgo.Record, err error) {
				defer acks.Done()
				took := time.Since(due)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
				latencies[compacting.Load()] = append(latencies[compacting.Load()], took)
			})
		}
	}()
	var busy time.Duration
	for _, topic := range topics {
		time.Sleep(*compactionQuiet)
		began := time.Now()
		compacting.Store(true)
		alterTopic(t, s.addr, topic, "cleanup.policy", "compact")
		awaitCleaned(t, s, dir, topic)
		compacting.Store(false)
		busy += time.Since(began)
	}
	time.Sleep(*compactionQuiet)
	close(stop)
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
	tail := func(list []time.Duration) (p50, p99, p999 time.Duration) {
		slices.Sort(list)
		at := func(share float64) time.Duration {
			return list[min(len(list)-1, int(share*float64(len(list))))].Round(10 * time.Microsecond)
		}
		return at(0.5), at(0.99), at(0.999)
	}
	if len(latencies[true]) == 0 || len(latencies[false]) == 0 {
		t.Fatalf("%d records with compaction, %d without", len(latencies[true]), len(latencies[false]))
	}
	p50, p99, p999 := tail(latencies[false])
	c50, c99, c999 := tail(latencies[true])
	t.Logf("without compaction: %d records, p50 %v, p99 %v, p99.9 %v", len(latencies[false]), p50, p99, p999)
	t.Logf("with compaction of 3 x %d MiB in %v: %d records, p50 %v, p99 %v, p99.9 %v: %.2f times", each>>20, busy.Round(time.Millisecond), len(latencies[true]),
		c50, c99, c999, float64(c999)/float64(p999))
	if *compactionTail > 0 && float64(c999) > *compactionTail*float64(p999) {
		t.Errorf("p99.9 grows more than %v times", *compactionTail)
	}
}
