package coord

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// Tools find a group's partition by Java's hash of its id.
func TestPartitionIsKafkas(t *testing.T) {
	for _, c := range []struct {
		group string
		want  int32
	}{
		{"", 0},
		{"hello", 99162322 % 50},
		{"payment", 786681338 % 50},  // hashes below zero
		{"polygenelubricants", 0},    // to the lowest int, which has no absolute value
		{"\U0001F600", 1772899 % 50}, // two units of UTF-16
		{"Grüße", 69215351 % 50},     // units above ASCII
	} {
		if got := Partition(c.group, 50); got != c.want {
			t.Errorf("%q: partition %d, want %d", c.group, got, c.want)
		}
	}
}

// What comes while a flush is under way shares one batch and the next flush; nobody is answered before his is durable.
func TestCommitsShareBatches(t *testing.T) {
	w := newWorld(t, 1)
	if code := w.commit("first", 1).wait(t); code != wire.None {
		t.Fatal(code)
	}
	before := len(w.batches(0))
	release := w.holdFlushes()
	end := w.table.Lookup(Topic, 0).Log().LogEnd()
	results := []*result{w.commit("a", 1)}
	w.await("an append", func() bool { return w.table.Lookup(Topic, 0).Log().LogEnd() > end })
	for i := range 1000 {
		results = append(results, w.commit(fmt.Sprint("g", i%100), int64(i)))
	}
	beat := w.ask("a", func(*group.Shard, int64) {})
	for i, r := range results {
		if r.answered() {
			t.Fatalf("commit %d was answered before it was durable", i)
		}
	}
	if beat.answered() {
		t.Fatal("what was decided after the commits was answered before they were durable")
	}
	release()
	for _, r := range append(results, beat) {
		if code := r.wait(t); code != wire.None {
			t.Fatal(code)
		}
	}
	if got := len(w.batches(0)) - before; got != 2 {
		t.Errorf("%d batches for 1001 commits, 1 and 1000 of them at once", got)
	}
	if got := w.committed("g99"); got != 999 {
		t.Errorf("g99 is at %d", got)
	}
}

// Records that take more than a batch may hold are several batches, and one flush.
func TestALargeRoundIsSplit(t *testing.T) {
	w := newWorld(t, 1)
	w.groups.o.BatchBytes = 4096
	release := w.holdFlushes()
	var results []*result
	for i := range 300 {
		results = append(results, w.commit(fmt.Sprint("group-", i), int64(i)))
	}
	release()
	for _, r := range results {
		if code := r.wait(t); code != wire.None {
			t.Fatal(code)
		}
	}
	for _, b := range w.batches(0) {
		if b.Size() > 4096 {
			t.Errorf("a batch of %d bytes", b.Size())
		}
	}
	w.restart(1, false)
	for i := range 300 {
		if got := w.committed(fmt.Sprint("group-", i)); got != int64(i) {
			t.Fatalf("group-%d is at %d", i, got)
		}
	}
}

// Offsets are there after any stop, however their batches are compressed.
func TestOffsetsSurviveRestarts(t *testing.T) {
	w := newWorld(t, 4)
	for round, clean := range []bool{true, false, true, false} {
		w.groups.o.Codec = record.Codec(round) // a log may have batches of any codec
		for i := range 50 {
			if code := w.commit(fmt.Sprint("g", i), int64(round*1000+i)).wait(t); code != wire.None {
				t.Fatal(code)
			}
		}
		w.restart(4, clean)
		for i := range 50 {
			if got := w.committed(fmt.Sprint("g", i)); got != int64(round*1000+i) {
				t.Fatalf("round %d: g%d is at %d", round, i, got)
			}
		}
	}
}

// A full disk refuses commits with a code that clients retry, forgets what it could not store, and goes on when there is room.
func TestAFullDisk(t *testing.T) {
	w := newWorld(t, 1)
	if code := w.commit("g", 1).wait(t); code != wire.None {
		t.Fatal(code)
	}
	w.full.Store(true)
	refused := int64(0)
	for offset := int64(2); refused == 0; offset++ {
		switch code := w.commit("g", offset).wait(t); code {
		case wire.None: // there was room left in the segment
		case wire.CoordinatorNotAvailable:
			refused = offset
		default:
			t.Fatal(code)
		}
	}
	if got := w.committed("g"); got != refused-1 {
		t.Errorf("the group is at %d after %d was refused", got, refused)
	}
	w.full.Store(false)
	w.await("a commit after there is room", func() bool { return w.commit("g", 1000).wait(t) == wire.None })
	if got := w.committed("g"); got != 1000 {
		t.Errorf("the group is at %d", got)
	}
}

