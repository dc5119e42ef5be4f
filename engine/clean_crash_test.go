package engine

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

var crashEvery = flag.Int("crash.every", 19, "of how many operations one is where a compaction is crashed")

// compacting is what a test has done to a compacted log. What a start after a crash finds may be cleaned, not cleaned or something between: but who
// reads it into a table must get the same table as from all that was appended, and nothing else is in it.
type compacting struct {
	batches   []record.Batch // as stamped, in order
	promised  int64
	next      map[int64]int32
	cleanings int
}

func (h *compacting) end() int64 {
	if len(h.batches) == 0 {
		return 0
	}
	return h.batches[len(h.batches)-1].NextOffset()
}

func (h *compacting) someBatch(r *rand.Rand, now int64) record.Batch {
	o := record.BuildOptions{Codec: record.Codec(r.IntN(2) * 3)}
	if r.IntN(2) == 0 {
		pid := r.Int64N(3)
		o.Idempotent, o.ProducerID, o.BaseSequence = true, pid, h.next[pid]
	}
	var w record.Builder
	w.Reset(o)
	for range 1 + r.IntN(3) {
		value := fmt.Appendf(nil, "%d", r.Uint64())
		if r.IntN(3) == 0 {
			value = nil
		}
		w.Add(now, fmt.Appendf(nil, "key-%d", r.IntN(6)), value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// live appends, rolls, flushes and compacts until the file system stops.
func (h *compacting) live(w *world, l *Log, r *rand.Rand, steps int) {
	c := NewCleaner(CleanerOptions{IOBytes: 200, KeyBytes: int64(keySlotSize * (2 + r.IntN(30)))})
	for range steps {
		w.now += r.Int64N(100)
		switch k := r.IntN(20); {
		case k < 10:
			b := h.someBatch(r, w.now)
			if _, err := w.append(l, b, 1); err != nil {
				return
			}
			if b.ProducerID() >= 0 {
				h.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
			}
			h.batches = append(h.batches, b)
		case k < 12:
			to, err := l.Flush()
			if err != nil {
				return
			}
			h.promised = max(h.promised, to)
		case k < 14:
			if l.Roll() != nil {
				return
			}
			h.promised = max(h.promised, l.FlushedTo())
		case k == 14:
			if w.d.Tick(w.now) != nil {
				return
			}
			w.pump()
		case k == 15:
			l.Idle(w.now, 0)
			w.pump()
		default:
			done, err := c.Clean(l, w.now, h.end())
			if err != nil {
				return
			}
			h.cleanings += done.Left
		}
		if w.d.Err() != nil {
			return
		}
	}
}

// readAsTable is what a reader of a compacted topic makes of it.
func readAsTable(list []record.Batch) map[string]string {
	m := map[string]string{}
	for _, b := range list {
		for _, r := range readKept(b) {
			if m[r.key] = r.value; r.value == "-" {
				delete(m, r.key)
			}
		}
	}
	return m
}

func (h *compacting) check(w *world, l *Log, kept bool) error {
	if err := w.ready(l); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	end, least := l.LogEnd(), h.promised
	if kept {
		least = h.end()
	}
	if end < least || end > h.end()+3 {
		return fmt.Errorf("log end %d, want %d to %d", end, least, h.end())
	}
	got, err := w.read(l, l.LogStart(), end)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	appended := h.batches
	for len(appended) > 0 && appended[len(appended)-1].BaseOffset() >= end {
		appended = appended[:len(appended)-1]
	}
	if n := len(got); n > 0 && got[n-1].BaseOffset() >= h.end() {
		got = got[:n-1] // an append whose answer got lost
	}
	known := map[onceAppended]bool{}
	for _, b := range appended {
		for _, r := range readKept(b) {
			known[onceAppended{r.offset, r.key, r.value}] = true
		}
	}
	at := int64(-1)
	last := map[int64]record.Batch{}
	for _, b := range got {
		if b.BaseOffset() <= at {
			return fmt.Errorf("%d after %d", b.BaseOffset(), at)
		}
		at = b.LastOffset()
		if b.ProducerID() >= 0 {
			last[b.ProducerID()] = b
		}
		for _, r := range readKept(b) {
			if !known[onceAppended{r.offset, r.key, r.value}] {
				return fmt.Errorf("%v was never appended", r)
			}
		}
	}
	if have, want := readAsTable(got), readAsTable(appended); fmt.Sprint(have) != fmt.Sprint(want) {
		return fmt.Errorf("reads as\n%v, want\n%v", have, want)
	}
	newest := map[int64]record.Batch{}
	for _, b := range appended {
		if b.ProducerID() >= 0 {
			newest[b.ProducerID()] = b
		}
	}
	for pid, b := range newest {
		if last[pid] == nil || last[pid].LastSequence() != b.LastSequence() {
			return fmt.Errorf("the last batch of producer %d is gone", pid)
		}
		a, err := w.append(l, bytes.Clone(b), 1)
		if err != nil || !a.Duplicate || a.BaseOffset != b.BaseOffset() {
			return fmt.Errorf("the last batch of producer %d again: %+v, %v", pid, a, err)
		}
	}
	return nil
}

type onceAppended struct {
	offset     int64
	key, value string
}

// The power goes at every single operation on the file system while a log is compacted. Whatever of the unsynced data and names reached the disk, no
// record that stays is lost, none that was superseded or deleted comes back, and the log can be compacted on.
func TestCrashDuringCompaction(t *testing.T) {
	if *crashOne != "" {
		t.Skip("one crash of the other test is wanted")
	}
	seeds, every := uint64(*crashSeeds), *crashEvery
	if testing.Short() {
		seeds, every = 1, 29
	}
	states, cleanings := 0, 0
	for seed := *crashSeed; seed < *crashSeed+seeds; seed++ {
		for op := int(seed) % every; ; op += every {
			ended := false
			for mode, keep := range []int{0, 30, 70, 100, 100} {
				var err error
				var n int
				ended, n, err = crashCompaction(t, seed, op, keep, mode == 4, nil)
				if err != nil {
					var log bytes.Buffer
					_, _, _ = crashCompaction(t, seed, op, keep, mode == 4, &log)
					t.Fatalf("seed %d, crash at operation %d, %d %% of the unsynced data kept, same boot %v: %v\n%s", seed, op, keep, mode == 4, err, log.String())
				}
				states++
				cleanings = max(cleanings, n)
			}
			if ended {
				break
			}
		}
	}
	if cleanings < 5 {
		t.Errorf("at most %d segments were replaced", cleanings)
	}
	t.Logf("%d crashes, up to %d segments replaced before one", states, cleanings)
}

func crashCompaction(t *testing.T, seed uint64, op, keep int, kept bool, log *bytes.Buffer) (ended bool, cleanings int, err error) {
	w := memWorld(t)
	fs := w.mem()
	n := 0
	fs.SetHook(func(kind, name string) error {
		if kind == "read" || kind == "stat" || kind == "readdir" {
			return nil
		}
		if n++; log != nil && n > op-40 && n < op+3 {
			fmt.Fprintln(log, n, kind, name)
		}
		if n > op {
			return errCrashed
		}
		return nil
	})
	config := Config{SegmentBytes: 500, IndexInterval: 100, Compacted: true, KeepAll: true, DeleteRetentionMs: 100, MinCleanableRatio: -1, Durable: seed%2 == 0}
	h := &compacting{next: map[int64]int32{}}
	if d, err := OpenDir(w.options()); err == nil {
		w.d = d
		h.live(w, d.Log("t", testID, 0, config), rand.New(rand.NewPCG(seed, 78)), 60)
		if n <= op && seed >= 2 {
			if d.Close(true) == nil {
				h.promised = h.end()
			}
			w.pump()
		}
	}
	ended = n <= op
	w.jobs = nil
	fs.SetHook(nil)
	clone := fs.CrashClone(rand.New(rand.NewPCG(seed, uint64(op))), keep)
	now := w.now
	w = newWorld(t, clone, "/data")
	if log != nil {
		w.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w.now = now
	if !kept {
		w.boot = "boot-2"
	}
	c := NewCleaner(CleanerOptions{})
	for again := range 3 { // every horizon has passed before the second cleaning
		d, err := OpenDir(w.options())
		if err != nil {
			return ended, h.cleanings, fmt.Errorf("open %d: %w", again, err)
		}
		w.d = d
		l := d.Log("t", testID, 0, config)
		if err := h.check(w, l, kept); err != nil {
			return ended, h.cleanings, fmt.Errorf("start %d (%v): %w", again, d.how, err)
		}
		if again == 0 {
			h.batches = h.batches[:0:0]
			if h.batches, err = w.read(l, 0, l.LogEnd()); err != nil {
				return ended, h.cleanings, err
			}
			for i := range h.batches {
				h.batches[i] = bytes.Clone(h.batches[i])
			}
		}
		b := batchOf("key-0", fmt.Sprint("after ", again), w.now)
		if _, err := w.append(l, b, 1); err != nil {
			return ended, h.cleanings, err
		}
		h.batches = append(h.batches, b)
		if err := errors.Join(l.Roll(), flushed(l)); err != nil {
			return ended, h.cleanings, err
		}
		h.promised = h.end()
		w.now += 1000
		if _, err := c.Clean(l, w.now, h.end()); err != nil {
			return ended, h.cleanings, fmt.Errorf("clean %d: %w", again, err)
		}
		w.pump()
		if err := h.check(w, l, kept); err != nil {
			return ended, h.cleanings, fmt.Errorf("cleaned %d: %w", again, err)
		}
		if err := d.Close(true); err != nil {
			return ended, h.cleanings, fmt.Errorf("close: %w", err)
		}
		w.pump()
	}
	return ended, h.cleanings, nil
}

// The power goes in the middle of a swap, and again at every single operation of the start that finishes it.
func TestCrashWhileASwapIsFinished(t *testing.T) {
	if *crashOne != "" {
		t.Skip("one crash of the other test is wanted")
	}
	config := Config{SegmentBytes: 500, IndexInterval: 100, Compacted: true, KeepAll: true, DeleteRetentionMs: 100, MinCleanableRatio: -1}
	swaps, again := 0, 0
	for seed := uint64(1); swaps < 12; seed++ {
		w := memWorld(t)
		fs := w.mem()
		renamed, crashed := 0, false
		at := 1 + int(seed%8) // how many operations after a log file got the suffix of a swap
		fs.SetHook(func(kind, name string) error {
			switch {
			case crashed:
				return errCrashed
			case renamed > 0 && kind != "read" && kind != "stat" && kind != "readdir":
				if renamed++; renamed > at {
					crashed = true
					return errCrashed
				}
			case kind == "rename" && strings.HasSuffix(name, logSuffix+cleanedSuffix):
				renamed = 1
			}
			return nil
		})
		h := &compacting{next: map[int64]int32{}}
		w.open()
		h.live(w, w.d.Log("t", testID, 0, config), rand.New(rand.NewPCG(seed, 79)), 60)
		w.jobs = nil
		fs.SetHook(nil)
		if !crashed {
			continue
		}
		swaps++
		for op := 0; ; op++ {
			middle := fs.CrashClone(rand.New(rand.NewPCG(seed, 1)), []int{0, 50, 100}[seed%3])
			n := 0
			middle.SetHook(func(kind, name string) error {
				if kind == "read" || kind == "stat" || kind == "readdir" {
					return nil
				}
				if n++; n > op {
					return errCrashed
				}
				return nil
			})
			w2 := newWorld(t, middle, "/data")
			w2.boot, w2.now = "boot-2", w.now
			if d, err := OpenDir(w2.options()); err == nil {
				w2.d = d
				_ = w2.ready(d.Log("t", testID, 0, config))
			}
			w2.jobs = nil
			ended := n <= op
			middle.SetHook(nil)
			w3 := newWorld(t, middle.CrashClone(rand.New(rand.NewPCG(seed, uint64(op))), []int{100, 0, 50}[op%3]), "/data")
			w3.boot, w3.now = "boot-3", w.now
			w3.open()
			if err := h.check(w3, w3.d.Log("t", testID, 0, config), false); err != nil {
				t.Fatalf("seed %d, %d operations after the rename, the start crashed at operation %d: %v", seed, at, op, err)
			}
			w3.close()
			again++
			if ended {
				break
			}
		}
	}
	t.Logf("%d swaps, %d starts were interrupted", swaps, again)
}

func flushed(l *Log) error {
	_, err := l.Flush()
	return err
}

func batchOf(key, value string, timestamp int64) record.Batch {
	var w record.Builder
	w.Reset(record.BuildOptions{})
	w.Add(timestamp, []byte(key), []byte(value))
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}
