package engine

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/wire"
)

// A spare is prepared in the background when a roll is seconds away at the present rate, and not before.
func TestSpareIsPreparedWhenTheRollIsNear(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{SegmentBytes: 64 << 10})
	spare := func() bool { w.pump(); return l.mu.o.spare != nil }
	w.mustAppend(l, batch(1, 900, w.now), 0)
	for range 10 { // one KiB a minute: the segment lasts for an hour
		w.now += 60_000
		w.mustAppend(l, batch(1, 900, w.now), 0)
	}
	if spare() {
		t.Fatal("a spare an hour before the roll")
	}
	for range 12 { // 10 KiB a second: four seconds are left
		w.now += 100
		w.mustAppend(l, batch(1, 900, w.now), 0)
	}
	if !spare() {
		t.Fatal("no spare seconds before the roll")
	}
	end := l.LogEnd()
	for len(l.view.Load().segments) == 1 {
		w.now += 100
		w.mustAppend(l, batch(1, 900, w.now), 0)
	}
	if got := l.SegmentEnd(0); got <= end || got >= l.LogEnd() || l.SegmentEnd(got) != l.LogEnd() {
		t.Errorf("segment ends at %d, then %d, log at %d", got, l.SegmentEnd(got), l.LogEnd())
	}
	w.close()
}

// Segments roll by the records' own timestamps, as Kafka's do.
func TestRollByAge(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{SegmentMs: 1000})
	for _, ts := range []int64{5000, 5500, 6000, 6001, 9000, 5000} {
		w.mustAppend(l, batch(1, 10, ts), 0)
	}
	if got := l.SegmentEnd(0); got != 3 {
		t.Errorf("the first segment ends at %d", got)
	}
	if got := l.SegmentEnd(3); got != 4 {
		t.Errorf("the second segment ends at %d", got)
	}
	w.close()
}

// With a jitter they roll earlier, each at its own age, and never before that is possible.
func TestRollJitter(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{SegmentMs: 1000, SegmentJitterMs: 600})
	ages := map[int64]bool{}
	start := int64(0)
	for ts := int64(0); len(ages) < 5 && ts < 100_000; ts++ {
		a := w.mustAppend(l, batch(1, 1, ts), 0)
		if base := l.view.Load().segments[len(l.view.Load().segments)-1].Base(); base == a.BaseOffset && a.BaseOffset > 0 {
			if age := ts - start; age > 1001 || age <= 400 {
				t.Fatalf("a segment rolled at the age of %d", age)
			} else {
				ages[age] = true
			}
			start = ts
		}
	}
	if len(ages) < 5 {
		t.Errorf("segments rolled at the ages %v", ages)
	}
	w.close()
}

// An append that is refused leaves nothing behind: not in the log, not in the epochs, not in the producers.
func TestRefusedAppendsLeaveNothing(t *testing.T) {
	w := memWorld(t).open()
	l := w.d.Log("t", testID, 0, Config{SegmentBytes: 2000})
	w.mustAppend(l, produced(1, 5, 0, 1, w.now), 7)
	for name, c := range map[string]struct {
		err   error
		apply func() error
	}{
		"an older leader epoch": {wire.FencedLeaderEpoch, func() error { _, err := w.append(l, produced(2, 0, 0, 1, w.now), 6); return err }},
		"a gap":                 {wire.OutOfOrderSequenceNumber, func() error { _, err := w.append(l, produced(1, 5, 2, 1, w.now), 8); return err }},
		"an older producer":     {wire.InvalidProducerEpoch, func() error { _, err := w.append(l, produced(1, 4, 1, 1, w.now), 8); return err }},
		"a follower's gap": {wire.InvalidRecord, func() error {
			b := batch(1, 10, w.now)
			b.Stamp(9, 8)
			return w.eventually(func() error { return l.AppendFollower(b, w.now) })
		}},
		"beyond the end": {wire.OffsetOutOfRange, func() error { _, err := l.Read(2, 9, 100, true, true); return err }},
	} {
		if err := c.apply(); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.append(l, batch(1, 3000, w.now), 9); !errors.Is(err, wire.RecordListTooLarge) {
		// The active segment holds something, so it rolls first; the new one refuses.
		t.Errorf("larger than a segment: %v", err)
	}
	if epoch, err := l.LatestEpoch(); epoch != 7 || err != nil || l.LogEnd() != 1 || len(l.mu.o.producers.byID) != 1 {
		t.Errorf("epoch %d, %v, log end %d, %d producers", epoch, err, l.LogEnd(), len(l.mu.o.producers.byID))
	}
	w.close()
}

// The number of remembered producers is bounded, by log and by directory; those that were silent for longest go, open transactions stay.
func TestProducersAreBounded(t *testing.T) {
	var shared atomic.Int64
	ps := producers{max: 100, shared: &shared, bound: 1000}
	ps.apply(transactional(5000, 0, 0, 1, 1))
	for i := range int64(500) {
		ps.apply(produced(i, 0, 0, 1, 1000+i))
	}
	if n := len(ps.byID); n > 100 || n < 80 || shared.Load() != int64(n) {
		t.Errorf("%d producers, %d shared", n, shared.Load())
	}
	if ps.byID[5000] == nil || ps.byID[499] == nil || ps.byID[0] != nil {
		t.Error("the wrong ones were forgotten")
	}
	shared.Store(2000)
	before := len(ps.byID)
	ps.apply(produced(9999, 0, 0, 1, 5000))
	if len(ps.byID) >= before {
		t.Errorf("%d producers while the directory has too many", len(ps.byID))
	}
	n := int64(len(ps.byID))
	shared.Store(n)
	ps.clear()
	if shared.Load() != 0 {
		t.Errorf("%d shared after a close", shared.Load())
	}
}
