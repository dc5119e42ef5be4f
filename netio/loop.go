package netio

import (
	"sync"
	"sync/atomic"
	"time"
)

// loop is one event loop: its connections, and the inbox through which other goroutines reach them.
//
// It works in passes. A pass begins with an event (bytes on a socket, a call of wake) and ends when everything that the event led to is
// done: the inbox is empty, what is finished has been sent, what could go on has gone on, what must close is closed.
//
// To wake a loop that sleeps costs its server more than what most items take: a write, a switch of threads, two calls of epoll. So while
// another loop is at work the item is left to that one: at the end of its pass it visits the sleeper and does a pass in its place. A turn
// is who does a pass now.
type loop struct {
	server *Server
	index  int
	load   atomic.Int64  // connections given to it
	ended  chan struct{} // closed when it has ended by itself

	waker     waker // set by startEngine
	transport transport

	inbox struct {
		sync.Mutex
		items  []item
		awake  bool // a pass is under way or has been asked for, or a visit: it will look into the inbox
		buried bool // there will be no pass any more
		digger bool // somebody handles the items of a buried loop
	}

	working atomic.Bool // a pass is under way on the loop's own goroutine
	depth   int         // of nested calls from the transport; the loop's own goroutine's

	turn       sync.Mutex // held for a pass. All below belongs to who holds it
	away       bool       // that is a visitor, not the loop's own goroutine
	conns      []*Conn
	armed      map[uint64]*Conn // those that are registered with poll, by id
	visits     []*loop          // to be paid at the end of the pass
	spare      []item
	dirty      []*Conn // with finished replies to send
	ready      []*Conn // that may go on with what has arrived
	closing    []*Conn
	event      bool  // the pass was begun by an event
	current    *Conn // of this connection
	closeAsked bool  // a pass that may close anything has been asked for
	tick       int64
	draining   bool
	buffers    buffers
	replies    []*Reply // free
	send       sendScratch
	began      int64 // when the pass began, on the server's clock
	time       int64 // and in milliseconds since 1970
	looked     int64 // when the clock was last read in this pass; 0: not since there was work
	counters   counters

	sweepFunc func()
	sweeping  atomic.Bool // asked for and not begun
	idle      atomic.Bool // needs no sweep

	published published
	kicked    atomic.Bool // see poll.kick
}

const (
	loopBits = 8
	MaxLoops = 1 << loopBits // most loops of a server

	maxFreeReplies = 4096
	keepReplyBuf   = 16 << 10 // a reply that has grown a larger Buf does not keep it
)

// waker makes a loop run a pass soon. Any goroutine.
type waker interface{ wake() }

// item is something for the loop to do: a finished reply, a func, a visit, or a socket that can be written to.
type item struct {
	reply  *Reply
	f      func()
	visit  *loop
	id     uint64
	events uint32
}

func newLoop(s *Server, index int) *loop {
	l := &loop{server: s, index: index, armed: map[uint64]*Conn{}, ended: make(chan struct{})}
	l.sweepFunc = l.sweep
	l.idle.Store(true)
	return l
}

// push hands an item to the loop. One wake-up serves all that is pushed until the loop looks.
func (l *loop) push(it item) {
	l.inbox.Lock()
	l.inbox.items = append(l.inbox.items, it)
	if l.inbox.buried {
		l.digLocked()
		return
	}
	wake := !l.inbox.awake
	l.inbox.awake = true
	l.inbox.Unlock()
	if wake && !l.visitedSoon() {
		l.waker.wake()
	}
}

// visitedSoon asks a neighbour that is at work for a visit.
func (l *loop) visitedSoon() bool {
	for _, n := range l.server.loops {
		if n == l || !n.working.Load() {
			continue
		}
		n.inbox.Lock()
		asked := n.working.Load() && n.inbox.awake && !n.inbox.buried // then its pass has another look into its inbox
		if asked {
			n.inbox.items = append(n.inbox.items, item{visit: l})
		}
		n.inbox.Unlock()
		if asked {
			return true
		}
	}
	return l.server.options.Visitor.ask(l)
}

// maxVisited is how many items a visitor takes on. More are worth a wake-up, after which two loops work at the same time.
const maxVisited = 8

