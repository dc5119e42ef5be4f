package engine

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

var (
	crashSeed  = flag.Uint64("crash.seed", 0, "first seed of the crash tests")
	crashSeeds = flag.Int("crash.seeds", 4, "number of seeds of the crash tests")
	crashOne   = flag.String("crash.one", "", "seed,operation,percent kept,same boot: this crash only, with everything printed")
)

var errCrashed = errors.New("the power is off")

// history is what a test has done to a log, and so what a start after a crash has to find.
type history struct {
	batches  []record.Batch // as stamped, in order
	start    int64          // LogStart that was promised
	maybe    int64          // or asked for, without an answer
	promised int64          // everything below was flushed
	cut      bool           // a truncation was under way: anything from cutTo on may be gone
	cutTo    int64
	next     map[int64]int32 // sequence by producer
}

func (h *history) end() int64 {
	if len(h.batches) == 0 {
		return 0
	}
	return h.batches[len(h.batches)-1].NextOffset()
}

// live does pseudo-random things to the log until the file system stops, and keeps the history.
func (h *history) live(w *world, l *Log, r *rand.Rand, steps int) {
	epoch := int32(1)
	for range steps {
		switch k := r.IntN(20); {
		case k < 11:
			if r.IntN(8) == 0 {
				epoch++
			}
			b := h.someBatch(r, w.now)
			a, err := w.append(l, b, epoch)
			if err != nil || a.Duplicate {
				if a.Duplicate {
					continue
				}
				return
			}
			if pid := b.ProducerID(); pid >= 0 && !b.Control() {
				h.next[pid] = record.AddSequence(b.LastSequence(), 1)
			}
			h.batches = append(h.batches, b)
		case k < 14:
			to, err := l.Flush()
			if err != nil {
				return
			}
			h.promised = max(h.promised, to)
		case k == 14:
			if l.Roll() != nil {
				return
			}
		case k == 15:
			w.now += 1000
			l.NoteHighWatermark(h.promised)
			if w.d.Tick(w.now) != nil {
				return
			}
			w.pump()
		case k == 16:
			l.Idle(w.now, 0)
			w.pump()
			if w.d.Err() != nil {
				return
			}
			h.promised = max(h.promised, l.FlushedTo())
		case k == 17:
			if h.promised > 0 {
				to := r.Int64N(h.promised + 1)
				h.maybe = max(h.maybe, to)
				if l.DeleteBefore(to) != nil {
					return
				}
				h.start = max(h.start, to)
			}
		case k == 18:
			visible := h.promised
			if r.IntN(2) == 0 {
				visible = h.end() // without fsync, records are visible before they are flushed, and may go before they are
			}
			h.maybe = max(h.maybe, visible)
			if _, err := l.Retain(w.now, visible); err != nil {
				return
			}
			w.pump()
			h.maybe = max(h.maybe, l.LogStart()) // what retention deleted may come back with a power cut, and go again
		default:
			if h.end() > l.LogStart() {
				h.cut, h.cutTo = true, l.LogStart()+r.Int64N(h.end()-l.LogStart()+1)
				for len(h.batches) > 0 && h.batches[len(h.batches)-1].NextOffset() > h.cutTo && h.batches[len(h.batches)-1].BaseOffset() < h.cutTo {
					h.cutTo = h.batches[len(h.batches)-1].BaseOffset()
				}
				i := len(h.batches)
				for i > 0 && h.batches[i-1].NextOffset() > h.cutTo {
					i--
				}
				if i > 0 {
					h.cutTo = min(h.cutTo, h.batches[i-1].NextOffset())
				} else {
					h.cutTo = min(h.cutTo, h.batches[0].BaseOffset())
				}
				h.promised, h.start = min(h.promised, h.cutTo), min(h.start, h.cutTo)
				if l.TruncateTo(h.cutTo) != nil {
					return
				}
				h.batches = h.batches[:i]
				h.cut = false
				h.recount()
			}
		}
	}
}

