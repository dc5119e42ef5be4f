package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// A roll copies the producers while a note, which copied them a little earlier, is still writing its file. What came between the two
// is in neither the note's file nor known to be new: it has to be replayed.
func TestRollBesideANoteLosesNoProducers(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, produced(1, 0, 0, 1, w.now), 0)
	o := l.mu.o

	l.noting.Lock() // a note, up to its capture
	l.mu.Lock()
	at := l.logEnd.Load()
	list, bases := o.captureLocked(at), o.bases()
	l.mu.Unlock()
	between := w.mustAppend(l, produced(2, 0, 0, 1, w.now), 0)
	l.work.Lock() // a roll, up to what it leaves to be written down
	l.mu.Lock()
	o.rolling = true
	l.mu.Unlock()
	if _, err := l.roll(); err != nil {
		t.Fatal(err)
	}
	l.work.Unlock()
	if err := l.saveProducers(o, at, list, bases, true); err != nil {
		t.Fatal(err)
	}
	l.noting.Unlock()

	w.mustAppend(l, batch(1, 10, w.now), 0)
	w.flush(l) // which tells the table
	w.kill()   // before the roll has written anything down
	w.open()
	l = w.d.Log("t", testID, 0, Config{})
	if a := w.mustAppend(l, produced(2, 0, 0, 1, w.now), 0); !a.Duplicate || a.BaseOffset != between.BaseOffset {
		t.Errorf("sent again: %+v, it was appended at %d", a, between.BaseOffset)
	}
	w.close()
}

// Retention may delete what was never flushed. The mark in the table must not rise above it before the deletion is durable: if the
// files come back with a power cut, their lost end would look like damage.
func TestPowerCutBringsBackDeletedRecordsThatWereNotFlushed(t *testing.T) {
	for seed := range uint64(20) {
		w := memWorld(t).open()
		config := Config{RetentionMs: 1000, OS: true}
		l := w.d.Log("t", testID, 0, config)
		w.mustAppend(l, batch(1, 10, w.now), 0)
		w.flush(l) // the folder's name
		for range 20 {
			w.mustAppend(l, batch(5, 100, w.now), 0)
		}
		w.now += 2000
		if n, err := l.Retain(w.now, l.LogEnd()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := w.d.Tick(w.now); err != nil { // makes the table durable
			t.Fatal(err)
		}
		w.jobs = nil
		w = newWorld(t, w.mem().CrashClone(rand.New(rand.NewPCG(seed, 3)), int(seed%4)*25), "/data")
		w.boot = "boot-2"
		w.open()
		l = w.d.Log("t", testID, 0, config)
		if err := w.ready(l); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.close()
	}
}

// A folder that somebody has removed while nobody was here takes its marks with it: they must not be held against what is appended now.
func TestFolderRemovedByHand(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	for range 9 {
		w.mustAppend(l, batch(1, 10, w.now), 0)
	}
	w.close()
	if err := w.fs.RemoveAll(join(w.path, "t-0")); err != nil {
		t.Fatal(err)
	}
	w.open()
	l = w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(1, 10, w.now), 0)
	w.flush(l)
	w.kill()
	w.open()
	l = w.d.Log("t", testID, 0, Config{})
	if err := w.ready(l); err != nil || l.LogEnd() != 1 {
		t.Errorf("log end %d, %v", l.LogEnd(), err)
	}
	w.close()
}

// The segments after a torn one are kept aside, but not more of them than is worth looking at.
func TestSegmentsAfterATornOneAreKeptWithinBounds(t *testing.T) {
	w := memWorld(t).open()
	config := Config{SegmentBytes: 400 << 10}
	l := w.d.Log("t", testID, 0, config)
	w.mustAppend(l, batch(1, 10, w.now), 0)
	w.flush(l)
	for range 6 {
		w.mustAppend(l, batch(1, 390<<10, w.now), 0)
		l.work.Lock() // rolls whose flush does not come any more
		l.mu.o.rolling = true
		_, err := l.roll()
		l.work.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.jobs = nil
	w = newWorld(t, w.mem().CrashClone(rand.New(rand.NewPCG(1, 1)), 100), "/data")
	w.boot = "boot-2"
	tornAt := offsetName(0, logSuffix)
	b, err := readFile(w.fs, join(w.path, "t-0", tornAt))
	if err != nil {
		t.Fatal(err)
	}
	b[200<<10] ^= 1
	if err := writeFile(w.fs, join(w.path, "t-0", tornAt), b); err != nil {
		t.Fatal(err)
	}
	w.open()
	l = w.d.Log("t", testID, 0, config)
	if err := w.ready(l); err != nil {
		t.Fatal(err)
	}
	entries, err := w.fs.ReadDir(join(w.path, "t-0"))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int64{}
	var total int64
	for _, e := range entries {
		if i, _ := e.Info(); strings.HasSuffix(e.Name(), ".log.torn") {
			kept[e.Name()] = i.Size()
			total += i.Size()
		}
	}
	if total == 0 || total > keptTorn || len(kept) < 2 {
		t.Errorf("%d bytes kept aside: %v", total, kept)
	}
	w.close()
}

// A folder of an earlier topic of the same name, whose partition.metadata a power cut has emptied, is still not ours: the table knows.
func TestFolderOfAnotherTopicWithoutItsName(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(3, 10, w.now), 0)
	w.flush(l)
	w.kill()
	if err := writeFile(w.fs, join(w.path, "t-0", partitionName), nil); err != nil {
		t.Fatal(err)
	}
	w.open()
	other := testID
	other[15]++
	l = w.d.Log("t", other, 0, Config{})
	if a := w.mustAppend(l, batch(1, 10, w.now), 0); a.BaseOffset != 0 {
		t.Errorf("appended at %d, after the records of another topic", a.BaseOffset)
	}
	w.close()
}

