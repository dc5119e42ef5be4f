package replica

import (
	"sync"

	"github.com/millrace/millrace/internal/metric"
)

// FlusherOptions of a Flusher.
type FlusherOptions struct {
	Go    func(job func()) // runs a flush: a small pool off the loops
	Rest  func(job func()) // runs a flush that nobody waits for, one after the other; nil: Go
	Later func(job func()) // runs job about LazyAfter from now: `replicated` flushes in the background
	Clock func() int64     // nanoseconds, to tell how long flushes take; nil: it stands still
	Begin func()           // a flush is over, and those who waited for it are told now ...
	End   func()           // ... and have been
}

// LazyAfter is how long a batch of a `replicated` topic may stay unflushed before its flush begins, in milliseconds. What D8 promises is 50.
const LazyAfter = 30

// osFlushBytes is how much an `os` topic's partition appends before it is flushed in the background, so that a recovery scans less than 64 MiB.
const osFlushBytes = 24 << 20

// Flusher is the group commit of DESIGN D8: at most one fdatasync per partition is under way, each carries all that was appended when it
// began, and several partitions flush at once. It starts no goroutine: Go and Later run its jobs.
type Flusher struct {
	o    FlusherOptions
	took metric.Histogram

	mu struct {
		sync.Mutex
		lazy  []*Partition // dirty, waiting for the next Later
		spare []*Partition // the list before, to be filled next
	}
	flushLazy func()
}

// NewFlusher returns a flusher.
func NewFlusher(o FlusherOptions) *Flusher {
	if o.Rest == nil {
		o.Rest = o.Go
	}
	if o.Clock == nil {
		o.Clock = func() int64 { return 0 }
	}
	if o.Begin == nil || o.End == nil {
		o.Begin, o.End = func() {}, func() {}
	}
	f := &Flusher{o: o}
	f.flushLazy = f.runLazy
	return f
}

// later puts a partition on the list that is flushed next. The partition makes sure that it is on it once.
func (f *Flusher) later(p *Partition) {
	f.mu.Lock()
	first := len(f.mu.lazy) == 0
	f.mu.lazy = append(f.mu.lazy, p)
	f.mu.Unlock()
	if first {
		f.o.Later(f.flushLazy)
	}
}

func (f *Flusher) runLazy() {
	f.mu.Lock()
	due := f.mu.lazy
	f.mu.lazy = f.mu.spare[:0]
	f.mu.spare = nil
	f.mu.Unlock()
	for i, p := range due {
		p.flushSoon()
		due[i] = nil
	}
	f.mu.Lock()
	if f.mu.spare == nil && cap(due) <= 1024 {
		f.mu.spare = due[:0]
	}
	f.mu.Unlock()
}
