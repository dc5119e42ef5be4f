package e2e

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kills = flag.Int("kills", 20, "how many times TestKillUnderLoad kills the broker")

// sealed is a record's value: sequence number, filler made from it, and a hash over both.
func sealed(dst []byte, sequence uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], sequence)
	r := rand.NewPCG(sequence, 7)
	for len(dst) < 992 {
		dst = binary.BigEndian.AppendUint64(dst, r.Uint64())
	}
	return binary.BigEndian.AppendUint64(dst, xxhash.Sum64(dst))
}

func open(value []byte) (sequence uint64, ok bool) {
	if len(value) != 1000 || binary.BigEndian.Uint64(value[992:]) != xxhash.Sum64(value[:992]) {
		return 0, false
	}
	return binary.BigEndian.Uint64(value), true
}

// In fsync mode, the default, every record that was acknowledged survives kill -9: it is there, in order, and once when its producer
// is idempotent. A second producer without idempotence may see its retries twice, but nothing it was promised may be missing.
//
// In the other modes a kill -9 takes nothing either; batches are small there.
func TestKillUnderLoad(t *testing.T) {
	n := *kills
	if testing.Short() {
		n = min(n, 3)
	}
	t.Run("fsync", func(t *testing.T) { killUnderLoad(t, t.TempDir(), n, 256<<10) })
	for _, mode := range []string{"replicated", "os"} {
		t.Run(mode, func(t *testing.T) {
			killUnderLoad(t, t.TempDir(), max(n/4, 2), 16<<10, "millrace.durability="+mode)
		})
	}
}

func killUnderLoad(t *testing.T, dir string, n int, batch int32, settings ...string) {
	const partitions, rate = 4, 50e6
	b := start(t, dir, 0, settings...)
	if _, err := kadm.NewClient(b.client()).CreateTopics(within(t, 20*time.Second), partitions, 1, nil, "once", "atleast"); err != nil {
		t.Fatal(err)
	}
	var (
		acked    [2][partitions]atomic.Uint64 // how many records of a partition were acknowledged
		failed   atomic.Int64
		firstErr atomic.Value
		sent     [2][partitions]uint64
	)
	newProducer := func(opts ...kgo.Opt) *kgo.Client {
		return b.client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
			kgo.MaxBufferedBytes(8 << 20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(batch), kgo.ProducerLinger(0),
			kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }), kgo.RequestRetries(1 << 30),
			kgo.RetryTimeout(10 * time.Minute), kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	}
	topics := [2]string{"once", "atleast"}
	producers := [2]*kgo.Client{newProducer(), newProducer(kgo.DisableIdempotentWrite())}
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() { // one open-loop generator for both
		defer close(done)
		began, total := time.Now(), 0.0
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if ahead := total/rate - time.Since(began).Seconds(); ahead > 0.002 {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(ahead * float64(time.Second))):
				}
			} else if ahead < -1 { // the broker was down: do not make up for it
				began, total = time.Now(), 0
			}
			for which, producer := range producers {
				p := int32(i % partitions)
				value := sealed(nil, sent[which][p])
				sent[which][p]++
				total += float64(len(value))
				producer.Produce(t.Context(), &kgo.Record{Topic: topics[which], Partition: p, Value: value}, func(r *kgo.Record, err error) {
					if err != nil {
						failed.Add(1)
						firstErr.CompareAndSwap(nil, fmt.Errorf("%s-%d: %w", r.Topic, r.Partition, err))
						return
					}
					acked[which][r.Partition].Add(1)
				})
			}
		}
	}()
	ackedInAll := func() (sum uint64) {
		for which := range acked {
			for p := range acked[which] {
				sum += acked[which][p].Load()
			}
		}
		return sum
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for kill := range n {
		before := ackedInAll()
		more := before + 2000 + random.Uint64N(40_000)
		if !poll(60*time.Second, func() bool { return ackedInAll() >= more }) {
			t.Fatalf("after kill %d the producers got no further than %d of %d records", kill, ackedInAll()-before, more-before)
		}
		b.kill()
		b = start(t, dir, b.port, settings...)
	}
	close(stop)
	<-done
	for _, producer := range producers {
		if err := producer.Flush(within(t, 120*time.Second)); err != nil {
			t.Fatalf("flush: %v", err)
		}
	}
	if failed.Load() > 0 {
		t.Fatalf("%d records failed, the first: %v", failed.Load(), firstErr.Load())
	}
	t.Logf("%d kills, %d records acknowledged", n, ackedInAll())
	for which, topic := range topics {
		verify(t, b, topic, sent[which][:], which == 0)
	}
}

// verify consumes a topic from its start and checks that each partition holds the sequence 0..sent-1 in order; once says without repeats.
func verify(t *testing.T, b *broker, topic string, sent []uint64, once bool) {
	t.Helper()
	ends, err := kadm.NewClient(b.client()).ListEndOffsets(within(t, 20*time.Second), topic)
	if err != nil {
		t.Fatal(err)
	}
	cl := b.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(4<<20))
	next, offset := make([]uint64, len(sent)), make([]int64, len(sent))
	ctx := within(t, 5*time.Minute)
	for left := len(sent); left > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%s: consume: %v (read up to %v of %v)", topic, err, offset, sent)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := r.Partition
			if r.Offset != offset[p] {
				t.Fatalf("%s-%d: offset %d follows %d", topic, p, r.Offset, offset[p]-1)
			}
			offset[p]++
			sequence, ok := open(r.Value)
			switch {
			case !ok:
				t.Fatalf("%s-%d: the record at offset %d is damaged", topic, p, r.Offset)
			case sequence == next[p]:
				next[p]++
			case once || sequence > next[p]:
				t.Fatalf("%s-%d: offset %d holds record %d where %d was due", topic, p, r.Offset, sequence, next[p])
			}
			if end, _ := ends.Lookup(topic, p); offset[p] == end.Offset {
				left--
			}
		})
	}
	for p := range sent {
		if next[p] != sent[p] {
			t.Errorf("%s-%d: %d records there, %d were acknowledged", topic, p, next[p], sent[p])
		}
	}
}
