package engine

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

var cleanSeeds = flag.Int("clean.seeds", 60, "number of seeds of the compaction tests")

// kept is a record that a compacted log should hold.
type kept struct {
	offset, timestamp int64
	key, value        string // "-": null
}

// keyed is a model of a compacted log: what was appended, and what of it compaction must have left.
type keyed struct {
	batches []*keyedBatch
	next    map[int64]int32 // sequence by producer
	open    map[int64]bool  // producers with an open transaction
	end     int64
}

type keyedBatch struct {
	base, last int64
	pid        int64 // -1: none
	sequence   int32 // the last one
	txn        bool
	aborted    bool // known once the marker is there
	control    bool
	horizon    int64 // -1: none
	records    []kept
}

func newKeyed() *keyed { return &keyed{next: map[int64]int32{}, open: map[int64]bool{}} }

func text(b []byte) string {
	if b == nil {
		return "-"
	}
	return string(b)
}

// someKeyed builds a batch: all codecs, few keys, tombstones, records without a key, idempotent producers, transactions and their ends.
func (m *keyed) someKeyed(r *rand.Rand, now int64, keys int) record.Batch {
	pid := int64(-1)
	o := record.BuildOptions{Codec: record.Codec(r.IntN(5))}
	switch r.IntN(5) {
	case 0, 1:
		pid = 1 + r.Int64N(3)
	case 2:
		pid = 10 + r.Int64N(2)
		if m.open[pid] && r.IntN(2) == 0 {
			return marker(pid, 0, r.IntN(2) == 0, now)
		}
		o.Transactional = true
	}
	if pid >= 0 {
		o.Idempotent, o.ProducerID, o.BaseSequence = true, pid, m.next[pid]
	}
	if r.IntN(6) == 0 {
		o.LogAppendTime = now
	}
	var w record.Builder
	w.Reset(o)
	for i := range 1 + r.IntN(6) {
		key, value := fmt.Appendf(nil, "key-%d", r.IntN(keys)), bytes.Repeat([]byte{byte('a' + i)}, r.IntN(60))
		if r.IntN(4) == 0 {
			value = nil
		}
		if r.IntN(20) == 0 {
			key = nil
		}
		w.Add(now-r.Int64N(50), key, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func readKept(b record.Batch) (list []kept) {
	err := b.Iterate(record.Limits{}, func(r record.Record) error {
		list = append(list, kept{r.Offset, r.Timestamp, text(r.Key), text(r.Value)})
		return nil
	})
	if err != nil {
		panic(err)
	}
	return list
}

// appended takes note of a stamped batch.
func (m *keyed) appended(b record.Batch) {
	k := &keyedBatch{base: b.BaseOffset(), last: b.LastOffset(), pid: b.ProducerID(), sequence: b.LastSequence(), txn: b.Transactional(), control: b.Control(), horizon: -1}
	if k.control {
		mk, _ := record.ParseControl(b)
		delete(m.open, k.pid)
		for i := len(m.batches) - 1; i >= 0 && !mk.Commit; i-- {
			if o := m.batches[i]; o.pid == k.pid && o.control {
				break
			} else if o.pid == k.pid && o.txn {
				o.aborted = true
			}
		}
	} else {
		k.records = readKept(b)
		if k.txn {
			m.open[k.pid] = true
		}
		if k.pid >= 0 {
			m.next[k.pid] = record.AddSequence(k.sequence, 1)
		}
	}
	m.batches = append(m.batches, k)
	m.end = b.NextOffset()
}

// cleaned does to the model what a cleaning from..to does to a log, all segments of which up to through it has gone through.
func (m *keyed) cleaned(now, retention, from, to, through int64) {
	last := map[string]int64{}
	for _, b := range m.batches {
		for _, r := range b.records {
			if r.offset >= from && r.offset < to && r.key != "-" && !b.aborted {
				last[r.key] = r.offset
			}
		}
	}
	for _, b := range m.batches {
		if b.base >= through {
			break
		}
		if b.aborted {
			b.records = nil
		}
		due := b.horizon >= 0 && now >= b.horizon
		tombstone := false
		b.records = slices.DeleteFunc(b.records, func(r kept) bool {
			at, known := last[r.key]
			stays := r.offset >= to || r.key != "-" && (r.value != "-" || !due) && (!known || r.offset >= at)
			tombstone = tombstone || stays && r.value == "-"
			return !stays
		})
		if tombstone && b.horizon < 0 {
			b.horizon = now + retention
		}
	}
}

func (m *keyed) records(start int64) (list []kept) {
	for _, b := range m.batches {
		for _, r := range b.records {
			if r.offset >= start {
				list = append(list, r)
			}
		}
	}
	return list
}

// check compares a log with the model.
func (m *keyed) check(w *world, l *Log) error {
	if err := w.ready(l); err != nil {
		return err
	}
	if l.LogEnd() != m.end {
		return fmt.Errorf("log end %d, want %d", l.LogEnd(), m.end)
	}
	start := l.LogStart()
	got, err := w.read(l, start, m.end)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	var list []kept
	at := int64(-1)
	lastOf := map[int64]record.Batch{}
	for _, b := range got {
		if err := b.CheckHeader(); err != nil {
			return err
		}
		if b.BaseOffset() <= at {
			return fmt.Errorf("batch at %d after %d", b.BaseOffset(), at)
		}
		at = b.LastOffset()
		if b.ProducerID() >= 0 && !b.Control() {
			lastOf[b.ProducerID()] = b
		}
		if !b.Control() {
			for _, r := range readKept(b) {
				if r.offset >= start {
					list = append(list, r)
				}
			}
		}
		i, ok := slices.BinarySearchFunc(m.batches, b.BaseOffset(), func(k *keyedBatch, base int64) int { return int(k.base - base) })
		if !ok || m.batches[i].last != b.LastOffset() || m.batches[i].pid != b.ProducerID() || m.batches[i].control != b.Control() ||
			!b.Control() && b.LastSequence() != m.batches[i].sequence {
			return fmt.Errorf("no batch %d-%d of producer %d was appended", b.BaseOffset(), b.LastOffset(), b.ProducerID())
		}
		if b.Count() > 0 && !b.Control() && b.DeleteHorizonMs() != m.batches[i].horizon {
			return fmt.Errorf("batch at %d has the horizon %d, want %d", b.BaseOffset(), b.DeleteHorizonMs(), m.batches[i].horizon)
		}
	}
	want := m.records(start)
	if fmt.Sprint(list) != fmt.Sprint(want) {
		for i := range max(len(list), len(want)) {
			if i >= len(list) || i >= len(want) || list[i] != want[i] {
				return fmt.Errorf("record %d of %d, want %d: %v, want %v", i, len(list), len(want), list[i:min(i+2, len(list))], want[i:min(i+2, len(want))])
			}
		}
	}
	for pid, next := range m.next {
		if b, ok := lastOf[pid]; next > 0 && start == 0 && (!ok || record.AddSequence(b.LastSequence(), 1) != next) {
			return fmt.Errorf("the last sequence of producer %d is not in the log", pid)
		}
	}
	if err := m.checkCommitted(w, l, got); err != nil {
		return err
	}
	return m.checkLookups(w, l, want)
}

// checkCommitted reads as a consumer does that wants committed records only.
func (m *keyed) checkCommitted(w *world, l *Log, got []record.Batch) error {
	var list []AbortedTxn
	end := l.LastStable(m.end)
	err := w.eventually(func() (err error) { list, err = l.Aborted(nil, l.LogStart(), end); return err })
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	hidden := map[int64]bool{}
	var seen, want []kept
	for _, b := range got {
		if b.BaseOffset() >= end {
			break
		}
		for len(list) > 0 && list[0].FirstOffset <= b.LastOffset() {
			hidden[list[0].ProducerID] = true
			list = list[1:]
		}
		if b.Control() {
			if mk, err := record.ParseControl(b); err == nil && !mk.Commit {
				delete(hidden, b.ProducerID())
			}
		} else if !b.Transactional() || !hidden[b.ProducerID()] {
			seen = append(seen, readKept(b)...)
		}
	}
	for _, b := range m.batches {
		if !b.aborted && b.base < end && b.last >= l.LogStart() {
			want = append(want, b.records...)
		}
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		return fmt.Errorf("%d committed records are seen, want %d", len(seen), len(want))
	}
	return nil
}

// checkLookups compares reads that begin anywhere, and look-ups by time, with what the records say.
func (m *keyed) checkLookups(w *world, l *Log, want []kept) error {
	for i := 0; i < len(want); i += 1 + len(want)/7 {
		from := want[i].offset
		got, err := w.read(l, from, m.end)
		if err != nil || len(got) == 0 || got[0].LastOffset() < from || got[0].BaseOffset() > from {
			return fmt.Errorf("read from %d: %d batches, %v", from, len(got), err)
		}
		ts := want[i].timestamp
		var offset int64
		err = w.eventually(func() (err error) { offset, _, _, err = l.OffsetForTime(ts, true); return err })
		first := slices.IndexFunc(want, func(r kept) bool { return r.timestamp >= ts })
		if err != nil || offset > want[first].offset || offset < 0 {
			// A marker has a timestamp too, and counts.
			return fmt.Errorf("offset for time %d is %d, want %d (%v)", ts, offset, want[first].offset, err)
		}
	}
	return nil
}

// clean runs a cleaning and does the same to the model.
func (m *keyed) clean(c *Cleaner, l *Log, now, highWatermark int64) (Cleaned, error) {
	l.work.Lock()
	err := l.open(false)
	l.work.Unlock()
	v := l.view.Load()
	if err != nil {
		return Cleaned{}, err
	}
	done, err := c.Clean(l, now, highWatermark)
	if err != nil || v == nil || done.To == done.From {
		return done, err
	}
	through := v.segments[len(v.segments)-1].Base()
	for _, s := range v.segments {
		if s.Base() >= done.To {
			through = s.Base()
			break
		}
	}
	m.cleaned(now, l.config.Load().DeleteRetentionMs, done.From, done.To, through)
	return done, nil
}

// Whatever was appended, compaction leaves exactly the last record of every key, tombstones until they are due, nothing aborted, nothing without a
// key, and what producers are known by; with a table of keys that is too small it takes several cleanings, and comes to the same.
func TestCompactionAgainstModel(t *testing.T) {
	moreThanOnce := 0
	for seed := range uint64(*cleanSeeds) {
		r := rand.New(rand.NewPCG(seed, 21))
		w := memWorld(t).open()
		config := Config{SegmentBytes: 600 + r.Int32N(3000), IndexInterval: 100, Compacted: true, KeepAll: true, DeleteRetentionMs: 500, MinCleanableRatio: -1}
		l := w.d.Log("t", testID, 0, config)
		m := newKeyed()
		o := CleanerOptions{IOBytes: 100 + r.IntN(2000)}
		if seed%3 == 0 {
			o.KeyBytes = int64(keySlotSize * (4 + r.IntN(60)))
		}
		c := NewCleaner(o)
		fail := func(step int, what string, err error) {
			t.Helper()
			t.Fatalf("seed %d, step %d, %s: %v", seed, step, what, err)
		}
		for step := range 120 {
			switch k := r.IntN(30); {
			case k < 22:
				b := m.someKeyed(r, w.now, 12)
				if _, err := w.append(l, b, int32(1+step/40)); err != nil {
					fail(step, "append", err)
				}
				m.appended(b)
			case k < 24:
				if err := l.Roll(); err != nil {
					fail(step, "roll", err)
				}
				w.pump()
			case k < 27:
				w.flush(l)
				w.now += r.Int64N(600)
				var done Cleaned
				for range 500 {
					var err error
					if done, err = m.clean(c, l, w.now, m.end); err != nil {
						fail(step, "clean", err)
					}
					w.pump()
					if !done.Full {
						break
					}
					moreThanOnce++
				}
				if done.Full {
					fail(step, "clean", errors.New("no end of it"))
				}
			case k == 27:
				w.close()
				w.open()
				l = w.d.Log("t", testID, 0, config)
			case k == 28:
				w.kill()
				w.open()
				l = w.d.Log("t", testID, 0, config)
			default:
				l.Idle(w.now, 0)
				w.pump()
			}
			if step%10 == 9 {
				if err := m.check(w, l); err != nil {
					fail(step, "check", err)
				}
			}
		}
		if err := m.check(w, l); err != nil {
			fail(120, "check", err)
		}
		w.close()
	}
	if moreThanOnce == 0 {
		t.Error("the table of keys was never too small")
	}
}
