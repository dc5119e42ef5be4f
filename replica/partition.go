package replica

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// ErrWait is engine's: the log needs background work first, WhenReady tells when to try again.
var ErrWait = engine.ErrWait

// Partition is this broker's replica of one partition.
type Partition struct {
	Topic *Topic
	Index int32

	log     *engine.Log
	flusher *Flusher
	table   *Table

	highWatermark atomic.Int64 // written under mu, read anywhere; highWatermark <= the log's logEnd
	role          atomic.Int64 // written under mu: leaderEpoch and flags, see setRoleLocked
	opened        atomic.Bool  // written under mu: highWatermark is known
	hotFrom       atomic.Int64 // written under mu: records from here on were appended among the last hotBytes
	lastAppend    atomic.Int64 // ms, written under mu

	mu struct {
		sync.Mutex
		leader         int32 // broker id, or meta.NoLeader
		isr            int   // members of the ISR, this broker included
		replicas       int
		partitionEpoch int32
		leading        *leading   // nil: not the leader, or of the only replica
		following      *following // nil: not a follower, or no leader known
		cutting        bool       // the log's past is being changed: nothing may be appended

		epochStart    int64 // logEnd when this broker became leader in leaderEpoch: HW below it is not final yet
		epochStartSet bool
		acks          ackQueue
		reads         readList
		unflushed     int64 // bytes appended since the last flush began
		flushing      bool  // a flush is queued or under way
		lazy          bool  // on the flusher's list
		again         bool  // flush once more when the one under way ends
		hotNext       int64 // becomes hotFrom
		hotBytes      int64 // appended since hotNext
	}
	listed   bool   // in Table.several; under Table.mu
	flushJob func() // p.flush, made once, at the first append
	metrics  metrics
}

func newPartition(table *Table, t *Topic, index int32, log *engine.Log) *Partition {
	p := &Partition{Topic: t, Index: index, log: log, flusher: table.o.Flush, table: table}
	p.mu.leader = meta.NoLeader
	return p
}

// Flags of role, beside the leader epoch: readers load both at once, without a lock.
const (
	roleLeads   = 1 << iota // this broker is the leader
	roleRemoved             // the topic was deleted
	roleBits    = iota
)

func (p *Partition) setRoleLocked(leaderEpoch int32, flags int64) {
	p.role.Store(int64(leaderEpoch)<<roleBits | flags)
}

// LeaderEpoch is the epoch of the leader this broker knows.
func (p *Partition) LeaderEpoch() int32 { return int32(p.role.Load() >> roleBits) }

// Leads is whether this broker is the leader, and the epoch of that.
func (p *Partition) Leads() (leaderEpoch int32, leads bool) {
	role := p.role.Load()
	return int32(role >> roleBits), role&roleLeads != 0
}

// HighWatermark is the first offset consumers may not see yet.
func (p *Partition) HighWatermark() int64 { return p.highWatermark.Load() }

func (p *Partition) leads() bool   { return p.role.Load()&roleLeads != 0 }
func (p *Partition) removed() bool { return p.role.Load()&roleRemoved != 0 }

// AppendOptions say how a batch from a client is appended.
type AppendOptions struct {
	All bool  // acks=all
	Now int64 // ms
}