// Records that were asked to be deleted go although the log has closed its files meanwhile, or the broker was started again.
func TestDeletedRecordsGoFromAnIdleLog(t *testing.T) {
	for _, restart := range []bool{false, true} {
		deleteFromIdleLog(t, restart)
	}
}

func deleteFromIdleLog(t *testing.T, restart bool) {
	t.Helper()
	w := memWorld(t).open()
	config := Config{SegmentBytes: 300, KeepAll: true}
	l := w.d.Log("t", testID, 0, config)
	for range 9 {
		w.mustAppend(l, batch(1, 150, w.now), 0)
	}
	if err := l.DeleteBefore(8); err != nil {
		t.Fatal(err)
	}
	l.Idle(w.now, 0)
	w.pump()
	if restart {
		w.close()
		w.open()
		l = w.d.Log("t", testID, 0, config)
	}
	if n, err := l.Retain(w.now, l.LogEnd()); n == 0 || err != nil {
		t.Errorf("restart %v: %d segments deleted, %v", restart, n, err)
	}
	l.Idle(w.now, 0)
	w.pump()
	if _, err := l.Retain(w.now, l.LogEnd()); err != nil || fmt.Sprint(l.mu.phase) != "closed" {
		t.Errorf("the second time the log is %v, %v", l.mu.phase, err)
	}
	w.close()
}

// While a log is cut, a reader who asks for the last stable offset is not told that an open transaction is over.
func TestOpenTransactionStaysUnstableDuringTruncation(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(1, 10, w.now), 0)
	first := w.mustAppend(l, transactional(1, 0, 0, 1, w.now), 0).BaseOffset
	for range 5 {
		w.mustAppend(l, batch(1, 10, w.now), 0)
	}
	asked := 0
	w.mem().SetHook(func(op, name string) error {
		if l.mu.TryLock() { // not from inside note's own critical section
			l.mu.Unlock()
			asked++
			if got := l.LastStable(4); got != first {
				t.Errorf("at %s %s: last stable offset %d, the transaction began at %d", op, name, got, first)
			}
		}
		return nil
	})
	if err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	w.mem().SetHook(nil)
	if asked == 0 || l.LogEnd() != 4 {
		t.Errorf("asked %d times, log end %d", asked, l.LogEnd())
	}
	w.close()
}

// Who asks for a sync of the table while another one is under way is answered by it, and shares its failure: what it has written may be
// lost, although the table is not dirty any more.
func TestSyncOfTheTableIsSharedNotSkipped(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(1, 10, w.now), 0)
	w.flush(l)
	entered, release := make(chan struct{}), make(chan struct{})
	w.mem().SetHook(func(op, name string) error {
		if op != "sync" || !strings.HasSuffix(name, tableName) {
			return nil
		}
		close(entered)
		<-release
		return syscall.EIO
	})
	first, second := make(chan error), make(chan error)
	go func() { first <- w.d.table.sync() }()
	<-entered
	go func() { second <- w.d.table.sync() }()
	close(release)
	if err := <-first; !errors.Is(err, syscall.EIO) {
		t.Error("first:", err)
	}
	if err := <-second; !errors.Is(err, syscall.EIO) {
		t.Error("second:", err)
	}
	w.mem().SetHook(nil)
	w.kill()
}

// A batch that does not fit what is left of an answer is not skipped, however well the first one of the next segment would fit.
func TestReadSkipsNothing(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(1, 1000, 1), 1)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	w.pump()
	w.mustAppend(l, batch(1, 10, 1), 1)
	s, err := l.Read(0, l.LogEnd(), 300, false, true)
	if err != nil || s.Length != 0 {
		t.Errorf("%d bytes, %v", s.Length, err)
	}
	s.Release()
	w.close()
}

// Records of an open transaction may be deleted from the front: the last stable offset is then where the log begins, not below.
func TestLastStableIsNotBelowTheStart(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{})
	w.mustAppend(l, batch(2, 10, 1), 1)
	w.mustAppend(l, transactional(7, 0, 0, 2, 1), 1)
	w.mustAppend(l, batch(4, 10, 1), 1)
	for _, c := range []struct{ before, stable int64 }{{1, 2}, {6, 6}, {8, 8}} {
		if err := l.DeleteBefore(c.before); err != nil {
			t.Fatal(err)
		}
		if stable := l.LastStable(8); stable != c.stable {
			t.Errorf("the log begins at %d, the last stable offset is %d", c.before, stable)
		}
	}
	w.mustAppend(l, marker(7, 0, false, 1), 1)
	if stable := l.LastStable(9); stable != 9 {
		t.Errorf("after the end of the transaction the last stable offset is %d", stable)
	}
	w.close()
}

// A larger segment.bytes is in force with the next segment, also when that one was prepared before.
func TestRaisedSegmentBytes(t *testing.T) {
	w := memWorld(t).open()
	config := Config{SegmentBytes: 300}
	l := w.d.Log("t", testID, 0, config)
	w.mustAppend(l, batch(1, 100, 1), 1)
	if l.begin(askSpare) {
		l.spareJob()
	}
	config.SegmentBytes = 10_000
	l.SetConfig(config)
	if _, err := w.append(l, batch(1, 1000, 1), 1); err != nil {
		t.Errorf("a batch that fits the new size: %v", err)
	}
	w.close()
}
