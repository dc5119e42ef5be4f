//go:build compat

package compat

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// This is the picture that everybody has of Kafka, on one node: orders of many customers in a topic of three partitions, and four
// groups that each see all of them, while consumers die, stop, and wait their turn.

const (
	partitions = 3
	customers  = 40
)

// order is one record: its key is the customer, who is known to every producer; each producer counts the customer's orders.
type order struct{ key, value string }

// shop makes the orders of one producer, on and on.
type shop struct {
	name string
	made int
	seq  [customers]int
}

func (s *shop) orders(n int) []order {
	all := make([]order, n)
	for i := range all {
		c := (s.made * 7) % customers
		all[i] = order{fmt.Sprintf("customer-%02d", c), fmt.Sprintf("shop=%s seq=%d item=%s", s.name, s.seq[c], strings.Repeat("x", s.made%150))}
		s.seq[c]++
		s.made++
	}
	return all
}

var orderValue = regexp.MustCompile(`^customer-(\d+)\tshop=(\w+) seq=(\d+) item=(x*)$`)

// eventually waits until ready says yes.
func eventually(t *testing.T, limit time.Duration, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ready(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// count is how many different records the group has read.
func (g *readers) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, of := range g.records {
		n += len(of)
	}
	return n
}

func (r *reader) living() bool {
	select {
	case <-r.gone:
		return false
	default:
		return true
	}
}

// settled waits until the living members have all partitions and so many of them have none.
func (g *readers) settled(t *testing.T, idle int) {
	t.Helper()
	eventually(t, 40*time.Second, g.name+" is settled", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		var owned []int32
		without := 0
		for _, r := range g.all {
			if !r.living() {
				continue
			}
			if !r.told {
				return false
			}
			if len(r.assigned) == 0 {
				without++
			}
			owned = append(owned, r.assigned...)
		}
		slices.Sort(owned)
		return slices.Equal(owned, []int32{0, 1, 2}) && without == idle
	})
}

// reread is what a member read and did not commit before it was killed: from the group's commit to its last record.
type reread struct {
	partition int32
	from, to  int64 // to is exclusive
}

// busy waits until one of the members has read so many records more than it has now.
func (g *readers) busy(t *testing.T, more int64) (first *reader) {
	t.Helper()
	had := map[*reader]int64{}
	eventually(t, 60*time.Second, g.name+" is at work", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, r := range g.all {
			var n int64
			for p := range r.read {
				n += r.count(p)
			}
			if before, ok := had[r]; !ok {
				had[r] = n
			} else if n > before+more && r.living() {
				first = r
			}
		}
		return first != nil
	})
	return first
}

// kill kills a member at work, as kill -9 does, and watches where its partitions go.
func (g *readers) kill(t *testing.T, admin *kadm.Client) (lost []reread) {
	t.Helper()
	victim := g.busy(t, 100)
	_ = victim.cmd.Process.Kill()
	at := time.Now()
	<-victim.gone

	committed, err := admin.FetchOffsets(t.Context(), g.name)
	if err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	g.mu.Lock()
	seen := map[*reader]map[int32]int64{} // how far the others had read what the victim had
	for _, p := range victim.assigned {
		from := int64(0)
		if o, ok := committed.Lookup(g.topic, p); ok {
			from = o.At
		}
		to := from
		if n := len(victim.read[p]); n > 0 {
			to = victim.read[p][n-1].to
		}
		if from > to {
			t.Errorf("%s: partition %d is committed to %d, and only read to %d", victim.name, p, from, to)
		}
		lost = append(lost, reread{p, from, to})
		for _, r := range g.all {
			if seen[r] == nil {
				seen[r] = map[int32]int64{}
			}
			seen[r][p] = r.count(p)
		}
	}
	g.mu.Unlock()

	for _, l := range lost {
		eventually(t, sessionTimeout+10*time.Second, fmt.Sprintf("another member of %s reads partition %d", g.name, l.partition), func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return slices.ContainsFunc(g.all, func(r *reader) bool { return r != victim && r.count(l.partition) > seen[r][l.partition] })
		})
		took := time.Since(at)
		t.Logf("%s is killed; its partition %d moves after %.1f s, %d records are read again from the commit at %d", victim.name, l.partition,
			took.Seconds(), l.to-l.from, l.from)
		// The broker counts from the last heartbeat; the others hear of it by their next.
		if took > sessionTimeout+3*time.Second {
			t.Errorf("partition %d moves after %v; the session time-out is %v", l.partition, took, sessionTimeout)
		}
	}
	return lost
}

