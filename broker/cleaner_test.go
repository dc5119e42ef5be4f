package broker

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire/record"
)

// produceKeyed writes rounds of records for the same keys, with timestamps a second apart, so that segment.ms=1 begins a segment at each batch.
func produceKeyed(t *testing.T, cl *kgo.Client, topic string, from, rounds, keys int) {
	t.Helper()
	for i := range rounds {
		var rs []*kgo.Record
		for k := range keys {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: 0, Key: fmt.Appendf(nil, "key-%d", k), Value: []byte(value(from + i)),
				Timestamp: time.UnixMilli(int64(1_700_000_000_000 + 1000*(from+i)))})
		}
		if err := cl.ProduceSync(testContext(t), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// contentOf reads a partition from its files: the records' offsets by key, most of them first.
func contentOf(t *testing.T, p *replica.Partition) (records int, latest map[string]string) {
	t.Helper()
	latest = map[string]string{}
	o := replica.ReadOptions{LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20, MinOne: true, Block: true}
	for o.Offset < p.HighWatermark() {
		var r replica.ReadResult
		if err := p.Read(&o, &r); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, r.Slice.Length)
		_, err := r.Slice.ReadAt(b, 0)
		r.Slice.Release()
		if err != nil && err != io.EOF || len(b) == 0 {
			t.Fatalf("%d bytes at %d, %v", len(b), o.Offset, err)
		}
		for len(b) > 0 {
			batch, rest, err := record.Next(b)
			if err != nil {
				break
			}
			if err := batch.Iterate(record.Limits{}, func(r record.Record) error {
				records++
				latest[string(r.Key)] = string(r.Value)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			o.Offset, b = batch.NextOffset(), rest
		}
	}
	return records, latest
}

var quickCleaner = []string{"log.cleaner.backoff.ms=20", "log.cleaner.dedupe.buffer.size=1048576"}

// A compacted topic is compacted while it is written to, and a topic that is not stays whole. Records of every key stay readable, and a node that is
// killed goes on where it was.
func TestCompactedTopicsAreCompacted(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir, quickCleaner...)
	settings := []string{"segment.ms", "1", "min.cleanable.dirty.ratio", "0.01"}
	createTopic(t, n, "compacted", 1, append(settings, "cleanup.policy", "compact")...)
	createTopic(t, n, "whole", 1, settings...)
	for round := range 3 {
		cl := newClient(t, n)
		produceKeyed(t, cl, "compacted", 40*round, 40, 5)
		produceKeyed(t, cl, "whole", 40*round, 40, 5)
		cl.Close()
		p := n.table.Lookup("compacted", 0)
		await(t, "most records of the compacted topic are gone", func() bool {
			records, latest := contentOf(t, p)
			if len(latest) != 5 || latest["key-3"] != value(40*round+39) {
				t.Fatalf("round %d: %v", round, latest)
			}
			return records <= 15 // one of each key, and those of the active segment and the one before
		})
		if records, _ := contentOf(t, n.table.Lookup("whole", 0)); records != 200*(round+1) {
			t.Fatalf("%d records are left of a topic that is not compacted", records)
		}
		n.Kill()
		n = startNodeIn(t, dir, quickCleaner...)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaner-offset-checkpoint")); err != nil {
		t.Error(err)
	}
}

// The policy changes at run time, both ways.
func TestCleanupPolicyChangesAtRunTime(t *testing.T) {
	n := startNode(t, quickCleaner...)
	createTopic(t, n, "t", 1, "segment.ms", "1", "min.cleanable.dirty.ratio", "0.01")
	cl := newClient(t, n)
	produceKeyed(t, cl, "t", 0, 20, 3)
	set := func(policy string) { setTopic(t, n, "t", "cleanup.policy", policy) }
	p := n.table.Lookup("t", 0)
	set("compact")
	await(t, "compaction begins", func() bool { records, _ := contentOf(t, p); return records < 20 })
	set("delete")
	before, _ := contentOf(t, p)
	produceKeyed(t, cl, "t", 20, 10, 3)
	if records, _ := contentOf(t, p); records != before+30 {
		t.Errorf("%d records, want %d", records, before+30)
	}
}

// One damaged partition is left alone; the others are compacted on.
func TestDamagedPartitionIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	settings := []string{"segment.ms", "1", "min.cleanable.dirty.ratio", "0.01", "cleanup.policy", "compact"}
	createTopic(t, n, "bad", 1, settings...)
	createTopic(t, n, "good", 1, settings...)
	cl := newClient(t, n)
	produceKeyed(t, cl, "bad", 0, 20, 3)
	produceKeyed(t, cl, "good", 0, 20, 3)
	cl.Close()
	stopNode(t, n)
	logs, err := filepath.Glob(filepath.Join(dir, "bad-0", "*.log"))
	if err != nil || len(logs) < 10 {
		t.Fatal(logs, err)
	}
	b, err := os.ReadFile(logs[3])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-5] ^= 1
	if err := os.WriteFile(logs[3], b, 0o644); err != nil {
		t.Fatal(err)
	}
	n = startNodeIn(t, dir, quickCleaner...)
	p := n.table.Lookup("good", 0)
	await(t, "the good partition is compacted", func() bool {
		if err := p.Log().Ready(); err != nil {
			return false
		}
		return p.HighWatermark() > 0 && countFiles(t, dir, "good-0") <= 4
	})
	if got := countFiles(t, dir, "bad-0"); got != len(logs) {
		t.Errorf("%d segments of %d are left of the damaged partition", got, len(logs))
	}
	if _, err := os.Stat(filepath.Join(dir, "bad-0", filepath.Base(logs[0])+".cleaned")); err == nil {
		t.Error("an unfinished segment is left")
	}
}