// Append checks the role, appends a validated batch, and moves what depends on it. With acks=all, pending is whether w now waits: its Done
// comes later. Otherwise w is not touched. After an error nothing was appended, unless it is ErrOffline.
//
// Errors: ErrWait (nothing appended: try again when ready), wire.Code, and engine's.
func (p *Partition) Append(b record.Batch, o AppendOptions, w *AckWaiter) (a engine.Appended, pending bool, err error) {
	c := p.Topic.Config()
	var flushNow, flushLater bool
	p.mu.Lock()
	if err = p.lead(); err == nil {
		flushNow, err = p.openLocked()
	}
	if err == nil && p.mu.cutting {
		err = wire.NotLeaderOrFollower // it was a follower a moment ago
	}
	if err != nil {
		p.mu.Unlock()
		p.flushUnlocked(flushNow)
		return a, false, err
	}
	if o.All && !p.enoughLocked(c) {
		err = wire.NotEnoughReplicas
	} else {
		a, err = p.log.Append(b, p.LeaderEpoch(), o.Now)
	}
	if err != nil {
		p.mu.Unlock()
		p.flushUnlocked(flushNow)
		return a, false, err
	}
	if !a.Duplicate {
		p.mu.unflushed += int64(len(b))
		p.countAppendLocked(int64(len(b)), a.LastOffset-a.BaseOffset+1)
		p.heatLocked(&a, int64(len(b)), o.Now)
		now, later := p.dirtyLocked(c)
		flushNow, flushLater = flushNow || now, later
	} else if p.unflushedLocked(c) {
		flushNow = true // the flush of the original has failed, and no other need come
	}
	var wake woken
	if p.mu.leading != nil {
		p.mu.leading.news(&wake)
	}
	done := p.advanceLocked(c, &wake)
	if o.All && a.LastOffset >= p.highWatermark.Load() {
		w.end = a.LastOffset + 1
		p.mu.acks.push(w)
		pending = true
	}
	p.mu.Unlock()

	p.flushUnlocked(flushNow)
	if flushLater {
		p.flusher.later(p)
	}
	done.finish()
	wake.fire()
	return a, pending, nil
}

// lead is nil when this broker leads the partition.
func (p *Partition) lead() error {
	switch role := p.role.Load(); {
	case role&roleRemoved != 0:
		return wire.UnknownTopicOrPartition
	case role&roleLeads == 0:
		return wire.NotLeaderOrFollower
	}
	return nil
}

// openLocked learns the high watermark once the log is readable. flush: a flush is to be queued after unlock, because a recovered tail on a
// durable topic is not flushed yet, and nobody else would make it visible.
func (p *Partition) openLocked() (flush bool, err error) {
	if p.opened.Load() {
		return false, nil
	}
	if err := p.log.Ready(); err != nil {
		return false, err
	}
	p.highWatermark.Store(min(max(p.log.HighWatermark(), p.log.LogStart()), p.log.LogEnd()))
	p.opened.Store(true)
	p.enterEpochLocked()
	return p.unflushedLocked(p.Topic.Config()), nil
}

// unflushedLocked starts a flush when a durable topic has records that are not flushed. True: it is to be queued after unlock.
func (p *Partition) unflushedLocked(c *config.TopicConfig) bool {
	if !p.opened.Load() || !p.leads() && p.mu.following == nil || c.Durability != config.Fsync || p.log.FlushedTo() >= p.log.LogEnd() {
		return false
	}
	p.mu.again = p.mu.flushing // the one under way may have begun before the last append
	return p.startFlushLocked()
}

// flushUnlocked queues the flush that was started under the lock.
func (p *Partition) flushUnlocked(started bool) {
	if started {
		p.queueFlush()
	}
}

// queueFlush: those of `os` topics, which nobody waits for, come one after the other. All partitions that are written to alike are due at the same
// moment, and four flushes at once with their writes took both processors for 15 to 30 ms.
func (p *Partition) queueFlush() {
	if p.Topic.Config().Durability == config.OS {
		p.flusher.o.Rest(p.flushJob)
		return
	}
	p.flusher.o.Go(p.flushJob)
}

// enoughLocked is whether the ISR is as large as the topic asks for, as far as it has so many replicas (as Kafka: one replica is enough for
// min.insync.replicas=2 when there is but one).
func (p *Partition) enoughLocked(c *config.TopicConfig) bool {
	return p.mu.isr >= min(int(c.MinInsyncReplicas), p.mu.replicas)
}