// A batch whose flush fails may be there after a restart, or not: until then nobody is told anything about its groups, and nobody waits in vain.
func TestAFlushThatFails(t *testing.T) {
	w := newWorld(t, 1)
	if code := w.commit("g", 1).wait(t); code != wire.None {
		t.Fatal(code)
	}
	w.late.Store(true)
	if code := w.commit("g", 2).wait(t); code != wire.CoordinatorNotAvailable {
		t.Fatal(code)
	}
	w.late.Store(false) // the next sync of the file succeeds, and means nothing
	for range 3 {
		if code := w.ask("g", func(*group.Shard, int64) {}).wait(t); code != wire.CoordinatorNotAvailable {
			t.Fatalf("told %v while nobody knows", code)
		}
	}
	w.restart(1, false)
	if got := w.committed("g"); got != 1 && got != 2 {
		t.Errorf("the group is at %d", got)
	}
	w.await("a commit", func() bool { return w.commit("g", 3).wait(t) == wire.None })
}

// Members that wait for their group are told to come again when the coordinator ends, and nothing is left running.
func TestStopAnswersThoseWhoWait(t *testing.T) {
	w := newWorld(t, 1)
	var first, second *group.JoinResponse
	if code := w.join("g", "", &first).wait(t); code != wire.None || first.Code != wire.None {
		t.Fatal(code, first)
	}
	late := w.join("g", "", &second) // waits for the first to come again
	w.ask("g", func(*group.Shard, int64) {}).wait(t)
	if late.answered() {
		t.Fatal("the second member does not wait")
	}
	w.groups.Stop()
	if code := late.wait(t); code != wire.NotCoordinator {
		t.Errorf("told %v", code)
	}
	if code := w.commit("g", 1).wait(t); code != wire.CoordinatorNotAvailable {
		t.Errorf("a commit after the end: %v", code)
	}
}

// A broker that is no longer the leader says so to those who wait and those who come; when it leads again it knows what it knew.
func TestLeadershipGoesAndComesBack(t *testing.T) {
	w := newWorld(t, 1)
	if code := w.commit("g", 5).wait(t); code != wire.None {
		t.Fatal(code)
	}
	var first, second *group.JoinResponse
	w.join("h", "", &first).wait(t)
	late := w.join("h", "", &second)
	w.apply(meta.PartitionChangeRecord{TopicID: offsetsTopicID, Leader: meta.NoLeader})
	w.groups.Changed()
	if code := late.wait(t); code != wire.NotCoordinator {
		t.Errorf("told %v", code)
	}
	if code := w.commit("g", 6).wait(t); code != wire.NotCoordinator {
		t.Errorf("a commit without a leader: %v", code)
	}
	w.apply(meta.PartitionChangeRecord{TopicID: offsetsTopicID, Leader: 1})
	if got := w.committed("g"); got != 5 {
		t.Errorf("the group is at %d", got)
	}
}

// A batch that is lost with the leadership was promised to nobody.
func TestLeadershipGoesUnderABatch(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 5).wait(t)
	release := w.holdFlushes()
	end := w.table.Lookup(Topic, 0).Log().LogEnd()
	lost := w.commit("g", 6)
	w.await("an append", func() bool { return w.table.Lookup(Topic, 0).Log().LogEnd() > end })
	w.apply(meta.PartitionChangeRecord{TopicID: offsetsTopicID, Leader: meta.NoLeader})
	if code := lost.wait(t); code != wire.NotCoordinator {
		t.Errorf("told %v", code)
	}
	release()
}

// A load waits for what is in the log and not durable: it may tell of nothing that a crash could undo.
func TestALoadWaitsForTheTail(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 5).wait(t)
	release := w.holdFlushes()
	end := w.table.Lookup(Topic, 0).Log().LogEnd()
	w.commit("g", 6)
	w.await("an append", func() bool { return w.table.Lookup(Topic, 0).Log().LogEnd() > end })
	w.apply(meta.PartitionChangeRecord{TopicID: offsetsTopicID, Leader: meta.NoLeader})
	w.apply(meta.PartitionChangeRecord{TopicID: offsetsTopicID, Leader: 1})
	w.groups.Changed()
	var offset int64
	asked := w.ask("g", func(s *group.Shard, now int64) {
		offset = s.FetchOffsets(now, &group.FetchRequest{Group: "g", Topics: []group.FetchTopic{{Name: "t", Partitions: []int32{0}}}}).Topics[0].Partitions[0].Offset
	})
	if asked.answered() && asked.code == wire.None {
		t.Fatalf("answered %d before it was durable", offset)
	}
	release()
	if got := w.committed("g"); got != 6 {
		t.Errorf("the group is at %d", got)
	}
}