// visited does a pass on the goroutine of a neighbour, unless there is too much to do.
func (l *loop) visited() {
	mine := l.turn.TryLock()
	l.inbox.Lock()
	n := len(l.inbox.items)
	l.inbox.Unlock()
	switch {
	case n == 0 && !mine: // a pass of its own has come first and has taken it all
		return
	case !mine:
		l.waker.wake()
		return
	case n > 0 && n <= maxVisited:
		l.away = true
		l.openPass()
		l.work()
		l.closePass()
		l.away = false
		l.turn.Unlock()
		return
	case n > 0:
		l.turn.Unlock()
		l.waker.wake()
		return
	}
	// The inbox was emptied by a pass that ended before this one began: nobody is asked for any more.
	l.turn.Unlock()
}

func (l *loop) post(f func()) { l.push(item{f: f}) }

// begin opens a pass on the loop's own goroutine, or a nested call within one.
func (l *loop) begin() {
	if l.depth++; l.depth > 1 {
		return
	}
	l.turn.Lock()
	l.working.Store(true)
	l.openPass()
}

func (l *loop) openPass() {
	l.counters.passes++
	l.tick = l.server.tick.Load()
	now := time.Now() // one reading for both clocks
	l.began, l.time, l.looked = int64(now.Sub(l.server.started)), now.UnixMilli(), 0
	l.inbox.Lock()
	l.inbox.awake = true
	l.inbox.Unlock()
}

// maxRounds bounds how long a pass goes on with what others push meanwhile. The rest gets a pass of its own after the sockets had their turn.
const maxRounds = 8

// end closes the pass.
func (l *loop) end() {
	if l.depth > 1 {
		l.depth--
		return
	}
	l.work()
	l.closePass()
	l.depth--
	l.turn.Unlock()
}

// work does all there is to do.
func (l *loop) work() {
	for round := 0; ; round++ {
		l.settle()
		for _, n := range l.visits {
			n.visited()
		}
		clear(l.visits)
		l.visits = l.visits[:0]
		l.inbox.Lock()
		if len(l.inbox.items) == 0 {
			l.inbox.awake = false
			l.working.Store(false)
			l.inbox.Unlock()
			break
		}
		if round == maxRounds {
			l.working.Store(false)
			l.inbox.Unlock() // awake stays set
			// Not wake: gnet runs what a loop asks of itself before it looks at sockets again.
			l.server.poll.kick(l)
			break
		}
		items := l.inbox.items
		l.inbox.items = l.spare
		l.inbox.Unlock()
		l.handle(items)
	}
}

func (l *loop) closePass() {
	l.event, l.current = false, nil
	l.counters.busy += l.now() - l.began
	l.publish()
}

// pass is what a wake-up runs, between events.
func (l *loop) pass() {
	l.begin()
	l.closeAsked = false
	l.end()
}

// beginEvent opens a pass for an event of a connection.
func (l *loop) beginEvent(c *Conn) {
	l.begin()
	if l.depth == 1 {
		l.event, l.current = true, c
	}
}

func (l *loop) handle(items []item) {
	l.looked = 0
	for i := range items {
		switch it := &items[i]; {
		case it.reply != nil:
			l.finished(it.reply)
		case it.f != nil:
			it.f()
		case it.visit != nil:
			l.visits = append(l.visits, it.visit)
		default:
			if c := l.armed[it.id]; c != nil { // else it has closed since
				c.writable(it.events)
			}
		}
	}
	clear(items)
	l.spare = items[:0]
}

// settle does what has become due: send, go on, close.
func (l *loop) settle() {
	for {
		for i := 0; i < len(l.dirty); i++ {
			c := l.dirty[i]
			c.out.dirty = false
			c.flush()
		}
		l.dirty = emptied(l.dirty)
		for i := 0; i < len(l.ready); i++ {
			c := l.ready[i]
			c.ready = false
			c.goOn()
		}
		l.ready = emptied(l.ready)
		if len(l.dirty)+len(l.ready) > 0 {
			continue // what is finished leaves before anything closes
		}
		if l.closeSome(); len(l.dirty)+len(l.ready) == 0 {
			return
		}
	}
}

// closeSome closes what may be closed now. Within an event that is the event's own connection only: gnet may hold an event of another one in
// its hand, and when that one's descriptor is closed it would take that event for a stray one. On a visitor's goroutine it is none.
func (l *loop) closeSome() {
	var later []*Conn
	for i := 0; i < len(l.closing); i++ {
		c := l.closing[i]
		if (l.away || l.event && c != l.current) && c.sock != nil {
			later = append(later, c)
			continue
		}
		c.destroy()
	}
	l.closing = append(emptied(l.closing), later...)
	if len(later) > 0 && !l.closeAsked {
		l.closeAsked = true
		l.waker.wake()
	}
}

