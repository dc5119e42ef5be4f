package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// engineWorld is a log directory in memory whose background work runs when asked.
type engineWorld struct {
	t    testing.TB
	fs   *vfs.Mem
	d    *engine.Dir
	jobs []func()
	boot int
	now  int64
}

func newEngineWorld(t testing.TB, fs *vfs.Mem) *engineWorld {
	return &engineWorld{t: t, fs: fs, now: 1_000_000}
}

var engineConfig = engine.Config{SegmentBytes: 1000, IndexInterval: 200, KeepAll: true}

func (w *engineWorld) open() *engine.Log {
	r := rand.New(rand.NewPCG(1, 2))
	d, err := engine.OpenDir(engine.DirOptions{FS: w.fs, Path: "/data", Go: func(job func()) { w.jobs = append(w.jobs, job) },
		BootID: fmt.Sprint("boot ", w.boot), Rand: r.Uint64})
	if err != nil {
		w.t.Fatal("open:", err)
	}
	w.d = d
	return d.Log("t", engineTopicID, 0, engineConfig)
}

func (w *engineWorld) pump() {
	for len(w.jobs) > 0 {
		job := w.jobs[0]
		w.jobs = w.jobs[1:]
		job()
	}
}

// retry calls f until it does not wait for background work.
func (w *engineWorld) retry(f func() error) error {
	for range 100 {
		if err := f(); !errors.Is(err, engine.ErrWait) {
			return err
		}
		w.pump()
	}
	return errors.New("waits for ever")
}

func (w *engineWorld) append(l *engine.Log, b record.Batch, epoch int32) (a engine.Appended, err error) {
	err = w.retry(func() (err error) {
		a, err = l.Append(b, epoch, w.now)
		return err
	})
	return a, err
}