// Kafka's admin client may write to the topic. What it wrote counts.
func TestForeignRecordsAreLoaded(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 5).wait(t)
	first := w.batches(0)
	w.commit("g", 6).wait(t)
	p := w.table.Lookup(Topic, 0)
	copied := append(record.Batch(nil), first[len(first)-1]...) // commits 5 again
	if _, _, err := p.Append(copied, replica.AppendOptions{Now: w.now.Load()}, nil); err != nil {
		t.Fatal(err)
	}
	w.await("a commit of another group", func() bool { return w.commit("h", 1).wait(t) == wire.None })
	if got := w.committed("g"); got != 5 {
		t.Errorf("the group is at %d", got)
	}
}

// Those who come while a log is loaded wait; when that takes long they are told, and so is who comes later.
func TestALoadThatTakesLong(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 1).wait(t)
	w.restart(1, true)
	w.groups.o.loadPatience = 50 * time.Millisecond
	gate := make(chan struct{})
	w.reads.Store(&gate)
	first := w.ask("g", func(*group.Shard, int64) {})
	if first.answered() {
		t.Fatal("nobody waits for a load")
	}
	if code := first.wait(t); code != wire.CoordinatorLoadInProgress {
		t.Errorf("told %v", code)
	}
	if r := w.commit("g", 2); !r.answered() || r.code != wire.CoordinatorLoadInProgress {
		t.Errorf("who comes later waits, or is told %v", r.code)
	}
	w.reads.Store(nil)
	close(gate)
	if got := w.committed("g"); got != 1 {
		t.Errorf("the group is at %d", got)
	}
	w.restart(1, true) // one that is over soon is waited for
	w.groups.o.loadPatience = patience
	if code := w.ask("g", func(*group.Shard, int64) {}).wait(t); code != wire.None {
		t.Errorf("told %v", code)
	}
}

func TestTheInboxIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	w.slow = true // a task that is decided where it comes in would hold up the test
	w.commit("g", 1).wait(t)
	hold, held := make(chan struct{}), make(chan struct{})
	w.ask("g", func(*group.Shard, int64) { close(held); <-hold })
	<-held
	refused := 0
	for range maxQueued + 100 {
		if r := w.ask("g", func(*group.Shard, int64) {}); r.answered() && r.code == wire.CoordinatorNotAvailable {
			refused++
		}
	}
	if refused != 100 {
		t.Errorf("%d tasks were refused, %d fit", refused, maxQueued)
	}
	large := &result{done: make(chan struct{})}
	close(hold)
	w.committed("g")
	if n := w.groups.queued.Load(); n != 0 {
		t.Errorf("%d bytes are queued when all is decided", n)
	}
	w.groups.Submit("g", &Task{Bytes: maxQueuedBytes + 1, Answer: func(code wire.Code) { large.code = code; close(large.done) }})
	if code := large.wait(t); code != wire.CoordinatorNotAvailable {
		t.Errorf("a task of more than all bytes: %v", code)
	}
}

// Quick tasks are decided by those who bring them, when the shard is idle: nothing waits for a goroutine, and those who come at once share batches.
func TestQuickTasksAreDecidedWhereTheyComeIn(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 1).wait(t)
	idle := func() {
		w.await("an idle shard", func() bool {
			s := w.groups.shards[0]
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.phase == landed && s.serving
		})
	}
	for range 100 {
		idle()
		r := &result{done: make(chan struct{})}
		task := &Task{Quick: true, Answer: func(code wire.Code) { r.code = code; close(r.done) }}
		task.Decide = func(*group.Shard, int64) { task.Ready() }
		w.groups.Submit("g", task)
		if !r.answered() { // its goroutine may be up, from a wake-up that was late
			r.wait(t)
			continue
		}
		return
	}
	t.Error("no task was answered before Submit returned")
}

