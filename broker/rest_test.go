package broker

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// restFS counts the files with "/lazy-" in their path that are being written to the disk at once.
type restFS struct {
	vfs.FS
	gate               chan struct{} // each waits until it is closed
	syncs, writebacks  atomic.Int64
	running, mostAtOne atomic.Int64
}

type restFile struct {
	vfs.File
	fs *restFS
}

func (f *restFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if err != nil || !strings.Contains(name, "/lazy-") || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	return &restFile{file, f}, nil
}

func (f *restFS) enter() {
	now := f.running.Add(1)
	for most := f.mostAtOne.Load(); now > most && !f.mostAtOne.CompareAndSwap(most, now); most = f.mostAtOne.Load() {
	}
	<-f.gate
}

func (f *restFile) Sync() error {
	f.fs.enter()
	defer f.fs.running.Add(-1)
	f.fs.syncs.Add(1)
	return f.File.Sync()
}

func (f *restFile) StartWriteback(off, n int64) {
	f.fs.enter()
	defer f.fs.running.Add(-1)
	f.fs.writebacks.Add(1)
	f.File.StartWriteback(off, n)
}

// Partitions of an `os` topic that are written to alike are due for writeback and for a flush at the same moment. Nobody waits for that, so it is done
// one after the other; and those who do wait, of an fsync topic, do not wait for it.
func TestWhatNobodyWaitsForComesOneAtATime(t *testing.T) {
	fs := &restFS{FS: vfs.OS, gate: make(chan struct{})}
	n := tryStart(t, Options{DataDir: t.TempDir(), FS: fs})
	release := sync.OnceFunc(func() { close(fs.gate) })
	t.Cleanup(release)
	const partitions, bytes = 2, 25 << 20 // beyond the background flush's 24 MiB
	lazy := createTopic(t, n, "lazy", partitions, "millrace.durability", "os")
	safe := createTopic(t, n, "safe", 1, "millrace.durability", "fsync")
	c := dial(t, n)
	large := batchOf(t, record.None, strings.Repeat("x", 1_000_000))
	for range bytes / 1_000_000 {
		for partition := range int32(partitions) {
			wantCode(t, c.produce(produceRequest(9, 1, "lazy", lazy, partition, large)).ErrorCode, 0)
		}
	}
	rest := &n.workers.rest
	await(t, "a writeback and a flush of each partition, one begun and the others behind it", func() bool {
		rest.mu.Lock()
		defer rest.mu.Unlock()
		return fs.running.Load() == 1 && rest.n == 2*partitions-1
	})
	wantCode(t, c.produce(produceRequest(9, -1, "safe", safe, 0, batchOf(t, record.None, "waited for"))).ErrorCode, 0)
	release()
	rest.wait()
	if syncs, writebacks := fs.syncs.Load(), fs.writebacks.Load(); syncs != partitions || writebacks < partitions {
		t.Errorf("%d syncs and %d writebacks of %d partitions", syncs, writebacks, partitions)
	}
	if most := fs.mostAtOne.Load(); most != 1 {
		t.Errorf("%d at once", most)
	}
}
