package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

var testID = wire.UUID{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}

// world is a log directory whose background work runs when the test says so.
type world struct {
	t    testing.TB
	fs   vfs.FS
	path string
	boot string
	log  *slog.Logger
	d    *Dir
	now  int64

	mu   sync.Mutex
	jobs []func()
}

func newWorld(t testing.TB, fs vfs.FS, path string) *world {
	return &world{t: t, fs: fs, path: path, boot: "boot-1", now: 1_000_000}
}

func memWorld(t testing.TB) *world { return newWorld(t, vfs.NewMem(), "/data") }

func (w *world) run(job func()) {
	w.mu.Lock()
	w.jobs = append(w.jobs, job)
	w.mu.Unlock()
}

// step runs one job; false when there is none.
func (w *world) step() bool {
	w.mu.Lock()
	if len(w.jobs) == 0 {
		w.mu.Unlock()
		return false
	}
	job := w.jobs[0]
	w.jobs = w.jobs[1:]
	w.mu.Unlock()
	job()
	return true
}

func (w *world) pump() {
	for w.step() {
	}
}

func (w *world) options() DirOptions {
	r := rand.New(rand.NewPCG(1, 2))
	return DirOptions{FS: w.fs, Path: w.path, Go: w.run, BootID: w.boot, Rand: r.Uint64, Log: w.log, NodeID: 1}
}

func (w *world) open() *world {
	w.t.Helper()
	d, err := OpenDir(w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	w.d = d
	return w
}

// reopen starts again after a crash of the process: nothing is closed cleanly, the page cache stays.
func (w *world) kill() {
	w.t.Helper()
	w.jobs = nil
	_ = w.d.Close(false)
	w.pump()
}

func (w *world) close() {
	w.t.Helper()
	if err := w.d.Close(true); err != nil {
		w.t.Fatal("close:", err)
	}
	w.pump()
}

// eventually retries f while it needs background work.
func (w *world) eventually(f func() error) error {
	for range 100 {
		err := f()
		if !errors.Is(err, ErrWait) {
			return err
		}
		w.pump()
	}
	return fmt.Errorf("still waiting after 100 rounds")
}

func (w *world) append(l *Log, b record.Batch, epoch int32) (Appended, error) {
	var a Appended
	err := w.eventually(func() (err error) {
		a, err = l.Append(b, epoch, w.now)
		return err
	})
	return a, err
}

func (w *world) mustAppend(l *Log, b record.Batch, epoch int32) Appended {
	w.t.Helper()
	a, err := w.append(l, b, epoch)
	if err != nil {
		w.t.Fatalf("append: %v", err)
	}
	return a
}

func (w *world) flush(l *Log) int64 {
	w.t.Helper()
	to, err := l.Flush()
	if err != nil {
		w.t.Fatalf("flush: %v", err)
	}
	return to
}

// ready waits until the ends are known.
func (w *world) ready(l *Log) error { return w.eventually(l.Ready) }

// read returns the batches of [from, bound).
func (w *world) read(l *Log, from, bound int64) ([]record.Batch, error) {
	var list []record.Batch
	for from < bound {
		var s vfs.Slice
		err := w.eventually(func() (err error) {
			s, err = l.Read(from, bound, 1<<20, true, true)
			return err
		})
		if err != nil {
			return list, err
		}
		if s.Length == 0 {
			return list, nil
		}
		p := make([]byte, s.Length)
		_, err = s.ReadAt(p, 0)
		s.Release()
		if err != nil && err != io.EOF {
			return list, err
		}
		for len(p) > 0 {
			b, rest, err := record.Next(p)
			if err != nil {
				break // cut by maxBytes
			}
			if err := b.CheckHeader(); err != nil {
				return list, err
			}
			list, p = append(list, b), rest
			from = b.NextOffset()
		}
	}
	return list, nil
}

// dump prints the batches of a log: base-last/epoch.
func (w *world) dump(l *Log) string {
	list, err := w.read(l, l.LogStart(), l.LogEnd())
	var sb strings.Builder
	for _, b := range list {
		fmt.Fprintf(&sb, "%d-%d/%d ", b.BaseOffset(), b.LastOffset(), b.LeaderEpoch())
	}
	if err != nil {
		sb.WriteString(shortError(err))
	}
	return strings.TrimSpace(sb.String())
}

func (w *world) mem() *vfs.Mem { return w.fs.(*vfs.Mem) }

// batch makes a batch of n records of a value size.
func batch(n, size int, timestamp int64) record.Batch {
	return build(record.BuildOptions{}, n, size, timestamp)
}

func build(o record.BuildOptions, n, size int, timestamp int64) record.Batch {
	var w record.Builder
	w.Reset(o)
	value := make([]byte, size)
	for i := range n {
		for j := range value {
			value[j] = byte(i + j + int(timestamp))
		}
		w.Add(timestamp, nil, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func produced(pid int64, epoch int16, sequence int32, n int, timestamp int64) record.Batch {
	return build(record.BuildOptions{Idempotent: true, ProducerID: pid, ProducerEpoch: epoch, BaseSequence: sequence}, n, 10, timestamp)
}

func transactional(pid int64, epoch int16, sequence int32, n int, timestamp int64) record.Batch {
	return build(record.BuildOptions{Idempotent: true, Transactional: true, ProducerID: pid, ProducerEpoch: epoch, BaseSequence: sequence}, n, 10, timestamp)
}

func marker(pid int64, epoch int16, commit bool, timestamp int64) record.Batch {
	_, b := record.AppendControl(nil, record.Marker{Commit: commit, ProducerID: pid, ProducerEpoch: epoch, Timestamp: timestamp})
	return b
}

func producedSized(pid int64, sequence int32, size int) record.Batch {
	return build(record.BuildOptions{Idempotent: true, ProducerID: pid, BaseSequence: sequence}, 1, size, 1000)
}