// stop ends all members in order, as an operator does.
func (g *readers) stop(t *testing.T) {
	t.Helper()
	for _, r := range g.all {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, r := range g.all {
		select {
		case <-r.gone:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not stop", r.name)
		}
	}
}

// check proves that the members together read each partition from its first record to its last, in order, each record once, but for
// those that were read and not committed before a kill.
func (g *readers) check(t *testing.T, ends map[int32]int64, lost []reread) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range ends {
		var rows []row
		for _, r := range g.all {
			rows = append(rows, r.read[p]...)
		}
		slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
		next, again := int64(0), slices.Clone(lost)
		for _, r := range rows {
			i := slices.IndexFunc(again, func(l reread) bool { return l.partition == p && l.from == r.from && l.to == next })
			switch {
			case r.from == next:
			case i >= 0:
				again = slices.Delete(again, i, i+1)
			default:
				t.Errorf("%s reads partition %d from %d where %d is due; lost by kills: %v", g.name, p, r.from, next, lost)
			}
			next = r.to
		}
		if next != end {
			t.Errorf("%s read partition %d to %d of %d", g.name, p, next, end)
		}
	}
	for _, d := range g.differs {
		t.Error(d)
	}
}

// checkOrders proves that all the shops' orders are there once, each customer's in one partition, in the order of making.
func checkOrders(t *testing.T, records map[int32]map[int64]string, shops []*shop) {
	t.Helper()
	next := map[string]int64{}
	home := map[string]int32{}
	for p, of := range records {
		for _, o := range slices.Sorted(maps.Keys(of)) {
			f := orderValue.FindStringSubmatch(of[o])
			if f == nil {
				t.Fatalf("partition %d at %d: %q", p, o, of[o])
			}
			if h, ok := home[f[1]]; ok && h != p {
				t.Errorf("customer %s is in partition %d and in %d", f[1], h, p)
			}
			home[f[1]] = p
			if who := f[1] + " of " + f[2]; number(f[3]) != next[who] {
				t.Fatalf("partition %d at %d: order %s of customer %s where %d is due", p, o, f[3], who, next[who])
			} else {
				next[who]++
			}
		}
	}
	for _, s := range shops {
		for c, n := range s.seq {
			if who := fmt.Sprintf("%02d of %s", c, s.name); next[who] != int64(n) {
				t.Errorf("customer %s has %d orders of %d", who, next[who], n)
			}
		}
	}
}