func emptied(list []*Conn) []*Conn {
	clear(list)
	return list[:0]
}

// finished takes a reply that its handler is done with.
func (l *loop) finished(r *Reply) {
	c := r.conn
	if c.dead {
		l.recycle(r)
		return
	}
	err := r.err
	if r.outcome != aborted {
		if err = r.seal(); err != nil {
			l.server.log.Error("reply too large", "client", c.RemoteAddr(), "err", err)
		}
	}
	if err != nil || r.outcome == aborted {
		r.done, r.left, r.outcome = true, 0, aborted // what comes after it does not leave
		c.Close(err)
		c.setDirty()
		return
	}
	if c.out.queued += int64(len(r.Buf)); c.out.queued >= l.server.options.maxQueuedBytes {
		c.out.full = true
	}
	c.setDirty()
}

// join takes a connection into the list.
func (l *loop) join(c *Conn) {
	c.place = int32(len(l.conns))
	l.conns = append(l.conns, c)
}

// leave takes it out: the last takes its place.
func (l *loop) leave(c *Conn) {
	end := len(l.conns) - 1
	last := l.conns[end]
	last.place, l.conns[c.place], l.conns[end] = c.place, last, nil
	l.conns = l.conns[:end]
}

// newReply takes a slot at the end of the connection's order.
func (l *loop) newReply(c *Conn) *Reply {
	var r *Reply
	if n := len(l.replies); n > 0 {
		r = l.replies[n-1]
		l.replies[n-1] = nil
		l.replies = l.replies[:n-1]
	} else {
		r = &Reply{Buf: make([]byte, 0, 256)}
	}
	r.conn, r.arrived = c, l.began
	r.Buf = r.Buf[:sizeBytes]
	r.state.Store(framing)
	return r
}

// recycle releases all a reply holds and makes it free.
func (l *loop) recycle(r *Reply) {
	r.releaseSlices()
	if r.frame != nil {
		l.free(r.frame)
	}
	if r.token {
		l.server.budget.putToken()
	}
	buf, inserts := r.Buf[:0], r.inserts
	if cap(buf) > keepReplyBuf || cap(buf) < sizeBytes {
		buf = make([]byte, 0, 256)
	}
	r.Frame, r.Buf, r.Context, r.Took, r.conn, r.next, r.err, r.frame = nil, buf, nil, nil, nil, nil, nil, nil
	r.inserts, r.outcome, r.kept, r.token, r.done, r.left, r.pos = inserts, sent, false, false, false, 0, position{}
	if len(l.replies) < maxFreeReplies {
		l.replies = append(l.replies, r)
	}
}

// take gets a buffer with room for n bytes, on the budget whatever that says.
func (l *loop) take(n int) []byte {
	b := l.buffers.get(n)
	l.server.budget.add(int64(cap(b)))
	return b
}

// free gives a buffer back.
func (l *loop) free(b []byte) {
	n := int64(cap(b))
	l.buffers.put(b)
	l.server.budget.give(n)
}

// drain begins Server.Drain on this loop.
func (l *loop) drain() {
	l.draining = true
	for _, c := range l.conns {
		c.drain()
	}
}

// cut closes all that is left of this loop.
func (l *loop) cut() {
	for _, c := range l.conns {
		c.out.cut = true
		c.Close(ErrShutdown)
	}
}

// bury ends the loop after its goroutine has ended: what is pushed from now on is handled by whoever pushes it.
func (l *loop) bury() {
	l.turn.Lock() // there may be a visitor
	defer l.turn.Unlock()
	for len(l.conns) > 0 { // half-closed ones: their transport did not close them
		c := l.conns[0]
		c.out.cut = true
		c.closing, c.closeErr = true, ErrShutdown
		c.teardown(ErrShutdown)
	}
	l.inbox.Lock()
	l.inbox.buried = true
	l.digLocked()
}

// digLocked handles the items of a buried loop, unless somebody else already does. It unlocks the inbox.
func (l *loop) digLocked() {
	if l.inbox.digger {
		l.inbox.Unlock()
		return
	}
	l.inbox.digger = true
	for len(l.inbox.items) > 0 {
		items := l.inbox.items
		l.inbox.items = nil
		l.inbox.Unlock()
		l.handle(items)
		l.inbox.Lock()
	}
	l.inbox.digger = false
	l.inbox.Unlock()
}
