package netio

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/invariant"
)

// outbound is the connection's requests in order, from the oldest whose reply has not left. Nothing else writes to the socket: gnet's own
// outbound buffer stays empty, so there is one order.
//
//	head                                    tail
//	done, half sent -> done -> in work -> done        what is done up to the first in work may leave
//
// All that may leave goes in as few system calls as possible: bytes and small file slices in one sendmsg, other slices by sendfile. When
// the socket is full, or the connection has had its share for now, the rest waits for poll to say that the socket can be written to.
type outbound struct {
	head, tail *Reply
	slots      int
	queued     int64 // bytes of Buf of done replies that have not left
	charged    int64 // of those, on the budget
	full       bool  // reading pauses until half has left
	dirty      bool  // on the loop's list of connections to flush
	stalled    bool  // waits for poll
	registered bool  // with poll
	cut        bool  // nothing more is sent
	swept      int64 // bytes sent at the last sweep
	bytes      int64 // sent in all
}

// inlineSlice is the largest slice that is sent from the mapping together with the bytes around it rather than by a call of its own.
// Slices are handed to netio when their pages are in memory (replica's readers warm them); a page that has gone since blocks this call as it
// would block sendfile.
//
// So it is to a client on this machine, too, although loopback copies in any case: to send from the mapping costs a fault for each 64 KiB, about 10 us,
// and the file's pages then count as the process's memory. CPU of the broker (Linux 6.18, two processors, 1 MiB a fetch), mapping and sendfile:
// 2 GB read once 0.38 and 0.29 s/GB, by three groups 0.37 and 0.28, once with bbr for cubic 0.51 and 0.44.
const inlineSlice = 32 << 10

const maxVector = 256

// sendScratch is what a loop needs for one system call.
type sendScratch struct {
	msg    unix.Msghdr
	iov    [maxVector]unix.Iovec
	offset int64
	file   []byte // bytes of a slice that the kernel cannot send by itself
}

func (o *outbound) append(c *Conn, r *Reply) {
	if o.tail == nil {
		o.head = r
	} else {
		o.tail.next = r
	}
	o.tail = r
	if o.slots++; o.slots >= c.loop.server.options.MaxQueued {
		o.full = true
	}
}

// pop takes out the head, whose bytes have left.
func (o *outbound) pop(c *Conn) {
	r := o.head
	if o.head = r.next; o.head == nil {
		o.tail = nil
	}
	o.slots--
	o.queued -= int64(len(r.Buf))
	if r.Took != nil {
		r.Took.Observe(c.loop.now() - r.arrived)
	}
	c.loop.recycle(r)
}