func engineBatch(o record.BuildOptions, n, size int) record.Batch {
	var w record.Builder
	w.Reset(o)
	for i := range n {
		w.Add(int64(1000+i), []byte("key"), bytes.Repeat([]byte{byte(i)}, size))
	}
	_, b, err := w.Build(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzEngineLog does whatever the bytes say to a log (append, repeat, flush, roll, truncate, delete, idle, tick, clean stop, kill, power
// cut) and compares it with a list of batches: nothing that was promised is lost, nothing else appears, and a repeated batch is always
// recognised.
func FuzzEngineLog(f *testing.F) {
	f.Add([]byte("aaafaaarakaac"))
	f.Add([]byte("aAbBafpAarfpta\x80ic"))
	f.Add([]byte{'a', 'f', 'r', 'a', 'a', 't', 200, 'k', 'a', 'd', 100, 'c', 'a', 'i', 'a', 'p', 'x', 'a', 'f', 'p'})
	f.Add([]byte("afiafpaicafpaakakafpraafp"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			ops = ops[:200]
		}
		m := &engineModel{world: newEngineWorld(t, vfs.NewMem()), next: map[int64]int32{}}
		m.l = m.world.open()
		for i := 0; i < len(ops); i++ {
			argument := byte(0)
			if i+1 < len(ops) {
				argument = ops[i+1]
			}
			m.do(ops[i], argument)
		}
		m.compare("at the end")
	})
}

type engineModel struct {
	world    *engineWorld
	l        *engine.Log
	batches  []record.Batch
	promised int64
	start    int64
	epoch    int32
	next     map[int64]int32
}

func (m *engineModel) end() int64 {
	if n := len(m.batches); n > 0 {
		return m.batches[n-1].NextOffset()
	}
	return 0
}

func (m *engineModel) must(err error) {
	m.world.t.Helper()
	if err != nil {
		m.world.t.Fatal(err)
	}
}

func (m *engineModel) do(op, argument byte) {
	w := m.world
	switch op {
	case 'a':
		m.append(engineBatch(record.BuildOptions{}, 1+int(argument%3), int(argument)))
	case 'A', 'B': // an idempotent producer
		pid := int64(op)
		m.append(engineBatch(record.BuildOptions{Idempotent: true, ProducerID: pid, BaseSequence: m.next[pid]}, 1+int(argument%3), int(argument%50)))
	case 'b': // the last batch of a producer, again
		for i := len(m.batches) - 1; i >= 0; i-- {
			if b := m.batches[i]; b.ProducerID() >= 0 {
				a, err := w.append(m.l, bytes.Clone(b), m.epoch)
				if err != nil || !a.Duplicate || a.BaseOffset != b.BaseOffset() {
					w.t.Fatalf("batch %d-%d again: %+v, %v", b.BaseOffset(), b.LastOffset(), a, err)
				}
				break
			}
		}
	case 'e':
		m.epoch++
	case 'f':
		to, err := m.l.Flush()
		m.must(err)
		if to != m.l.LogEnd() {
			w.t.Fatalf("flushed to %d of %d", to, m.l.LogEnd())
		}
		m.promised = m.end()
	case 'r':
		m.must(m.l.Roll())
	case 't':
		m.truncate(int64(argument) * m.end() / 256)
	case 'd':
		to := m.start + int64(argument)*(m.end()-m.start)/256
		m.must(m.l.DeleteBefore(to))
		m.start = max(m.start, to)
		_, err := m.l.Retain(w.now, m.end())
		m.must(err)
	case 'i':
		m.l.Idle(w.now, 0)
		w.pump()
		m.must(w.d.Err())
		m.promised = m.end()
	case 'x':
		w.now += 1000
		m.must(w.d.Tick(w.now))
		w.pump()
	case 'c':
		m.must(w.d.Close(true))
		w.pump()
		m.promised = m.end()
		m.l = w.open()
		m.compare("after a clean stop")
	case 'k':
		w.jobs = nil
		clone := w.fs.CrashClone(rand.New(rand.NewPCG(1, 1)), 100)
		_ = w.d.Close(false)
		w.jobs = nil
		w.fs = clone
		m.l = w.open()
		m.compare("after a kill")
	case 'p':
		w.jobs = nil
		clone := w.fs.CrashClone(rand.New(rand.NewPCG(uint64(argument), 3)), int(argument)%101)
		_ = w.d.Close(false)
		w.jobs = nil
		w.fs, w.boot = clone, w.boot+1
		m.l = w.open()
		m.must(w.retry(m.l.Ready))
		if m.l.LogEnd() < m.promised {
			w.t.Fatalf("log end %d after a power cut, promised %d", m.l.LogEnd(), m.promised)
		}
		m.cut(m.l.LogEnd())
		m.start = min(m.start, m.l.LogEnd()) // records were deleted that were lost anyway
		if len(m.batches) == 0 {
			m.start = m.l.LogStart() // an empty log begins where the newest durable note says
		}
		m.compare("after a power cut")
	}
}

func (m *engineModel) append(b record.Batch) {
	a, err := m.world.append(m.l, b, m.epoch)
	m.must(err)
	if a.BaseOffset != m.end() && len(m.batches) > 0 || a.Duplicate {
		m.world.t.Fatalf("%+v at %d", a, m.end())
	}
	if b.ProducerID() >= 0 {
		m.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
	}
	m.batches = append(m.batches, b)
}

func (m *engineModel) truncate(to int64) {
	if to < m.start || m.end() == 0 {
		return
	}
	m.must(m.l.TruncateTo(to))
	m.cut(to)
	m.start, m.promised = min(m.start, m.l.LogEnd()), min(m.promised, m.end()) // a log without a batch may end above 0
	m.compare("after a truncation")
}

// cut forgets the batches that do not end at or below an offset.
func (m *engineModel) cut(to int64) {
	n := len(m.batches)
	for n > 0 && m.batches[n-1].NextOffset() > to {
		n--
	}
	m.batches = m.batches[:n]
	m.next = map[int64]int32{}
	for _, b := range m.batches {
		if b.ProducerID() >= 0 {
			m.next[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
		}
	}
}

// compare reads the whole log.
func (m *engineModel) compare(when string) {
	w := m.world
	m.must(w.retry(m.l.Ready))
	if got := m.l.LogEnd(); len(m.batches) > 0 && got != m.end() {
		w.t.Fatalf("%s: log end %d, want %d", when, got, m.end())
	}
	start := m.l.LogStart()
	if start != m.start && len(m.batches) > 0 {
		w.t.Fatalf("%s: log start %d, want %d", when, start, m.start)
	}
	var got []byte
	for at := start; at < m.l.LogEnd(); {
		var s vfs.Slice
		m.must(w.retry(func() (err error) {
			s, err = m.l.Read(at, m.l.LogEnd(), 300, true, true)
			return err
		}))
		p := make([]byte, s.Length)
		if _, err := s.ReadAt(p, 0); err != nil && err != io.EOF {
			w.t.Fatal(err)
		}
		s.Release()
		before := at
		for len(p) > 0 {
			b, rest, err := record.Next(p)
			if err != nil {
				break // cut short
			}
			got, at, p = append(got, b...), b.NextOffset(), rest
		}
		if at == before {
			w.t.Fatalf("%s: nothing to read at %d of %d", when, at, m.l.LogEnd())
		}
	}
	var want []byte
	for _, b := range m.batches {
		if b.NextOffset() > start {
			want = append(want, b...)
		}
	}
	if !bytes.Equal(got, want) {
		w.t.Fatalf("%s: %d bytes read from %d on, %d appended, different", when, len(got), start, len(want))
	}
}
