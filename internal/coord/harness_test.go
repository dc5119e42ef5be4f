package coord

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/group"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// patience bounds every wait of these tests; nothing waits for it when all is well.
const patience = 20 * time.Second

// world is one broker's offsets topic on a disk in memory, and the groups on it. Flushes run at once, or when they are told to.
type world struct {
	t      testing.TB
	disk   *vfs.Mem
	full   atomic.Bool // no space on the disk
	late   atomic.Bool // which shows only when files are synced
	dir    *engine.Dir
	table  *replica.Table
	image  *meta.Image
	index  int64
	groups *Groups
	now    atomic.Int64
	jobs   sync.WaitGroup
	asked  atomic.Int64
	reads  atomic.Pointer[chan struct{}] // reads of the topic's logs wait for it
	slow   bool                          // no task is quick; otherwise every second one is

	mu      sync.Mutex
	hold    bool
	flushes []func() // held
}

var offsetsTopicID = wire.UUID{6: 0x40, 8: 0x80, 15: 7}

func newWorld(t testing.TB, partitions int) *world {
	w := &world{t: t, disk: vfs.NewMem()}
	w.now.Store(1_700_000_000_000)
	w.open(partitions)
	t.Cleanup(func() { w.close(false) })
	return w
}

// fullFS refuses what needs space while the world's disk is full.
type fullFS struct {
	vfs.FS
	w *world
}

type fullFile struct {
	vfs.File
	w *world
}

func (f fullFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.Contains(name, Topic) {
		return file, err
	}
	return fullFile{file, f.w}, nil
}

