package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/index"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

var compactedConfig = Config{SegmentBytes: 700, IndexInterval: 100, Compacted: true, KeepAll: true, MinCleanableRatio: -1}

// keyedWorld is a log with a few segments of keyed records, and the model of it.
func keyedWorld(t *testing.T, config Config, batches int) (*world, *Log, *keyed) {
	t.Helper()
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, config)
	m := newKeyed()
	appendKeyed(w, l, m, rand.New(rand.NewPCG(1, 2)), batches)
	for pid := range int64(20) { // open transactions would hold the cleaning up
		if m.open[pid] {
			b := marker(pid, 0, pid%2 == 0, w.now)
			w.mustAppend(l, b, 1)
			m.appended(b)
		}
	}
	w.flush(l)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	w.pump()
	return w, l, m
}

func appendKeyed(w *world, l *Log, m *keyed, r *rand.Rand, batches int) {
	w.t.Helper()
	for range batches {
		b := m.someKeyed(r, w.now, 12)
		w.mustAppend(l, b, 1)
		m.appended(b)
	}
}

// Whatever happens to a log while it is cleaned, at whatever moment: the cleaning ends, nothing that should stay is lost, nothing comes back, and no
// file of it is left behind.
func TestCleaningMeetsEverything(t *testing.T) {
	errPause := errors.New("the node stops")
	events := map[string]func(w *world, l *Log, m *keyed) error{
		"nothing": func(*world, *Log, *keyed) error { return nil },
		"pause":   func(*world, *Log, *keyed) error { return errPause },
		"idle": func(w *world, l *Log, _ *keyed) error {
			l.Idle(w.now, 0)
			w.pump()
			return nil
		},
		"idle and back": func(w *world, l *Log, _ *keyed) error {
			l.Idle(w.now, 0)
			w.pump()
			_, err := w.read(l, 0, 1)
			return err
		},
		"append and roll": func(w *world, l *Log, m *keyed) error {
			appendKeyed(w, l, m, rand.New(rand.NewPCG(9, 9)), 12)
			return l.Roll()
		},
		"truncate": func(w *world, l *Log, m *keyed) error {
			to := m.batches[len(m.batches)/2].base
			m.batches = m.batches[:len(m.batches)/2]
			m.end = to
			m.next, m.open = map[int64]int32{}, map[int64]bool{}
			return l.TruncateTo(to)
		},
		"delete from the front": func(w *world, l *Log, m *keyed) error {
			if err := l.DeleteBefore(m.batches[len(m.batches)/2].base); err != nil {
				return err
			}
			_, err := l.Retain(w.now, m.end)
			w.pump()
			return err
		},
		"remove": func(w *world, l *Log, _ *keyed) error { return l.Remove() },
	}
	for name, event := range events {
		aborted, whole := 0, 0
		for at := 0; ; at += 3 {
			w, l, m := keyedWorld(t, compactedConfig, 40)
			before := len(m.batches)
			calls := 0
			c := NewCleaner(CleanerOptions{IOBytes: 300, Pace: func(int) error {
				if calls++; calls == at+1 {
					return event(w, l, m)
				}
				return nil
			}})
			_, err := c.Clean(l, w.now, m.end)
			switch {
			case err == nil:
				whole++
			case errors.Is(err, errPause) && name == "pause" || IsCleanerPaused(err):
				aborted++
			default:
				t.Fatalf("%s at call %d: %v", name, at, err)
			}
			if w.d.Err() != nil {
				t.Fatalf("%s at call %d: %v", name, at, w.d.Err())
			}
			ended := calls <= at
			if name == "remove" && !ended {
				if err := l.Ready(); err == nil {
					if _, err = w.append(l, batchOf("k", "v", 1), 1); !errors.Is(err, ErrClosed) {
						t.Fatalf("append to a removed log: %v", err)
					}
				}
			} else if name != "truncate" && name != "delete from the front" || ended {
				checkTable(t, w, l, m, fmt.Sprint(name, " at call ", at))
				if len(m.batches) < before {
					t.Fatal("batches are gone from the model")
				}
			} else if got, err := w.read(l, l.LogStart(), l.LogEnd()); err != nil || name == "truncate" && l.LogEnd() != m.end {
				t.Fatalf("%s at call %d: %d batches, log end %d of %d, %v", name, at, len(got), l.LogEnd(), m.end, err)
			}
			w.pump()
			entries, _ := w.fs.ReadDir(join(w.path, "t-0"))
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), cleanedSuffix) || strings.HasSuffix(e.Name(), swapSuffix) {
					t.Fatalf("%s at call %d leaves %s", name, at, e.Name())
				}
			}
			w.close()
			if ended {
				break
			}
		}
		if whole == 0 || (aborted == 0) != (name == "nothing" || name == "append and roll") {
			t.Errorf("%s: %d cleanings went through, %d did not", name, whole, aborted)
		}
	}
}

