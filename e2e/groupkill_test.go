package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupsUnderFire is a broker that is killed again and again, with what uses it meanwhile.
type groupsUnderFire struct {
	t    *testing.T
	addr string
	stop chan struct{}
	all  sync.WaitGroup

	produced atomic.Int64
	acked    [committers]atomic.Int64 // the last offset that each lone committer was told is stored
	consumed [2]atomic.Int64          // records that the groups' members have committed
}

const (
	firePartitions = 6
	committers     = 20
	patient        = 60 * time.Second
)

var fireGroups = [2]string{"steady", "churning"}

// Every commit that was acknowledged survives kill -9 of the broker, whether its group has members or not; offsets never go back; and groups,
// in the middle of a rebalance or not, go on by themselves and reach the end.
func TestKillUnderGroups(t *testing.T) {
	n := *kills
	if testing.Short() {
		n = min(n, 3)
	}
	dir := t.TempDir()
	b := start(t, dir, 0)
	if _, err := kadm.NewClient(b.client()).CreateTopics(within(t, 20*time.Second), firePartitions, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	f := &groupsUnderFire{t: t, addr: b.addr, stop: make(chan struct{})}
	var producing sync.WaitGroup
	stopProducing := make(chan struct{})
	producing.Go(func() { f.produce(stopProducing) })
	for i := range committers {
		f.all.Go(func() { f.commit(i) })
	}
	for range 3 {
		f.all.Go(func() { f.consume(0, func() time.Duration { return 0 }) })
	}
	for i := range uint64(4) {
		life := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), i))
		f.all.Go(func() {
			f.consume(1, func() time.Duration { return 200*time.Millisecond + time.Duration(life.Int64N(int64(time.Second))) })
		})
	}
	f.all.Go(f.watch)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for kill := range n {
		before := [2]int64{f.consumed[0].Load(), f.consumed[1].Load()}
		stored := f.acked[0].Load()
		if !poll(patient, func() bool {
			return f.consumed[0].Load() > before[0] && f.consumed[1].Load() > before[1] && f.acked[0].Load() > stored
		}) {
			t.Fatalf("kill %d: the groups do not go on: %d and %d records, %d commits", kill, f.consumed[0].Load()-before[0], f.consumed[1].Load()-before[1],
				f.acked[0].Load()-stored)
		}
		<-time.After(time.Duration(random.Int64N(int64(300 * time.Millisecond)))) // to die at any moment
		b.kill()
		b = start(t, dir, b.port)
		if t.Failed() {
			break
		}
	}
	close(stopProducing)
	producing.Wait()
	if !t.Failed() && !poll(patient, func() bool { return f.lag(0) == 0 && f.lag(1) == 0 }) {
		t.Errorf("the groups do not reach the end: %d and %d records are left", f.lag(0), f.lag(1))
	}
	close(f.stop)
	f.all.Wait()
	t.Logf("%d kills, %d records, %d and %d committed by members, %d commits without", n, f.produced.Load(), f.consumed[0].Load(), f.consumed[1].Load(), f.acked[0].Load())
}

// client goes on when the broker is away. The address does not change.
func (f *groupsUnderFire) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(f.addr), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	return cl
}

func (f *groupsUnderFire) stopped() bool {
	select {
	case <-f.stop:
		return true
	default:
		return false
	}
}

func (f *groupsUnderFire) produce(stop chan struct{}) {
	cl := f.client(kgo.DefaultProduceTopic("orders"), kgo.RequestRetries(1<<30), kgo.RecordRetries(1<<30))
	defer cl.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			if err := cl.Flush(within(f.t, patient)); err != nil {
				f.t.Errorf("flush: %v", err)
			}
			return
		case <-tick.C:
		}
		cl.Produce(context.Background(), &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				f.t.Errorf("produce: %v", err)
				return
			}
			f.produced.Add(1)
		})
	}
}

// commit stores 1, 2, 3, ... for a group without members, each until it is acknowledged, and looks that none is lost.
func (f *groupsUnderFire) commit(i int) {
	cl := f.client(kgo.RetryTimeout(2 * time.Second))
	defer cl.Close()
	adm := kadm.NewClient(cl)
	group := fmt.Sprint("lone-", i)
	for next := int64(1); !f.stopped(); {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var offsets kadm.Offsets
		offsets.AddOffset("orders", int32(i%firePartitions), next, -1)
		resp, err := adm.CommitOffsets(ctx, group, offsets)
		if err == nil && resp.Ok() {
			f.acked[i].Store(next)
			next++
		}
		if next%16 == 0 || err != nil {
			known := f.acked[i].Load()
			if got, err := adm.FetchOffsets(ctx, group); err == nil && got.Ok() {
				if o, _ := got.Lookup("orders", int32(i%firePartitions)); o.At < known || o.At > next {
					f.t.Errorf("%s: %d was acknowledged, %d was sent, %d is stored", group, known, next, o.At)
				}
			}
		}
		cancel()
	}
}

// consume is one member of a group after the other; life 0 is one for good.
func (f *groupsUnderFire) consume(which int, life func() time.Duration) {
	for !f.stopped() {
		cl := f.client(kgo.ConsumerGroup(fireGroups[which]), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(), kgo.SessionTimeout(6*time.Second),
			kgo.RebalanceTimeout(2*time.Second), kgo.HeartbeatInterval(200*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll())
		end := time.Now().Add(life())
		for !f.stopped() && (life() == 0 || time.Now().Before(end)) {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			records := cl.PollRecords(ctx, 100).Records()
			cancel()
			if len(records) > 0 {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				if err := cl.CommitRecords(ctx, records...); err == nil {
					f.consumed[which].Add(int64(len(records)))
				}
				cancel()
			}
			cl.AllowRebalance()
		}
		cl.CloseAllowingRebalance()
	}
}

// watch looks that the offsets of the groups with members never go back.
func (f *groupsUnderFire) watch() {
	cl := f.client(kgo.RetryTimeout(2 * time.Second))
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var last [2][firePartitions]int64
	for !f.stopped() {
		for which, group := range fireGroups {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			got, err := adm.FetchOffsets(ctx, group)
			cancel()
			if err != nil || !got.Ok() {
				continue
			}
			for p := range last[which] {
				o, ok := got.Lookup("orders", int32(p))
				switch {
				case ok && o.At >= last[which][p]:
					last[which][p] = o.At
				case last[which][p] > 0:
					f.t.Errorf("%s: partition %d goes back from %d to %d", group, p, last[which][p], o.At)
				}
			}
		}
		<-time.After(10 * time.Millisecond)
	}
}

// lag is how many records a group has not committed; -1 when nobody can tell.
func (f *groupsUnderFire) lag(which int) (left int64) {
	cl := f.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ends, err := adm.ListEndOffsets(ctx, "orders")
	got, err2 := adm.FetchOffsets(ctx, fireGroups[which])
	if err != nil || err2 != nil || ends.Error() != nil || !got.Ok() {
		return -1
	}
	ends.Each(func(e kadm.ListedOffset) {
		o, _ := got.Lookup("orders", e.Partition)
		left += e.Offset - o.At
	})
	return left
}
