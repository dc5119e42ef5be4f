package coord

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// How a shard that has failed comes back.
const (
	firstPause = 50 * time.Millisecond // before its log is replayed; twice as long after each failure without a batch in between
	maxPause   = 5 * time.Second
	lastWait   = 5 * time.Second // for the batch under way when the shard has to end
)

var (
	errResigned = errors.New("coord: the shard was told to end")
	errForeign  = errors.New("coord: somebody else has written to the partition")
)

// shard is one partition of the topic while this broker leads it.
//
// It is run by one goroutine at a time: its own, which loads, waits for time to pass and picks up the pieces, or, for one round, by whoever brings a
// quick task or news of the flight and finds it idle. A heartbeat is answered without changing goroutines that way, and a commit with one change,
// to the flush and back.
type shard struct {
	groups    *Groups
	partition *replica.Partition
	log       *slog.Logger

	wake     chan struct{} // holds one when there is something to look at
	resigned atomic.Bool

	inbox struct {
		sync.Mutex
		tasks   taskList
		own     taskList // the broker's: never refused, kept until the shard serves
		count   int
		loading bool
		refuse  wire.Code // what tasks are told at once; None: they are taken
		landed  bool      // the batch under way is durable, or failed with err
		err     error
	}

	mu      sync.Mutex // whoever holds it runs the shard; all below is guarded by it
	serving bool       // rounds may be run: the log has been loaded
	failed  error      // of a round that somebody else has run; for the goroutine

	state *group.Shard
	epoch int32 // the leader epoch it was loaded in
	end   int64 // of the log, as we know it
	now   int64 // of the round
	pause time.Duration

	queue    taskList // taken, not decided
	waiting  taskList // decided, not ready: joins and syncs
	gathered round    // decided, not appended
	flight   round    // appended, in part when phase is appending; not durable
	phase    phase
	turn     turn
	ack      replica.AckWaiter

	builder record.Builder
	scratch []byte

	expireAt int64
	timer    *time.Timer
	armed    int64 // when the timer fires; 0: it has fired
}

// round is what was decided together.
type round struct {
	records []group.Record
	bytes   int
	next    int // records before it have been appended
	answers taskList
}

func (r *round) clear() {
	clear(r.records)
	if r.records = r.records[:0]; cap(r.records) > 4096 {
		r.records = nil
	}
	r.bytes, r.next = 0, 0
}

// phase says where the flight is.
type phase uint8

const (
	landed    phase = iota // there is none
	appending              // its next batch waits for the log
	flying                 // its last batch waits to be durable
)

func newShard(g *Groups, p *replica.Partition) *shard {
	s := &shard{groups: g, partition: p, log: g.o.Log.With("partition", p.Index), wake: make(chan struct{}, 1)}
	s.ack.Done = s.land
	return s
}

// putOwn queues a task of the broker's own.
func (s *shard) putOwn(t *Task) {
	s.inbox.Lock()
	t.shard = s
	s.inbox.own.push(t)
	s.inbox.Unlock()
	s.signal()
}

// put queues a task, or answers it when there is no room or nobody to decide it.
func (s *shard) put(t *Task) {
	s.inbox.Lock()
	code := s.inbox.refuse
	if code == wire.None && (s.inbox.count >= maxQueued || !s.groups.makeRoom(t)) {
		code = wire.CoordinatorNotAvailable
	}
	first := s.inbox.count == 0
	if code == wire.None {
		t.shard = s
		s.inbox.tasks.push(t)
		s.inbox.count++
	}
	s.inbox.Unlock()
	switch {
	case code != wire.None:
		t.answer(code)
	case first && t.Quick:
		s.step()
	case first:
		s.signal()
	}
}

// refuse answers what is queued, and whatever comes from now on, with code. None: tasks are taken again.
func (s *shard) refuse(code wire.Code) {
	var queued taskList
	s.inbox.Lock()
	s.inbox.refuse = code
	if code != wire.None {
		queued = s.takeLocked()
	}
	s.inbox.Unlock()
	s.groups.turnAway(&queued, code)
}

func (s *shard) takeLocked() (l taskList) {
	l, s.inbox.tasks = s.inbox.tasks, taskList{}
	s.inbox.count = 0
	return l
}

// makeRoom counts a task in that is not decided, if there is room.
func (g *Groups) makeRoom(t *Task) bool {
	if g.queued.Add(int64(t.Bytes)) > maxQueuedBytes {
		g.queued.Add(int64(-t.Bytes))
		return false
	}
	return true
}

// turnAway answers tasks that are not decided.
func (g *Groups) turnAway(l *taskList, code wire.Code) {
	for t := l.pop(); t != nil; t = l.pop() {
		g.queued.Add(int64(-t.Bytes))
		t.answer(code)
	}
}

