package broker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// faultyFS is a file system whose syncs fail, wait, or find no space, for files whose path has a given word in it.
type faultyFS struct {
	vfs.FS
	word      string
	failSync  atomic.Bool
	fullSync  atomic.Bool
	noSpace   atomic.Bool
	gate      atomic.Pointer[chan struct{}] // syncs wait until it is closed
	cold      atomic.Bool                   // no page of a mapping is in memory until it is read with ReadAt
	asked     atomic.Pointer[func()]        // called once, at the next question whether a page is in memory
	reads     atomic.Int64
	questions atomic.Int64 // whether pages are in memory
	syncs     atomic.Int64
	heldSyncs atomic.Int64
}

type faultyFile struct {
	vfs.File
	fs *faultyFS
}

func (f *faultyFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.Contains(name, f.word) {
		return file, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faultyFile) Sync() error {
	f.fs.syncs.Add(1)
	if gate := f.fs.gate.Load(); gate != nil {
		f.fs.heldSyncs.Add(1)
		<-*gate
	}
	if f.fs.failSync.Load() {
		return errors.New("injected: EIO")
	}
	if f.fs.fullSync.Load() {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.Sync()
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.fs.reads.Add(int64(n))
	return n, err
}

func (f *faultyFile) Map(n int64, o vfs.MapOptions) (vfs.Mapping, error) {
	m, err := f.File.Map(n, o)
	return &faultyMapping{m, f.fs}, err
}

type faultyMapping struct {
	vfs.Mapping
	fs *faultyFS
}

func (m *faultyMapping) Resident(off, n int) bool {
	m.fs.questions.Add(1)
	if f := m.fs.asked.Swap(nil); f != nil {
		(*f)()
	}
	return !m.fs.cold.Load() && m.Mapping.Resident(off, n)
}

func (f *faultyFile) Allocate(off, n int64) error {
	if f.fs.noSpace.Load() {
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.Allocate(off, n)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fs.noSpace.Load() {
		return 0, &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(p, off)
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// DESIGN D8: one failed sync and nothing in the directory is promised any more: those who wait are told, and those who come later.
func TestAFailedFlushIsToldToAllWhoWait(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 2)
	c := dial(t, n)
	fill(c, "t", 0, "good")
	fill(c, "t", 1, "good")

	gate := make(chan struct{})
	fs.gate.Store(&gate)
	fs.failSync.Store(true)
	var correlations []int32
	const waiting = 5
	for range waiting {
		correlations = append(correlations, c.send(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "lost"))))
	}
	await(t, "all appended", func() bool { return n.table.Lookup("t", 0).Log().LogEnd() == 1+waiting })
	if got := n.table.Lookup("t", 0).HighWatermark(); got != 1 {
		t.Fatalf("high watermark %d before the flush", got)
	}
	close(gate)
	for _, correlation := range correlations {
		resp := kmsg.NewPtrProduceResponse()
		c.receive(resp, 9, correlation)
		wantCode(t, resp.Topics[0].Partitions[0].ErrorCode, wire.KafkaStorageError)
	}
	fs.failSync.Store(false) // the next sync of a failed file succeeds, and means nothing
	for partition := range int32(2) {
		got := c.produce(produceRequest(9, -1, "t", id, partition, batchOf(t, record.None, "late")))
		wantCode(t, got.ErrorCode, wire.KafkaStorageError)
	}
	n.Kill() // a clean stop has nothing to flush to
}

// The flush may be faster than the append that asked for it: its error is not lost on the way back up.
func TestAFlushThatFailsBeforeTheAppendReturns(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "good")
	n.workers.flush.stop() // from now on a flush runs within the append
	fs.failSync.Store(true)
	got := c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "lost")))
	wantCode(t, got.ErrorCode, wire.KafkaStorageError)
	n.Kill() // a clean stop has nothing to flush to
}

