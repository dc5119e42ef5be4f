//go:build compat

package compat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// This is the picture that everybody has of Kafka, on one node: orders of many customers in a topic of three partitions, and four
// groups that each see all of them, while consumers die, stop, and wait their turn.

const partitions = 3

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

// picture is a topic of orders, the shops that send them, and the groups that read them.
type picture struct {
	addr, topic string
	admin       *kadm.Client
	start       time.Time
	shops       []*shop
	sold        int
	groups      []*readers
}

func newPicture(t *testing.T, addr string, shops ...string) *picture {
	t.Helper()
	p := &picture{addr: addr, topic: fresh(t, addr, "orders", partitions), admin: kadm.NewClient(connect(t, addr)), start: time.Now()}
	for _, name := range shops {
		p.shops = append(p.shops, &shop{name: name})
	}
	return p
}

func (p *picture) group(name string, members ...way) *readers {
	g := &readers{name: name + strings.TrimPrefix(p.topic, "orders"), topic: p.topic, addr: p.addr, ways: members, records: map[int32]map[int64]string{}}
	p.groups = append(p.groups, g)
	return g
}

// sell has each shop send so many orders.
func (p *picture) sell(t *testing.T, each int) {
	t.Helper()
	send(t, p.addr, p.topic, p.shops, each)
	p.sold += each * len(p.shops)
}

// all waits until every group has read what was sold.
func (p *picture) all(t *testing.T, part string) {
	t.Helper()
	for _, g := range p.groups {
		eventually(t, 60*time.Second, g.name+" has read all", func() bool { return g.count() == p.sold })
	}
	t.Logf("%s: done at %.1f s", part, time.Since(p.start).Seconds())
}

// check looks at what each group has read, once all have stopped reading.
func (p *picture) check(t *testing.T, lost map[*readers][]reread) {
	t.Helper()
	ends, err := p.admin.ListEndOffsets(t.Context(), p.topic)
	if err != nil {
		t.Fatal(err)
	}
	end := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { end[o.Partition] = o.Offset })
	for _, g := range p.groups {
		g.check(t, end, lost[g])
		g.mu.Lock()
		checkOrders(t, g.records, p.shops)
		if !maps.EqualFunc(g.records, p.groups[0].records, maps.Equal) {
			t.Errorf("%s and %s have read different bytes", g.name, p.groups[0].name)
		}
		g.mu.Unlock()
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	p := newPicture(t, startBroker(t), "java", "kcat", "kgo")
	budget(t, "picture", 60*time.Second)
	payment, inventory := p.group("payment", javaWay, javaWay, javaWay), p.group("inventory", kcatWay, kcatWay, kcatWay)
	email := p.group("email", kgoWay, kgoWay, kgoWay)
	p.group("analytics", kgoWay, kcatWay, javaWay, kgoWay) // three libraries in one group, and one member more than partitions

	// Members join while orders come in.
	for _, g := range p.groups {
		g.begin(t, "first")
	}
	p.sell(t, 2_200)
	for _, g := range p.groups {
		g.settled(t, len(g.ways)-partitions)
	}
	p.all(t, "joining")

	// One member of each group is killed while orders come in. In three groups its partition goes to the two others, in the fourth
	// to the member that was idle.
	lost := map[*readers][]reread{}
	var mu sync.Mutex
	var kills sync.WaitGroup
	for _, g := range p.groups {
		kills.Go(func() {
			l := g.kill(t, p.admin)
			mu.Lock()
			lost[g] = l
			mu.Unlock()
		})
	}
	p.sell(t, 1_200)
	kills.Wait()
	for _, g := range p.groups {
		g.settled(t, 0)
	}
	p.sell(t, 1_200)
	p.all(t, "a kill")

	// All members of three groups stop, two of the groups while orders come in; others go on where they stopped. kcat has to be at
	// rest: what it holds when it is told to stop it does not print, and commits all the same.
	var stops sync.WaitGroup
	for _, g := range []*readers{payment, email} {
		stops.Go(func() {
			g.busy(t, 100)
			g.stop(t)
		})
	}
	p.sell(t, 1_000)
	stops.Wait()
	eventually(t, 60*time.Second, inventory.name+" has read all", func() bool { return inventory.count() == p.sold })
	inventory.stop(t)
	for _, g := range []*readers{payment, inventory, email} {
		g.begin(t, "later")
	}
	p.sell(t, 1_000)
	p.all(t, "a stop")
	p.check(t, lost)

	// A replay gives the same bytes, to each library.
	first := replays(t, p.addr, p.topic, p.sold)
	for name, again := range replays(t, p.addr, p.topic, p.sold) {
		if again != first["java"] || first[name] != first["java"] {
			t.Errorf("replay by %s: %s, then %s; by java: %s", name, first[name], again, first["java"])
		}
	}
}

// TestPictureBrokerIsKilled: the broker is killed while orders come in, and starts again, three times. Producers and members go on, the
// groups need no rebalance and no operator, and no record is lost or there twice. kcat ends when its only broker does.
func TestPictureBrokerIsKilled(t *testing.T) {
	if bootstrap != "" {
		t.Skip("the broker is not ours")
	}
	t.Parallel()
	broker := startMillrace(t, t.TempDir())
	p := newPicture(t, broker.addr, "java", "kgo")
	budget(t, "picture: killed broker", 60*time.Second)
	p.group("payment", javaWay, javaWay, javaWay)
	p.group("email", kgoWay, kgoWay, kgoWay)
	for _, g := range p.groups {
		g.begin(t, "first")
	}
	p.sell(t, 1_000)
	for _, g := range p.groups {
		g.settled(t, 0)
	}
	p.all(t, "joining")
	for range 3 {
		var kill sync.WaitGroup
		kill.Go(func() {
			p.groups[0].busy(t, 100)
			broker = broker.crash()
		})
		p.sell(t, 3_000)
		kill.Wait()
		p.all(t, "a kill of the broker")
	}
	p.check(t, nil)
}