func (c *Conn) setDirty() {
	if !c.out.dirty {
		c.out.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// flush sends what may leave.
func (c *Conn) flush() {
	o := &c.out
	if c.dead || o.cut {
		return
	}
	if !o.stalled {
		before := o.bytes
		for budget := c.loop.server.options.flushBudget; ; {
			n, again, err := c.sendSome(budget)
			o.bytes += int64(n)
			if err != nil {
				o.cut = true
				c.Close(err)
				break
			}
			if !again {
				break
			}
			if budget -= n; budget <= 0 {
				c.stall() // not by a wake of our own: the loop would run it before it looks at other sockets
				break
			}
		}
		if o.bytes != before {
			c.active = c.loop.tick
			c.loop.counters.bytesOut += o.bytes - before
		}
	}
	c.settleQueue()
}

// settleQueue does what follows from the queue's new length.
func (c *Conn) settleQueue() {
	o, opt := &c.out, &c.loop.server.options
	if charge := o.queued; charge != o.charged {
		delta := charge - o.charged
		o.charged = charge
		if delta < 0 {
			c.loop.server.budget.give(-delta)
		} else {
			c.loop.server.budget.add(delta)
			c.overBudget()
		}
	}
	switch {
	case o.queued >= opt.maxQueuedBytes*hardQueueFactor && o.slots > 1 && o.stalled:
		o.cut = true
		c.Close(ErrQueue)
		return
	case o.slots >= opt.MaxQueued || o.queued >= opt.maxQueuedBytes:
		o.full = true
	case o.full && o.slots <= opt.MaxQueued/2 && o.queued <= opt.maxQueuedBytes/2:
		o.full = false
		if c.paused || c.in.pending() {
			c.setReady()
		}
	}
	if c.draining {
		c.drained()
	} else if c.half {
		c.lingered()
	}
}

// sendSome sends up to about budget bytes with one system call. again says that there may be more to send at once.
func (c *Conn) sendSome(budget int) (n int, again bool, err error) {
	o := &c.out
	for o.head != nil && o.head.done && o.head.left == 0 && o.head.outcome != aborted {
		o.pop(c)
	}
	if o.head == nil || !o.head.done || o.head.outcome == aborted {
		return 0, false, nil
	}
	scratch := &c.loop.send
	vec, total, file := c.gather(scratch, budget)
	if vec == 0 {
		return c.sendFile(file, budget)
	}
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	if file != nil {
		flags |= unix.MSG_MORE // only when file bytes really follow: otherwise the kernel holds the end back for 200 ms
	}
	scratch.msg.Iov = &scratch.iov[0]
	scratch.msg.SetIovlen(vec)
	n, err = sendmsg(c.fd, &scratch.msg, flags)
	clear(scratch.iov[:vec]) // views of mappings, among others, which must not be seen by the collector later
	if err != nil {
		return 0, false, c.sendError("sendmsg", err)
	}
	c.loop.looked = 0
	c.advance(n, &c.loop.counters.copied)
	if n < total {
		c.stall()
		return n, false, nil
	}
	return n, true, nil
}

// gather fills the vector with what may leave, up to a slice that needs sendfile (file), a full vector, or budget bytes.
func (c *Conn) gather(s *sendScratch, budget int) (vec, total int, file *insert) {
	add := func(b []byte) {
		s.iov[vec].Base = unsafe.SliceData(b)
		s.iov[vec].SetLen(len(b))
		vec++
		total += len(b)
	}
	for r := c.out.head; r != nil && r.done && r.outcome != aborted; r = r.next {
		if r.left == 0 {
			continue
		}
		for p := r.pos; ; {
			b, in := r.piece(&p)
			if b == nil && in == nil {
				break
			}
			if vec == maxVector || total >= budget {
				return vec, total, nil
			}
			if in == nil {
				add(b)
				p.buf += len(b)
				continue
			}
			rest := in.slice.Length - p.within
			fd := in.slice.Fd()
			if fd < 0 || in.copy || in.slice.Length <= inlineSlice {
				if view := in.slice.Bytes(); view != nil {
					add(view[p.within:])
					p.insert, p.within = p.insert+1, 0
					continue
				}
			}
			if fd >= 0 && !in.copy {
				return vec, total, in
			}
			// Neither a mapping nor a descriptor the kernel can send from: through a buffer, one piece for each call.
			if s.file == nil {
				s.file = make([]byte, 64<<10)
			}
			m, err := in.slice.ReadAt(s.file[:min(rest, len(s.file))], p.within)
			if m == 0 {
				c.out.cut = true
				c.Close(fmt.Errorf("read a slice to send: %w", err))
				return vec, total, nil
			}
			add(s.file[:m])
			return vec, total, nil
		}
	}
	return vec, total, nil
}

// piece returns the next range at p: bytes or a slice, neither at the end. It steps over empty and finished slices.
func (r *Reply) piece(p *position) ([]byte, *insert) {
	for {
		end := len(r.Buf)
		if p.insert < len(r.inserts) {
			in := &r.inserts[p.insert]
			if end = in.at; p.buf == end {
				if p.within < in.slice.Length {
					return nil, in
				}
				p.insert, p.within = p.insert+1, 0
				continue
			}
		}
		if p.buf < end {
			return r.Buf[p.buf:end], nil
		}
		return nil, nil
	}
}

// unsent is the next range to send. Empty slices before it are released; sent ones are already.
func (r *Reply) unsent() ([]byte, *insert) {
	before := r.pos.insert
	b, in := r.piece(&r.pos)
	for ; before < r.pos.insert; before++ {
		r.inserts[before].slice.Release()
	}
	return b, in
}

// advance notes that n bytes have left, those of slices by a path, and releases what that finishes.
func (c *Conn) advance(n int, path *sliced) {
	for n > 0 {
		r := c.out.head
		if r.left == 0 { // discarded, between two that were sent
			c.out.pop(c)
			continue
		}
		take := min(n, r.left)
		r.left -= take
		n -= take
		for take > 0 {
			b, in := r.unsent()
			if in == nil {
				m := min(take, len(b))
				r.pos.buf += m
				take -= m
				continue
			}
			m := min(take, in.slice.Length-r.pos.within)
			r.pos.within += m
			take -= m
			path.bytes += int64(m)
			if r.pos.within == in.slice.Length {
				path.slices++
				in.slice.Release()
				r.pos.insert, r.pos.within = r.pos.insert+1, 0
			}
		}
		if r.left == 0 {
			c.out.pop(c)
		}
	}
}

// sendFile sends of the slice at the head's place.
func (c *Conn) sendFile(in *insert, budget int) (int, bool, error) {
	if in == nil { // gather has closed the connection
		return 0, false, nil
	}
	r := c.out.head // in is its next piece: gather found nothing before it
	r.unsent()
	if invariant.Enabled {
		invariant.Check(in == &r.inserts[r.pos.insert], "sendfile of a slice that is not next")
	}
	scratch := &c.loop.send
	scratch.offset = in.slice.Position + int64(r.pos.within)
	n, err := unix.Sendfile(c.fd, in.slice.Fd(), &scratch.offset, min(in.slice.Length-r.pos.within, budget))
	switch {
	case err == nil && n == 0:
		// The file is shorter than the slice says. To try again would spin.
		return 0, false, fmt.Errorf("sendfile at %d of %d bytes: %w", in.slice.Position+int64(r.pos.within), in.slice.Length-r.pos.within, io.ErrUnexpectedEOF)
	case err == unix.EINTR:
		return 0, true, nil
	case err == unix.EINVAL || err == unix.ENOSYS:
		in.copy = true // the file system does not offer it
		return 0, true, nil
	case err != nil:
		return 0, false, c.sendError("sendfile", err)
	}
	c.loop.looked = 0
	c.advance(n, &c.loop.counters.sendfile)
	return n, true, nil
}

// sendError sorts out what is no error.
func (c *Conn) sendError(call string, err error) error {
	switch err {
	case unix.EAGAIN:
		c.stall()
		return nil
	case unix.EFAULT: // what is a SIGBUS to who touches the mapping himself
		return fmt.Errorf("%s: a page of the file cannot be read: it was cut, or its disk failed (%w)", call, err)
	}
	return fmt.Errorf("%s: %w", call, err)
}

// sendmsg allocates nothing.
func sendmsg(fd int, msg *unix.Msghdr, flags int) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(msg)), uintptr(flags))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, unix.EAGAIN // a constant interface value: errno itself would be allocated
		default:
			return 0, errno
		}
	}
}

// stall waits until the socket can be written to.
func (c *Conn) stall() {
	c.out.stalled = true
	c.loop.counters.stalls++
	if err := c.loop.server.poll.arm(c, unix.EPOLLOUT); err != nil {
		c.out.cut = true
		c.Close(err)
	}
}

// writable: poll has seen events on the socket.
func (c *Conn) writable(events uint32) {
	c.out.stalled = false
	c.flush()
	if c.half && !c.dead && !c.closing {
		c.watchHalf(events)
	}
}

// drop releases all that is done. What is in work finds the connection dead.
func (o *outbound) drop(c *Conn) {
	for r := o.head; r != nil; {
		next := r.next
		r.next = nil
		if r.done {
			c.loop.recycle(r)
		}
		r = next
	}
	if o.charged > 0 {
		c.loop.server.budget.give(o.charged)
	}
	*o = outbound{cut: true, bytes: o.bytes}
}