// enterEpochLocked remembers where this leader's epoch begins, and advances an ISR of one to it.
func (p *Partition) enterEpochLocked() {
	if !p.opened.Load() || !p.leads() || p.mu.epochStartSet || p.mu.cutting {
		return
	}
	p.mu.epochStart, p.mu.epochStartSet = p.log.LogEnd(), true
	if c := p.Topic.Config(); p.mu.isr == 1 && p.enoughLocked(c) { // the others are no members: nothing is asked for yet in this epoch
		p.raiseLocked(p.ownLocked(c))
	}
}

// ownLocked is the offset below which this replica counts as having a record: on a durable topic only what is flushed (DESIGN D8).
func (p *Partition) ownLocked(c *config.TopicConfig) int64 {
	if c.Durability == config.Fsync {
		return p.log.FlushedTo()
	}
	return p.log.LogEnd()
}

// raiseLocked moves the high watermark up; never down.
func (p *Partition) raiseLocked(to int64) bool {
	if to <= p.highWatermark.Load() {
		return false
	}
	invariant.Check(to <= p.log.LogEnd(), "high watermark %d above log end %d", to, p.log.LogEnd())
	p.highWatermark.Store(to)
	p.log.NoteHighWatermark(to)
	return true
}

// advanceLocked raises the high watermark as far as the in-sync replicas allow, and takes out those whose wait is over: produce requests to
// be finished and fetches to be woken, both after unlock.
func (p *Partition) advanceLocked(c *config.TopicConfig, wake *woken) *AckWaiter {
	if !p.leads() || !p.opened.Load() || p.mu.isr < 1 || !p.enoughLocked(c) || p.mu.cutting {
		return nil // with too few in sync nothing is committed, whatever its acks (KIP-966)
	}
	to := p.ownLocked(c)
	if p.mu.leading != nil {
		to = p.mu.leading.bound(to, c)
	}
	if !p.raiseLocked(to) {
		return nil
	}
	if p.mu.leading != nil {
		p.mu.leading.news(wake)
	}
	if p.mu.reads.first != nil {
		p.countLocked(wake)
	}
	return p.mu.acks.takeBelow(p.highWatermark.Load())
}

// countLocked tells parked fetches of the bytes that became readable, and collects those that have enough.
func (p *Partition) countLocked(wake *woken) {
	highWatermark := p.highWatermark.Load()
	lastStable := p.log.LastStable(highWatermark)
	var from, to, bytes int64 = -1, -1, 0 // the last range measured: most waiters share it
	for w := p.mu.reads.first; w != nil; {
		next := w.next
		bound := highWatermark
		if w.Committed {
			bound = lastStable
		}
		if bound > w.seen {
			need := w.Parked.need.Load()
			if need > 1 {
				if w.seen != from || bound != to {
					from, to, bytes = w.seen, bound, p.bytesBetween(w.seen, bound)
				}
				need = w.Parked.need.Add(-bytes)
				w.seen = bound
			} else {
				need = 0
			}
			if need <= 0 {
				p.mu.reads.remove(w)
				wake.add(w.Parked)
			}
		}
		w = next
	}
}

// enough is what bytesBetween answers when it cannot tell cheaply: the fetch wakes and looks for itself.
const enough = 1 << 40

// bytesBetween is the size of the batches in [from, to). When they span segments it says enough, as Kafka does.
func (p *Partition) bytesBetween(from, to int64) int64 {
	s, err := p.log.Read(from, to, 1<<30, true, false)
	if err != nil {
		return enough
	}
	n := int64(s.Length)
	s.Release()
	if n == 0 {
		return enough // a segment ends at from
	}
	return n
}

// dirtyLocked decides what the durability mode asks for after an append.
func (p *Partition) dirtyLocked(c *config.TopicConfig) (now, later bool) {
	switch {
	case p.mu.flushing:
		p.mu.again = p.mu.again || c.Durability == config.Fsync || p.mu.unflushed >= osFlushBytes
		return false, false
	case c.Durability == config.Fsync, p.mu.unflushed >= osFlushBytes:
		return p.startFlushLocked(), false
	case c.Durability == config.Replicated && !p.mu.lazy:
		p.mu.lazy = true
		return false, true
	}
	return false, false
}