// recount forgets the sequences of what was cut.
func (h *history) recount() {
	h.next = map[int64]int32{}
	for _, b := range h.batches {
		if b.ProducerID() >= 0 && !b.Control() {
			h.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
		}
	}
}

func (h *history) someBatch(r *rand.Rand, now int64) record.Batch {
	n, size := 1+r.IntN(3), r.IntN(80)
	switch r.IntN(4) {
	case 0:
		return batch(n, size, now)
	case 1: // a transaction of producer 3 or 4, or its end
		pid := int64(3 + r.IntN(2))
		if r.IntN(3) == 0 {
			return marker(pid, 0, r.IntN(2) == 0, now)
		}
		return transactional(pid, 0, h.next[pid], n, now)
	}
	pid := int64(1 + r.IntN(2))
	return produced(pid, 0, h.next[pid], n, now)
}

// check looks at a log after a start. kept says that the page cache survived: then all that was appended is there.
func (h *history) check(w *world, l *Log, kept bool) error {
	if err := w.ready(l); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	start, end := l.LogStart(), l.LogEnd()
	if start < h.start || start > max(h.start, h.maybe) {
		return fmt.Errorf("log start %d, promised %d, asked for %d", start, h.start, h.maybe)
	}
	least := h.promised
	if kept && !h.cut {
		least = h.end()
	}
	if end < least || end > h.end() && len(h.batches) > 0 {
		// An append whose answer got lost may be there.
		if end < least || end > h.end()+3 {
			return fmt.Errorf("log end %d, want %d to %d", end, least, h.end())
		}
	}
	got, err := w.read(l, start, end)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	i := 0
	for i < len(h.batches) && h.batches[i].NextOffset() <= start {
		i++
	}
	at := start
	for j, b := range got {
		if i+j >= len(h.batches) {
			break // that last append
		}
		if want := h.batches[i+j]; !bytes.Equal(b, want) {
			return fmt.Errorf("batch %d-%d differs from what was appended at %d-%d", b.BaseOffset(), b.LastOffset(), want.BaseOffset(), want.LastOffset())
		}
		at = b.NextOffset()
	}
	if at < min(end, h.end()) {
		return fmt.Errorf("read ends at %d of %d", at, end)
	}
	return h.checkDerived(w, l, got)
}

// checkDerived compares what the log keeps beside its batches with what they say.
func (h *history) checkDerived(w *world, l *Log, got []record.Batch) error {
	for i, b := range got {
		var epoch int32
		err := w.eventually(func() (err error) { epoch, err = l.EpochAt(b.LastOffset()); return err })
		if err != nil || epoch != b.LeaderEpoch() {
			return fmt.Errorf("epoch at %d is %d (%v), the batch says %d", b.LastOffset(), epoch, err, b.LeaderEpoch())
		}
		if i > 0 && got[i-1].NextOffset() != b.BaseOffset() {
			return fmt.Errorf("%d after %d", b.BaseOffset(), got[i-1].NextOffset())
		}
	}
	// Every one of the last five batches of a producer, sent again, is recognised (I14).
	seen := map[int64]int{}
	for i := len(got) - 1; i >= 0; i-- {
		b := got[i]
		if b.ProducerID() < 0 || b.Control() {
			continue
		}
		if seen[b.ProducerID()]++; seen[b.ProducerID()] > windowSize {
			continue
		}
		again := bytes.Clone(b)
		a, err := w.append(l, again, b.LeaderEpoch())
		if err != nil || !a.Duplicate || a.BaseOffset != b.BaseOffset() {
			return fmt.Errorf("batch %d-%d of producer %d sent again: %+v, %v", b.BaseOffset(), b.LastOffset(), b.ProducerID(), a, err)
		}
	}
	return h.checkTxns(w, l, got)
}

