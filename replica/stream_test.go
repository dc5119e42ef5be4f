package replica

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/peer"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// pair is a leader (broker 1) and a follower (broker 2) of one partition with a stream between them, whose frames move when the test says so.
type pair struct {
	t        *testing.T
	jobs     []func()
	tables   [3]*Table
	logged   [3]strings.Builder
	image    *meta.Image
	changes  []*ISRChange
	sender   *Sender
	receiver *Receiver
}

type frame struct {
	h    peer.Header
	body []byte
}

var pairTopic = wire.UUID{1, 0, 0, 0, 0, 0, 0x47}

func newPair(t *testing.T, settings ...string) *pair {
	x := &pair{t: t, image: meta.Empty()}
	c, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	later := func(job func()) { x.jobs = append(x.jobs, job) }
	for id := int32(1); id <= 2; id++ {
		dir, err := engine.OpenDir(engine.DirOptions{FS: vfs.NewMem(), Path: "/d", Go: later, NodeID: id, Rand: func() uint64 { return 4 }})
		if err != nil {
			t.Fatal(err)
		}
		x.tables[id] = NewTable(Options{
			Dir: dir, NodeID: id, Config: c.TopicConfig, Go: later,
			Log:      slog.New(slog.NewTextHandler(&x.logged[id], &slog.HandlerOptions{Level: slog.LevelError})),
			Flush:    NewFlusher(FlusherOptions{Go: later, Later: later}),
			Follow:   func(r *Receiver) { x.receiver = r },
			AlterISR: func(c *ISRChange) { x.changes = append(x.changes, c) },
		})
		t.Cleanup(func() {
			x.work()
			if err := dir.Close(false); err != nil {
				t.Error(err)
			}
			x.work()
		})
	}
	rs := append(meta.Bootstrap("pair"), meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 1}}, meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 2}},
		meta.TopicRecord{Name: "t", ID: pairTopic})
	for i := 0; i < len(settings); i += 2 {
		rs = append(rs, meta.ConfigRecord{Resource: meta.Resource{Type: meta.TopicResource, Name: "t"}, Name: settings[i], Value: settings[i+1]})
	}
	x.apply(append(rs, meta.PartitionRecord{TopicID: pairTopic, Partition: meta.Partition{Replicas: []int32{1, 2}, ISR: []int32{1, 2}, Leader: 1}})...)
	return x
}

func (x *pair) apply(rs ...meta.Record) {
	x.t.Helper()
	im, err := x.image.Apply(rs, x.image.Index()+1)
	if err != nil {
		x.t.Fatal(err)
	}
	x.tables[1].Apply(x.image, im)
	x.tables[2].Apply(x.image, im)
	x.image = im
}

func (x *pair) work() {
	for len(x.jobs) > 0 {
		job := x.jobs[0]
		x.jobs = x.jobs[1:]
		job()
	}
}

func (x *pair) partition(id int32) *Partition { return x.tables[id].Lookup("t", 0) }

// connect opens the stream.
func (x *pair) connect() {
	x.sender = x.tables[1].NewSender(SenderOptions{Follower: 2, BrokerEpoch: 5, Wake: func() {}})
	x.receiver.Connected(&peer.Identity{ClusterID: "pair", Follower: 2, BrokerEpoch: 5, Leader: 1}, func() {})
}

func (x *pair) split(p, body []byte) (list []frame) {
	x.t.Helper()
	for p = append(p, body...); len(p) > 0; {
		h, err := peer.ParseHeader(p)
		if err != nil {
			x.t.Fatal(err)
		}
		list = append(list, frame{h, slices.Clone(p[peer.HeaderSize:][:h.Length])})
		p = p[peer.HeaderSize+h.Length:]
	}
	return list
}

// fromLeader is all that the leader sends now.
func (x *pair) fromLeader() (list []frame) {
	x.t.Helper()
	for {
		p, slice := x.sender.Next(nil)
		var body []byte
		if slice.Length > 0 {
			body = make([]byte, slice.Length)
			if _, err := slice.ReadAt(body, 0); err != nil && err != io.EOF {
				x.t.Fatal(err)
			}
			slice.Release()
		}
		if len(p) == 0 {
			return list
		}
		list = append(list, x.split(p, body)...)
	}
}

