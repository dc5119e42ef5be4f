package broker

import (
	"runtime"
	"sync"
)

// workers are the goroutines that wait so that loops do not: each pool is bounded and starts its goroutines when there is work.
type workers struct {
	files pool // engine's and segment's jobs: open, recover, create, allocate, trim, unlink
	flush pool // fdatasync: several files at once share a journal commit
	rest  pool // what nobody waits for: early writing to the disk, flushes of os topics. One at a time, so that they never take all processors
	check pool // decompression of batches too large for a loop (DESIGN D17)
	cold  pool // reads of pages that are not in memory
}

func newWorkers() *workers {
	w := &workers{}
	w.files.max = 8
	w.flush.max = 8
	w.rest.max = 1
	w.check.max = runtime.GOMAXPROCS(0)
	w.cold.max = 16
	return w
}

// stop waits until every queued job has ended. Jobs given later run on their caller's goroutine.
func (w *workers) stop() {
	w.check.stop()
	w.cold.stop()
	w.flush.stop()
	w.rest.stop()
	w.files.stop()
}

// pool runs jobs on up to max goroutines, first come, first served. Who gives it jobs bounds their number: a held connection one, a
// partition a few.
type pool struct {
	max int

	mu      sync.Mutex
	wake    sync.Cond
	idled   sync.Cond // told when running drops to idle and the queue is empty
	queue   []func()  // a ring: queue[head], ..., n of them
	head, n int
	started int
	idle    int
	stopped bool
}

// Go queues a job. It never blocks, and allocates nothing once the ring has grown.
func (p *pool) Go(job func()) {
	p.mu.Lock()
	if p.stopped && p.started == 0 {
		p.mu.Unlock()
		job()
		return
	}
	if p.wake.L == nil {
		p.wake.L, p.idled.L = &p.mu, &p.mu
	}
	if p.n == len(p.queue) {
		p.grow()
	}
	p.queue[(p.head+p.n)%len(p.queue)] = job
	p.n++
	switch {
	case p.idle >= p.n:
		p.wake.Signal()
	case p.started < p.max:
		p.started++
		go p.run()
	case p.idle > 0:
		p.wake.Signal()
	}
	p.mu.Unlock()
}

func (p *pool) grow() {
	larger := make([]func(), max(16, 2*len(p.queue)))
	for i := range p.n {
		larger[i] = p.queue[(p.head+i)%len(p.queue)]
	}
	p.queue, p.head = larger, 0
}

func (p *pool) run() {
	p.mu.Lock()
	for {
		for p.n == 0 {
			if p.stopped {
				p.started--
				p.idled.Broadcast()
				p.mu.Unlock()
				return
			}
			p.idle++
			p.idled.Broadcast()
			p.wake.Wait()
			p.idle--
		}
		job := p.queue[p.head]
		p.queue[p.head] = nil
		p.head = (p.head + 1) % len(p.queue)
		p.n--
		p.mu.Unlock()
		job()
		p.mu.Lock()
	}
}

// wait returns when no job is queued or running. Others may add jobs meanwhile: then it waits for those too.
func (p *pool) wait() {
	p.mu.Lock()
	for p.n > 0 || p.idle < p.started {
		p.idled.Wait()
	}
	p.mu.Unlock()
}

func (p *pool) stop() {
	p.mu.Lock()
	p.stopped = true
	if p.wake.L != nil {
		p.wake.Broadcast()
	}
	for p.started > 0 {
		p.idled.Wait()
	}
	p.mu.Unlock()
}

// turns let so many things be under way at a time, first come, first served.
type turns struct {
	most int

	mu    sync.Mutex
	taken int
	queue []func()
}

// take calls f, now or when a turn has been given back, on whatever goroutine that is. f must not block.
func (t *turns) take(f func()) {
	t.mu.Lock()
	wait := t.taken >= t.most
	if wait {
		t.queue = append(t.queue, f)
	} else {
		t.taken++
	}
	t.mu.Unlock()
	if !wait {
		f()
	}
}

// give gives a turn back, or hands it to the first who waits.
func (t *turns) give() {
	t.mu.Lock()
	var next func()
	if len(t.queue) > 0 {
		next = t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
	} else {
		t.taken--
	}
	t.mu.Unlock()
	if next != nil {
		next()
	}
}