func (s *shard) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *shard) resign() {
	s.resigned.Store(true)
	s.signal()
}

// land hears what has become of the batch under way.
func (s *shard) land(_ *replica.AckWaiter, err error) {
	s.inbox.Lock()
	s.inbox.landed, s.inbox.err = true, err
	s.inbox.Unlock()
	s.step()
}

// run is the shard's goroutine.
func (s *shard) run() {
	defer s.groups.running.Done()
	s.timer = time.NewTimer(time.Hour)
	defer s.timer.Stop()
	for {
		err := s.load()
		if err == nil {
			s.refuse(wire.None)
			err = s.serve()
		}
		over := s.resigned.Load() || errors.Is(err, wire.NotLeaderOrFollower) || errors.Is(err, wire.UnknownTopicOrPartition)
		if over {
			s.groups.ended(s)
		}
		s.drop(err)
		if over {
			return
		}
		s.pause = min(max(2*s.pause, firstPause), maxPause)
		s.log.Warn("groups cannot be served, and are loaded again", "pause", s.pause, "err", err)
		s.rest()
	}
}

// serve runs rounds until one of them fails.
func (s *shard) serve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = true
	for {
		err := s.failed
		if err == nil {
			err = s.round()
		}
		if err != nil {
			s.serving, s.failed = false, nil
			return err
		}
		if s.queue.empty() || s.full() {
			s.sleep()
		}
	}
}

// step runs a round here and now, when nobody else runs the shard and nothing is due that may take long. Otherwise its goroutine will.
func (s *shard) step() {
	if !s.mu.TryLock() {
		s.signal()
		return
	}
	rest := true
	if s.serving && s.failed == nil && s.due() > s.groups.o.Now() {
		s.failed = s.round()
		rest = s.failed != nil || !s.queue.empty() || s.due() < s.armed
	}
	s.mu.Unlock()
	if rest {
		s.signal()
	}
}

// round looks what has come, decides it, and sends off what can be.
func (s *shard) round() error {
	if err := s.take(); err != nil {
		return err
	}
	if s.resigned.Load() {
		return errResigned
	}
	if epoch, leads := s.partition.Leads(); !leads || epoch != s.epoch {
		return wire.NotLeaderOrFollower
	}
	s.now = max(s.now, s.groups.o.Now())
	s.advance()
	s.decide()
	return s.dispatch()
}

// due is when something has to be done without anybody asking.
func (s *shard) due() int64 {
	if at := s.state.Deadline(); at >= 0 {
		return min(at, s.expireAt)
	}
	return s.expireAt
}

// take looks what has come, and answers the flight when it has landed.
func (s *shard) take() error {
	s.inbox.Lock()
	if s.queue.empty() {
		s.queue = s.takeLocked()
		s.queue.join(&s.inbox.own) // a topic that was removed has its offsets removed, not committed anew by those who came before
	}
	down, err := s.inbox.landed, s.inbox.err
	s.inbox.landed, s.inbox.err = false, nil
	s.inbox.Unlock()
	if !down {
		return nil
	}
	return s.landed(err)
}

func (s *shard) landed(err error) error {
	s.phase = landed
	s.groups.turns.end(s)
	if err != nil {
		return err
	}
	s.pause = 0
	s.flight.clear()
	s.flight.answers.answer(wire.None)
	return nil
}

// full is when nothing more is decided until the flight has landed.
func (s *shard) full() bool { return s.gathered.bytes >= s.groups.o.BatchBytes }

// advance does what is due.
func (s *shard) advance() {
	if at := s.state.Deadline(); at >= 0 && at <= s.now {
		s.state.Advance(s.now)
		s.collect()
	}
	if s.expireAt <= s.now {
		s.expireAt = s.now + s.groups.o.ExpireMs
		s.state.Expire(s.now)
		s.collect()
	}
}

// decide asks the shard about the tasks that have come.
func (s *shard) decide() {
	for !s.full() {
		t := s.queue.pop()
		if t == nil {
			return
		}
		bytes := int64(t.Bytes)
		t.Decide(s.state, s.now)
		s.groups.queued.Add(-bytes)
		if !t.ready {
			t.waits = true
			s.waiting.push(t)
		}
		s.collect()
	}
}

// collect takes what the shard has emitted.
func (s *shard) collect() {
	for _, r := range s.state.TakeRecords() {
		s.gathered.records = append(s.gathered.records, r)
		s.gathered.bytes += recordBytes(&r)
	}
}