func (x *pair) toFollower(list []frame) {
	x.t.Helper()
	for _, f := range list {
		if err := x.receiver.Receive(&f.h, f.body, 1000); err != nil {
			x.t.Fatal(err)
		}
	}
	x.work()
}

// toLeader moves what the follower has to say.
func (x *pair) toLeader() (kinds []peer.Kind) {
	x.t.Helper()
	for _, f := range x.split(x.receiver.Next(nil), nil) {
		kinds = append(kinds, f.h.Kind)
		if f.h.Kind == peer.Hello {
			continue
		}
		if err := x.sender.Receive(&f.h, f.body, 1000); err != nil {
			x.t.Fatal(err)
		}
	}
	x.work()
	return kinds
}

// settle moves frames until nobody has anything to say.
func (x *pair) settle() {
	x.t.Helper()
	for {
		x.work()
		up := x.toLeader()
		down := x.fromLeader()
		x.toFollower(down)
		if len(up) == 0 && len(down) == 0 {
			return
		}
	}
}

// append appends a batch with one record of a size at the leader; done tells whether it was acknowledged.
func (x *pair) append(size int) (done *bool) {
	x.t.Helper()
	var b record.Builder
	b.Reset(record.BuildOptions{})
	b.Add(1000, nil, make([]byte, size))
	_, batch, err := b.Build(nil)
	if err != nil {
		x.t.Fatal(err)
	}
	done = new(bool)
	for range 3 {
		_, _, err = x.partition(1).Append(batch, AppendOptions{All: true, Now: 1000}, &AckWaiter{Done: func(_ *AckWaiter, err error) { *done = err == nil }})
		if err != ErrWait {
			break
		}
		x.work()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return done
}

func data(list []frame) (frames, bytes int) {
	for _, f := range list {
		if f.h.Kind == peer.Data {
			frames++
			bytes += len(f.body)
		}
	}
	return frames, bytes
}

// The leader sends on before anything is acknowledged, but no more than the window; an acknowledgement makes room, and acks=all waits for it.
func TestDataIsPipelinedWithinTheWindow(t *testing.T) {
	x := newPair(t)
	x.connect()
	x.settle()
	var done []*bool
	var ahead []frame
	for range 3 {
		done = append(done, x.append(100))
		ahead = append(ahead, x.fromLeader()...)
	}
	if frames, _ := data(ahead); frames != 3 {
		t.Errorf("%d frames were sent ahead of the first acknowledgement, want 3", frames)
	}
	for range 30 {
		done = append(done, x.append(100_000))
	}
	ahead = append(ahead, x.fromLeader()...)
	if _, bytes := data(ahead); bytes > partitionWindow {
		t.Errorf("%d bytes are on their way, the window is %d", bytes, partitionWindow)
	}
	for i, d := range done {
		if *d {
			t.Errorf("append %d is acknowledged before the follower has it", i)
		}
	}
	x.toFollower(ahead)
	x.settle()
	for i, d := range done {
		if !*d {
			t.Errorf("append %d is not acknowledged", i)
		}
	}
	if a, b := x.partition(1), x.partition(2); b.log.LogEnd() != 33 || a.HighWatermark() != 33 || b.HighWatermark() != 33 {
		t.Errorf("the follower ends at %d, high watermarks are %d and %d, want 33", b.log.LogEnd(), a.HighWatermark(), b.HighWatermark())
	}
}

// One fdatasync of each side is waited for: what the follower has not flushed is not acknowledged.
func TestAcknowledgementWaitsForTheFollowersDisk(t *testing.T) {
	x := newPair(t)
	x.connect()
	x.append(10)
	x.settle()
	done := x.append(10)
	x.work() // the leader has flushed
	for _, f := range x.fromLeader() {
		if err := x.receiver.Receive(&f.h, f.body, 1000); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range x.split(x.receiver.Next(nil), nil) { // the follower has appended, and its flush waits
		if err := x.sender.Receive(&f.h, f.body, 1000); err != nil {
			t.Fatal(err)
		}
	}
	if x.partition(2).log.LogEnd() != 2 || *done {
		t.Fatalf("the follower's log ends at %d, acknowledged %v", x.partition(2).log.LogEnd(), *done)
	}
	x.settle()
	if !*done {
		t.Error("not acknowledged")
	}
}

// Bytes that are not what the leader has written are refused, not appended; the next subscription brings the right ones.
func TestDamagedDataIsRefused(t *testing.T) {
	x := newPair(t)
	x.connect()
	x.settle()
	done := x.append(100)
	sent := x.fromLeader()
	sent[0].body[80] ^= 1
	x.toFollower(sent)
	if end := x.partition(2).log.LogEnd(); end != 0 {
		t.Fatalf("damaged bytes were appended: the log ends at %d", end)
	}
	if kinds := x.toLeader(); !slices.Contains(kinds, peer.Nack) {
		t.Errorf("the follower says %v", kinds)
	}
	if !strings.Contains(x.logged[1].String(), "refused") || !strings.Contains(x.logged[2].String(), "checksum") {
		t.Errorf("leader and follower log %q, %q", x.logged[1].String(), x.logged[2].String())
	}
	x.settle()
	if *done {
		t.Error("acknowledged without the follower")
	}
	x.receiver.Tick()
	x.settle()
	if !*done || x.partition(2).log.LogEnd() != 1 {
		t.Error("it did not come again")
	}
}

// A follower whose next record the leader has deleted begins anew where the leader does, its high watermark with it (KAFKA-9491).
func TestFollowerBehindTheLogStart(t *testing.T) {
	x := newPair(t, "min.insync.replicas", "1")
	x.apply(meta.PartitionChangeRecord{TopicID: pairTopic, Leader: meta.LeaderUnchanged, ISR: []int32{1}})
	for range 5 {
		x.append(10)
	}
	x.work()
	if _, err := x.partition(1).DeleteRecords(3); err != nil {
		t.Fatal(err)
	}
	x.connect()
	x.settle()
	p := x.partition(2)
	if p.log.LogStart() != 3 || p.log.LogEnd() != 5 || p.HighWatermark() != 5 {
		t.Errorf("the follower has [%d,%d), high watermark %d, want [3,5), 5", p.log.LogStart(), p.log.LogEnd(), p.HighWatermark())
	}
	if len(x.changes) != 1 || len(x.changes[0].ISR) != 2 || x.changes[0].ISR[1] != (Member{2, 5}) {
		t.Errorf("the leader asks for %+v", x.changes)
	}
}

// A leader without records that were acknowledged here is not followed: the replica stops and says so, and keeps what it has.
func TestFollowerDoesNotGiveUpWhatWasAcknowledged(t *testing.T) {
	x := newPair(t)
	x.connect()
	x.settle()
	x.append(10)
	x.append(10)
	x.settle()
	// The same offsets from another history: the leader has lost its disk.
	if err := x.partition(1).log.TruncateTo(1); err != nil {
		t.Fatal(err)
	}
	x.apply(meta.PartitionChangeRecord{TopicID: pairTopic, Leader: 1})
	x.settle()
	p := x.partition(2)
	if p.log.LogEnd() != 2 || p.mu.following.state != halted || !strings.Contains(x.logged[2].String(), "replica halted") {
		t.Errorf("the follower ends at %d, is %s, and says %q", p.log.LogEnd(), p.mu.following.state, x.logged[2].String())
	}
}

// Who is behind for too long leaves the ISR, and comes back when it has caught up.
func TestLagOfAFollower(t *testing.T) {
	x := newPair(t)
	x.connect()
	x.settle()
	x.tables[1].Tick(1000)
	x.append(10)
	x.tables[1].Tick(1000 + 30_000)
	if len(x.changes) != 0 {
		t.Fatalf("too early, the leader asks for %+v", x.changes[0])
	}
	x.tables[1].Tick(1001 + 30_000)
	if len(x.changes) != 1 || !slices.Equal(x.changes[0].ISR, []Member{{1, -1}}) {
		t.Fatalf("the leader asks for %+v", x.changes)
	}
	x.apply(meta.PartitionChangeRecord{TopicID: pairTopic, Leader: meta.LeaderUnchanged, ISR: []int32{1}})
	x.settle()
	if len(x.changes) != 2 || !slices.Equal(x.changes[1].ISR, []Member{{1, -1}, {2, 5}}) {
		t.Errorf("the leader asks for %+v", x.changes)
	}
}