// checkTable compares what a reader makes of the log with what it would make of all that was appended and not aborted.
func checkTable(t *testing.T, w *world, l *Log, m *keyed, when string) {
	t.Helper()
	if err := w.ready(l); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	got, err := w.read(l, l.LogStart(), l.LogEnd())
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	have, want := map[string]string{}, map[string]string{}
	put := func(m map[string]string, r kept) {
		if m[r.key] = r.value; r.value == "-" {
			delete(m, r.key)
		}
	}
	abortedAt := map[int64]bool{}
	for _, b := range m.batches {
		abortedAt[b.base] = b.aborted
		for _, r := range b.records {
			if r.key != "-" && !b.aborted {
				put(want, r)
			}
		}
	}
	for _, b := range got {
		if !b.Control() && !abortedAt[b.BaseOffset()] {
			for _, r := range readKept(b) {
				if r.key != "-" {
					put(have, r)
				}
			}
		}
	}
	if !maps.Equal(have, want) {
		t.Fatalf("%s: the log reads as\n%v, want\n%v", when, have, want)
	}
}

// A log is cleaned again and again while it is appended to, read from both ends, flushed and rolled. Readers see whole batches in order, and at the
// end the log reads as if it had never been cleaned.
func TestReadersDuringCleaning(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"files": vfs.OS, "memory": vfs.NewMem()} {
		least := map[string]int64{"files": 3, "memory": 30}[name] // syncs take what they take
		var g goroutines
		d, err := OpenDir(DirOptions{FS: fs, Path: t.TempDir(), Go: g.run})
		if err != nil {
			t.Fatal(err)
		}
		l := d.Log("t", testID, 0, Config{SegmentBytes: 16 << 10, Compacted: true, KeepAll: true, FileDeleteDelayMs: -1, MinCleanableRatio: -1})
		var stop atomic.Bool
		var wg sync.WaitGroup
		var cleanings, now atomic.Int64
		loop := func(f func() error) {
			wg.Go(func() {
				for !stop.Load() {
					if err := f(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		c := NewCleaner(CleanerOptions{IOBytes: 2000})
		loop(func() error {
			done, err := c.Clean(l, now.Add(10), l.LogEnd())
			cleanings.Add(int64(done.Segments))
			if err != nil {
				return err
			}
			return d.Tick(now.Load())
		})
		for range 2 {
			at := int64(0)
			loop(func() (err error) {
				if at, err = readCompacted(l, at, nil); at >= l.LogEnd() {
					at = 0
				}
				return err
			})
		}
		want := map[string]string{}
		r := rand.New(rand.NewPCG(5, 5))
		for i := 0; i < 3000 || cleanings.Load() < least && i < 300_000 && !t.Failed(); i++ {
			key, value := fmt.Sprint("key-", r.IntN(50)), fmt.Sprint("value-", i, strings.Repeat("x", r.IntN(200)))
			b := batchOf(key, value, int64(i))
			if err := waitFor(l, func() error { _, err := l.Append(b, 1, int64(i)); return err }); err != nil {
				t.Fatal(err)
			}
			want[key] = value
		}
		stop.Store(true)
		wg.Wait()
		have := map[string]string{}
		for at := int64(0); at < l.LogEnd(); {
			if at, err = readCompacted(l, at, have); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.Equal(have, want) {
			t.Errorf("the log reads as\n%v, want\n%v", have, want)
		}
		if cleanings.Load() < least {
			t.Errorf("%s: %d segments were cleaned meanwhile", name, cleanings.Load())
		}
		if err := d.Close(true); err != nil {
			t.Fatal(err)
		}
		g.wg.Wait()
	}
}

// readCompacted reads from an offset on into a table, and returns the next offset.
func readCompacted(l *Log, at int64, table map[string]string) (next int64, err error) {
	end := l.LogEnd()
	var s vfs.Slice
	err = waitFor(l, func() (err error) {
		s, err = l.Read(at, end, 4<<10, true, true)
		return err
	})
	if err != nil || s.Length == 0 {
		return end, err
	}
	defer s.Release()
	p := make([]byte, s.Length)
	if _, err := s.ReadAt(p, 0); err != nil {
		return at, err
	}
	for first := true; len(p) > 0; first = false {
		b, rest, err := record.Next(p)
		if err != nil && !first {
			break
		}
		if err == nil {
			err = b.CheckHeader()
		}
		if err == nil && b.NextOffset() <= at {
			err = fmt.Errorf("batch %d-%d where %d was asked for", b.BaseOffset(), b.LastOffset(), at)
		}
		if err != nil {
			return at, err
		}
		for _, r := range readKept(b) {
			if table != nil {
				table[r.key] = r.value
			}
		}
		at, p = b.NextOffset(), rest
	}
	return at, nil
}

// What is too young, open, unflushed or above the high watermark is not cleaned, nor is the active segment; and a log is due by its ratio or its
// largest lag. While nothing changes nobody looks again.
func TestWhatIsCleanable(t *testing.T) {
	config := Config{SegmentBytes: 1 << 20, Compacted: true, KeepAll: true, MinCleanableRatio: 0.6, MinCompactionLag: 1000, MaxCompactionLag: 50_000}
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, config)
	look := func(hw int64) Dirt {
		t.Helper()
		d, err := l.Cleanable(w.now, hw)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	segmentOf := func(n int) (size int64) {
		t.Helper()
		for i := range n {
			b := batchOf(fmt.Sprint("k", i), "v", w.now)
			size += int64(len(b))
			w.mustAppend(l, b, 1)
		}
		w.flush(l)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		w.pump()
		return size
	}
	if d := look(0); d != (Dirt{}) {
		t.Errorf("an empty log: %+v", d)
	}
	first := segmentOf(10)
	if d := look(10); d.Dirty != 0 || d.Due {
		t.Errorf("too young: %+v", d)
	}
	w.now += 1001
	if d := look(9); d.Dirty != 0 {
		t.Errorf("above the high watermark: %+v", d)
	}
	if d := look(10); d.Dirty != first || d.Clean != 0 || !d.Due || d.Ratio() != 1 {
		t.Errorf("all dirty: %+v, %d bytes", d, first)
	}
	c := NewCleaner(CleanerOptions{})
	if done, err := c.Clean(l, w.now, 10); err != nil || done.From != 0 || done.To != 10 {
		t.Fatalf("%+v, %v", done, err)
	}
	if d := look(10); d.Dirty != 0 || d.Due {
		t.Errorf("clean: %+v", d)
	}
	second := segmentOf(5)
	w.now += 1001
	if d := look(15); d.Dirty != second || d.Clean != first || d.Due {
		t.Errorf("a third dirty: %+v", d)
	}
	w.now += 50_000
	if d := look(15); !d.Due {
		t.Errorf("older than the largest lag: %+v", d)
	}
	l.Idle(w.now, 0)
	w.pump()
	config.MaxCompactionLag = 0
	l.SetConfig(config)
	if d := look(15); d.Due || d.Dirty != second {
		t.Errorf("with another setting: %+v", d)
	}
	if l.view.Load() != nil {
		t.Error("a closed log stays open after a look")
	}
	opens := 0
	w.mem().SetHook(func(kind, name string) error {
		if kind == "open" {
			opens++
		}
		return nil
	})
	if d := look(15); d.Dirty != second || opens > 0 {
		t.Errorf("a closed log was opened %d times for %+v", opens, d)
	}
	if n := testing.AllocsPerRun(100, func() { look(15) }); n > 0 {
		t.Errorf("%v allocations of a look at a closed log", n)
	}
	w.mem().SetHook(nil)
	// An open transaction holds everything from its segment on.
	w.mustAppend(l, transactional(7, 0, 0, 1, w.now), 1)
	segmentOf(3)
	segmentOf(3)
	w.now += 1001
	if d := look(l.LogEnd()); d.Dirty != second {
		t.Errorf("an open transaction: %+v", d)
	}
	w.mustAppend(l, marker(7, 0, true, w.now), 1)
	w.flush(l)
	if d := look(l.LogEnd()); d.Dirty <= second {
		t.Errorf("after its end: %+v", d)
	}
	config.Compacted = false
	l.SetConfig(config)
	if d := look(l.LogEnd()); d != (Dirt{}) {
		t.Errorf("not compacted: %+v", d)
	}
	w.close()
}

// A cleaning of a log with many segments holds few of them open.
func TestCleaningHoldsFewFilesOpen(t *testing.T) {
	w, l, m := keyedWorld(t, compactedConfig, 200)
	l.Idle(w.now, 0)
	w.pump()
	most, segments := 0, 0
	c := NewCleaner(CleanerOptions{IOBytes: 300, Pace: func(int) error {
		w.pump()
		if v := l.view.Load(); v != nil {
			open := 0
			for _, s := range v.segments {
				if s.Opened() {
					open++
				}
			}
			most, segments = max(most, open), max(segments, len(v.segments))
		}
		return nil
	}})
	if _, err := m.clean(c, l, w.now, m.end); err != nil {
		t.Fatal(err)
	}
	if segments < 20 || most > 3 {
		t.Errorf("%d of %d segments were open", most, segments)
	}
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	w.close()
}

// A truncation into the hole that compaction left in a segment: the log ends where it was told, and so it does after a crash.
func TestTruncationIntoAHole(t *testing.T) {
	for to := int64(1); to < 20; to++ {
		w := memWorld(t).open()
		config := Config{Compacted: true, KeepAll: true, MinCleanableRatio: -1}
		l := w.d.Log("t", testID, 0, config)
		for i := range 20 {
			w.mustAppend(l, batchOf(fmt.Sprint("k", i%2*i), "v", w.now), 1)
		}
		w.flush(l)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		if _, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, 20); err != nil {
			t.Fatal(err)
		}
		w.pump()
		if err := l.TruncateTo(to); err != nil {
			t.Fatal(err)
		}
		end := l.LogEnd()
		if cleanedTo, _, _ := w.d.cleanedTo(l.folder); cleanedTo > end || end > to {
			t.Fatalf("truncated to %d: the end is %d, clean to %d", to, end, cleanedTo)
		}
		w.flush(l)
		w.kill()
		w.boot = "boot-2"
		w.open()
		l = w.d.Log("t", testID, 0, config)
		if err := w.ready(l); err != nil || l.LogEnd() != end {
			t.Fatalf("truncated to %d: the end is %d, was %d, %v", to, l.LogEnd(), end, err)
		}
		if a := w.mustAppend(l, batchOf("k", "new", w.now), 1); a.BaseOffset != end {
			t.Fatalf("appended at %d", a.BaseOffset)
		}
		w.close()
	}
}

// A topic that is not compacted any more still has its holes, and a recovery must not take them for damage; nor may a new topic of the same name
// count as cleaned.
func TestHolesOutliveThePolicy(t *testing.T) {
	w, l, m := keyedWorld(t, compactedConfig, 40)
	c := NewCleaner(CleanerOptions{})
	if _, err := m.clean(c, l, w.now, m.end); err != nil {
		t.Fatal(err)
	}
	w.pump()
	plain := compactedConfig
	plain.Compacted = false
	l.SetConfig(plain)
	w.kill()
	w.boot = "boot-2"
	w.open()
	l = w.d.Log("t", testID, 0, plain)
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	// Kafka's way: the table is not there, only the checkpoint.
	w.kill()
	if err := w.fs.Remove(join(w.path, tableName)); err != nil {
		t.Fatal(err)
	}
	w.open()
	l = w.d.Log("t", testID, 0, plain)
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	other := testID
	other[0]++
	l = w.d.Log("t", other, 0, compactedConfig)
	w.mustAppend(l, batchOf("k", "v", w.now), 1)
	b, err := readFile(w.fs, join(w.path, cleanerOffsetsName))
	if err != nil || string(b) != "0\n0\n" {
		t.Errorf("%s says %q, %v", cleanerOffsetsName, b, err)
	}
	w.close()
}

// Damage is not made to look whole: a batch whose checksum is wrong ends the cleaning, which changes nothing, and the log serves on.
func TestCleaningStopsAtDamage(t *testing.T) {
	w, l, m := keyedWorld(t, compactedConfig, 40)
	l.Idle(w.now, 0)
	w.pump()
	name := join(w.path, "t-0", offsetName(m.batches[0].base, logSuffix))
	b, err := readFile(w.fs, name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	if err := writeFile(w.fs, name, b); err != nil {
		t.Fatal(err)
	}
	var corrupt *segment.CorruptError
	if _, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, m.end); !errors.As(err, &corrupt) || IsCleanerPaused(err) {
		t.Fatalf("cleaned: %v", err)
	}
	if err := l.offline(); err != nil {
		t.Fatal(err)
	}
	if a := w.mustAppend(l, batchOf("k", "v", w.now), 1); a.BaseOffset != m.end {
		t.Errorf("appended at %d", a.BaseOffset)
	}
	if again, err := readFile(w.fs, name); err != nil || string(again) != string(b) {
		t.Error("the damaged file has changed")
	}
	w.close()
}

// What is not covered by a batch's checksum, its base offset, may be damaged, too.
func TestCleaningStopsAtDamagedOffsets(t *testing.T) {
	for _, by := range []int64{-3, 3, 1 << 40} {
		w, l, m := keyedWorld(t, compactedConfig, 40)
		l.Idle(w.now, 0)
		w.pump()
		name := join(w.path, "t-0", offsetName(0, logSuffix))
		b, err := readFile(w.fs, name)
		if err != nil {
			t.Fatal(err)
		}
		at := 12 + binary.BigEndian.Uint32(b[8:]) // the second batch
		at += 12 + binary.BigEndian.Uint32(b[at+8:])
		binary.BigEndian.PutUint64(b[at:], uint64(int64(binary.BigEndian.Uint64(b[at:]))+by))
		if err := writeFile(w.fs, name, b); err != nil {
			t.Fatal(err)
		}
		var corrupt *segment.CorruptError
		if done, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, m.end); !errors.As(err, &corrupt) {
			t.Errorf("by %d: cleaned: %+v %v", by, done, err)
		}
		if err := l.offline(); err != nil {
			t.Fatal(err)
		}
		w.close()
	}
}

// A segment that is larger than the topic's settings say now is recovered, truncated and cleaned like any other.
func TestLoweredSegmentBytes(t *testing.T) {
	t.Run("files", func(t *testing.T) { lowerSegmentBytes(t, newWorld(t, vfs.OS, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { lowerSegmentBytes(t, memWorld(t)) })
}

func lowerSegmentBytes(t *testing.T, w *world) {
	t.Helper()
	w.open()
	config := Config{SegmentBytes: 1 << 20, IndexInterval: 100, Compacted: true, KeepAll: true, MinCleanableRatio: -1}
	l := w.d.Log("t", testID, 0, config)
	for i := range 12_000 {
		w.mustAppend(l, batchOf(fmt.Sprint("k", i%11_000), "v", w.now), 1)
	}
	w.flush(l)
	config.SegmentBytes = 4000
	l.SetConfig(config)
	w.kill()
	w.boot = "boot-2"
	w.open()
	l = w.d.Log("t", testID, 0, config)
	if err := w.ready(l); err != nil || l.LogEnd() != 12_000 {
		t.Fatalf("recovered to %d, %v", l.LogEnd(), err)
	}
	if err := l.TruncateTo(11_999); err != nil {
		t.Fatal(err)
	}
	w.mustAppend(l, batchOf("k999", "v", w.now), 1)
	w.flush(l)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	w.pump()
	done, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, l.LogEnd())
	if err != nil || done.RecordsAfter != 11_000 {
		t.Fatalf("%+v, %v", done, err)
	}
	got, err := w.read(l, 0, l.LogEnd())
	if err != nil || len(got) != 11_000 {
		t.Errorf("%d batches, %v", len(got), err)
	}
	w.close()
}

// What was written down of the producers before a transaction ended says that it is open. Once its marker is compacted away, nobody may begin from
// there: the transaction would stay open for ever, and with it what consumers of committed records may see.
func TestMarkerThatIsGoneStaysCounted(t *testing.T) {
	config := Config{SegmentBytes: 1000, Compacted: true, KeepAll: true, MinCleanableRatio: -1, DeleteRetentionMs: -1}
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, config)
	large := strings.Repeat("x", 600) // no two segments fit into one
	add := func(b record.Batch) {
		t.Helper()
		w.mustAppend(l, b, 1)
	}
	roll := func() {
		t.Helper()
		w.flush(l)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		w.pump()
	}
	of := func(sequence int32) record.Batch {
		var b record.Builder
		b.Reset(record.BuildOptions{Idempotent: true, Transactional: true, ProducerID: 7, BaseSequence: sequence})
		b.Add(w.now, []byte("k"), []byte("v"))
		_, out, _ := b.Build(nil)
		return out
	}
	add(of(0))
	add(batchOf("first", large, w.now))
	roll() // its snapshot knows an open transaction
	add(marker(7, 0, true, w.now))
	add(batchOf("other", large, w.now))
	add(batchOf("another", "v", w.now))
	roll()
	add(of(1)) // takes the place of the first record, and of the batch by which the producer is known
	add(marker(7, 0, true, w.now))
	roll()
	c := NewCleaner(CleanerOptions{})
	gone := false
	for range 6 {
		if _, err := c.Clean(l, w.now, l.LogEnd()); err != nil {
			t.Fatal(err)
		}
		w.pump()
		add(batchOf("more", "v", w.now))
		roll()
		w.now += 1000
		got, err := w.read(l, 2, 4)
		if err != nil {
			t.Fatal(err)
		}
		gone = got[0].BaseOffset() == 3
	}
	if !gone {
		t.Fatal("the marker is still there")
	}
	if err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	if stable := l.LastStable(4); stable != 4 {
		t.Errorf("the last stable offset is %d", stable)
	}
	w.close()
}

// An aborted transaction ends where the index says, also when its marker is not in the log: what the producer has committed since is not dropped.
func TestAbortedTransactionWithoutMarker(t *testing.T) {
	var kept []index.Aborted
	txns := newCleanedTxns(func(a index.Aborted) { kept = append(kept, a) })
	later := index.Aborted{ProducerID: 7, FirstOffset: 20, LastOffset: 21, LastStable: 20}
	txns.add([]index.Aborted{{ProducerID: 7, FirstOffset: 0, LastOffset: 5}, later})
	at := func(offset int64, b record.Batch) record.Batch {
		b.Stamp(offset, 1)
		return b
	}
	if !txns.read(at(0, transactional(7, 0, 0, 1, 1))) {
		t.Error("an aborted batch stays")
	}
	if txns.read(at(10, transactional(7, 0, 1, 1, 1))) {
		t.Error("a committed batch is dropped")
	}
	if txns.read(at(11, marker(7, 0, true, 1))) {
		t.Error("its marker is dropped")
	}
	if !txns.read(at(20, transactional(7, 0, 2, 1, 1))) || txns.read(at(21, marker(7, 0, false, 1))) || !slices.Equal(kept, []index.Aborted{later}) {
		t.Errorf("of a later transaction %v is kept", kept)
	}
}

// Whoever clears a partition's folder of files that look left behind ends a cleaning, and does no other harm.
func TestCleaningWhoseFilesAreGone(t *testing.T) {
	w, l, m := keyedWorld(t, compactedConfig, 40)
	w.mem().SetHook(func(kind, name string) error {
		if kind == "rename" && strings.HasSuffix(name, logSuffix+cleanedSuffix) {
			return fs.ErrNotExist
		}
		return nil
	})
	if _, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, m.end); !IsCleanerPaused(err) {
		t.Fatalf("cleaned: %v", err)
	}
	w.mem().SetHook(nil)
	if _, err := m.clean(NewCleaner(CleanerOptions{}), l, w.now, m.end); err != nil {
		t.Fatal(err)
	}
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	w.close()
}

// What a cleaning has replaced stays for readers as long as the settings say, whatever becomes of what an earlier one has replaced at that place.
func TestReplacedSegmentsStayForAWhile(t *testing.T) {
	config := compactedConfig
	config.FileDeleteDelayMs = 1000
	w, l, m := keyedWorld(t, config, 40)
	replaced := func() (n int) {
		t.Helper()
		entries, err := w.fs.ReadDir(join(w.path, "t-0"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), offsetName(0, logSuffix)) && strings.HasSuffix(e.Name(), deletedSuffix) {
				n++
			}
		}
		return n
	}
	for i := range 2 {
		if done, err := m.clean(NewCleaner(CleanerOptions{}), l, w.now, m.end); err != nil || done.Segments == 0 || replaced() != i+1 {
			t.Fatalf("cleaning %d: %+v, %d replaced, %v", i, done, replaced(), err)
		}
		w.now += 600
		appendKeyed(w, l, m, rand.New(rand.NewPCG(3, 3)), 10)
		for pid := range int64(20) {
			if m.open[pid] {
				b := marker(pid, 0, true, w.now)
				w.mustAppend(l, b, 1)
				m.appended(b)
			}
		}
		w.flush(l)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{1, 0} {
		if err := w.d.Tick(w.now); err != nil {
			t.Fatal(err)
		}
		w.pump()
		if n := replaced(); n != want {
			t.Errorf("%d segments that were replaced are there, want %d", n, want)
		}
		w.now += 600
	}
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	w.close()
}

// A full disk ends a cleaning and nothing else.
func TestCleaningOnAFullDisk(t *testing.T) {
	w, l, m := keyedWorld(t, compactedConfig, 40)
	w.mem().SetHook(func(kind, name string) error {
		if kind == "write" && strings.HasSuffix(name, cleanedSuffix) {
			return vfs.ErrNoSpace
		}
		return nil
	})
	if _, err := NewCleaner(CleanerOptions{}).Clean(l, w.now, m.end); !errors.Is(err, ErrDiskFull) || !IsCleanerPaused(err) {
		t.Fatalf("cleaned: %v", err)
	}
	w.mem().SetHook(nil)
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	if _, err := m.clean(NewCleaner(CleanerOptions{}), l, w.now, m.end); err != nil {
		t.Fatal(err)
	}
	if err := m.check(w, l); err != nil {
		t.Fatal(err)
	}
	w.close()
}

// Retention and compaction together, with settings that change at run time: the next look follows the new ones.
func TestRetentionFollowsItsSettings(t *testing.T) {
	w := memWorld(t).open()
	c := Config{SegmentBytes: 500, RetentionMs: 1_000_000, FileDeleteDelayMs: -1}
	l := w.d.Log("t", testID, 0, c)
	for i := range 20 {
		w.mustAppend(l, batch(1, 100, w.now+int64(i)*1000), 1)
	}
	w.now += 20_000
	retain := func(want int) {
		t.Helper()
		n, err := l.Retain(w.now, l.LogEnd())
		if err != nil || n != want {
			t.Errorf("%d segments deleted, want %d, %v", n, want, err)
		}
		w.pump()
	}
	segments := func() int { return len(l.view.Load().segments) }
	if segments() != 10 {
		t.Fatalf("%d segments", segments())
	}
	retain(0)
	c.RetentionBytes = 6 * 300
	l.SetConfig(c)
	retain(10 - segmentsFor(l, 6*300))
	c.RetentionBytes, c.RetentionMs = 0, 5_500
	l.SetConfig(c)
	before := segments()
	n, err := l.Retain(w.now, l.LogEnd())
	if err != nil || n == 0 || n >= before {
		t.Errorf("%d of %d segments deleted by time, %v", n, before, err)
	}
	c.KeepAll = true
	c.RetentionMs = 1
	l.SetConfig(c)
	retain(0)
	c.KeepAll = false
	l.SetConfig(c)
	retain(segments()) // the active one, too: an empty one takes its place
	if l.LogStart() != l.LogEnd() || l.LogEnd() != 20 {
		t.Errorf("log %d to %d", l.LogStart(), l.LogEnd())
	}
	// The next append rolls by the new age and the new size.
	w.mustAppend(l, batch(1, 100, w.now), 1)
	c.SegmentMs = 100
	l.SetConfig(c)
	w.mustAppend(l, batch(1, 100, w.now+101), 1)
	if segments() != 2 {
		t.Errorf("%d segments after a roll by age", segments())
	}
	c.SegmentMs, c.SegmentBytes = 0, 200
	l.SetConfig(c)
	w.mustAppend(l, batch(1, 100, w.now+101), 1)
	if segments() != 3 {
		t.Errorf("%d segments after a roll by size", segments())
	}
	if _, err := w.append(l, batch(1, 300, w.now), 1); !errors.Is(err, wire.RecordListTooLarge) {
		t.Errorf("a batch larger than a segment: %v", err)
	}
	w.close()
}

// segmentsFor is how many segments retention by size leaves.
func segmentsFor(l *Log, bytes int64) int {
	s := l.view.Load().segments
	total := l.Size()
	n := len(s)
	for i := 0; n > 1 && total-s[i].Size() >= bytes; i++ {
		total -= s[i].Size()
		n--
	}
	return n
}