// recordBytes is about what a record takes in a batch.
func recordBytes(r *group.Record) int { return len(r.Key) + len(r.Value) + 24 }

// dispatch sends off what was gathered, when there is no flight, and answers what need not wait for one.
func (s *shard) dispatch() error {
	if s.phase == appending {
		if err := s.append(); err != nil {
			return err
		}
	}
	switch {
	case s.phase == landed && len(s.gathered.records) > 0:
		if !s.groups.turns.take(s) {
			return nil // it goes on gathering
		}
		s.flight, s.gathered = s.gathered, s.flight
		return s.append()
	case s.phase == landed:
		s.gathered.answers.answer(wire.None)
	case len(s.gathered.records) == 0:
		s.flight.answers.join(&s.gathered.answers)
	}
	return nil
}

// append appends what the flight still has.
func (s *shard) append() error {
	for r := &s.flight; r.next < len(r.records); {
		b, next, err := s.build()
		if err != nil {
			return err
		}
		last := next == len(r.records)
		a, pending, err := s.partition.Append(b, replica.AppendOptions{All: last, Now: s.now}, &s.ack)
		switch {
		case errors.Is(err, replica.ErrWait):
			s.phase = appending
			s.partition.WhenReady(s.signal)
			return nil
		case err != nil:
			return err
		case a.BaseOffset != s.end:
			if pending && !s.partition.Cancel(&s.ack) {
				s.phase = flying // its Done comes
			}
			return errForeign
		}
		s.end = a.LastOffset + 1
		r.next = next
		if last && !pending {
			return s.landed(nil)
		}
	}
	s.phase = flying
	return nil
}

// build makes a batch of the flight's next records. next is the first that is not in it.
func (s *shard) build() (b record.Batch, next int, err error) {
	r := &s.flight
	s.builder.Reset(record.BuildOptions{Codec: s.groups.o.Codec})
	next = r.next
	for next < len(r.records) {
		x := &r.records[next]
		if next > r.next && s.builder.Size()+recordBytes(x) > s.groups.o.BatchBytes {
			break
		}
		s.builder.Add(s.now, x.Key, x.Value)
		next++
	}
	if cap(s.scratch) > 2*s.groups.o.BatchBytes {
		s.scratch = nil
	}
	s.scratch, b, err = s.builder.Build(s.scratch[:0])
	return b, next, err
}

// sleep waits for something to do. Others may run the shard meanwhile.
func (s *shard) sleep() {
	if at := s.due(); s.armed == 0 || at < s.armed {
		s.armed = at
		s.timer.Reset(time.Duration(max(at-s.now, 1)) * time.Millisecond)
	}
	s.mu.Unlock()
	fired := false
	select {
	case <-s.wake:
	case <-s.timer.C:
		fired = true
	}
	s.mu.Lock()
	if fired {
		s.armed = 0
	}
}

// drop forgets what the shard knows, and tells those who ask or wait why.
func (s *shard) drop(err error) {
	s.settle()
	s.groups.turns.end(s)
	code := codeOf(err)
	s.refuse(code)
	s.groups.turnAway(&s.queue, code)
	s.flight.answers.answer(code)
	s.gathered.answers.answer(code)
	s.waiting.answer(code)
	s.flight.clear()
	s.gathered.clear()
	if s.state != nil { // nil: a load has failed
		s.state.Release()
	}
	s.state, s.scratch, s.armed = nil, nil, 0
}

// settle waits for the flight: its batch may become durable, and then its answers may be told. Nothing of it is under way afterwards.
func (s *shard) settle() {
	patience := time.NewTimer(lastWait)
	defer patience.Stop()
	for s.phase == flying {
		s.inbox.Lock()
		down, err := s.inbox.landed, s.inbox.err
		s.inbox.landed, s.inbox.err = false, nil
		s.inbox.Unlock()
		if down {
			_ = s.landed(err) // drop tells them
			break
		}
		select {
		case <-s.wake:
		case <-patience.C:
			if s.partition.Cancel(&s.ack) {
				s.phase = landed
			}
		}
	}
	s.phase = landed
}

// rest lets the pause pass.
func (s *shard) rest() {
	over := time.NewTimer(s.pause)
	defer over.Stop()
	for !s.resigned.Load() {
		select {
		case <-s.wake:
		case <-over.C:
			return
		}
	}
}

// codeOf is what clients are told of a failure. All of these make them look for the coordinator, and ask again.
func codeOf(err error) wire.Code {
	switch {
	case errors.Is(err, errResigned), errors.Is(err, wire.NotLeaderOrFollower), errors.Is(err, wire.UnknownTopicOrPartition):
		return wire.NotCoordinator
	}
	return wire.CoordinatorNotAvailable
}