// What was appended among the last 8 to 16 MiB of a partition and within the last 30 s is in the page cache, as far as anything is: reading it needs
// no question to the kernel. Before the first such range is complete, hotFrom is where appends began.
const (
	hotBytes = 8 << 20
	hotFor   = 30_000 // ms
)

func (p *Partition) heatLocked(a *engine.Appended, bytes, now int64) {
	if p.lastAppend.Load() == 0 || now-p.lastAppend.Load() > hotFor {
		p.hotFrom.Store(a.BaseOffset)
		p.mu.hotNext, p.mu.hotBytes = a.BaseOffset, 0
	}
	if p.mu.hotBytes += bytes; p.mu.hotBytes >= hotBytes {
		p.hotFrom.Store(p.mu.hotNext)
		p.mu.hotNext, p.mu.hotBytes = a.LastOffset+1, 0
	}
	p.lastAppend.Store(now)
}

func (p *Partition) hot(offset, now int64) bool {
	return offset >= p.hotFrom.Load() && p.lastAppend.Load() != 0 && now-p.lastAppend.Load() <= hotFor
}

func (p *Partition) startFlushLocked() bool {
	if p.mu.flushing {
		return false
	}
	if p.flushJob == nil {
		p.flushJob = p.flush
	}
	p.mu.flushing = true
	return true
}

// flushSoon queues a flush for a partition whose time on the flusher's list is over.
func (p *Partition) flushSoon() {
	p.mu.Lock()
	p.mu.lazy = false
	start := !p.removed() && p.startFlushLocked()
	if !start && p.mu.flushing {
		p.mu.again = true
	}
	p.mu.Unlock()
	p.flushUnlocked(start)
}

// FlushSoon has what was appended to a durable topic flushed, also when an earlier flush of it has failed.
func (p *Partition) FlushSoon() {
	p.mu.Lock()
	start := p.unflushedLocked(p.Topic.Config())
	p.mu.Unlock()
	p.flushUnlocked(start)
}

// flush is the partition's one outstanding fdatasync. It runs off the loops and carries all that was appended before it begins. The log notes it only
// when those who waited have been told.
func (p *Partition) flush() {
	p.mu.Lock()
	p.mu.again, p.mu.unflushed = false, 0
	p.mu.Unlock()

	began := p.flusher.o.Clock()
	_, err := p.log.Sync()
	p.flusher.took.Observe(p.flusher.o.Clock() - began)

	var wake woken
	var done *AckWaiter
	p.mu.Lock()
	if err != nil && !p.removed() {
		// One failed sync: nothing more is promised (DESIGN D8). The engine has taken the directory offline.
		done = p.mu.acks.takeAll(err)
		p.wakeAllLocked(&wake)
	} else if err == nil {
		done = p.advanceLocked(p.Topic.Config(), &wake)
		if f := p.mu.following; f != nil && f.state == streaming {
			f.receiver.ack(f, p.log.LogEnd(), p.log.FlushedTo())
		}
	}
	more := err == nil && p.mu.again && !p.removed()
	p.mu.flushing = more
	p.mu.Unlock()
	if more {
		p.queueFlush() // behind the other dirty partitions
	}
	p.flusher.o.Begin()
	done.finish()
	wake.fire()
	p.flusher.o.End()
	if err == nil {
		_ = p.log.NoteSync() // if that fails, the engine has taken the directory offline
	}
}

func (p *Partition) wakeAllLocked(wake *woken) {
	for w := p.mu.reads.first; w != nil; w = p.mu.reads.first {
		p.mu.reads.remove(w)
		wake.add(w.Parked)
	}
}

// Cancel takes a waiter whose time is over out of the queue. False: its Done has been or will be called.
func (p *Partition) Cancel(w *AckWaiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.acks.remove(w)
}

