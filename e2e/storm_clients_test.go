package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A clientStorm is a group of franz-go clients that die in tens. What members are told is kept here, and whatever must never be is an error.
type clientStorm struct {
	t     *testing.T
	topic string
	group string

	mu        sync.Mutex
	owner     map[int32]*clientMember // of a partition, as its members were told
	overlap   map[int32]*clientMember // was told to own a partition that another has got since, and must learn that it lost it
	consumed  []int64                 // by partition: one past the highest offset any member has seen
	committed []int64                 // by partition: the highest offset whose commit was acknowledged
	expelled  int                     // partitions lost by members that lived: too slow for their session
	commits   int
	failure   error
}

type clientMember struct {
	s      *clientStorm
	name   string
	cl     *kgo.Client
	done   chan struct{} // closed when its loop has ended
	mu     sync.Mutex
	dead   bool
	conns  []net.Conn
	static string
}

func (s *clientStorm) fail(format string, args ...any) {
	if s.failure == nil {
		s.failure = fmt.Errorf(format, args...)
	}
}

// join starts a member. Its connections are its own, so that it can die like a process.
func (s *clientStorm) join(b *broker, name, static string, balancer kgo.GroupBalancer) *clientMember {
	m := &clientMember{s: s, name: name, static: static, done: make(chan struct{})}
	opts := []kgo.Opt{
		kgo.SeedBrokers(b.addr), kgo.ClientID(name), kgo.Dialer(m.dial),
		kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.Balancers(balancer), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(3 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.RebalanceTimeout(30 * time.Second), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.assigned(got[s.topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.gone(gone[s.topic], false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.gone(gone[s.topic], true) }),
		kgo.BlockRebalanceOnPoll(), kgo.FetchMaxWait(500 * time.Millisecond), kgo.DisableClientMetrics(),
	}
	if static != "" {
		opts = append(opts, kgo.InstanceID(static))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	m.cl = cl
	go m.run()
	return m
}

func (m *clientMember) dial(ctx context.Context, network, host string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		_ = conn.Close()
		return nil, errors.New("this member is dead")
	}
	m.conns = append(m.conns, conn)
	return conn, nil
}

func (m *clientMember) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// run consumes and commits each poll.
func (m *clientMember) run() {
	defer close(m.done)
	for {
		fetches := m.cl.PollRecords(context.Background(), 1000)
		if fetches.IsClientClosed() {
			return
		}
		if records := fetches.Records(); len(records) > 0 && !m.isDead() {
			m.consume(records)
		}
		m.cl.AllowRebalance()
	}
}

func (m *clientMember) consume(records []*kgo.Record) {
	s := m.s
	s.mu.Lock()
	for _, r := range records {
		if r.Offset > s.consumed[r.Partition] {
			s.fail("%s read offset %d of partition %d, nobody has read %d", m.name, r.Offset, r.Partition, s.consumed[r.Partition])
		}
		s.consumed[r.Partition] = max(s.consumed[r.Partition], r.Offset+1)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.cl.CommitRecords(ctx, records...); err != nil {
		return // of a generation that is over, or this member is dead: the next owner reads the records again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	for _, r := range records {
		s.committed[r.Partition] = max(s.committed[r.Partition], r.Offset+1)
	}
}

func (m *clientMember) assigned(partitions []int32) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.isDead() {
		return
	}
	for _, p := range partitions {
		if was := s.owner[p]; was != nil && was != m {
			s.overlap[p] = was
		}
		s.owner[p] = m
	}
}

func (m *clientMember) gone(partitions []int32, lost bool) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.isDead() {
		return
	}
	for _, p := range partitions {
		switch {
		case s.owner[p] == m:
			delete(s.owner, p)
		case s.overlap[p] == m && lost:
			delete(s.overlap, p)
			s.expelled++
		case s.overlap[p] == m:
			s.fail("partition %d was %s's in one generation with another member", p, m.name)
		}
	}
}

// kill ends a member as the death of its process does: nothing is said to the broker.
func (m *clientMember) kill() {
	m.s.mu.Lock()
	m.mu.Lock()
	m.dead = true
	for _, conn := range m.conns {
		_ = conn.Close()
	}
	m.mu.Unlock()
	for p, o := range m.s.owner {
		if o == m {
			delete(m.s.owner, p)
		}
	}
	maps.DeleteFunc(m.s.overlap, func(_ int32, o *clientMember) bool { return o == m })
	m.s.mu.Unlock()
	go m.cl.CloseAllowingRebalance()
}

// The same with a real client, in eager and cooperative groups: in each round ten of a hundred members die at once and come back, every third of them static. Between the rounds each of the 200 partitions has
// one owner, who reads and commits what is produced then; and at no time does a committed offset go back.
func TestRebalanceStormOfClients(t *testing.T) {
	for _, kind := range []struct {
		name     string
		balancer func() kgo.GroupBalancer
	}{{"eager", kgo.RoundRobinBalancer}, {"cooperative", kgo.CooperativeStickyBalancer}} {
		t.Run(kind.name, func(t *testing.T) { clientsStorm(t, max(1, *stormRounds/10), kind.balancer) })
	}
}

func clientsStorm(t *testing.T, rounds int, balancer func() kgo.GroupBalancer) {
	members, partitions, dying := 100, 200, 10
	if testing.Short() {
		members, partitions, dying, rounds = 20, 40, 4, 1
	}
	b := start(t, t.TempDir(), 0, "group.min.session.timeout.ms=1000")
	cl := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	admin := kadm.NewClient(cl)
	s := &clientStorm{t: t, topic: "storm", group: "storm", owner: map[int32]*clientMember{}, overlap: map[int32]*clientMember{},
		consumed: make([]int64, partitions), committed: make([]int64, partitions)}
	if _, err := admin.CreateTopics(within(t, 20*time.Second), int32(partitions), 1, nil, s.topic); err != nil {
		t.Fatal(err)
	}
	var live []*clientMember
	t.Cleanup(func() {
		for _, m := range live {
			m.kill()
		}
		for _, m := range live {
			select {
			case <-m.done:
			case <-time.After(30 * time.Second):
				t.Errorf("%s did not end", m.name)
			}
		}
	})
	named := 0
	add := func(static string) {
		named++
		live = append(live, s.join(b, fmt.Sprintf("m%d", named), static, balancer()))
	}
	for i := range members {
		static := ""
		if i%3 == 0 {
			static = fmt.Sprintf("s%d", i)
		}
		add(static)
	}
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() { // what was acknowledged is there, at any time
		defer close(watched)
		for before := make([]int64, partitions); ; {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
			s.mu.Lock()
			acknowledged := slices.Clone(s.committed)
			s.mu.Unlock()
			offsets, err := admin.FetchOffsets(context.Background(), s.group)
			if err != nil {
				continue // the client gave up: the broker is busy
			}
			s.mu.Lock()
			for p := range int32(partitions) {
				at := int64(0)
				if o, ok := offsets.Lookup(s.topic, p); ok {
					at = o.At
				}
				if floor := max(before[p], acknowledged[p]); at < floor {
					s.fail("partition %d: offset %d is committed, but it has been %d", p, at, floor)
				}
				before[p] = at
			}
			s.mu.Unlock()
		}
	}()
	produced := int64(0)
	settle := func(round int) {
		var records []*kgo.Record
		for p := range int32(partitions) {
			records = append(records, &kgo.Record{Topic: s.topic, Partition: p, Value: fmt.Appendf(nil, "%d", produced)})
		}
		if err := cl.ProduceSync(within(t, 60*time.Second), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		produced++
		settled := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.failure != nil {
				t.Fatalf("round %d: %v", round, s.failure)
			}
			return len(s.owner) == partitions && len(s.overlap) == 0 && slices.Min(s.committed) == produced
		}
		if !poll(120*time.Second, settled) {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("round %d: %d of %d partitions have an owner, %d have two; partition %d is committed to %d of %d", round, len(s.owner), partitions,
				len(s.overlap), slices.Index(s.committed, slices.Min(s.committed)), slices.Min(s.committed), produced)
		}
	}
	began := time.Now()
	settle(0)
	t.Logf("%d members have joined and read after %v", members, time.Since(began).Round(time.Millisecond))
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 2))
	t.Logf("seed %d", seed)
	began = time.Now()
	for round := range rounds {
		random.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
		dead := slices.Clone(live[:dying])
		live = slices.Delete(live, 0, dying)
		for _, m := range dead {
			m.kill()
		}
		for _, m := range dead {
			add(m.static)
		}
		settle(round + 1)
	}
	close(stop)
	<-watched
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	t.Logf("%d rounds in %v: %d commits, %d partitions lost by members too slow for their session", rounds, time.Since(began).Round(time.Millisecond), s.commits, s.expelled)
}
