// Package replica knows what role each partition has on this broker and how far its records have come: appended, flushed, on every in-sync
// replica. It queues those who wait for that: produce requests for the high watermark to pass their batch, parked fetches for more bytes.
//
// Nothing here starts a goroutine or reads a clock: flushes run on whatever Options.Go runs them on, time arrives as an argument.
package replica

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// Options of a Table.
type Options struct {
	Dir    *engine.Dir
	NodeID int32
	Config func(set map[string]string) (config.TopicConfig, error) // a topic's settings, as far as they are right, over the broker's
	Flush  *Flusher
	Go     func(job func()) // runs a job that may block: removal of a log, or a cut
	Log    *slog.Logger
	LagMax int64 // ms that a follower may be behind and stay in the ISR; 0: 30,000

	// Replication; all nil on a broker without others.
	Follow   func(r *Receiver)       // there is something to follow at r.Leader: open a stream, and again when it breaks. Must not block
	AlterISR func(change *ISRChange) // asks the controller, and gives its answer to Partition.ISRAnswered. Must not block
}

// Table finds partitions by topic name and by topic id. Lookups take no lock and allocate nothing; Apply alone changes it.
type Table struct {
	o      Options
	mu     sync.Mutex          // one Apply at a time
	shared *config.TopicConfig // the last one made, under mu: most topics have the same
	byName [shards]atomic.Pointer[map[string]*Topic]
	byID   [shards]atomic.Pointer[map[wire.UUID]*Topic]
	gone   removed

	receivers map[int32]*Receiver // by leader; under mu
	several   []*Partition        // those with more than one replica, in the order in which they came to be; under mu
}

// shards bounds what one created topic makes Apply copy: the maps are copied on write, each a 1/shards of all topics.
const shards = 256

// Topic is what the partitions of one topic on this broker share. It stays the same while the topic lives.
type Topic struct {
	Name     string
	ID       wire.UUID
	Internal bool // only the coordinators write to it

	config     atomic.Pointer[config.TopicConfig]
	partitions atomic.Pointer[[]*Partition] // by number; nil where this broker has no replica
}

// Config is the topic's settings in force. The pointer is shared: read only.
func (t *Topic) Config() *config.TopicConfig { return t.config.Load() }

// Partition returns this broker's replica of a partition. exists is whether the topic has such a partition at all.
func (t *Topic) Partition(index int32) (p *Partition, exists bool) {
	ps := *t.partitions.Load()
	if index < 0 || int(index) >= len(ps) {
		return nil, false
	}
	return ps[index], true
}

// Partitions is how many partitions the topic has, on whatever brokers.
func (t *Topic) Partitions() int32 { return int32(len(*t.partitions.Load())) }

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	if o.LagMax == 0 {
		o.LagMax = 30_000
	}
	return &Table{o: o, receivers: map[int32]*Receiver{}}
}

