package replica

import "sync/atomic"

// An AckWaiter waits for the high watermark to pass a batch: one partition of a produce request with acks=all. Its owner embeds it and may not
// touch it between Append and either Done or a Cancel that returned true.
type AckWaiter struct {
	// Done gets the outcome: nil, or why the batch will not be acknowledged. It is called once, after unlock, on any goroutine, and must not block.
	Done func(w *AckWaiter, err error)

	end    int64 // the high watermark that acknowledges: the offset after the batch
	err    error
	queued bool
	next   *AckWaiter
}

// ackQueue holds waiters in the order of their appends, which is that of their ends, but for duplicates: those are answered a little late.
type ackQueue struct{ first, last *AckWaiter }

func (q *ackQueue) push(w *AckWaiter) {
	w.next, w.err, w.queued = nil, nil, true
	if q.last == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
}

// takeBelow unlinks and returns the waiters at the front whose end is at most highWatermark.
func (q *ackQueue) takeBelow(highWatermark int64) *AckWaiter {
	first := q.first
	var last *AckWaiter
	for w := q.first; w != nil && w.end <= highWatermark; w = w.next {
		w.queued = false
		last = w
	}
	if last == nil {
		return nil
	}
	q.first, last.next = last.next, nil
	if q.first == nil {
		q.last = nil
	}
	return first
}

// takeAll unlinks and returns every waiter, each to be told err.
func (q *ackQueue) takeAll(err error) *AckWaiter {
	first := q.first
	for w := first; w != nil; w = w.next {
		w.queued, w.err = false, err
	}
	q.first, q.last = nil, nil
	return first
}

func (q *ackQueue) remove(w *AckWaiter) bool {
	if !w.queued {
		return false
	}
	var before *AckWaiter
	for x := q.first; x != nil; before, x = x, x.next {
		if x != w {
			continue
		}
		if before == nil {
			q.first = w.next
		} else {
			before.next = w.next
		}
		if q.last == w {
			q.last = before
		}
		w.next, w.queued = nil, false
		return true
	}
	panic("replica: a queued waiter is not in the queue")
}

// finish tells each waiter of a list that has been taken off the queue. Without any lock.
func (w *AckWaiter) finish() {
	for w != nil {
		next := w.next // Done may reuse w
		w.next = nil
		w.Done(w, w.err)
		w = next
	}
}

// A Parked is a fetch that waits for bytes on several partitions. The first to see it satisfied calls Wake.
type Parked struct {
	Wake func() // called at most once per Arm, after unlock, on any goroutine; must not block

	need  atomic.Int64 // bytes still missing
	armed atomic.Bool
}

// Arm readies p to be waited with: Wake is called when need more bytes have become readable on the partitions it waits on together.
func (p *Parked) Arm(need int64) {
	p.need.Store(need)
	p.armed.Store(true)
}

// Disarm claims the wake-up: whoever gets true goes on with the fetch, all others leave it alone.
func (p *Parked) Disarm() bool { return p.armed.CompareAndSwap(true, false) }

func (p *Parked) fire() {
	if p.Disarm() {
		p.Wake()
	}
}

// A ReadWaiter is one partition of a Parked fetch.
type ReadWaiter struct {
	Parked    *Parked
	Committed bool // counts bytes below the last stable offset, not the high watermark

	seen       int64 // offsets below it are counted already
	linked     bool
	next, prev *ReadWaiter
}

// readList is a doubly linked list: a fetch leaves the middle of many of them when it wakes.
type readList struct{ first *ReadWaiter }

func (l *readList) push(w *ReadWaiter) {
	w.prev, w.next, w.linked = nil, l.first, true
	if l.first != nil {
		l.first.prev = w
	}
	l.first = w
}

func (l *readList) remove(w *ReadWaiter) {
	if !w.linked {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.linked = nil, nil, false
}

// woken is what is to be done after unlock: a bounded-on-the-stack list of fetches to wake, streams to stir, and a change of the ISR to ask for.
type woken struct {
	few     [8]*Parked
	n       int
	more    []*Parked
	streams [4]func()
	calls   int
	others  []func()
	change  *ISRChange
}

func (w *woken) add(p *Parked) {
	if w.n < len(w.few) {
		w.few[w.n] = p
		w.n++
		return
	}
	w.more = append(w.more, p)
}

func (w *woken) call(stir func()) {
	if w.calls < len(w.streams) {
		w.streams[w.calls] = stir
		w.calls++
		return
	}
	w.others = append(w.others, stir)
}

func (w *woken) fire() {
	for _, p := range w.few[:w.n] {
		p.fire()
	}
	for _, p := range w.more {
		p.fire()
	}
	for _, stir := range w.streams[:w.calls] {
		stir()
	}
	for _, stir := range w.others {
		stir()
	}
	if w.change != nil {
		w.change.Partition.table.o.AlterISR(w.change)
	}
}
