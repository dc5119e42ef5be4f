package fuzz

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// FuzzEngineCleaner appends what the bytes say to a compacted log (any codec, keys, tombstones, null keys, producers, transactions and their ends),
// rolls, moves the clock, compacts with a table of keys of any size, kills and cuts the power. Whoever reads the log into a table must always get
// the table of all that was appended, and nothing may be in the log that was not.
func FuzzEngineCleaner(f *testing.F) {
	f.Add([]byte("\x11a\x22b\x33crc\x11a\x22b\x33crc"))
	f.Add([]byte("\x01a\x81arfc\x01b\x81brfctrfctc"))
	f.Add([]byte("pppprcpppprckpppprcxrc"))
	f.Add([]byte{'T', 'T', 'A', 'T', 'r', 'T', 'C', 'r', 'c', 't', 'c', 'k', 'T', 'A', 'r', 'c', 't', 'c', 'c'})
	f.Add([]byte("p\x00p\x40p\x80p\xc0rfcSp\x01p\x41rfcccccx"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 150 {
			ops = ops[:150]
		}
		m := &cleanerModel{world: newEngineWorld(t, vfs.NewMem()), next: map[int64]int32{}, open: map[int64]bool{}, keyBytes: 1 << 20}
		m.start()
		for i := 0; i < len(ops); i++ {
			argument := byte(0)
			if i+1 < len(ops) {
				argument = ops[i+1]
			}
			m.do(ops[i], argument)
		}
		m.must(m.flush())
		m.clean()
		m.compare("at the end")
	})
}

type cleanerModel struct {
	world    *engineWorld
	l        *engine.Log
	batches  []record.Batch // as stamped
	promised int64
	next     map[int64]int32
	open     map[int64]bool
	keyBytes int64
}

var cleanerConfig = engine.Config{SegmentBytes: 700, IndexInterval: 100, Compacted: true, KeepAll: true, MinCleanableRatio: -1, DeleteRetentionMs: 100}

func (m *cleanerModel) must(err error) {
	m.world.t.Helper()
	if err != nil {
		m.world.t.Fatal(err)
	}
}

func (m *cleanerModel) start() {
	w := m.world
	r := rand.New(rand.NewPCG(1, 2))
	d, err := engine.OpenDir(engine.DirOptions{FS: w.fs, Path: "/data", Go: func(job func()) { w.jobs = append(w.jobs, job) },
		BootID: fmt.Sprint("boot ", w.boot), Rand: r.Uint64})
	m.must(err)
	w.d = d
	m.l = d.Log("t", engineTopicID, 0, cleanerConfig)
}

func (m *cleanerModel) end() int64 {
	if n := len(m.batches); n > 0 {
		return m.batches[n-1].NextOffset()
	}
	return 0
}

func (m *cleanerModel) flush() error {
	to, err := m.l.Flush()
	m.promised = max(m.promised, to)
	return err
}

func (m *cleanerModel) clean() {
	c := engine.NewCleaner(engine.CleanerOptions{KeyBytes: m.keyBytes, IOBytes: 300})
	for range 1000 {
		done, err := c.Clean(m.l, m.world.now, m.end())
		m.must(err)
		m.world.pump()
		if done.RecordsAfter > done.RecordsBefore || done.To < done.From {
			m.world.t.Fatalf("a cleaning says %+v", done)
		}
		if !done.Full {
			return
		}
	}
	m.world.t.Fatal("the table of keys is too small for ever")
}

func (m *cleanerModel) do(op, argument byte) {
	w := m.world
	switch op {
	case 'r':
		m.must(m.l.Roll())
		w.pump()
		m.promised = max(m.promised, m.l.FlushedTo())
	case 'f':
		m.must(m.flush())
	case 't':
		w.now += int64(argument)
	case 'c':
		m.clean()
	case 'S': // the size of the table of keys
		m.keyBytes = 24 * (1 + int64(argument))
	case 'i':
		m.l.Idle(w.now, 0)
		w.pump()
	case 'k', 'x': // a kill, a power cut that keeps some of what was not synced
		w.jobs = nil
		if op == 'x' {
			w.fs = w.fs.CrashClone(rand.New(rand.NewPCG(uint64(argument), 1)), int(argument)%101)
			w.boot++
		} else {
			w.fs = w.fs.CrashClone(rand.New(rand.NewPCG(1, 1)), 100)
		}
		m.start()
		m.must(w.retry(m.l.Ready))
		if end := m.l.LogEnd(); end < m.promised || op == 'k' && end != m.end() {
			w.t.Fatalf("log end %d after %q, promised %d of %d", end, op, m.promised, m.end())
		}
		for len(m.batches) > 0 && m.batches[len(m.batches)-1].BaseOffset() >= m.l.LogEnd() {
			m.batches = m.batches[:len(m.batches)-1]
		}
		m.recount()
		m.compare(fmt.Sprintf("after %q", op))
	case 'C', 'A': // the end of a transaction
		pid := int64(5)
		if !m.open[pid] {
			return
		}
		_, b := record.AppendControl(nil, record.Marker{Commit: op == 'C', ProducerID: pid, Timestamp: w.now})
		delete(m.open, pid)
		m.append(b)
	default:
		m.append(m.batch(op, argument))
	}
}

