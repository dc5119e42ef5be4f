package netio

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/invariant"
)

// inbound is what has arrived on a connection and has not been handled.
//
// A frame that lies whole in the bytes at hand is handled in place. The start of another is copied into a buffer of its own, and the rest is
// read from the socket straight into it. That buffer grows as bytes really arrive: its first size is what this client has proved that it
// sends, at most firstFrame before it has proved anything, then it doubles; each step is asked of the budget first.
//
// Bytes that arrive while the connection is blocked go to the stash, and reading pauses: at most one read's worth per connection.
type inbound struct {
	parts      *parts // nil as long as all frames have come whole and were handled at once
	bytes      int64  // received in all
	sweptBytes int64  // at the last sweep
	proven     int32  // the largest frame gathered so far
	slow       int32  // sweeps in a row that found too little progress
}

// parts is what only a connection needs that has sent frames in parts, or faster than they were handled.
type parts struct {
	size    [sizeBytes]byte // a size that was cut in two
	sizeLen int
	need    int    // size of the frame being gathered; 0: none is
	frame   []byte // its bytes so far; charged to the budget by capacity
	token   bool   // it may exceed the budget
	granted int    // bytes the budget has given that the frame has not used yet

	stash   []byte // charged
	stashAt int    // what comes before has been handled

	markBytes, markTick int64 // sweep.go: bytes received, and when, at the start of the progress window
}

const (
	firstFrame = 64 << 10
	maxProven  = 4 << 20
	readAtOnce = 1 << 20  // a connection reads no more than this for one event
	readMin    = 32 << 10 // a smaller rest is left to the transport's read: likely it has not come yet
)

// feed handles bytes that the transport has read. They are only valid during the call. more says that the socket likely has more.
func (c *Conn) feed(p []byte, more bool) {
	c.in.bytes += int64(len(p))
	c.loop.counters.bytesIn += int64(len(p))
	if c.dead || c.closing || c.draining {
		return
	}
	c.active = c.loop.tick
	if c.in.stashed() || c.blocked() {
		c.stash(p)
		return
	}
	p = c.parse(p)
	for len(p) > 0 && c.out.full && !c.held && !c.waiting && !c.closing {
		// Replies of these very frames fill the queue: let them leave instead of stopping the client.
		if c.flush(); c.blocked() {
			break
		}
		p = c.parse(p)
	}
	switch {
	case c.dead || c.closing:
	case len(p) > 0:
		c.stash(p)
	case c.in.needs() > 0 && !c.blocked():
		c.read(more)
	}
}

// parse handles whole frames and gathers the start of the next. It returns what it could not handle because the connection is blocked.
func (c *Conn) parse(p []byte) []byte {
	in := &c.in
	for !c.closing && !c.dead {
		a := in.parts
		if a.whole() {
			if c.blocked() {
				return p
			}
			c.dispatchGathered()
			continue
		}
		if len(p) == 0 {
			return nil
		}
		if c.blocked() {
			return p
		}
		if in.needs() > 0 {
			if len(a.frame) == cap(a.frame) && !c.grow() {
				return p
			}
			n := copy(a.frame[len(a.frame):min(cap(a.frame), a.need)], p)
			a.frame = a.frame[:len(a.frame)+n]
			p = p[n:]
			continue
		}
		var size int
		if (a == nil || a.sizeLen == 0) && len(p) >= sizeBytes {
			size = int(int32(binary.BigEndian.Uint32(p)))
			p = p[sizeBytes:]
		} else {
			a = in.have()
			if a.sizeLen == 0 {
				in.mark(c)
			}
			n := copy(a.size[a.sizeLen:], p)
			a.sizeLen += n
			p = p[n:]
			if a.sizeLen < sizeBytes {
				return nil
			}
			a.sizeLen = 0
			size = int(int32(binary.BigEndian.Uint32(a.size[:])))
		}
		if limit := c.loop.server.options.MaxFrame; size < 0 || size > limit {
			c.Close(&FrameSizeError{Size: size, Limit: limit})
			return nil
		}
		if len(p) >= size {
			c.dispatch(p[:size:size], nil, false)
			p = p[size:]
			continue
		}
		in.have().need = size
		in.mark(c)
	}
	return nil
}

// dispatch hands one frame to the handler. own is the buffer it lies in, when that is the frame's own.
func (c *Conn) dispatch(frame, own []byte, token bool) {
	l := c.loop
	l.looked = 0
	r := l.newReply(c)
	r.Frame, r.frame, r.token = frame, own, token
	c.out.append(c, r)
	l.counters.frames++
	l.server.handler.Frame(c, r)
	if !r.kept {
		// Also when another goroutine has the reply already: it must not look at a frame that was not kept.
		r.Frame = nil
		if invariant.Enabled {
			poison(frame)
		}
		if own != nil {
			r.frame = nil
			l.free(own)
			if token {
				r.token = false
				l.server.budget.putToken()
			}
		}
	}
	if !r.state.CompareAndSwap(framing, open) {
		l.finished(r)
	}
}

// poison makes use of a frame after its time show.
func poison(frame []byte) {
	for i := range frame {
		frame[i] = 0xdb
	}
}