// checkTxns computes transactions from the batches. Those that reach below the log's start may have lost their beginning.
func (h *history) checkTxns(w *world, l *Log, got []record.Batch) error {
	open := map[int64]int64{}
	want := map[AbortedTxn]bool{}
	for _, b := range got {
		switch pid := b.ProducerID(); {
		case pid < 0:
		case b.Control():
			m, _ := record.ParseControl(b)
			if first, ok := open[pid]; ok && !m.Commit {
				want[AbortedTxn{pid, first}] = true
			}
			delete(open, pid)
		case b.Transactional():
			if _, ok := open[pid]; !ok {
				open[pid] = b.BaseOffset()
			}
		}
	}
	var list []AbortedTxn
	err := w.eventually(func() (err error) {
		list, err = l.Aborted(nil, l.LogStart(), l.LogEnd())
		return err
	})
	if err != nil {
		return err
	}
	have := map[AbortedTxn]bool{}
	for _, a := range list {
		if have[a] {
			return fmt.Errorf("%+v is listed twice", a)
		}
		have[a] = true
	}
	if l.LogStart() > 0 {
		return nil
	}
	for a := range want {
		if !have[a] {
			return fmt.Errorf("aborted %+v is not listed: %v", a, list)
		}
	}
	if len(have) != len(want) {
		return fmt.Errorf("aborted %v, want %v", list, want)
	}
	stable := l.LogEnd()
	for _, first := range open {
		stable = min(stable, first)
	}
	if got := l.LastStable(l.LogEnd()); got != stable {
		return fmt.Errorf("last stable %d, want %d", got, stable)
	}
	return nil
}

// The power goes at every single operation on the file system. Whatever of the unsynced data and names reached the disk, all that Flush
// promised is there, nothing is there that was never appended, and what the log knows beside its batches agrees with them.
func TestCrashAtEveryOperation(t *testing.T) {
	if *crashOne != "" {
		var seed uint64
		var op, keep int
		var kept bool
		if _, err := fmt.Sscanf(*crashOne, "%d,%d,%d,%t", &seed, &op, &keep, &kept); err != nil {
			t.Fatal(err)
		}
		_, err := crashOnce(t, seed, op, keep, kept)
		t.Fatal("this one crash:", err)
	}
	first, seeds, every := *crashSeed, uint64(*crashSeeds), 2
	if testing.Short() {
		seeds, every = 1, 7
	}
	states := 0
	for seed := first; seed < first+seeds; seed++ {
		for op := 0; ; op += every {
			ended := false
			for mode, keep := range []int{0, 30, 70, 100, 100} {
				kept := mode == 4 // the process was killed, the machine goes on
				var err error
				ended, err = crashOnce(t, seed, op, keep, kept)
				if err != nil {
					t.Fatalf("seed %d, crash at operation %d, %d %% of the unsynced data kept, same boot %v: %v", seed, op, keep, kept, err)
				}
				states++
			}
			if ended {
				break
			}
		}
	}
	t.Logf("%d crashes", states)
}

