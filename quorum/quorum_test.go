package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// node is a directory and the quorum in it.
type node struct {
	t    testing.TB
	fs   *vfs.Mem
	dir  *engine.Dir
	q    *Quorum
	jobs *jobs
	rand meta.Rand
	log  strings.Builder

	mu     sync.Mutex
	images []*meta.Image // what OnImage was told, in its order
	fatal  []error
}

// jobs runs the engine's background work, each job on a goroutine, and waits for all.
type jobs struct{ sync.WaitGroup }

func (j *jobs) run(job func()) {
	j.Add(1)
	go func() {
		defer j.Done()
		job()
	}()
}

const dataDir = "data"

// boots counts the systems booted: after a power cut there is another one, and what its page cache held is gone.
var boots atomic.Int64

// start opens the directory of a file system on a system just booted. Options that matter here are those of the snapshots.
func start(t testing.TB, fs *vfs.Mem, o Options) (*node, error) {
	t.Helper()
	return startBooted(t, fs, boots.Add(1), o)
}

func startBooted(t testing.TB, fs *vfs.Mem, boot int64, o Options) (*node, error) {
	t.Helper()
	n := &node{t: t, fs: fs, jobs: &jobs{}, rand: rand.New(rand.NewPCG(uint64(len(t.Name())), 8)).Uint64}
	logger := slog.New(slog.NewTextHandler(&lockedWriter{w: &n.log}, nil))
	dir, err := engine.OpenDir(engine.DirOptions{FS: fs, Path: dataDir, Go: n.jobs.run, NodeID: 1, BootID: fmt.Sprint("boot-", boot), Rand: n.rand})
	if err != nil {
		return nil, err
	}
	n.dir = dir
	o.Dir, o.FS, o.Path, o.Log = dir, fs, dataDir, logger
	o.Now = func() int64 { return 1_700_000_000_000 }
	o.OnImage = func(old, new *meta.Image) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.images) > 0 && n.images[len(n.images)-1] != old {
			t.Errorf("OnImage goes from an image nobody was told of")
		}
		n.images = append(n.images, new)
	}
	o.Fatal = func(err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.fatal = append(n.fatal, err)
	}
	n.q, err = Open(o)
	if err != nil {
		n.jobs.Wait()
		return nil, errors.Join(err, dir.Close(false))
	}
	return n, nil
}

type lockedWriter struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