// Few shards have a batch under way at a time; the others gather, so that each has one batch when its turn comes.
func TestShardsTakeTurns(t *testing.T) {
	const partitions = 20
	w := newWorld(t, partitions)
	inUse := map[int32]bool{}
	for i := range 1000 {
		inUse[Partition(fmt.Sprint("g", i), partitions)] = true
		w.commit(fmt.Sprint("g", i), 0).wait(t)
	}
	if len(inUse) != partitions {
		t.Fatalf("%d partitions in use", len(inUse))
	}
	var ends [partitions]int64
	end := func(i int) int64 { return w.table.Lookup(Topic, int32(i)).Log().LogEnd() }
	for i := range ends {
		ends[i] = end(i)
	}
	release := w.holdFlushes()
	var results []*result
	for i := range 1000 {
		results = append(results, w.commit(fmt.Sprint("g", i), 1))
	}
	w.await("the first batches", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.flushes) == maxFlights
	})
	appended := 0
	for i := range ends {
		if end(i) != ends[i] {
			appended++
		}
	}
	if appended != maxFlights {
		t.Errorf("%d shards have appended", appended)
	}
	release()
	for _, r := range results {
		if code := r.wait(t); code != wire.None {
			t.Fatal(code)
		}
	}
	w.groups.turns.mu.Lock()
	defer w.groups.turns.mu.Unlock()
	if w.groups.turns.taken != 0 || len(w.groups.turns.waiting) != 0 {
		t.Errorf("%d turns are taken, %d shards wait for one", w.groups.turns.taken, len(w.groups.turns.waiting))
	}
}

// The offsets of a topic that is deleted go, also of shards that are still loading.
func TestTopicRemoved(t *testing.T) {
	w := newWorld(t, 8)
	for i := range 40 {
		w.commit(fmt.Sprint("g", i), 1).wait(t)
	}
	w.restart(8, true)
	w.groups.o.loadPatience = time.Millisecond
	gate := make(chan struct{})
	w.reads.Store(&gate)
	for i := range int32(8) {
		w.groups.Load(i)
	}
	w.groups.TopicRemoved("t", wire.UUID{})
	w.await("a load that takes long", func() bool { return w.commit("g0", 1).wait(t) == wire.CoordinatorLoadInProgress })
	w.reads.Store(nil)
	close(gate)
	for i := range 40 {
		if got := w.committed(fmt.Sprint("g", i)); got != -1 {
			t.Fatalf("g%d is at %d", i, got)
		}
	}
	w.restart(8, false)
	for i := range 40 {
		if got := w.committed(fmt.Sprint("g", i)); got != -1 {
			t.Fatalf("g%d is at %d after a restart", i, got)
		}
	}
}

// A commit that came before its topic was removed does not bring its offset back.
func TestTopicRemovedUnderACommit(t *testing.T) {
	w := newWorld(t, 1)
	w.slow = true
	w.commit("g", 1).wait(t)
	hold, held := make(chan struct{}), make(chan struct{})
	w.ask("g", func(*group.Shard, int64) { close(held); <-hold })
	<-held
	last := w.commit("g", 2)
	w.groups.TopicRemoved("t", wire.UUID{})
	close(hold)
	last.wait(t)
	if got := w.committed("g"); got != -1 {
		t.Errorf("the group is at %d of a topic that is gone", got)
	}
}

// What a crash has kept from being removed is removed when the log is loaded, for good.
func TestOffsetsOfGoneTopicsAreNotLoaded(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("g", 1).wait(t)
	w.restart(1, false)
	w.groups.o.Exists = func(topic string, id wire.UUID) bool { return topic != "t" || !id.IsZero() }
	if got := w.committed("g"); got != -1 {
		t.Errorf("the group is at %d of a topic that is gone", got)
	}
	w.await("the removal", func() bool { return w.commit("h", 1).wait(t) == wire.None })
	w.restart(1, false)
	if got := w.committed("g"); got != -1 {
		t.Errorf("the group is at %d after a restart", got)
	}
}