// crashOnce lives until operation op fails, and all after it; then it starts again on what is left.
func crashOnce(t *testing.T, seed uint64, op, keep int, kept bool) (ended bool, err error) {
	w := memWorld(t)
	fs := w.mem()
	n := 0
	fs.SetHook(func(kind, name string) error {
		if kind == "read" || kind == "stat" || kind == "readdir" {
			return nil
		}
		if n++; *crashOne != "" && n > op-40 && n < op+3 {
			t.Log(n, kind, name)
		}
		if n > op {
			return errCrashed
		}
		return nil
	})
	config := Config{SegmentBytes: 700, IndexInterval: 100, RetentionBytes: 1500, Durable: seed%2 == 0}
	h := &history{next: map[int64]int32{}}
	if d, err := OpenDir(w.options()); err == nil {
		w.d = d
		h.live(w, d.Log("t", testID, 0, config), rand.New(rand.NewPCG(seed, 77)), 40)
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
	w = newWorld(t, clone, "/data")
	if *crashOne != "" {
		w.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w.now = 2_000_000
	if !kept {
		w.boot = "boot-2"
	}
	for again := range 2 { // the second time from a clean stop
		d, err := OpenDir(w.options())
		if err != nil {
			return ended, fmt.Errorf("open %d: %w", again, err)
		}
		w.d = d
		l := d.Log("t", testID, 0, config)
		if err := h.check(w, l, kept); err != nil {
			return ended, fmt.Errorf("start %d (%v): %w", again, d.how, err)
		}
		if again == 0 {
			b := batch(1, 10, w.now)
			if _, err := w.append(l, b, 1000); err != nil {
				return ended, fmt.Errorf("append after recovery: %w", err)
			}
			if _, err := l.Flush(); err != nil {
				return ended, fmt.Errorf("flush after recovery: %w", err)
			}
			list, err := w.read(l, 0+l.LogStart(), l.LogEnd())
			if err != nil {
				return ended, err
			}
			for i := range list {
				list[i] = bytes.Clone(list[i])
			}
			h = &history{batches: list, start: l.LogStart(), promised: l.LogEnd()}
		}
		if err := d.Close(true); err != nil {
			return ended, fmt.Errorf("close: %w", err)
		}
		w.pump()
		if again == 0 && !exists(w, cleanName) {
			return ended, errors.New("no marker after a clean stop")
		}
	}
	return ended, nil
}

func exists(w *world, name string) bool {
	_, err := w.fs.Stat(join(w.path, name))
	return err == nil
}

// The last segment is cut at every byte, behind what the table knows to be there. Exactly the whole batches stay, the rest is kept aside
// and the log goes on.
func TestLastSegmentCutAtEveryByte(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{IndexInterval: 1, SegmentBytes: 4096})
	w.mustAppend(l, batch(1, 20, w.now), 1)
	w.flush(l)
	var ends []int64
	for i := range 4 {
		w.mustAppend(l, produced(1, 0, int32(2*i), 2, w.now), int32(2+i))
		ends = append(ends, l.Size())
	}
	durable := ends[0] - (ends[1] - ends[0])
	w.jobs = nil
	whole := w.mem().CrashClone(rand.New(rand.NewPCG(1, 1)), 100)
	for size := durable; size <= ends[3]; size++ {
		w := newWorld(t, whole.CrashClone(rand.New(rand.NewPCG(1, 1)), 100), "/data")
		w.boot = "boot-2"
		name := join(w.path, "t-0", offsetName(0, logSuffix))
		b, err := readFile(w.fs, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(w.fs, name, b[:size]); err != nil {
			t.Fatal(err)
		}
		w.open()
		l := w.d.Log("t", testID, 0, Config{IndexInterval: 1, SegmentBytes: 4096})
		if err := w.ready(l); err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		left := 0
		for left < len(ends) && ends[left] <= size {
			left++
		}
		if want := int64(1 + 2*left); l.LogEnd() != want {
			t.Fatalf("cut at %d: log end %d, want %d", size, l.LogEnd(), want)
		}
		position := durable
		if left > 0 {
			position = ends[left-1]
		}
		kept := join(w.path, "t-0", fmt.Sprintf("%020d.%d.torn", 0, position))
		if want := bytes.TrimRight(b[position:size], "\x00"); len(want) > 0 {
			if aside, err := readFile(w.fs, kept); err != nil || !bytes.Equal(want, aside) {
				t.Fatalf("cut at %d: %d bytes kept aside of %d, %v", size, len(aside), size-position, err)
			}
		}
		a := w.mustAppend(l, produced(1, 0, int32(2*left), 2, w.now), 9)
		if epoch, err := l.EpochAt(a.BaseOffset); epoch != 9 || err != nil || a.Duplicate {
			t.Fatalf("cut at %d: %+v, epoch %d, %v", size, a, epoch, err)
		}
		w.close()
	}
}