// A topic that is deleted between the read of its records and the look-up of its aborted transactions is an error of that partition: its
// records do not go into the answer, and those of other partitions stay where they belong.
func TestTopicDeletedInTheMiddleOfAFetch(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	createTopic(t, n, "t", 1)
	createTopic(t, n, "u", 1)
	fill(dial(t, n), "t", 0, "of t")
	fill(dial(t, n), "u", 0, "of u")
	stopNode(t, n)
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n = tryStart(t, Options{DataDir: dir, FS: fs}) // what was written before the start is asked for
	c := dial(t, n)
	wantValues(t, c.fetch(fetchRequest(12, "t", wire.UUID{}, 0, 0)), "of t")
	wantValues(t, c.fetch(fetchRequest(12, "u", wire.UUID{}, 0, 0)), "of u")
	deleted := func() {
		deleteTopic(t, n, "t")
		n.workers.files.wait()
	}
	fs.asked.Store(&deleted)
	req := fetchRequest(12, "t", wire.UUID{}, 0, 0)
	req.IsolationLevel = 1
	req.Topics = append(req.Topics, topicWith("u", fetchPartition(0, 0)))
	resp := ask[*kmsg.FetchResponse](c, req)
	if fs.asked.Load() != nil {
		t.Fatal("nobody asked")
	}
	wantCode(t, resp.Topics[0].Partitions[0].ErrorCode, wire.UnknownTopicOrPartition)
	if got := len(resp.Topics[0].Partitions[0].RecordBatches); got > 0 {
		t.Errorf("%d bytes of records beside the error", got)
	}
	wantValues(t, resp.Topics[1].Partitions[0], "of u")
}

// Disk full: produce is refused with a clear error, fetch goes on, and produce goes on when there is room.
func TestDiskFullRefusesAndRecovers(t *testing.T) {
	for _, durability := range []string{"fsync", "os"} {
		t.Run(durability, func(t *testing.T) {
			fs := &faultyFS{FS: vfs.OS, word: "/t-"}
			n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
			id := createTopic(t, n, "t", 1, "millrace.durability", durability)
			c := dial(t, n)
			fill(c, "t", 0, "before")
			fs.noSpace.Store(true)
			var refused bool
			acknowledged := []string{"before"}
			large := strings.Repeat("x", 300_000)
			for i := 0; i < 400 && !refused; i++ {
				v := fmt.Sprint(i, large)
				switch got := c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, v))); wire.Code(got.ErrorCode) {
				case wire.None:
					acknowledged = append(acknowledged, v)
				case wire.KafkaStorageError:
					refused = true
					if got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, "full") {
						t.Errorf("message %v", got.ErrorMessage)
					}
				default:
					t.Fatalf("error %v", wire.Code(got.ErrorCode))
				}
			}
			if !refused {
				t.Fatal("a full disk took 120 MB")
			}
			wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), acknowledged[:fits(acknowledged)]...)
			fs.noSpace.Store(false)
			got := c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "after")))
			wantCode(t, got.ErrorCode, wire.None)
			if got.BaseOffset != int64(len(acknowledged)) {
				t.Errorf("base offset %d after %d acknowledged records", got.BaseOffset, len(acknowledged))
			}
			wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, got.BaseOffset)), "after")
		})
	}
}

// fits is how many of the values one fetch of 1 MiB returns whole.
func fits(values []string) int {
	size := 0
	for i, v := range values {
		if size += len(v) + 80; size > 1<<20 {
			return i
		}
	}
	return len(values)
}

// 2.4 #8: a producer that repeats a batch whose flush has failed without taking the directory offline hears of another flush; it does not
// wait until somebody else's append asks for one.
func TestRepeatedBatchIsFlushed(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "first")
	var b record.Builder
	b.Reset(record.BuildOptions{Idempotent: true, ProducerID: 7})
	b.Add(time.Now().UnixMilli(), nil, []byte("repeated"))
	batch, _, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	fs.fullSync.Store(true)
	for range 2 {
		wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batch)).ErrorCode, wire.KafkaStorageError)
	}
	n.Kill() // a clean stop cannot flush
}

// 2.4 #7: what is not acknowledged in time gets REQUEST_TIMED_OUT; the record stays.
func TestProduce7Timeout(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "first")
	gate := make(chan struct{})
	fs.gate.Store(&gate)
	req := produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "late"))
	req.TimeoutMillis = 50
	begin := time.Now()
	got := c.produce(req)
	wantCode(t, got.ErrorCode, wire.RequestTimedOut)
	if d := time.Since(begin); d < 50*time.Millisecond {
		t.Errorf("timed out after %v", d)
	}
	fs.gate.Store(nil)
	close(gate)
	fill(c, "t", 0, "next")
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), "first", "late", "next")
}