func shardOfName(name string) uint32 {
	h := uint32(2166136261) // FNV-1a
	for i := 0; i < len(name); i++ {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return (h ^ h>>16) % shards
}

func shardOfID(id wire.UUID) uint32 { return uint32(id[15]^id[7]) % shards }

// Topic returns the topic of that name, or nil. name may be a view of a frame.
func (t *Table) Topic(name string) *Topic {
	if m := t.byName[shardOfName(name)].Load(); m != nil {
		return (*m)[name]
	}
	return nil
}

// TopicByID returns the topic with that id, or nil.
func (t *Table) TopicByID(id wire.UUID) *Topic {
	if m := t.byID[shardOfID(id)].Load(); m != nil {
		return (*m)[id]
	}
	return nil
}

// Lookup returns this broker's replica of a partition, or nil.
func (t *Table) Lookup(topic string, partition int32) *Partition {
	if tp := t.Topic(topic); tp != nil {
		p, _ := tp.Partition(partition)
		return p
	}
	return nil
}

// Each calls f for every partition this broker has a replica of, until f returns false. In no particular order.
func (t *Table) Each(f func(p *Partition) bool) {
	for i := range t.byName {
		m := t.byName[i].Load()
		if m == nil {
			continue
		}
		for _, tp := range *m {
			for _, p := range *tp.partitions.Load() {
				if p != nil && !f(p) {
					return
				}
			}
		}
	}
}

// Apply brings the table from one cluster image to the next: creates and removes partitions, changes roles and settings.
func (t *Table) Apply(old, new *meta.Image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Removals first: a topic may have been deleted and created again under its name.
	meta.EachTopicChange(old, new, func(was, is *meta.Topic) {
		if is == nil {
			t.remove(was)
		}
	})
	edit := edits{}
	meta.EachTopicChange(old, new, func(was, is *meta.Topic) {
		if is != nil {
			t.change(&edit, is)
		}
	})
	edit.publish(t)
}

// edits gathers new topics, so that an image with thousands of them copies each shard once.
type edits struct {
	names [shards]map[string]*Topic
	ids   [shards]map[wire.UUID]*Topic
	any   bool
}

func (e *edits) add(tp *Topic) {
	i, j := shardOfName(tp.Name), shardOfID(tp.ID)
	if e.names[i] == nil {
		e.names[i] = map[string]*Topic{}
	}
	if e.ids[j] == nil {
		e.ids[j] = map[wire.UUID]*Topic{}
	}
	e.names[i][tp.Name], e.ids[j][tp.ID], e.any = tp, tp, true
}

func (e *edits) publish(t *Table) {
	if !e.any {
		return
	}
	for i := range shards {
		if e.names[i] != nil {
			t.byName[i].Store(merged(t.byName[i].Load(), e.names[i]))
		}
		if e.ids[i] != nil {
			t.byID[i].Store(merged(t.byID[i].Load(), e.ids[i]))
		}
	}
}

func merged[K comparable, V any](old *map[K]V, add map[K]V) *map[K]V {
	if old == nil {
		return &add
	}
	m := make(map[K]V, len(*old)+len(add))
	for k, v := range *old {
		m[k] = v
	}
	for k, v := range add {
		m[k] = v
	}
	return &m
}

func without[K comparable, V any](old *map[K]V, drop K) *map[K]V {
	if old == nil {
		return nil
	}
	m := make(map[K]V, len(*old))
	for k, v := range *old {
		if k != drop {
			m[k] = v
		}
	}
	return &m
}

// change creates the topic or brings it up to date.
func (t *Table) change(e *edits, is *meta.Topic) {
	tp := t.TopicByID(is.ID)
	created := tp == nil
	if created {
		tp = &Topic{Name: is.Name, ID: is.ID, Internal: meta.Internal(is.Name)}
		tp.partitions.Store(&[]*Partition{})
	}
	t.configure(tp, is.Config)
	logConfig := engineConfig(tp.Config())

	published := *tp.partitions.Load()
	have := make([]*Partition, len(is.Partitions)) // readers keep the slice they loaded
	copy(have, published)
	for i := range is.Partitions {
		m := &is.Partitions[i]
		if !contains(m.Replicas, t.o.NodeID) {
			continue // reassignment away from this broker: comes with replication
		}
		if have[i] == nil {
			have[i] = newPartition(t, tp, int32(i), t.o.Dir.Log(tp.Name, tp.ID, int32(i), logConfig))
		} else if !created {
			have[i].log.SetConfig(logConfig)
		}
		if len(m.Replicas) > 1 && !have[i].listed {
			have[i].listed = true
			t.several = append(t.several, have[i])
		}
		have[i].become(t.o.NodeID, m, t.receiver(m.Leader))
	}
	tp.partitions.Store(&have)
	if created {
		e.add(tp)
	}
}

// receiver is this broker's end of the stream to a leader; nil when that is nobody, or itself.
func (t *Table) receiver(leader int32) *Receiver {
	if leader == meta.NoLeader || leader == t.o.NodeID || t.o.Follow == nil {
		return nil
	}
	r := t.receivers[leader]
	if r == nil {
		r = newReceiver(leader)
		t.receivers[leader] = r
		t.o.Follow(r)
	}
	return r
}

// Tick looks after the replicas in sync of what this broker leads: every second or so, with the time in ms.
func (t *Table) Tick(now int64) {
	t.mu.Lock()
	all := append([]*Partition(nil), t.several...)
	t.mu.Unlock()
	for _, p := range all {
		p.tick(now, t.o.LagMax)
	}
}

// configure brings a topic's settings up to date and tells whether they have changed.
func (t *Table) configure(tp *Topic, set map[string]string) bool {
	c, err := t.o.Config(set)
	if err != nil {
		// The controller has validated them; this node knows another version of the table, or the broker's defaults have changed since.
		t.o.Log.Warn("some settings of a topic are not valid here", "topic", tp.Name, "err", err)
	}
	if tp.Internal {
		c.Durability = config.Fsync // D8: whatever the settings say
	}
	if was := tp.Config(); was != nil && *was == c {
		return false
	}
	if t.shared == nil || *t.shared != c {
		t.shared = &c
	}
	tp.config.Store(t.shared)
	return true
}

// Reconfigure applies new defaults of the broker to every topic of the image. Topics whose settings stay the same cost a comparison.
func (t *Table) Reconfigure(im *meta.Image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	im.EachTopic(func(is *meta.Topic) bool {
		tp := t.TopicByID(is.ID)
		if tp == nil || !t.configure(tp, is.Config) {
			return true
		}
		logConfig := engineConfig(tp.Config())
		for _, p := range *tp.partitions.Load() {
			if p != nil {
				p.log.SetConfig(logConfig)
				p.reconfigure()
			}
		}
		return true
	})
}

// remove takes a topic out of the table, fails what waits on it, and has its logs removed.
func (t *Table) remove(was *meta.Topic) {
	tp := t.TopicByID(was.ID)
	if tp == nil {
		return
	}
	i, j := shardOfName(tp.Name), shardOfID(tp.ID)
	if m := t.byName[i].Load(); m != nil && (*m)[tp.Name] == tp {
		t.byName[i].Store(without(m, tp.Name))
	}
	t.byID[j].Store(without(t.byID[j].Load(), tp.ID))
	for _, p := range *tp.partitions.Load() {
		if p == nil {
			continue
		}
		p.remove()
		if p.listed {
			t.several = slices.DeleteFunc(t.several, func(x *Partition) bool { return x == p })
		}
		t.gone.add(p)
		log, name := t.o.Log, tp.Name
		t.o.Go(func() {
			if err := p.log.Remove(); err != nil {
				log.Error("removal of a partition's folder", "topic", name, "partition", p.Index, "err", err)
			}
		})
	}
}

func contains(ids []int32, id int32) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// engineConfig turns Kafka's settings into engine's, whose zero values are defaults: Kafka's zeros mean "at once" and "nothing".
func engineConfig(c *config.TopicConfig) engine.Config {
	e := engine.Config{
		SegmentBytes:      c.SegmentBytes,
		SegmentMs:         c.SegmentMs,
		SegmentJitterMs:   c.SegmentJitterMs,
		SegmentIndexBytes: c.SegmentIndexBytes,
		IndexInterval:     max(c.IndexIntervalBytes, 1),
		RetentionMs:       c.RetentionMs,
		RetentionBytes:    c.RetentionBytes,
		FileDeleteDelayMs: c.FileDeleteDelayMs,
		KeepAll:           !c.CleanupDelete,
		Compacted:         c.CleanupCompact,
		Durable:           c.Durability == config.Fsync,
		DeleteRetentionMs: c.DeleteRetentionMs,
		MinCompactionLag:  c.MinCompactionLagMs,
		MaxCompactionLag:  c.MaxCompactionLagMs,
		MinCleanableRatio: c.MinCleanableRatio,
	}
	if c.CleanupCompact {
		e.SegmentMs = min(e.SegmentMs, c.MaxCompactionLagMs) // or the active segment would keep a record from being compacted in time
	}
	if e.DeleteRetentionMs == 0 {
		e.DeleteRetentionMs = -1
	}
	if e.MinCleanableRatio == 0 {
		e.MinCleanableRatio = -1
	}
	if e.RetentionMs == 0 {
		e.RetentionMs = 1
	}
	if e.RetentionBytes == 0 {
		e.RetentionBytes = 1
	}
	if e.FileDeleteDelayMs == 0 {
		e.FileDeleteDelayMs = -1
	}
	return e
}