// ReadOptions say what a fetch wants of a partition.
type ReadOptions struct {
	Offset           int64
	LeaderEpoch      int32 // the client's current leader epoch, -1: not stated
	LastFetchedEpoch int32 // -1: not stated
	MaxBytes         int
	Committed        bool // read_committed: up to the last stable offset
	MinOne           bool // the first batch whole, even beyond MaxBytes
	Block            bool // may wait for the disk: off the loops only
	Now              int64
}

// ReadResult is what a fetch got. The slice is the caller's to release.
type ReadResult struct {
	Slice          vfs.Slice
	HighWatermark  int64
	LastStable     int64
	LogStart       int64
	Bound          int64 // offsets below it could be read
	DivergingEpoch int32 // -1, or the largest epoch up to LastFetchedEpoch that the log knows
	DivergingEnd   int64 // and its end
	Hot            bool  // the slice is of the last bytes appended: surely in memory

	role int64 // at the time of the read
}

// Read finds the batches from an offset up to the high watermark, or the last stable offset. It takes no lock once the log is open.
// Errors: wire.Code, ErrWait, segment.ErrCold (Block false only) and engine's; the watermarks are set whenever they are known.
func (p *Partition) Read(o *ReadOptions, r *ReadResult) error {
	*r = ReadResult{HighWatermark: -1, LastStable: -1, LogStart: -1, DivergingEpoch: -1, DivergingEnd: -1}
	if err := p.fence(o.LeaderEpoch, &r.role); err != nil {
		return err
	}
	r.HighWatermark = p.highWatermark.Load()
	r.LastStable = p.log.LastStable(r.HighWatermark)
	r.LogStart = p.log.LogStart()
	r.Bound = r.HighWatermark
	if o.Committed {
		r.Bound = r.LastStable
	}
	if o.LastFetchedEpoch >= 0 {
		epoch, end, err := p.log.EpochEnd(o.LastFetchedEpoch)
		switch {
		case err != nil:
			return err
		case epoch < 0:
			return wire.OffsetOutOfRange
		case epoch < o.LastFetchedEpoch || end < o.Offset:
			r.DivergingEpoch, r.DivergingEnd = epoch, end
			return nil
		}
	}
	if o.Offset < r.LogStart || o.Offset > p.log.LogEnd() {
		return wire.OffsetOutOfRange
	}
	if o.Offset >= r.Bound || o.MaxBytes <= 0 && !o.MinOne {
		return nil
	}
	var err error
	r.Hot = p.hot(o.Offset, o.Now)
	r.Slice, err = p.log.Read(o.Offset, r.Bound, o.MaxBytes, o.MinOne, o.Block)
	return err
}

// Fence checks the role and the epoch a client believes in (KIP-320), and opens the log. role is what it found.
func (p *Partition) fence(currentLeaderEpoch int32, role *int64) error {
	*role = p.role.Load()
	if *role&roleRemoved != 0 {
		return wire.UnknownTopicOrPartition
	}
	if currentLeaderEpoch >= 0 {
		if known := int32(*role >> roleBits); currentLeaderEpoch < known {
			return wire.FencedLeaderEpoch
		} else if currentLeaderEpoch > known {
			return wire.UnknownLeaderEpoch
		}
	}
	if *role&roleLeads == 0 {
		return wire.NotLeaderOrFollower
	}
	if p.opened.Load() {
		return nil
	}
	p.mu.Lock()
	flush, err := p.openLocked()
	p.mu.Unlock()
	p.flushUnlocked(flush)
	return err
}

// Wait parks w until more can be read than r, the result of the Read before, said. False: something has changed since; read again.
func (p *Partition) Wait(w *ReadWaiter, r *ReadResult) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	bound := p.highWatermark.Load()
	if w.Committed {
		bound = p.log.LastStable(bound)
	}
	if bound != r.Bound || p.role.Load() != r.role {
		return false
	}
	w.seen = bound
	p.mu.reads.push(w)
	return true
}

