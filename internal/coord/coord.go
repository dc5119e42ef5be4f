// Package coord runs group coordinators on __consumer_offsets: it loads a partition of that topic into a group.Shard, asks the shard what each
// request comes to, appends what it emits, and answers.
//
// Each partition in use has a goroutine and a bounded inbox. One goroutine at a time touches the group.Shard; it works in rounds:
//
//	inbox --> Decide, each with the same now --> records of all --> one batch --> Partition.Append --> durable --> Answer, all
//
// While a batch is under way the next round is decided already, and gathers: so one flush carries one batch, of as many commits as have come
// since the last, however many clients there are. An answer never leaves before all that was emitted before it is durable, a heartbeat's
// neither; without anything to append it leaves at once.
//
// What cannot be appended is never rolled back: the shard is dropped, those who wait are told to come again, and the log is replayed into a new
// one. The same happens when this broker stops being the partition's leader, except that the next leader replays it.
package coord

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// Topic is the topic whose partitions hold groups and committed offsets.
const Topic = "__consumer_offsets"

// Bounds of what clients can make us hold.
const (
	maxQueued      = 16 << 10  // tasks in one inbox
	maxQueuedBytes = 64 << 20  // of the tasks that are not decided, in all shards
	maxExpireMs    = 1 << 40   // between two searches: 35 years
	maxMemberBytes = 256 << 20 // of groups and their members, in all shards
	maxOffsetBytes = 1 << 30   // of committed offsets, in all shards
)

// Options of Groups.
type Options struct {
	Table *replica.Table // finds the partitions
	Group group.Options
	Now   func() int64 // milliseconds since 1970
	Log   *slog.Logger

	// Exists tells whether a topic is there, under this id unless it is zero. A shard that is loaded forgets the offsets of others: it may not have
	// run when they were deleted, or the crash came first. nil: all are there.
	Exists func(topic string, id wire.UUID) bool

	ExpireMs   int64        // time between two searches for offsets that have expired; 0: 600,000
	LoadBytes  int          // read at a time from a log; 0: 1 MiB
	BatchBytes int          // of one round's records; 0: 1,000,000. A larger record is a batch of its own
	Codec      record.Codec // of the batches

	// What tests shorten: how long tasks wait for a load, most of which are over at once, before they are told that one is in progress.
	loadPatience time.Duration
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ExpireMs == 0 {
		o.ExpireMs = 600_000
	}
	o.ExpireMs = min(o.ExpireMs, maxExpireMs)
	if o.LoadBytes == 0 {
		o.LoadBytes = 1 << 20
	}
	if o.BatchBytes == 0 {
		o.BatchBytes = 1_000_000
	}
	if o.Group.Members == nil {
		o.Group.Members = &group.Memory{Max: maxMemberBytes}
	}
	if o.Group.Offsets == nil {
		o.Group.Offsets = &group.Memory{Max: maxOffsetBytes}
	}
	if o.loadPatience == 0 {
		o.loadPatience = time.Second
	}
	return o
}

// Groups is this broker's part of the group coordinator: the shards of the partitions that it leads.
type Groups struct {
	o       Options
	loading chan struct{} // holds one for each log that is being replayed: half of the processors stay with those who are served already
	running sync.WaitGroup
	turns   turns
	queued  atomic.Int64 // bytes of the tasks that are not decided

	mu     sync.Mutex
	shards map[int32]*shard // by partition
	closed bool
}

// New returns Groups that run nothing: a shard starts when it is first used, or by Load.
func New(o Options) *Groups {
	return &Groups{o: o.withDefaults(), shards: map[int32]*shard{}, loading: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// Partition is the one that holds a group, as in Kafka: tools that look into the topic rely on it.
func Partition(groupID string, partitions int32) int32 {
	var hash int32 // Java's String.hashCode: over UTF-16
	for _, r := range groupID {
		if r < 1<<16 {
			hash = 31*hash + r
			continue
		}
		high, low := utf16.EncodeRune(r)
		hash = 31*(31*hash+high) + low
	}
	if hash == -1<<31 {
		return 0 // as Kafka's Utils.abs
	}
	return max(hash, -hash) % partitions
}

// Submit gives a task to the shard of its group. It never blocks; Answer may be called before it returns.
func (g *Groups) Submit(groupID string, t *Task) {
	topic := g.o.Table.Topic(Topic)
	if topic == nil || topic.Partitions() == 0 {
		t.answer(wire.NotCoordinator)
		return
	}
	g.SubmitTo(Partition(groupID, topic.Partitions()), t)
}

// SubmitTo gives a task to the shard of a partition, as Submit.
func (g *Groups) SubmitTo(partition int32, t *Task) {
	s, code := g.shard(partition)
	if s == nil {
		t.answer(code)
		return
	}
	s.put(t)
}

// shard returns a partition's shard, and starts it when it does not run. nil: code tells why there is none.
func (g *Groups) shard(partition int32) (s *shard, code wire.Code) {
	p := g.o.Table.Lookup(Topic, partition)
	if p == nil {
		return nil, wire.NotCoordinator
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, wire.CoordinatorNotAvailable
	}
	s = g.shards[partition]
	if s != nil && s.partition == p {
		return s, wire.None
	}
	if _, leads := p.Leads(); !leads {
		return nil, wire.NotCoordinator
	}
	if s != nil {
		s.resign() // of a topic that was deleted; the new one has begun already
	}
	s = newShard(g, p)
	g.shards[partition] = s
	g.running.Add(1)
	go s.run()
	return s, wire.None
}

// ended takes a shard out whose goroutine is about to end.
func (g *Groups) ended(s *shard) {
	g.mu.Lock()
	if g.shards[s.partition.Index] == s {
		delete(g.shards, s.partition.Index)
	}
	g.mu.Unlock()
}

// Load starts the shard of a partition that holds something, so that the sessions of its members run. It does not block.
func (g *Groups) Load(partition int32) { g.shard(partition) }

// Running are the partitions that have been used or loaded: all others hold no groups. In no order.
func (g *Groups) Running() []int32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]int32, 0, len(g.shards))
	for i := range g.shards {
		all = append(all, i)
	}
	return all
}

// TopicRemoved tells every shard of a topic that is gone. It does not block.
func (g *Groups) TopicRemoved(topic string, id wire.UUID) {
	for _, s := range g.all() {
		t := &Task{Answer: func(wire.Code) {}}
		t.Decide = func(s *group.Shard, now int64) {
			s.TopicRemoved(now, topic, id)
			t.Ready()
		}
		s.putOwn(t)
	}
}

// Changed has every shard look whether its partition is still this broker's. It does not block.
func (g *Groups) Changed() {
	for _, s := range g.all() {
		s.signal()
	}
}

func (g *Groups) all() []*shard {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*shard, 0, len(g.shards))
	for _, s := range g.shards {
		all = append(all, s)
	}
	return all
}

// Stop ends all shards and waits for them: what was appended is still answered, all else is told to come again. Later tasks are refused.
func (g *Groups) Stop() {
	g.mu.Lock()
	g.closed = true
	for _, s := range g.shards {
		s.resign()
	}
	g.mu.Unlock()
	g.running.Wait()
}
