package netio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A client may shut down its side after its last request and still wait for the replies. gnet closes such a connection at once. So, while
// gnet is about to, the connection takes a duplicate of the descriptor and lives on without gnet until all it owes has left: the loop sends,
// poll tells when it may, and when the client is gone for good.
//
// Nobody can tell a client that has shut down its side from one that has closed: the first byte sent to the latter brings a reset. A request
// that waits (a long poll) therefore keeps a closed connection until it is answered, at most for halfCloseTimeout.

const halfCloseTimeoutSeconds = 10

// mayLinger says whether a connection that the transport closes for this reason has a client that still listens.
func (c *Conn) mayLinger(err error) bool {
	var read *os.SyscallError
	ended := errors.As(err, &read) && read.Err == io.EOF // read returned 0; a hang-up gives a bare io.EOF
	return ended && !c.closing && !c.draining && !c.out.cut && c.owes() && !c.loop.server.stopping.Load()
}

// linger takes the connection over from the transport.
func (c *Conn) linger() error {
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("dup: %w", err)
	}
	old := c.fd
	c.fd = fd
	var events uint32
	if c.out.stalled {
		events = unix.EPOLLOUT
	}
	if err := c.loop.server.poll.arm(c, events); err != nil {
		_ = unix.Close(fd)
		c.fd = old
		return err
	}
	c.half, c.paused, c.since = true, false, c.loop.tick
	if !c.in.pending() {
		c.in.drop(c) // the rest of it will not come
	}
	return nil
}

// lingered closes a half-closed connection that owes nothing more.
func (c *Conn) lingered() {
	if !c.owes() {
		c.Close(io.EOF)
	}
}

// watchHalf follows an event on a half-closed connection: the one shot is used up.
func (c *Conn) watchHalf(events uint32) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		c.out.cut = true
		c.Close(io.EOF)
		return
	}
	if !c.out.stalled {
		if err := c.loop.server.poll.arm(c, 0); err != nil {
			c.Close(err)
		}
	}
}

// drain begins the end of the connection: no further frame is read, and it closes when its replies have left.
func (c *Conn) drain() {
	if c.dead || c.closing || c.draining {
		return
	}
	c.draining, c.since = true, c.loop.tick
	if c.out.slots == 0 {
		c.Close(ErrShutdown)
		return
	}
	c.pause()
}

// drained says goodbye when the replies have left. To close with unread requests in the socket would reset the connection, and the client's
// kernel may throw away replies that are on their way; so the sending side ends first, and the client, who sees that, closes.
func (c *Conn) drained() {
	switch {
	case c.out.slots > 0 || c.fin:
	case c.sock == nil:
		c.Close(ErrShutdown)
	default:
		c.fin, c.since = true, c.loop.tick
		if err := unix.Shutdown(c.fd, unix.SHUT_WR); err != nil {
			c.Close(ErrShutdown)
			return
		}
		c.resume() // what comes is thrown away, and the end is seen
	}
}