func countFiles(t *testing.T, dir, folder string) int {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, folder, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(logs)
}

// A throttled cleaning ends at once when the node stops, and leaves the log as it was.
func TestThrottledCleaningEndsWithTheNode(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir, append(quickCleaner, "log.cleaner.io.max.bytes.per.second=1000")...)
	createTopic(t, n, "t", 1, "segment.ms", "1", "min.cleanable.dirty.ratio", "0.01", "cleanup.policy", "compact")
	cl := newClient(t, n)
	for i := range 4 {
		r := &kgo.Record{Topic: "t", Key: []byte("k"), Value: make([]byte, 100_000), Timestamp: time.UnixMilli(int64(1_700_000_000_000 + 1000*i))}
		if err := cl.ProduceSync(testContext(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	began := time.Now()
	stopNode(t, n)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the stop took %v", took)
	}
	n = startNodeIn(t, dir, "log.cleaner.enable=false")
	p := n.table.Lookup("t", 0)
	var r replica.ReadResult
	for {
		err := p.Read(&replica.ReadOptions{LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1, MinOne: true, Block: true}, &r)
		if err == nil {
			break
		}
		if !isWait(err) {
			t.Fatal(err)
		}
		ready := make(chan struct{})
		p.WhenReady(func() { close(ready) })
		<-ready
	}
	r.Slice.Release()
	if records, _ := contentOf(t, p); records != 4 {
		t.Errorf("%d records", records)
	}
}

// Nothing is cleaned while a cleaning of a deleted topic of that name may still write into its folder.
func TestOneCleaningPerFolder(t *testing.T) {
	n := startNodeIn(t, t.TempDir(), "log.cleaner.enable=false")
	createTopic(t, n, "t", 1, "segment.ms", "1", "min.cleanable.dirty.ratio", "0.01", "cleanup.policy", "compact")
	cl := newClient(t, n)
	for i := range 3 {
		r := &kgo.Record{Topic: "t", Key: []byte("k"), Timestamp: time.UnixMilli(int64(1_700_000_000_000 + 1000*i))}
		if err := cl.ProduceSync(testContext(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	c := newCleaner(n)
	c.busy[folder{"t", 0}] = true
	if c.next() {
		t.Fatal("two cleanings in one folder")
	}
	c.over(cleaning{p: n.table.Lookup("t", 0)})
	if !c.next() {
		t.Fatal("no cleaning was begun")
	}
	c.over(<-c.ended)
	stopNode(t, n)
}

// setTopic changes one setting by the controller's decision.
func setTopic(t *testing.T, n *Node, topic, name, value string) {
	t.Helper()
	if err := n.decide(func(*meta.Image, int64) ([]meta.Record, error) {
		return []meta.Record{meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: topic}, Name: name, Value: value}}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// The cleaner keeps to its rate, over all that it reads and writes; without one it does not wait.
func TestThrottleKeepsToItsRate(t *testing.T) {
	for _, test := range []struct {
		rate   float64
		at     time.Duration // at least
		atMost time.Duration
	}{{1e6, 250 * time.Millisecond, patience}, {math.MaxFloat64, 0, patience / 10}} {
		p := pacer{throttle: &throttle{stop: make(chan struct{})}, rate: func() float64 { return test.rate }}
		began := time.Now()
		for range 300 {
			if err := p.pace(1000); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < test.at || took > test.atMost {
			t.Errorf("300 kB at %g bytes a second took %v", test.rate, took)
		}
	}
	stop := make(chan struct{})
	close(stop)
	p := pacer{throttle: &throttle{stop: stop}, rate: func() float64 { return 1 }}
	if err := p.pace(1 << 20); !errors.Is(err, errStopping) {
		t.Errorf("after the end: %v", err)
	}
}

// A cleaning rests three times as long as it worked or was kept waiting, and not forever.
func TestCleaningLeavesMostOfAProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacer{throttle: &throttle{stop: make(chan struct{})}, rate: func() float64 { return math.MaxFloat64 }}
		pace := func(worked time.Duration, bytes int) (rested time.Duration) {
			time.Sleep(worked) // in the bubble: work that takes so long
			before := time.Now()
			if err := p.pace(bytes); err != nil {
				t.Fatal(err)
			}
			return time.Since(before)
		}
		pace(0, lookBytes) // its time begins to count
		for _, c := range []struct {
			worked, rested time.Duration
			bytes          int
		}{
			{time.Millisecond, 3 * time.Millisecond, lookBytes},
			{200 * time.Microsecond, 0, lookBytes},
			{400 * time.Microsecond, 1800 * time.Microsecond, lookBytes}, // with the 200 before
			{time.Millisecond, 0, lookBytes - 1},
			{0, 3 * time.Millisecond, 1},
			{time.Second, longestRest, lookBytes},
		} {
			if got := pace(c.worked, c.bytes); got != c.rested {
				t.Errorf("after %v and %d bytes it rests %v, want %v", c.worked, c.bytes, got, c.rested)
			}
		}
	})
}
