package engine

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// A log that was reset begins and ends there, with no epoch of before, and goes on from there also after a crash.
func TestResetTo(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("a", testID, 0, Config{Durable: true})
	for range 5 {
		w.mustAppend(l, batch(2, 100, 1), 7)
	}
	w.flush(l)
	if err := l.ResetTo(100); err != nil {
		t.Fatal(err)
	}
	if l.LogStart() != 100 || l.LogEnd() != 100 || l.FlushedTo() != 100 {
		t.Errorf("[%d, %d), flushed to %d", l.LogStart(), l.LogEnd(), l.FlushedTo())
	}
	b := batch(1, 10, 2)
	b.Stamp(100, 3) // an epoch below the one that was there
	if err := w.eventually(func() error { return l.AppendFollower(b, w.now) }); err != nil {
		t.Fatal(err)
	}
	w.flush(l)
	w.pump()
	for _, percent := range []int{0, 100} {
		w := newWorld(t, w.mem().CrashClone(rand.New(rand.NewPCG(1, 1)), percent), "/data").open()
		l := w.d.Log("a", testID, 0, Config{Durable: true})
		if err := w.ready(l); err != nil {
			t.Fatal(err)
		}
		if got := w.dump(l); got != "100-100/3" || l.LogStart() != 100 || l.LogEnd() != 101 {
			t.Errorf("%d %% kept: %q, [%d, %d)", percent, got, l.LogStart(), l.LogEnd())
		}
		if epoch, err := l.EpochAt(100); err != nil || epoch != 3 {
			t.Errorf("epoch %d, %v", epoch, err)
		}
	}
}

// A power cut at any moment of a reset leaves a beginning of the log, or nothing, and never a log that does not open.
func TestResetSurvivesCrashes(t *testing.T) {
	power := errors.New("the power is gone")
	for step := 1; step < 100; step++ {
		w := memWorld(t).open()
		l := w.d.Log("a", testID, 0, Config{Durable: true})
		for range 3 {
			w.mustAppend(l, batch(2, 100, 1), 7)
			w.flush(l)
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
			w.pump()
		}
		left := step
		w.mem().SetHook(func(op, name string) error {
			if left--; left <= 0 {
				return power
			}
			return nil
		})
		err := l.ResetTo(100)
		w.mem().SetHook(nil)
		for _, percent := range []int{0, 50, 100} {
			back := newWorld(t, w.mem().CrashClone(rand.New(rand.NewPCG(uint64(step), 1)), percent), "/data").open()
			l := back.d.Log("a", testID, 0, Config{Durable: true})
			if err := back.ready(l); err != nil {
				t.Fatalf("step %d, %d %% kept: %v", step, percent, err)
			}
			start, end := l.LogStart(), l.LogEnd()
			if !(start == 0 && (end == 0 || end == 2 || end == 4 || end == 6) || start == 100 && end == 100) {
				t.Errorf("step %d, %d %% kept: [%d, %d)", step, percent, start, end)
			}
			back.kill()
		}
		if err == nil {
			return
		}
	}
	t.Error("a reset that takes so many steps is none")
}

// What is appended after a truncation may be of an earlier epoch than what was cut.
func TestTruncationForgetsEpochs(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("a", testID, 0, Config{Durable: true})
	w.mustAppend(l, batch(1, 10, 1), 2)
	w.mustAppend(l, batch(1, 10, 1), 5)
	if err := l.TruncateTo(1); err != nil {
		t.Fatal(err)
	}
	b := batch(1, 10, 1)
	b.Stamp(1, 3)
	if err := w.eventually(func() error { return l.AppendFollower(b, w.now) }); err != nil {
		t.Fatal(err)
	}
	if epoch, err := l.EpochAt(1); err != nil || epoch != 3 {
		t.Errorf("epoch %d, %v", epoch, err)
	}
}