// D8, group commit: while one flush is under way all that is appended waits for the next one, and only for that.
func TestGroupCommit(t *testing.T) {
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	id := createTopic(t, n, "t", 1)
	first := dial(t, n)
	fill(first, "t", 0, "first")
	before := fs.syncs.Load()
	gate := make(chan struct{})
	fs.gate.Store(&gate)
	correlation := first.send(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "x")))
	await(t, "the flush", func() bool { return fs.heldSyncs.Load() == 1 })
	const others = 20
	clients := make([]*rawClient, others)
	correlations := make([]int32, others)
	for i := range clients {
		clients[i] = dial(t, n)
		correlations[i] = clients[i].send(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "y")))
	}
	log := n.table.Lookup("t", 0).Log()
	await(t, "all appended", func() bool { return log.LogEnd() == 2+others })
	if held := fs.heldSyncs.Load(); held != 1 {
		t.Errorf("%d syncs of one partition at once", held)
	}
	fs.gate.Store(nil)
	close(gate)
	resp := kmsg.NewPtrProduceResponse()
	first.receive(resp, 9, correlation)
	for i, c := range clients {
		c.receive(resp, 9, correlations[i])
		wantCode(t, resp.Topics[0].Partitions[0].ErrorCode, wire.None)
	}
	if syncs := fs.syncs.Load() - before; syncs != 2 {
		t.Errorf("%d syncs for %d requests", syncs, others+1)
	}
}

// D8: `replicated` flushes in the background within 50 ms, `os` does not for a few records.
func TestBackgroundFlushOfTheOtherModes(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "replicated", 1, "millrace.durability", "replicated")
	createTopic(t, n, "os", 1, "millrace.durability", "os")
	c := dial(t, n)
	fill(c, "os", 0, "a")
	fill(c, "replicated", 0, "a")
	await(t, "the background flush", func() bool { return n.table.Lookup("replicated", 0).Log().FlushedTo() == 1 })
	if got := n.table.Lookup("os", 0).Log().FlushedTo(); got != 0 {
		t.Errorf("os: flushed to %d", got)
	}
}

// D6, D7: what is not in memory is read by a worker before the kernel sends it, and comes as it was written. What was
// appended just now is taken to be in memory.
func TestColdRangesAreWarmedOffTheLoop(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Now().UnixMilli())
	fs := &faultyFS{FS: vfs.OS, word: "/t-"}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs, Now: clock.Load})
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	c := dial(t, n)
	large := strings.Repeat("0123456789", 10_000)
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprint(i, large))
	}
	fill(c, "t", 0, want...)
	fs.cold.Store(true)
	before := fs.reads.Load()
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), want...)
	if got := fs.reads.Load() - before; got > 64<<10 { // the look-up may read a little
		t.Errorf("%d bytes were read of what was appended just now", got)
	}
	clock.Add(120_000)
	before = fs.reads.Load()
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), want...)
	if got := fs.reads.Load() - before; got < int64(8*len(large)) {
		t.Errorf("%d bytes were warmed, of at least %d", got, 8*len(large))
	}
	// Look-ups by time go the same way.
	got := c.list(listRequest(7, "t", 0, 1))
	wantCode(t, got.ErrorCode, wire.None)
	if got.Offset != 0 {
		t.Errorf("the first record after the epoch is at %d", got.Offset)
	}
}

// Whether records of old are in memory is asked once for a slice, by who looks for its first batch: a question costs 20 us for each MiB.
func TestResidencyIsAskedOnce(t *testing.T) {
	dir := t.TempDir()
	n := startNodeIn(t, dir)
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	fill(dial(t, n), "t", 0, "a", "b", "c")
	stopNode(t, n)
	fs := &faultyFS{FS: vfs.OS, word: ".log"}
	n = tryStart(t, Options{DataDir: dir, FS: fs})
	c := dial(t, n)
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), "a", "b", "c") // opens the log
	before := fs.questions.Load()
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 1)), "b", "c")
	if got := fs.questions.Load() - before; got != 1 {
		t.Errorf("asked %d times", got)
	}
}
