package broker

import (
	"sync"
	"time"
)

// A timer is one deadline: of a parked fetch, of a produce request that waits for its acknowledgement. Its owner embeds it.
type timer struct {
	fire func() // set once; runs on the timers' goroutine, must not block

	at    int64 // ms on the timers' clock
	place int   // in the heap, plus one; 0: not in it
}

// timers is one heap of deadlines behind one runtime timer, which is moved only when the first deadline comes earlier: with 100 parked
// fetches nothing wakes before one of them is due. Deadlines are whole milliseconds; those of one millisecond fire together.
type timers struct {
	start time.Time

	mu      sync.Mutex
	heap    []*timer
	due     []*timer // taken off the heap by run
	clock   *time.Timer
	armed   int64 // deadline the clock is set to; 0: it is not
	all     bool  // every timer is due, those set from now on too
	stopped bool
}

func newTimers() *timers { return &timers{start: time.Now()} }

func (t *timers) now() int64 { return int64(time.Since(t.start)/time.Millisecond) + 1 }

// add sets x to fire in ms milliseconds.
func (t *timers) add(x *timer, ms int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.place != 0 {
		panic("broker: timer set twice")
	}
	x.at = t.now() + max(ms, 0)
	if t.all {
		x.at = t.now()
	}
	t.heap = append(t.heap, x)
	x.place = len(t.heap)
	t.up(x.place)
	t.armLocked()
}

// cancel takes x off. False: it has fired, or is about to.
func (t *timers) cancel(x *timer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.place == 0 {
		return false
	}
	t.removeLocked(x)
	return true
}

func (t *timers) armLocked() {
	if len(t.heap) == 0 || t.stopped {
		return
	}
	first := t.heap[0].at
	if t.armed != 0 && t.armed <= first {
		return
	}
	t.armed = first
	wait := time.Duration(first-t.now()+1) * time.Millisecond
	if t.clock == nil {
		t.clock = time.AfterFunc(wait, t.run)
	} else {
		t.clock.Reset(wait)
	}
}

func (t *timers) run() {
	t.mu.Lock()
	t.armed = 0
	now := t.now()
	due := t.due[:0]
	t.due = nil
	for len(t.heap) > 0 && (t.all || t.heap[0].at <= now) && !t.stopped {
		x := t.heap[0]
		t.removeLocked(x)
		due = append(due, x)
	}
	t.armLocked()
	t.mu.Unlock()
	for i, x := range due {
		due[i] = nil
		x.fire()
	}
	t.mu.Lock()
	if t.due == nil {
		t.due = due[:0]
	}
	t.mu.Unlock()
}

// fireAll makes every timer due.
func (t *timers) fireAll() {
	t.mu.Lock()
	t.all = true
	t.mu.Unlock()
	t.run()
}

// count is how many timers are set.
func (t *timers) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.heap)
}

// stop ends the clock: nothing fires any more.
func (t *timers) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.clock != nil {
		t.clock.Stop()
	}
}

func (t *timers) removeLocked(x *timer) {
	i, last := x.place, len(t.heap)
	y := t.heap[last-1]
	t.heap[last-1] = nil
	t.heap = t.heap[:last-1]
	x.place = 0
	if x == y {
		return
	}
	t.heap[i-1], y.place = y, i
	t.down(i)
	t.up(y.place)
}

// up and down take places: one more than the index.
func (t *timers) up(i int) {
	for i > 1 && t.heap[i-1].at < t.heap[i/2-1].at {
		t.swap(i, i/2)
		i /= 2
	}
}

func (t *timers) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2 * i, 2*i + 1} {
			if child <= len(t.heap) && t.heap[child-1].at < t.heap[least-1].at {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

func (t *timers) swap(i, j int) {
	t.heap[i-1], t.heap[j-1] = t.heap[j-1], t.heap[i-1]
	t.heap[i-1].place, t.heap[j-1].place = i, j
}