// The longest time between two searches for what has expired is not none.
func TestExpiryHardlyEver(t *testing.T) {
	w := newWorld(t, 1)
	w.groups.Stop()
	w.groups = New(Options{Table: w.table, Now: w.now.Load, ExpireMs: math.MaxInt64})
	w.commit("g", 1).wait(t)
	s := w.groups.all()[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if due := s.due(); due <= s.now || time.Duration(due-s.now)*time.Millisecond <= 0 {
		t.Errorf("the shard is due at %d, it is %d", due, s.now)
	}
}

// What is queued in all shards together is bounded, and counted until it is decided or turned away.
func TestShardsShareTheRoomForTasks(t *testing.T) {
	w := newWorld(t, 2)
	codes := make(chan wire.Code, 3)
	hold := make(chan struct{})
	for i := range int32(2) {
		held := make(chan struct{})
		task := &Task{Answer: func(wire.Code) {}}
		task.Decide = func(*group.Shard, int64) { close(held); <-hold; task.Ready() }
		w.groups.SubmitTo(i, task)
		<-held
	}
	for i := range int32(3) {
		task := &Task{Bytes: maxQueuedBytes / 2, Answer: func(code wire.Code) { codes <- code }}
		task.Decide = func(*group.Shard, int64) { task.Ready() }
		w.groups.SubmitTo(i%2, task)
	}
	select {
	case code := <-codes:
		if code != wire.CoordinatorNotAvailable {
			t.Errorf("a third half gets %v", code)
		}
	default:
		t.Error("a third half is taken")
	}
	w.groups.all()[0].resign()
	close(hold)
	<-codes
	<-codes
	if n := w.groups.queued.Load(); n != 0 {
		t.Errorf("%d bytes are queued when nothing is", n)
	}
}

// Offsets that nobody needs any more go by themselves, for good, and so do groups without any.
func TestOffsetsExpire(t *testing.T) {
	w := newWorld(t, 1)
	w.commit("old", 1).wait(t)
	w.now.Add(6 * 24 * 3600 * 1000)
	w.commit("new", 1).wait(t)
	w.now.Add(2 * 24 * 3600 * 1000)
	w.groups.shards[0].signal() // the shard's timer counts real time
	w.await("the old offset to go", func() bool { return w.committed("old") == -1 })
	w.restart(1, false)
	if w.committed("old") != -1 || w.committed("new") != 1 {
		t.Errorf("after a restart the old offset is %d, the new one %d", w.committed("old"), w.committed("new"))
	}
	groups := 0
	w.ask("old", func(s *group.Shard, _ int64) { groups = len(s.List(group.NewFilter(nil, nil))) }).wait(t)
	if groups != 1 {
		t.Errorf("%d groups are left", groups)
	}
}

// Shards share what groups and offsets may take, and give it back when they end.
func TestShardsShareMemory(t *testing.T) {
	w := newWorld(t, 8)
	o := w.groups.o.Group
	o.Offsets.Max = 40 << 10
	refused := 0
	var held []string
	for i := range 400 {
		id := fmt.Sprint("group-", i)
		var code wire.Code
		w.ask(id, func(s *group.Shard, now int64) {
			r := &group.CommitRequest{Group: id, Generation: -1, RetentionMs: -1, Topics: []group.CommitTopic{{Name: "t", Partitions: []group.CommitPartition{{Offset: 1}}}}}
			s.Commit(now, r)
			code = r.Topics[0].Partitions[0].Code
		}).wait(t)
		if code == wire.None {
			held = append(held, id)
		} else {
			refused++
		}
	}
	if refused == 0 || len(held) < 100 || o.Offsets.Used() > o.Offsets.Max || o.Members.Used() == 0 {
		t.Fatalf("%d of 400 commits are refused; offsets take %d bytes, groups %d", refused, o.Offsets.Used(), o.Members.Used())
	}
	offsets, members := o.Offsets.Used(), o.Members.Used()
	for _, s := range w.groups.all() { // to be loaded again
		s.mu.Lock()
		s.failed = errForeign
		s.mu.Unlock()
		s.signal()
	}
	for _, id := range held {
		if got := w.committed(id); got != 1 {
			t.Fatalf("%s is at %d", id, got)
		}
	}
	if o.Offsets.Used() != offsets || o.Members.Used() != members {
		t.Errorf("offsets take %d bytes after a load, %d before; groups %d, %d before", o.Offsets.Used(), offsets, o.Members.Used(), members)
	}
	w.groups.Stop()
	if o.Offsets.Used() != 0 || o.Members.Used() != 0 {
		t.Errorf("stopped groups take %d and %d bytes", o.Offsets.Used(), o.Members.Used())
	}
}

// Sessions run without requests.
func TestTheTimerRuns(t *testing.T) {
	w := newWorld(t, 1)
	var got *group.JoinResponse
	w.join("g", "", &got).wait(t)
	state := func() (state group.State) {
		w.ask("g", func(s *group.Shard, _ int64) { state = s.Describe("g").State }).wait(t)
		return state
	}
	if s := state(); s == group.Empty || s == group.Dead {
		t.Fatalf("the group is %v", s)
	}
	w.now.Add(31_000)
	w.groups.shards[0].signal() // the shard's timer counts real time
	w.await("the member's session to end", func() bool { s := state(); return s == group.Empty || s == group.Dead })
}