// batch makes one of what two bytes say: op the codec and the producer, argument the keys and what is null.
func (m *cleanerModel) batch(op, argument byte) record.Batch {
	o := record.BuildOptions{Codec: record.Codec(op % 5)}
	if op == 'T' {
		o.Transactional, o.Idempotent, o.ProducerID, o.BaseSequence = true, true, 5, m.next[5]
		m.open[5] = true
	} else if op&8 != 0 {
		o.Idempotent, o.ProducerID = true, int64(op>>6)
		o.BaseSequence = m.next[o.ProducerID]
	}
	if op&16 != 0 {
		o.LogAppendTime = m.world.now
	}
	var w record.Builder
	w.Reset(o)
	for i := range 1 + int(argument>>6) {
		key, value := []byte{'a' + (argument+byte(i))%7}, bytes.Repeat([]byte{argument}, int(argument)%90)
		if argument&0x10 != 0 && i%2 == 0 {
			value = nil
		}
		if argument&0x3f == 0x3f {
			key = nil
		}
		w.Add(m.world.now-int64(i), key, value)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func (m *cleanerModel) append(b record.Batch) {
	_, err := m.world.append(m.l, b, 1)
	m.must(err)
	m.batches = append(m.batches, b)
	if b.ProducerID() >= 0 && !b.Control() {
		m.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
	}
}

// recount learns sequences and the open transaction again from the batches that are left.
func (m *cleanerModel) recount() {
	m.next, m.open = map[int64]int32{}, map[int64]bool{}
	for _, b := range m.batches {
		switch {
		case b.ProducerID() < 0:
		case b.Control():
			delete(m.open, b.ProducerID())
		default:
			m.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
			if b.Transactional() {
				m.open[b.ProducerID()] = true
			}
		}
	}
}

// seen is a record, to be found again.
type seen struct {
	offset, timestamp int64
	key, value        string
}

func seenOf(b record.Batch) (list []seen) {
	err := b.Iterate(record.Limits{}, func(r record.Record) error {
		s := seen{r.Offset, r.Timestamp, "key " + string(r.Key), "value " + string(r.Value)}
		if r.Key == nil {
			s.key = ""
		}
		if r.Value == nil {
			s.value = ""
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return list
}

// aborted are the base offsets of batches whose transaction was.
func (m *cleanerModel) aborted() map[int64]bool {
	out := map[int64]bool{}
	var since []int64
	for _, b := range m.batches {
		switch {
		case b.Control():
			if mk, err := record.ParseControl(b); err == nil && !mk.Commit {
				for _, base := range since {
					out[base] = true
				}
			}
			since = nil
		case b.Transactional():
			since = append(since, b.BaseOffset())
		}
	}
	return out
}

func (m *cleanerModel) compare(when string) {
	w := m.world
	w.t.Helper()
	aborted := m.aborted()
	known := map[seen]bool{}
	want, have := map[string]seen{}, map[string]seen{}
	put := func(table map[string]seen, list []seen) {
		for _, s := range list {
			if s.key == "" {
				continue
			}
			if table[s.key] = s; s.value == "" {
				delete(table, s.key)
			}
		}
	}
	for _, b := range m.batches {
		if b.Control() {
			continue
		}
		list := seenOf(b)
		for _, s := range list {
			known[s] = true
		}
		if !aborted[b.BaseOffset()] {
			put(want, list)
		}
	}
	last := int64(-1)
	for at := m.l.LogStart(); at < m.l.LogEnd(); {
		var s vfs.Slice
		m.must(w.retry(func() (err error) {
			s, err = m.l.Read(at, m.l.LogEnd(), 500, true, true)
			return err
		}))
		p := make([]byte, s.Length)
		_, err := s.ReadAt(p, 0)
		s.Release()
		if err != nil && err != io.EOF {
			w.t.Fatal(err)
		}
		if len(p) == 0 {
			break
		}
		for {
			b, rest, err := record.Next(p)
			if err != nil {
				break
			}
			m.must(b.CheckHeader())
			if b.BaseOffset() <= last || b.NextOffset() <= at {
				w.t.Fatalf("%s: batch %d-%d after %d, from %d", when, b.BaseOffset(), b.LastOffset(), last, at)
			}
			last, at, p = b.LastOffset(), b.NextOffset(), rest
			if b.Control() {
				continue
			}
			list := seenOf(b)
			for _, s := range list {
				if !known[s] {
					w.t.Fatalf("%s: %+v was never appended", when, s)
				}
			}
			if !aborted[b.BaseOffset()] {
				put(have, list)
			}
		}
	}
	if !maps.Equal(have, want) {
		w.t.Fatalf("%s: the log reads as\n%v, want\n%v", when, have, want)
	}
	if n := len(m.batches); n > 0 && m.l.LogEnd() != m.end() {
		w.t.Fatalf("%s: log end %d, want %d", when, m.l.LogEnd(), m.end())
	}
}