func (f fullFile) Allocate(off, n int64) error {
	if f.w.full.Load() {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.Allocate(off, n)
}

func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	if f.w.full.Load() {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(p, off)
}

func (f fullFile) ReadAt(p []byte, off int64) (int, error) {
	if gate := f.w.reads.Load(); gate != nil && strings.HasSuffix(f.Name(), ".log") {
		<-*gate
	}
	return f.File.ReadAt(p, off)
}

func (f fullFile) Sync() error {
	if f.w.late.Load() {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.Sync()
}

// open starts the broker's rooms on the disk as it is.
func (w *world) open(partitions int) {
	var err error
	w.dir, err = engine.OpenDir(engine.DirOptions{FS: fullFS{w.disk, w}, Path: "/d", Go: w.work, NodeID: 1, Rand: func() uint64 { return 4 }})
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := config.Load("", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.table = replica.NewTable(replica.Options{
		Dir: w.dir, NodeID: 1, Config: c.TopicConfig, Go: w.work, Log: slog.New(slog.DiscardHandler),
		Flush: replica.NewFlusher(replica.FlusherOptions{Go: w.flush, Later: w.work}),
	})
	w.image, w.index = meta.Empty(), 0
	rs := append(meta.Bootstrap("coord"), meta.BrokerRegistrationRecord{Broker: meta.Broker{ID: 1}}, meta.TopicRecord{Name: Topic, ID: offsetsTopicID})
	for i := range partitions {
		rs = append(rs, meta.PartitionRecord{TopicID: offsetsTopicID, Number: int32(i), Partition: meta.Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
	}
	w.apply(rs...)
	ids := 0
	w.groups = New(Options{
		Table: w.table, Now: w.now.Load,
		Group: group.Options{InitialRebalanceDelayMs: -1, NewID: func() string { ids++; return fmt.Sprintf("%036d", ids) }},
	})
}

func (w *world) apply(rs ...meta.Record) {
	w.t.Helper()
	im, err := w.image.Apply(rs, w.index)
	if err != nil {
		w.t.Fatal(err)
	}
	w.index += int64(len(rs))
	w.table.Apply(w.image, im)
	w.image = im
}

func (w *world) work(job func()) {
	w.jobs.Go(job)
}

func (w *world) flush(job func()) {
	w.mu.Lock()
	hold := w.hold
	if hold {
		w.flushes = append(w.flushes, job)
	}
	w.mu.Unlock()
	if !hold {
		w.work(job)
	}
}

// holdFlushes keeps flushes from running until the func it returns is called.
func (w *world) holdFlushes() (release func()) {
	w.mu.Lock()
	w.hold = true
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		jobs := w.flushes
		w.hold, w.flushes = false, nil
		w.mu.Unlock()
		for _, job := range jobs {
			w.work(job)
		}
	}
}

func (w *world) close(clean bool) {
	if w.dir == nil {
		return
	}
	w.groups.Stop()
	w.jobs.Wait()
	if err := w.dir.Close(clean); err != nil && clean {
		w.t.Error(err)
	}
	w.dir = nil
}

// restart stops in order, or as a crash does, and starts again.
func (w *world) restart(partitions int, clean bool) {
	w.close(clean)
	w.open(partitions)
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// result is what became of a task.
type result struct {
	done chan struct{}
	code wire.Code
}

func (r *result) wait(t testing.TB) wire.Code {
	t.Helper()
	select {
	case <-r.done:
		return r.code
	case <-time.After(patience):
		t.Fatal("no answer")
		return 0
	}
}

func (r *result) answered() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// ask submits a task that is ready once it is decided.
func (w *world) ask(groupID string, decide func(s *group.Shard, now int64)) *result {
	r := &result{done: make(chan struct{})}
	t := &Task{Answer: func(code wire.Code) { r.code = code; close(r.done) }, Quick: w.asked.Add(1)%2 == 0 && !w.slow}
	t.Decide = func(s *group.Shard, now int64) {
		decide(s, now)
		t.Ready()
	}
	w.groups.Submit(groupID, t)
	return r
}

// commit stores one offset of topic t, partition 0.
func (w *world) commit(groupID string, offset int64) *result {
	return w.ask(groupID, func(s *group.Shard, now int64) {
		r := &group.CommitRequest{Group: groupID, Generation: -1, RetentionMs: -1, Topics: []group.CommitTopic{{Name: "t",
			Partitions: []group.CommitPartition{{Offset: offset, LeaderEpoch: -1}}}}}
		if code := s.Commit(now, r); code != wire.None || r.Topics[0].Partitions[0].Code != wire.None {
			w.t.Errorf("commit of %s: %v, %v", groupID, code, r.Topics[0].Partitions[0].Code)
		}
	})
}

// committed is the offset a group has stored, asking until its shard answers.
func (w *world) committed(groupID string) (offset int64) {
	w.t.Helper()
	w.await("the offset of "+groupID, func() bool {
		r := w.ask(groupID, func(s *group.Shard, now int64) {
			got := s.FetchOffsets(now, &group.FetchRequest{Group: groupID, Topics: []group.FetchTopic{{Name: "t", Partitions: []int32{0}}}})
			offset = got.Topics[0].Partitions[0].Offset
		})
		return r.wait(w.t) == wire.None
	})
	return offset
}

// join asks for membership in version 0, whose new members need not come back with their id.
func (w *world) join(groupID, member string, got **group.JoinResponse) *result {
	r := &result{done: make(chan struct{})}
	t := &Task{Answer: func(code wire.Code) { r.code = code; close(r.done) }}
	t.Decide = func(s *group.Shard, now int64) {
		s.Join(now, &group.JoinRequest{Group: groupID, Member: member, ClientID: "c", ClientHost: "/h", SessionTimeoutMs: 30_000, RebalanceTimeoutMs: 60_000,
			ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range", Metadata: []byte{0}}}}, func(resp *group.JoinResponse) {
			*got = resp
			t.Ready()
		})
	}
	w.groups.Submit(groupID, t)
	return r
}

// batches reads the batches of a partition's log.
func (w *world) batches(partition int32) (all []record.Batch) {
	w.t.Helper()
	p := w.table.Lookup(Topic, partition)
	for offset := p.Log().LogStart(); offset < p.HighWatermark(); {
		var r replica.ReadResult
		err := p.Read(&replica.ReadOptions{Offset: offset, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20, MinOne: true, Block: true}, &r)
		if errors.Is(err, replica.ErrWait) {
			ready := make(chan struct{})
			p.WhenReady(func() { close(ready) })
			<-ready
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		buf := make([]byte, r.Slice.Length)
		if _, err := r.Slice.ReadAt(buf, 0); err != nil && err != io.EOF {
			w.t.Fatal(err)
		}
		r.Slice.Release()
		for len(buf) > 0 {
			var b record.Batch
			if b, buf, err = record.Next(buf); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, b)
			offset = b.NextOffset()
		}
	}
	return all
}