// send has every shop send orders at once: Java's console producer, kcat, and franz-go.
func send(t *testing.T, addr, topic string, shops []*shop, each int) {
	t.Helper()
	var all sync.WaitGroup
	for _, s := range shops {
		orders := s.orders(each)
		var text bytes.Buffer
		for _, o := range orders {
			fmt.Fprintf(&text, "%s\t%s\n", o.key, o.value)
		}
		all.Go(func() {
			var err error
			switch s.name {
			case "java":
				err = try(t, limit, &text, nil, nil, java(kafkaJars, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", addr, "--topic", topic,
					"--reader-property", "parse.key=true", "--compression-codec", "lz4")...)
			case "kcat":
				err = try(t, limit, &text, nil, nil, "kcat", "-P", "-b", addr, "-t", topic, "-K", "\t", "-X", "topic.partitioner=murmur2_random",
					"-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "compression.codec=snappy")
			default:
				err = kgoSend(t, addr, topic, orders)
			}
			if err != nil {
				t.Errorf("%s sends: %v", s.name, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func kgoSend(t *testing.T, addr, topic string, orders []order) error {
	c := connect(t, addr, kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var failed kgo.FirstErrPromise
	for _, o := range orders {
		c.Produce(ctx, kgo.KeySliceRecord([]byte(o.key), []byte(o.value)), failed.Promise())
	}
	return failed.Err()
}

// replays reads a topic again from its beginning by three libraries. What each gives is the hash of all records with their places and times.
func replays(t *testing.T, addr, topic string, n int) map[string]string {
	t.Helper()
	sum := func(lines []string) string {
		slices.Sort(lines)
		return fmt.Sprintf("%d records, sha256 %x", len(lines), sha256.Sum256([]byte(strings.Join(lines, "\n"))))
	}
	var javas, kcats bytes.Buffer
	run(t, limit, nil, &javas, java(kafkaJars, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", addr, "--topic", topic, "--from-beginning",
		"--max-messages", itoa(n), "--timeout-ms", "30000", "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
		"--formatter-property", "print.timestamp=true", "--formatter-property", "print.key=true")...)
	run(t, limit, nil, &kcats, "kcat", "-C", "-b", addr, "-t", topic, "-o", "beginning", "-e", "-q", "-f", `CreateTime:%T\tPartition:%p\tOffset:%o\t%k\t%s\n`)
	var kgos []string
	c := connect(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for len(kgos) < n && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			kgos = append(kgos, fmt.Sprintf("CreateTime:%d\tPartition:%d\tOffset:%d\t%s\t%s", r.Timestamp.UnixMilli(), r.Partition, r.Offset, r.Key, r.Value))
		})
	}
	split := func(b *bytes.Buffer) []string { return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") }
	return map[string]string{"java": sum(split(&javas)), "kcat": sum(split(&kcats)), "franz-go": sum(kgos)}
}

func TestPicture(t *testing.T) {
	addr := startBroker(t)
	t.Parallel()
	budget(t, "picture", 60*time.Second)
	start := time.Now()
	topic := fresh(t, addr, "orders", partitions)
	admin := kadm.NewClient(connect(t, addr))
	suffix := strings.TrimPrefix(topic, "orders")
	shops := []*shop{{name: "java"}, {name: "kcat"}, {name: "kgo"}}
	total := 0
	sell := func(each int) {
		send(t, addr, topic, shops, each)
		total += each * len(shops)
	}

	payment, inventory := newReaders("payment"+suffix, topic, addr), newReaders("inventory"+suffix, topic, addr)
	email, analytics := newReaders("email"+suffix, topic, addr), newReaders("analytics"+suffix, topic, addr)
	groups := []*readers{payment, inventory, email, analytics}
	members := map[*readers][]way{
		payment:   {javaWay, javaWay, javaWay},
		inventory: {kcatWay, kcatWay, kcatWay},
		email:     {kgoWay, kgoWay, kgoWay},
		analytics: {kgoWay, kcatWay, javaWay, kgoWay}, // three libraries in one group, and one member more than partitions
	}
	begin := func(g *readers, when string) {
		for i, w := range members[g] {
			g.start(t, fmt.Sprintf("%s %d", when, i), w)
		}
	}
	all := func(part string) {
		t.Helper()
		for _, g := range groups {
			eventually(t, 60*time.Second, g.name+" has read all", func() bool { return g.count() == total })
		}
		t.Logf("%s: done at %.1f s", part, time.Since(start).Seconds())
	}

	// Members join while orders come in.
	for _, g := range groups {
		begin(g, "first")
	}
	sell(2_200)
	for _, g := range groups {
		idle := len(members[g]) - partitions
		g.settled(t, idle)
	}
	all("joining")

	// One member of each group is killed while orders come in. In three groups its partition goes to the two others, in the fourth
	// to the member that was idle.
	lost := map[*readers][]reread{}
	var mu sync.Mutex
	var kills sync.WaitGroup
	for _, g := range groups {
		kills.Go(func() {
			l := g.kill(t, admin)
			mu.Lock()
			lost[g] = l
			mu.Unlock()
		})
	}
	sell(1_200)
	kills.Wait()
	for _, g := range groups {
		g.settled(t, 0)
	}
	sell(1_200)
	all("a kill")

	// All members of three groups stop, two of the groups while orders come in; others go on where they stopped. kcat has to be at
	// rest: what it holds when it is told to stop it does not print, and commits all the same.
	var stops sync.WaitGroup
	for _, g := range []*readers{payment, email} {
		stops.Go(func() {
			g.busy(t, 100)
			g.stop(t)
		})
	}
	sell(1_000)
	stops.Wait()
	eventually(t, 60*time.Second, inventory.name+" has read all", func() bool { return inventory.count() == total })
	inventory.stop(t)
	for _, g := range groups[:3] {
		begin(g, "later")
	}
	sell(1_000)
	all("a stop")

	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { end[o.Partition] = o.Offset })
	for _, g := range groups {
		g.check(t, end, lost[g])
		g.mu.Lock()
		checkOrders(t, g.records, shops)
		g.mu.Unlock()
		if !maps.EqualFunc(g.records, payment.records, maps.Equal) {
			t.Errorf("%s and payment have read different bytes", g.name)
		}
	}
	// A replay gives the same bytes, to each library.
	first := replays(t, addr, topic, total)
	for name, again := range replays(t, addr, topic, total) {
		if again != first["java"] || first[name] != first["java"] {
			t.Errorf("replay by %s: %s, then %s; by java: %s", name, first[name], again, first["java"])
		}
	}
}

// TestPictureRetention: retention removes what is due, and nothing that is not.
func TestPictureRetention(t *testing.T) {
	addr := bootstrap
	if bootstrap == "" {
		addr = startMillrace(t, t.TempDir(), "log.retention.check.interval.ms=200").addr
	} else if os.Getenv("MILLRACE_COMPAT_RETENTION") == "" {
		t.Skip("the broker is not ours; if it has log.retention.check.interval.ms=200, set MILLRACE_COMPAT_RETENTION")
	}
	t.Parallel() // it waits half a minute for the first look of retention
	budget(t, "picture: retention", 50*time.Second)
	admin := kadm.NewClient(connect(t, addr))
	old, fresh := time.Now().Add(-2*time.Hour), time.Now()
	hour := "3600000"
	for _, c := range []struct {
		topic  string
		config map[string]string
		due    int64 // the first record that has to stay lies in the segment that begins at or before this offset
	}{
		{"receipts-by-time", map[string]string{"retention.ms": hour, "segment.bytes": "1048576"}, 3_000},
		{"receipts-by-size", map[string]string{"retention.ms": "-1", "retention.bytes": "2097152", "segment.bytes": "1048576"}, 0},
		{"receipts-for-ever", map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "segment.bytes": "1048576"}, 0},
	} {
		topic := c.topic + time.Now().Format("-150405.000")
		create(t, addr, topic, c.config)
		p := connect(t, addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(50_000),
			kgo.MaxBufferedRecords(100))
		var failed kgo.FirstErrPromise
		for i := range 6_000 { // 1,000 bytes each: the first half from two hours ago, the rest of now
			at := old
			if i >= 3_000 {
				at = fresh
			}
			p.Produce(t.Context(), &kgo.Record{Timestamp: at, Value: fmt.Appendf(nil, "%08d%s", i, strings.Repeat("r", 992))}, failed.Promise())
		}
		if err := failed.Err(); err != nil {
			t.Fatal(err)
		}
		first := func() int64 {
			starts, err := admin.ListStartOffsets(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			o, _ := starts.Lookup(topic, 0)
			return o.Offset
		}
		var from, atMost int64
		switch c.topic {
		case "receipts-by-time": // all segments of old records only: at least two of the three MiB
			eventually(t, 90*time.Second, topic+" is cut", func() bool { from = first(); return from >= 2_000 })
			atMost = 3_000
		case "receipts-by-size": // what is above 2 MiB in whole segments: 3 of them are enough
			eventually(t, 90*time.Second, topic+" is cut", func() bool { from = first(); return from > 2_500 })
			atMost = 6_000 - 2*1_048_576/1_100
		}
		if from > atMost {
			t.Errorf("%s begins at %d: records that were not due are gone; at most %d were", topic, from, atMost)
		}
		n := int(6_000 - from)
		next := from
		each(t, addr, topic, n, func(r *kgo.Record) {
			if want := fmt.Sprintf("%08d", next); r.Offset != next || string(r.Value[:8]) != want {
				t.Errorf("%s has %d, %s where %d is due", topic, r.Offset, r.Value[:8], next)
			}
			next++
		})
	}
}
