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
	size    [sizeBytes]byte // a size that was cut in two
	sizeLen int
	need    int    // size of the frame being gathered; 0: none is
	frame   []byte // its bytes so far; charged to the budget by capacity
	token   bool   // it may exceed the budget
	granted int    // bytes the budget has given that the frame has not used yet
	proven  int    // the largest frame gathered so far

	stash   []byte // charged
	stashAt int    // what comes before has been handled

	bytes               int64 // received in all
	markBytes, markTick int64 // sweep.go: how many, and when, at the start of the progress window
	sweptBytes          int64 // at the last sweep
	slow                int   // sweeps in a row that found too little progress
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
	if c.in.stash != nil || c.blocked() {
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
	case c.in.need > 0 && !c.blocked():
		c.read(more)
	}
}

// parse handles whole frames and gathers the start of the next. It returns what it could not handle because the connection is blocked.
func (c *Conn) parse(p []byte) []byte {
	in := &c.in
	for !c.closing && !c.dead {
		if in.need > 0 && len(in.frame) == in.need {
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
		if in.need > 0 {
			if len(in.frame) == cap(in.frame) && !c.grow() {
				return p
			}
			n := copy(in.frame[len(in.frame):min(cap(in.frame), in.need)], p)
			in.frame = in.frame[:len(in.frame)+n]
			p = p[n:]
			continue
		}
		var size int
		if in.sizeLen == 0 && len(p) >= sizeBytes {
			size = int(int32(binary.BigEndian.Uint32(p)))
			p = p[sizeBytes:]
		} else {
			if in.sizeLen == 0 {
				in.mark(c)
			}
			n := copy(in.size[in.sizeLen:], p)
			in.sizeLen += n
			p = p[n:]
			if in.sizeLen < sizeBytes {
				return nil
			}
			in.sizeLen = 0
			size = int(int32(binary.BigEndian.Uint32(in.size[:])))
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
		in.need = size
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
	in := &c.in
	frame, need, token := in.frame, in.need, in.token
	in.frame, in.need, in.token = nil, 0, false
	if in.granted > 0 {
		granted := in.granted
		in.granted = 0
		c.loop.server.budget.give(int64(granted))
	}
	in.proven = max(in.proven, min(need, maxProven))
	c.dispatch(frame[:need:need], frame, token)
}

// grow makes room for more of the frame. When it returns false the connection waits for the budget.
func (c *Conn) grow() bool {
	in, l := &c.in, c.loop
	have := cap(in.frame)
	want := min(in.need, max(2*have, firstFrame, in.proven))
	size := bufferSize(want)
	cost := size - have // the copy's double is not charged: it lasts for the copy
	switch {
	case in.granted >= cost:
		extra := in.granted - cost
		in.granted = 0
		if extra > 0 {
			l.server.budget.give(int64(extra))
		}
	case in.token:
		l.server.budget.add(int64(cost))
	case !l.server.budget.tryAdd(int64(cost), in.need > firstFrame):
		c.wait(int64(cost))
		return false
	}
	b := append(l.buffers.get(size), in.frame...)
	if have > 0 {
		l.buffers.put(in.frame)
	}
	in.frame = b
	return true
}

// read reads more of the frame being gathered, straight into its buffer, and nothing beyond it.
// End of file and errors are left to the transport: the socket reports them again.
func (c *Conn) read(more bool) {
	in := &c.in
	if !more && in.need-len(in.frame) < readMin {
		return
	}
	for room := readAtOnce; room > 0; {
		if len(in.frame) == cap(in.frame) && !c.grow() {
			return
		}
		to := in.frame[len(in.frame):min(cap(in.frame), in.need)]
		n, err := unix.Read(c.fd, to)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		in.bytes += int64(n)
		c.loop.counters.bytesIn += int64(n)
		in.frame = in.frame[:len(in.frame)+n]
		if len(in.frame) == in.need {
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
	in, l := &c.in, c.loop
	if old := in.stash; old != nil {
		// Only when the transport feeds on after pause.
		b := append(l.take(len(old)-in.stashAt+len(p)), old[in.stashAt:]...)
		in.stash, in.stashAt = append(b, p...), 0
		l.free(old)
	} else {
		in.stash, in.stashAt = append(l.take(len(p)), p...), 0
	}
	c.pause()
	c.overBudget()
}

// goOn handles what has arrived while the connection was blocked.
func (c *Conn) goOn() {
	if c.dead || c.closing || c.draining {
		return
	}
	in := &c.in
	rest := c.parse(in.stash[in.stashAt:])
	if c.dead || c.closing {
		return
	}
	if in.stash != nil {
		if len(rest) > 0 {
			in.stashAt = len(in.stash) - len(rest)
			if c.out.full {
				c.setDirty() // flush sets ready when there is room again
			}
			return
		}
		c.loop.free(in.stash)
		in.stash, in.stashAt = nil, 0
	}
	switch {
	case c.blocked():
	case c.half:
		c.lingered()
	default:
		c.resume()
	}
}

// pending says whether a frame may still come of what has arrived.
func (in *inbound) pending() bool {
	return in.stash != nil || in.need > 0 && len(in.frame) == in.need
}

// partial says whether the client has begun a frame.
func (in *inbound) partial() bool { return in.need > 0 || in.sizeLen > 0 }

// mark begins a progress window.
func (in *inbound) mark(c *Conn) { in.markBytes, in.markTick = in.bytes, c.loop.tick }

// memory is the memory the connection's input takes.
func (in *inbound) memory() int64 { return int64(cap(in.frame) + cap(in.stash)) }

// drop frees everything.
func (in *inbound) drop(c *Conn) {
	l := c.loop
	if in.frame != nil {
		l.free(in.frame)
	}
	if in.stash != nil {
		l.free(in.stash)
	}
	if in.granted > 0 {
		l.server.budget.give(int64(in.granted))
	}
	if in.token {
		l.server.budget.putToken()
	}
	*in = inbound{bytes: in.bytes}
}