func (c *Conn) dispatchGathered() {
	a := c.in.parts
	frame, need, token := a.frame, a.need, a.token
	a.frame, a.need, a.token = nil, 0, false
	if a.granted > 0 {
		granted := a.granted
		a.granted = 0
		c.loop.server.budget.give(int64(granted))
	}
	c.in.proven = max(c.in.proven, int32(min(need, maxProven)))
	c.dispatch(frame[:need:need], frame, token)
}

// grow makes room for more of the frame. When it returns false the connection waits for the budget.
func (c *Conn) grow() bool {
	a, l := c.in.parts, c.loop
	have := cap(a.frame)
	want := min(a.need, max(2*have, firstFrame, int(c.in.proven)))
	size := bufferSize(want)
	cost := size - have // the copy's double is not charged: it lasts for the copy
	switch {
	case a.granted >= cost:
		extra := a.granted - cost
		a.granted = 0
		if extra > 0 {
			l.server.budget.give(int64(extra))
		}
	case a.token:
		l.server.budget.add(int64(cost))
	case !l.server.budget.tryAdd(int64(cost), a.need > firstFrame):
		c.wait(int64(cost))
		return false
	}
	b := append(l.buffers.get(size), a.frame...)
	if have > 0 {
		l.buffers.put(a.frame)
	}
	a.frame = b
	return true
}

// read reads more of the frame being gathered, straight into its buffer, and nothing beyond it.
// End of file and errors are left to the transport: the socket reports them again.
func (c *Conn) read(more bool) {
	a := c.in.parts
	if !more && a.need-len(a.frame) < readMin {
		return
	}
	for room := readAtOnce; room > 0; {
		if len(a.frame) == cap(a.frame) && !c.grow() {
			return
		}
		to := a.frame[len(a.frame):min(cap(a.frame), a.need)]
		n, err := unix.Read(c.fd, to)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		c.in.bytes += int64(n)
		c.loop.counters.bytesIn += int64(n)
		a.frame = a.frame[:len(a.frame)+n]
		if a.whole() {
			c.parse(nil)
			return
		}
		if n < len(to) {
			return // the socket is empty
		}
		room -= n
	}
}

// stash keeps bytes that cannot be handled now, and pauses reading.
func (c *Conn) stash(p []byte) {
	a, l := c.in.have(), c.loop
	if old := a.stash; old != nil {
		// Only when the transport feeds on after pause.
		b := append(l.take(len(old)-a.stashAt+len(p)), old[a.stashAt:]...)
		a.stash, a.stashAt = append(b, p...), 0
		l.free(old)
	} else {
		a.stash, a.stashAt = append(l.take(len(p)), p...), 0
	}
	c.pause()
	c.overBudget()
}

// goOn handles what has arrived while the connection was blocked.
func (c *Conn) goOn() {
	if c.dead || c.closing || c.draining {
		return
	}
	var stash []byte
	if a := c.in.parts; a != nil {
		stash = a.stash[a.stashAt:]
	}
	rest := c.parse(stash)
	if c.dead || c.closing {
		return
	}
	if a := c.in.parts; c.in.stashed() {
		if len(rest) > 0 {
			a.stashAt = len(a.stash) - len(rest)
			if c.out.full {
				c.setDirty() // flush sets ready when there is room again
			}
			return
		}
		c.loop.free(a.stash)
		a.stash, a.stashAt = nil, 0
	}
	switch {
	case c.blocked():
	case c.half:
		c.lingered()
	default:
		c.resume()
	}
}

// have makes parts where there are none.
func (in *inbound) have() *parts {
	if in.parts == nil {
		in.parts = new(parts)
	}
	return in.parts
}

// whole says whether all of the gathered frame is there.
func (a *parts) whole() bool { return a != nil && a.need > 0 && len(a.frame) == a.need }

// needs is the size of the frame being gathered; 0: none is.
func (in *inbound) needs() int {
	if in.parts == nil {
		return 0
	}
	return in.parts.need
}

func (in *inbound) stashed() bool { return in.parts != nil && in.parts.stash != nil }

// pending says whether a frame may still come of what has arrived.
func (in *inbound) pending() bool { return in.stashed() || in.parts.whole() }

// partial says whether the client has begun a frame.
func (in *inbound) partial() bool {
	return in.parts != nil && (in.parts.need > 0 || in.parts.sizeLen > 0)
}

// mark begins a progress window, for a client that has begun a frame.
func (in *inbound) mark(c *Conn) {
	if a := in.parts; a != nil {
		a.markBytes, a.markTick = in.bytes, c.loop.tick
	}
}

// memory is the memory the connection's input takes.
func (in *inbound) memory() int64 {
	if in.parts == nil {
		return 0
	}
	return int64(cap(in.parts.frame) + cap(in.parts.stash))
}

// drop frees everything.
func (in *inbound) drop(c *Conn) {
	l, a := c.loop, in.parts
	*in = inbound{bytes: in.bytes}
	if a == nil {
		return
	}
	if a.frame != nil {
		l.free(a.frame)
	}
	if a.stash != nil {
		l.free(a.stash)
	}
	if a.granted > 0 {
		l.server.budget.give(int64(a.granted))
	}
	if a.token {
		l.server.budget.putToken()
	}
}
