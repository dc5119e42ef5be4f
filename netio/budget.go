package netio

import (
	"slices"
	"sync"
	"sync/atomic"
)

// budget is the memory that frames and unsent replies of all connections may hold together.
//
// Gathering a frame asks first, with tryAdd, and waits its turn when the answer is no. What cannot be refused any more (bytes the transport
// has already read, a frame the handler keeps, replies) is added all the same; a connection that adds so beyond the limit is paused, and
// beyond twice the limit closed. Frames above firstFrame may use three quarters only, so that small requests pass where big ones wait.
//
// No deadlock: when all memory lies in unfinished frames, the first in the queue gets the token. Its frame may grow to its full size
// beyond the limit, and the token is free again when that frame's buffer is. So at most 2 limit + MaxFrame is in use, and as long as
// somebody waits, one frame grows. A token holder that does not hurry, and whoever sits on memory without progress while others wait, is
// closed (sweep.go).
type budget struct {
	limit   int64
	used    atomic.Int64
	waiting atomic.Int32 // connections queued below

	mu struct {
		sync.Mutex
		small, big []waiter // gather a frame
		paused     []waiter // are over the limit and want nothing
		token      bool     // somebody has it
	}
}

type waiter struct {
	c     *Conn
	need  int64
	token bool
}

func (b *budget) init(limit int64) { b.limit = limit }

func (b *budget) limitFor(big bool) int64 {
	if big {
		return b.limit - b.limit/4
	}
	return b.limit
}

func (b *budget) hard() int64 { return 2 * b.limit }

func (b *budget) add(n int64) { b.used.Add(n) }

// tryAdd takes n bytes unless that exceeds the limit or somebody waits already.
func (b *budget) tryAdd(n int64, big bool) bool {
	if b.waiting.Load() > 0 {
		return false
	}
	if b.used.Add(n) <= b.limitFor(big) {
		return true
	}
	b.give(n)
	return false
}

// give returns n bytes and lets those who wait have them.
func (b *budget) give(n int64) {
	b.used.Add(-n)
	if b.waiting.Load() > 0 {
		b.grant()
	}
}

// queue makes a connection wait for need bytes; 0: until the use is below the limit.
func (b *budget) queue(c *Conn, need int64, big bool) {
	b.mu.Lock()
	list := b.list(need, big)
	*list = append(*list, waiter{c: c, need: need})
	b.waiting.Add(1)
	b.mu.Unlock()
	b.grant() // what was given back between the refusal and now
}

func (b *budget) list(need int64, big bool) *[]waiter {
	switch {
	case need == 0:
		return &b.mu.paused
	case big:
		return &b.mu.big
	default:
		return &b.mu.small
	}
}

// grant serves the queues as far as the memory reaches: small frames, then big ones, each in order.
func (b *budget) grant() {
	b.mu.Lock()
	var served []waiter
	for _, list := range []*[]waiter{&b.mu.small, &b.mu.big} {
		for len(*list) > 0 {
			w := (*list)[0]
			token := false
			if b.used.Add(w.need) > b.limitFor(list == &b.mu.big) {
				if b.mu.token {
					b.used.Add(-w.need)
					break
				}
				b.mu.token, token = true, true
			}
			*list = slices.Delete(*list, 0, 1)
			w.token = token
			served = append(served, w)
		}
	}
	if b.used.Load() <= b.limit {
		served = append(served, b.mu.paused...)
		b.mu.paused = nil
	}
	b.waiting.Add(-int32(len(served)))
	b.mu.Unlock()
	for _, w := range served { // after unlock: a buried loop runs it here and now
		w.c.Post(func() { w.c.granted(w.need, w.token) })
	}
}

// putToken frees the token.
func (b *budget) putToken() {
	b.mu.Lock()
	b.mu.token = false
	b.mu.Unlock()
	if b.waiting.Load() > 0 {
		b.grant()
	}
}

// forget takes a connection that closes out of the queues.
func (b *budget) forget(c *Conn) {
	if !c.waiting {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, list := range []*[]waiter{&b.mu.small, &b.mu.big, &b.mu.paused} {
		n := len(*list)
		*list = slices.DeleteFunc(*list, func(w waiter) bool { return w.c == c })
		b.waiting.Add(int32(len(*list) - n))
	}
}

// wait pauses the connection until the budget has need bytes for it.
func (c *Conn) wait(need int64) {
	c.waiting = true
	c.pause()
	c.loop.server.budget.queue(c, need, c.in.needs() > firstFrame)
}

// granted ends wait.
func (c *Conn) granted(need int64, token bool) {
	b := &c.loop.server.budget
	if c.dead || need > 0 && c.in.needs() == 0 { // or half-closed since: the rest of the frame will not come, and it was dropped
		c.waiting = false
		b.give(need)
		if token {
			b.putToken()
		}
		return
	}
	c.waiting = false
	if need > 0 {
		c.in.parts.granted += int(need)
		c.in.parts.token = c.in.parts.token || token
	}
	c.setReady()
}

// overBudget looks at the budget after an addition that could not be refused.
func (c *Conn) overBudget() {
	b := &c.loop.server.budget
	switch used := b.used.Load(); {
	case used <= b.limit || c.dead || c.closing:
	case used > b.hard():
		c.out.cut = true
		c.Close(ErrMemory)
	case !c.waiting:
		c.wait(0)
	}
}