// Leave takes a waiter out, whether or not it is still in.
func (p *Partition) Leave(w *ReadWaiter) {
	p.mu.Lock()
	p.mu.reads.remove(w)
	p.mu.Unlock()
}

// WhenReady runs f once when the work that made a call return ErrWait has ended, on any goroutine.
func (p *Partition) WhenReady(f func()) { p.log.WhenReady(f) }

// become takes over a partition's state from the cluster image. r is this broker's end of the stream to the leader, when that is another broker.
func (p *Partition) become(self int32, m *meta.Partition, r *Receiver) {
	var wake woken
	var done *AckWaiter
	p.mu.Lock()
	changed := m.LeaderEpoch != p.LeaderEpoch() || m.Leader != p.mu.leader
	p.mu.leader, p.mu.isr, p.mu.replicas, p.mu.partitionEpoch = m.Leader, len(m.ISR), len(m.Replicas), m.PartitionEpoch
	var flags int64
	if m.Leader == self {
		flags = roleLeads
	}
	p.setRoleLocked(m.LeaderEpoch, flags)
	left, entered := p.placeLocked(self, m, r, changed, &wake)
	if changed {
		p.mu.epochStartSet = false
		p.enterEpochLocked()
		p.wakeAllLocked(&wake)
		if !p.leads() {
			done = p.mu.acks.takeAll(wire.NotLeaderOrFollower)
		}
	}
	flush, more := p.settleLocked(&wake)
	if done == nil {
		done = more
	}
	p.mu.Unlock()
	p.flushUnlocked(flush)
	done.finish()
	wake.fire()
	if left != nil {
		left.receiver.drop(left)
	}
	if entered != nil {
		entered.receiver.take(entered)
	}
}

// placeLocked finds the partition its place among the replicas: what it led or followed in another leader epoch is over.
func (p *Partition) placeLocked(self int32, m *meta.Partition, r *Receiver, changed bool, wake *woken) (left, entered *following) {
	switch {
	case m.Leader != self || len(m.Replicas) < 2:
		p.mu.leading.end(wake)
		p.mu.leading = nil
	case changed || p.mu.leading == nil:
		p.mu.leading.end(wake)
		p.mu.leading = &leading{}
		p.mu.leading.update(self, m, wake)
	default:
		p.mu.leading.update(self, m, wake)
	}
	switch {
	case r == nil:
		left, p.mu.following = p.mu.following, nil
	case changed || p.mu.following == nil:
		left = p.mu.following
		p.mu.following = &following{p: p, receiver: r, leaderEpoch: m.LeaderEpoch}
		entered = p.mu.following
	}
	return left, entered
}

// settleLocked does what new settings or a new role ask for. The topic may have become durable: what it has so far is flushed now, or no
// later append would be acknowledged before. flush: to be queued after unlock.
func (p *Partition) settleLocked(wake *woken) (flush bool, done *AckWaiter) {
	c := p.Topic.Config()
	flush = p.unflushedLocked(c)
	return flush, p.advanceLocked(c, wake)
}

// reconfigure takes over changed settings of the topic.
func (p *Partition) reconfigure() {
	var wake woken
	p.mu.Lock()
	flush, done := p.settleLocked(&wake)
	p.mu.Unlock()
	p.flushUnlocked(flush)
	done.finish()
	wake.fire()
}

// remove ends the partition's life on this broker.
func (p *Partition) remove() {
	var wake woken
	p.mu.Lock()
	p.setRoleLocked(p.LeaderEpoch(), roleRemoved)
	left := p.mu.following
	p.mu.leading.end(&wake)
	p.mu.leading, p.mu.following = nil, nil
	done := p.mu.acks.takeAll(wire.UnknownTopicOrPartition)
	p.wakeAllLocked(&wake)
	p.mu.Unlock()
	if left != nil {
		left.receiver.drop(left)
	}
	done.finish()
	wake.fire()
}
