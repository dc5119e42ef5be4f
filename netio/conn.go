package netio

import (
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Conn is one connection. Its loop owns it: what is not said to be for any goroutine is for the loop's calls of Handler and for posted funcs.
//
// Most connections are idle most of the time: this is all the memory they take of netio, 256 bytes (size_test.go), and what only some need
// they get when they need it.
type Conn struct {
	Context any // the handler's; loop only

	id         uint64 // sequence number << loopBits | index of the loop
	loop       *loop
	listener   *listener
	local      *netip.AddrPort // shared with other connections
	remote     netip.Addr
	remotePort uint16
	state      atomic.Uint32

	// All below belongs to the loop.
	place    int32 // in the loop's list of connections
	held     bool  // by the handler
	paused   bool  // the transport has been told not to read
	waiting  bool  // for the budget
	draining bool  // no further frame is read; closes when the replies are gone
	fin      bool  // we have said that nothing more comes from us, and throw away what the client still sends
	half     bool  // the client will send nothing more; fd is a duplicate of our own (halfclose.go)
	dead     bool  // Handler.Closed has been called
	closing  bool  // on the loop's list of connections to close
	ready    bool  // on the loop's list of connections to go on with
	fd       int
	sock     any // the transport's name for it; nil once the transport has let go of the connection
	in       inbound
	out      outbound
	active   int64 // tick of the last traffic
	since    int64 // tick at which draining, fin or half began
	closeErr error
}

// What state says.
const (
	accepted uint32 = iota
	entered         // the loop has taken it over
	closed          // Handler.Closed has been or is being called
)

// transport is whatever reads the sockets of a loop's connections.
type transport interface {
	pause(*Conn) error  // no more bytes are fed until resume
	resume(*Conn) error //
	close(*Conn)        // leads to Conn.detached, at once
}

// ID is unique for the life of the server.
func (c *Conn) ID() uint64 { return c.id }

// Listener is the name of the listener that accepted the connection.
func (c *Conn) Listener() string { return c.listener.name }

// Loop is the number of the connection's loop, from 0: what is kept for each loop is written by one goroutine at a time.
func (c *Conn) Loop() int { return c.loop.index }

// Now is the time at which the loop was woken, in milliseconds since 1970: that of all requests it was woken for. Loop only.
func (c *Conn) Now() int64 { return c.loop.time }

// LocalAddr is the address the client reached.
func (c *Conn) LocalAddr() netip.AddrPort { return *c.local }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return netip.AddrPortFrom(c.remote, c.remotePort) }

// Closed says whether Handler.Closed has been or is being called. Any goroutine may ask.
func (c *Conn) Closed() bool { return c.state.Load() == closed }

// Hold stops Frame calls for this connection until Unhold. What the client sends meanwhile fills one read buffer, then its own. Loop only.
func (c *Conn) Hold() { c.held = true }

// Unhold ends Hold. Frames that have arrived are handled after the current call from the loop has returned, unless Hold is called again before. Loop only.
func (c *Conn) Unhold() {
	if c.held {
		c.held = false
		c.setReady()
	}
}

// Post runs f on the connection's loop, also when the connection has closed meanwhile. Any goroutine. After Server.Close there is no loop:
// f runs on the caller's goroutine or on that of another Post to the same loop, one at a time.
func (c *Conn) Post(f func()) { c.loop.post(f) }

// Close closes the connection after the current call from the loop has returned. Finished replies that can leave without waiting do. Loop only.
func (c *Conn) Close(err error) {
	if c.dead || c.closing {
		return
	}
	c.closing, c.closeErr = true, err
	c.loop.closing = append(c.loop.closing, c)
}

// opened is the first thing that happens to a connection on its loop.
func (c *Conn) opened(fd int, sock any) {
	l := c.loop
	c.fd, c.sock = fd, sock
	c.active = l.tick
	c.state.Store(entered)
	l.join(c)
	l.idle.Store(false)
	l.server.handler.Opened(c)
	if l.draining {
		c.Close(ErrShutdown)
	}
}

// detached: the transport has closed the socket, or closes it when this returns. err is why, nil when we asked for it.
func (c *Conn) detached(err error) {
	if c.out.registered {
		c.loop.server.poll.remove(c)
	}
	c.sock = nil
	if c.mayLinger(err) && c.linger() == nil {
		return
	}
	if c.closing {
		err = c.closeErr
	} else if c.loop.server.stopping.Load() {
		err = ErrShutdown
	}
	c.teardown(err)
}

// destroy closes the connection now.
func (c *Conn) destroy() {
	switch {
	case c.dead:
	case c.sock != nil:
		c.loop.transport.close(c)
	default:
		c.teardown(c.closeErr)
	}
}

// teardown lets go of all the connection holds. Replies that are still in work find it dead and release what they hold then.
func (c *Conn) teardown(err error) {
	if c.dead {
		return
	}
	l := c.loop
	c.dead = true
	c.state.Store(closed)
	if c.half {
		if c.out.registered {
			l.server.poll.remove(c)
		}
		_ = unix.Close(c.fd) // nothing is left to be told
	}
	c.fd = -1
	l.leave(c)
	l.server.budget.forget(c)
	c.in.drop(c)
	c.out.drop(c)
	l.noteClosed(c, err)
	l.server.handler.Closed(c, err)
	l.server.from.leave(c.remote)
	l.server.closedOne(1)
	l.load.Add(-1)
	c.listener.open.Add(-1)
}

// blocked says whether no further frame may be handled now.
func (c *Conn) blocked() bool { return c.held || c.waiting || c.out.full || c.draining }

// setReady has the loop go on with what has arrived, at the end of its pass.
func (c *Conn) setReady() {
	if !c.ready && !c.dead {
		c.ready = true
		c.loop.ready = append(c.loop.ready, c)
	}
}

func (c *Conn) pause() {
	if c.paused || c.sock == nil {
		return
	}
	c.paused = true
	if err := c.loop.transport.pause(c); err != nil {
		c.Close(err)
	}
}

func (c *Conn) resume() {
	if !c.paused || c.sock == nil {
		return
	}
	c.paused = false
	c.in.mark(c) // the client could not send: its least speed counts from now
	if err := c.loop.transport.resume(c); err != nil {
		c.Close(err)
	}
}

// owes says whether the client still has something to get.
func (c *Conn) owes() bool { return c.out.slots > 0 || c.in.pending() }