func mustStart(t testing.TB, fs *vfs.Mem, o Options) *node {
	t.Helper()
	n, err := start(t, fs, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) stop(clean bool) {
	n.t.Helper()
	if err := n.q.Close(); err != nil {
		n.t.Error(err)
	}
	n.jobs.Wait()
	if err := n.dir.Close(clean); err != nil && clean {
		n.t.Error(err)
	}
}

// propose proposes and waits.
func (n *node) propose(decide func(im *meta.Image, now int64) ([]meta.Record, error)) (*meta.Image, error) {
	type result struct {
		im  *meta.Image
		err error
	}
	done := make(chan result, 1)
	n.q.Propose(decide, func(im *meta.Image, err error) { done <- result{im, err} })
	r := <-done
	return r.im, r.err
}

func (n *node) found() {
	n.t.Helper()
	_, err := n.propose(func(im *meta.Image, now int64) ([]meta.Record, error) {
		if im.ClusterID() != "" {
			return nil, nil
		}
		rs, err := meta.RegisterBroker(im, meta.Broker{ID: 1, Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Port: 9092}}})
		return append(meta.Bootstrap(n.dir.ClusterID()), rs...), err
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) createTopic(name string, partitions int32) func(im *meta.Image, now int64) ([]meta.Record, error) {
	return func(im *meta.Image, now int64) ([]meta.Record, error) {
		rs, results := meta.CreateTopics(im, []meta.NewTopic{{Name: name, Partitions: partitions, ReplicationFactor: 1}}, &meta.Rules{}, n.rand)
		if results[0].Code != wire.None {
			return nil, results[0].Code
		}
		return rs, nil
	}
}

// syncs counts the fdatasyncs of segment files.
func syncs(fs *vfs.Mem) *atomic.Int64 {
	var n atomic.Int64
	fs.SetHook(func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// What has queued up while a flush was under way shares the next one, in the order it came.
func TestProposalsShareAFlush(t *testing.T) {
	fs := vfs.NewMem()
	n := mustStart(t, fs, Options{})
	defer n.stop(true)
	n.found()
	count := syncs(fs)
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var order []string
	propose := func(name string, before func()) {
		wg.Add(1)
		n.q.Propose(func(im *meta.Image, now int64) ([]meta.Record, error) {
			before()
			return n.createTopic(name, 1)(im, now)
		}, func(im *meta.Image, err error) {
			if err != nil || im.TopicByName(name) == nil || n.q.Image().TopicByName(name) == nil {
				t.Errorf("%s is not there when its answer comes: %v", name, err)
			}
			order = append(order, name)
			wg.Done()
		})
	}
	propose("first", func() { close(entered); <-release })
	<-entered
	var want []string
	for i := range 100 {
		name := fmt.Sprintf("t%02d", i)
		propose(name, func() {})
		want = append(want, name)
	}
	close(release)
	wg.Wait()
	// The log may sync once more on its own account, for space it has allocated.
	if got := count.Load(); got > 4 {
		t.Errorf("%d flushes for 101 proposals, of which 100 had queued", got)
	}
	if !slices.Equal(order[1:], want) {
		t.Errorf("answered out of order: %v", order)
	}
	if len(n.images) != 3 {
		t.Errorf("%d images were published, want one of the founding and two", len(n.images))
	}
}

// A decision sees what the one before it decided, though neither is durable yet.
func TestDecisionsBuildOnEachOther(t *testing.T) {
	n := mustStart(t, vfs.NewMem(), Options{})
	defer n.stop(true)
	n.found()
	entered, release := make(chan struct{}), make(chan struct{})
	n.q.Propose(func(im *meta.Image, now int64) ([]meta.Record, error) { close(entered); <-release; return nil, nil }, func(*meta.Image, error) {})
	<-entered
	results := make(chan error, 3)
	for range 3 {
		n.q.Propose(n.createTopic("same", 1), func(_ *meta.Image, err error) { results <- err })
	}
	close(release)
	if err := <-results; err != nil {
		t.Errorf("the first: %v", err)
	}
	for range 2 {
		if err := <-results; err != wire.TopicAlreadyExists {
			t.Errorf("a second: %v", err)
		}
	}
}

func TestRefusedAndEmptyDecisionsChangeNothing(t *testing.T) {
	fs := vfs.NewMem()
	n := mustStart(t, fs, Options{})
	defer n.stop(true)
	n.found()
	before, count := n.q.Image(), syncs(fs)
	refused := errors.New("refused")
	for name, decide := range map[string]func(*meta.Image, int64) ([]meta.Record, error){
		"refused":     func(*meta.Image, int64) ([]meta.Record, error) { return nil, refused },
		"with reason": func(*meta.Image, int64) ([]meta.Record, error) { return meta.Bootstrap("x"), refused },
	} {
		if _, err := n.propose(decide); err != refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := n.propose(func(*meta.Image, int64) ([]meta.Record, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	// Records that cannot follow are a mistake of the controller's; they must not reach the log.
	if _, err := n.propose(func(*meta.Image, int64) ([]meta.Record, error) {
		return []meta.Record{meta.RemoveTopicRecord{ID: wire.UUID{5}}}, nil
	}); err == nil {
		t.Error("an impossible record was accepted")
	}
	if _, err := n.propose(func(*meta.Image, int64) ([]meta.Record, error) {
		huge := strings.Repeat("x", 1<<20)
		var rs []meta.Record
		for i := range 17 {
			rs = append(rs, meta.ConfigRecord{Resource: meta.Resource{Type: meta.BrokerResource}, Name: fmt.Sprint(i), Value: huge})
		}
		return rs, nil
	}); err != ErrTooLarge {
		t.Errorf("17 MiB in one decision: %v", err)
	}
	if n.q.Image() != before || count.Load() != 0 {
		t.Errorf("the image changed, or %d flushes were made", count.Load())
	}
	if _, err := n.propose(n.createTopic("after", 1)); err != nil {
		t.Errorf("the log takes no more: %v", err)
	}
}

// Whatever is answered is there after a power cut, whatever of the rest survives; and nothing is there in part.
func TestAnsweredProposalsSurviveCrashes(t *testing.T) {
	for _, o := range []Options{{}, {SnapshotRecords: 7, SnapshotBytes: 1 << 30}} {
		name := fmt.Sprintf("snapshot every %d", o.SnapshotRecords)
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(o.SnapshotRecords)))
			n := mustStart(t, vfs.NewMem(), o)
			defer n.stop(true)
			n.found()
			known := map[uint64]int64{n.q.Image().Hash(): n.q.Image().Index()}
			for i := range 60 {
				if i%5 == 4 {
					n.propose(func(im *meta.Image, _ int64) ([]meta.Record, error) {
						rs, _ := meta.DeleteTopics(im, []meta.TopicRef{{Name: fmt.Sprintf("t%d", i-2), Named: true}})
						return rs, nil
					})
				} else if _, err := n.propose(n.createTopic(fmt.Sprintf("t%d", i), 1+r.Int32N(5))); err != nil {
					t.Fatal(err)
				}
				im := n.q.Image()
				known[im.Hash()] = im.Index()
				percent := []int{0, 50, 100}[i%3]
				crashed := mustStart(t, n.fs.CrashClone(r, percent), o)
				back := crashed.q.Image()
				if back.Hash() != im.Hash() {
					t.Fatalf("step %d, %d %% of the rest kept: offset %d came back, %d was answered\n%s\n%s", i, percent, back.Index(), im.Index(), back, im)
				}
				if _, err := crashed.propose(crashed.createTopic("after-the-crash", 1)); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				crashed.stop(false)
			}
		})
	}
}

// Cuts come at any moment, also in the middle of a group, a snapshot, a roll: what had been answered before the cut is there, in the
// state of some moment of the history.
func TestCrashesAtAnyMoment(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	o := Options{SnapshotRecords: 10, SnapshotBytes: 1 << 30}
	n := mustStart(t, vfs.NewMem(), o)
	n.found()
	var answered atomic.Int64 // index of the newest image that anybody was told of
	var mu sync.Mutex
	hashes := map[int64]uint64{}
	n.q.options.OnImage = nil // set below, before any proposal
	n.q.options.OnImage = func(_, im *meta.Image) {
		mu.Lock()
		hashes[im.Index()] = im.Hash()
		mu.Unlock()
	}
	first := n.q.Image()
	hashes[first.Index()] = first.Hash()
	answered.Store(first.Index())
	const proposals = 400
	var wg sync.WaitGroup
	wg.Add(proposals)
	go func() {
		for i := range proposals {
			n.q.Propose(n.createTopic(fmt.Sprintf("t%d", i), 1), func(im *meta.Image, err error) {
				if err != nil {
					t.Error(err)
				}
				answered.Store(im.Index())
				wg.Done()
			})
		}
	}()
	type cut struct {
		fs    *vfs.Mem
		floor int64
	}
	var cuts []cut
	for range 40 {
		floor := answered.Load()
		cuts = append(cuts, cut{n.fs.CrashClone(r, []int{0, 30, 70, 100}[r.IntN(4)]), floor})
	}
	wg.Wait()
	n.stop(true)
	cuts = append(cuts, cut{n.fs.CrashClone(r, 0), n.q.Image().Index()})
	for i, c := range cuts {
		back := mustStart(t, c.fs, o)
		im := back.q.Image()
		if im.Index() < c.floor {
			t.Errorf("cut %d: offset %d was answered, %d came back", i, c.floor, im.Index())
		}
		// A cut may keep a batch of a group whose flush had not ended: then the image is one that was decided but never published.
		if want, ok := hashes[im.Index()]; ok && want != im.Hash() {
			t.Errorf("cut %d: offset %d came back as another image", i, im.Index())
		}
		back.stop(false)
	}
}

// Two snapshots are kept, the log from the older one on; each of them with the log makes the same image.
func TestSnapshotsBoundTheLog(t *testing.T) {
	fs := vfs.NewMem()
	o := Options{SnapshotRecords: 50, SnapshotBytes: 1 << 30}
	n := mustStart(t, fs, o)
	n.found()
	for i := range 300 {
		if _, err := n.propose(n.createTopic(fmt.Sprintf("t%d", i), 1)); err != nil {
			t.Fatal(err)
		}
		if i%40 == 20 {
			if err := n.q.voter.disk.log.Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := n.q.Image()
	n.stop(true)
	list, err := n.q.voter.disk.store.list()
	if err != nil || len(list) != snapshotsKept {
		t.Fatalf("snapshots %v, %v; %s", list, err, n.log.String())
	}
	names := []string{list[0].String(), list[1].String()}
	if start := n.q.voter.disk.log.LogStart(); start != list[1].next {
		t.Errorf("the log begins at %d, the older snapshot ends at %d", start, list[1].next)
	}
	entries, err := fs.ReadDir(folder(dataDir))
	if err != nil {
		t.Fatal(err)
	}
	below := 0
	for _, e := range entries {
		var base int64
		if _, err := fmt.Sscanf(e.Name(), "%020d.log", &base); err == nil && strings.HasSuffix(e.Name(), ".log") && base <= list[1].next {
			below++
		}
	}
	if below != 1 {
		t.Errorf("%d segments begin at or below the log's start, which one holds", below)
	}
	reopen := func(fs *vfs.Mem) (*node, error) {
		n, err := start(t, fs, o)
		if err == nil {
			if n.q.Image().Hash() != want.Hash() {
				t.Errorf("another image came back:\n%s\n%s", n.q.Image(), want)
			}
			n.stop(true)
		}
		return n, err
	}
	if _, err := reopen(clone(fs)); err != nil {
		t.Fatal(err)
	}
	newest, oldest := filepath.Join(folder(dataDir), names[0]), filepath.Join(folder(dataDir), names[1])

	damaged := clone(fs)
	flip(t, damaged, newest)
	if n, err := reopen(damaged); err != nil {
		t.Errorf("with one snapshot damaged: %v", err)
	} else if !strings.Contains(n.log.String(), names[0]) {
		t.Errorf("nobody was told of the damage: %q", n.log.String())
	}

	gone := clone(fs)
	if err := gone.Remove(newest); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(gone); err != nil {
		t.Errorf("with the newest snapshot gone: %v", err)
	}

	flip(t, damaged, oldest)
	if _, err := reopen(damaged); err == nil {
		t.Error("with both snapshots damaged an image came up")
	} else if !strings.Contains(err.Error(), names[0]) || !strings.Contains(err.Error(), names[1]) || !strings.Contains(err.Error(), "there is no snapshot") {
		t.Errorf("the error does not name both snapshots: %v", err)
	}
}

// A snapshot half written is removed, and one that cannot be written costs nothing.
func TestSnapshotsFailSoftly(t *testing.T) {
	fs := vfs.NewMem()
	o := Options{SnapshotRecords: 5, SnapshotBytes: 1 << 30}
	n := mustStart(t, fs, o)
	n.found()
	fs.SetHook(func(op, name string) error {
		if op == "rename" && strings.Contains(name, snapshotSuffix) {
			return errors.New("injected")
		}
		return nil
	})
	for i := range 40 {
		if _, err := n.propose(n.createTopic(fmt.Sprintf("t%d", i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	want := n.q.Image().Hash()
	n.stop(true)
	if !strings.Contains(n.log.String(), "injected") {
		t.Errorf("nobody was told: %q", n.log.String())
	}
	fs.SetHook(nil)
	n = mustStart(t, fs, o)
	defer n.stop(true)
	if n.q.Image().Hash() != want {
		t.Error("another image came back")
	}
	entries, err := fs.ReadDir(folder(dataDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partSuffix) {
			t.Errorf("%s was left", e.Name())
		}
	}
}

// One failed flush ends it: nothing of the group is answered as done, nothing is tried again, the process is told to end.
func TestAFailedFlushIsFatal(t *testing.T) {
	fs := vfs.NewMem()
	n := mustStart(t, fs, Options{})
	n.found()
	before := n.q.Image()
	injected := errors.New("injected")
	var failed atomic.Bool
	fs.SetHook(func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".log") && failed.CompareAndSwap(false, true) {
			return injected // and the next would succeed, as after a real one
		}
		return nil
	})
	if _, err := n.propose(n.createTopic("lost", 1)); err == nil {
		t.Error("a proposal whose flush failed was answered as done")
	}
	if _, err := n.propose(n.createTopic("later", 1)); err == nil {
		t.Error("the log went on after a failed flush")
	}
	if n.q.Image() != before {
		t.Error("an image was published that is not durable")
	}
	n.stop(false)
	if len(n.fatal) != 1 {
		t.Errorf("Fatal was called %d times: %v", len(n.fatal), n.fatal)
	}
}

// A full disk refuses what it cannot hold; with room again it goes on.
func TestAFullDiskIsNotFatal(t *testing.T) {
	fs := vfs.NewMem()
	n := mustStart(t, fs, Options{})
	n.found()
	fs.SetCapacity(1)
	// Space is allocated ahead, so it takes a while until the disk's being full is noticed.
	var full error
	for i := 0; full == nil && i < 2000; i++ {
		_, full = n.propose(n.createTopic(fmt.Sprintf("t%d", i), 50))
	}
	if !errors.Is(full, engine.ErrDiskFull) {
		t.Fatalf("on a full disk: %v", full)
	}
	before := n.q.Image()
	fs.SetCapacity(0)
	if _, err := n.propose(n.createTopic("again", 1)); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if len(n.fatal) > 0 {
		t.Errorf("it was fatal: %v", n.fatal)
	}
	want := n.q.Image()
	if want.TopicCount() != before.TopicCount()+1 {
		t.Errorf("%d topics, %d before", want.TopicCount(), before.TopicCount())
	}
	n.stop(true)
	n = mustStart(t, fs, Options{})
	defer n.stop(true)
	if n.q.Image().Hash() != want.Hash() {
		t.Error("another image came back")
	}
}

func TestCloseAnswersWhatIsQueued(t *testing.T) {
	n := mustStart(t, vfs.NewMem(), Options{})
	n.found()
	entered, release := make(chan struct{}), make(chan struct{})
	var answers atomic.Int64
	n.q.Propose(func(*meta.Image, int64) ([]meta.Record, error) { close(entered); <-release; return nil, nil },
		func(*meta.Image, error) { answers.Add(1) })
	<-entered
	for i := range 10 {
		n.q.Propose(n.createTopic(fmt.Sprintf("t%d", i), 1), func(_ *meta.Image, err error) {
			if err != nil {
				t.Error(err)
			}
			answers.Add(1)
		})
	}
	closed := make(chan struct{})
	go func() {
		n.stop(true)
		close(closed)
	}()
	close(release)
	<-closed
	if answers.Load() != 11 {
		t.Errorf("%d of 11 answers", answers.Load())
	}
	if _, err := n.propose(n.createTopic("late", 1)); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// A metadata log that was copied from another cluster's directory is noticed.
func TestAnotherClustersLogIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	n := mustStart(t, fs, Options{})
	if _, err := n.propose(func(*meta.Image, int64) ([]meta.Record, error) { return meta.Bootstrap("another"), nil }); err != nil {
		t.Fatal(err)
	}
	n.stop(true)
	if n, err := start(t, fs, Options{}); err == nil {
		n.stop(true)
		t.Error("it was opened")
	} else if !strings.Contains(err.Error(), "another") {
		t.Errorf("the error does not name the cluster: %v", err)
	}
}

// A directory of Kafka's is refused for what it is, by its log and by its snapshot.
func TestKafkasDirectoryIsRefused(t *testing.T) {
	_, control := record.AppendControl(nil, record.Marker{Timestamp: 1}) // stands for the batch a new leader begins with
	folderOf := func(fs *vfs.Mem) string {
		n := mustStart(t, fs, Options{})
		n.stop(true)
		return folder(dataDir)
	}
	write := func(fs *vfs.Mem, name string) {
		if err := fs.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fs.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(control, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"00000000000000000000.log", "00000000000000000007-0000000002.checkpoint"} {
		fs := vfs.NewMem()
		write(fs, filepath.Join(folderOf(fs), file))
		if n, err := start(t, fs, Options{}); !errors.Is(err, ErrKafka) {
			t.Errorf("%s: %v", file, err)
			if n != nil {
				n.stop(true)
			}
		}
	}
}

func TestSnapshotNames(t *testing.T) {
	if name := (snapshotName{12345, 7}).String(); name != "00000000000000012345-0000000007.checkpoint" {
		t.Error(name)
	}
	for name, want := range map[string]int64{
		"00000000000000012345-0000000007.checkpoint":      12345,
		"00000000000000012345-0000000007.checkpoint.part": 0,
		"00000000000000000000-0000000001.checkpoint":      0,
		"leader-epoch-checkpoint":                         0,
		"00000000000000000000.log":                        0,
		"x.checkpoint":                                    0,
	} {
		n, ok := parseSnapshotName(name)
		if ok != (want > 0) || ok && n.next != want || ok && n.String() != name {
			t.Errorf("%s: %v %t", name, n, ok)
		}
	}
}

// clone copies a file system as it is.
func clone(fs *vfs.Mem) *vfs.Mem { return fs.CrashClone(rand.New(rand.NewPCG(0, 0)), 100) }

func flip(t *testing.T, fs *vfs.Mem, name string) {
	t.Helper()
	f, err := fs.OpenFile(name, 2 /* os.O_RDWR */, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], 100); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], 100); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkOpen10000Partitions is a start of a broker with one topic of 10,000 partitions, on a real disk.
func BenchmarkOpen10000Partitions(b *testing.B) {
	var wait jobs
	path := b.TempDir()
	open := func() (*engine.Dir, *Quorum) {
		dir, err := engine.OpenDir(engine.DirOptions{FS: vfs.OS, Path: path, Go: wait.run, NodeID: 1, BootID: "boot"})
		if err != nil {
			b.Fatal(err)
		}
		q, err := Open(Options{Dir: dir, Path: path})
		if err != nil {
			b.Fatal(err)
		}
		return dir, q
	}
	end := func(dir *engine.Dir, q *Quorum) {
		if err := q.Close(); err != nil {
			b.Fatal(err)
		}
		wait.Wait()
		if err := dir.Close(true); err != nil {
			b.Fatal(err)
		}
	}
	dir, q := open()
	n := &node{t: b, q: q, dir: dir, rand: rand.New(rand.NewPCG(1, 1)).Uint64}
	n.found()
	if _, err := n.propose(n.createTopic("big", 10_000)); err != nil {
		b.Fatal(err)
	}
	end(dir, q)
	for b.Loop() {
		dir, q := open()
		if q.Image().PartitionCount() != 10_000 {
			b.Fatal(q.Image().PartitionCount())
		}
		b.StopTimer()
		end(dir, q)
		b.StartTimer()
	}
}

// BenchmarkPropose is one proposal at a time, on a real disk: an fdatasync each.
func BenchmarkPropose(b *testing.B) {
	var wait jobs
	path := b.TempDir()
	dir, err := engine.OpenDir(engine.DirOptions{FS: vfs.OS, Path: path, Go: wait.run, NodeID: 1, BootID: "boot"})
	if err != nil {
		b.Fatal(err)
	}
	q, err := Open(Options{Dir: dir, Path: path})
	if err != nil {
		b.Fatal(err)
	}
	n := &node{t: b, q: q, dir: dir, rand: rand.New(rand.NewPCG(1, 1)).Uint64}
	n.found()
	epoch := q.Image().Broker(1).Epoch
	for b.Loop() {
		if _, err := n.propose(func(im *meta.Image, _ int64) ([]meta.Record, error) {
			rs, _, err := meta.GrantProducerIDs(im, 1, epoch)
			return rs, err
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	_ = q.Close()
	wait.Wait()
	_ = dir.Close(true)
}
