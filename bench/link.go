package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// link is one connection to a broker: requests out, answers in, in order. Its loop's thread owns it.
type link struct {
	fd     int
	addr   string
	loop   *loop
	number int // in the loop

	out     []byte // not written yet
	written int    // of out
	blocked bool   // the socket is full: the loop waits for room

	in     []byte // [taken:filled] is read and not taken
	taken  int
	filled int

	broken error // nothing goes through any more
}

// direct is the size from which a request is written from where it lies instead of being gathered with others.
const direct = 16 << 10

// maxFrame is the longest answer that is believed.
const maxFrame = 256 << 20

// dial connects. The runtime's poller never hears of the socket: a loop waits for it.
func dial(ctx context.Context, addr string, buffer int) (*link, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	controlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(controlErr, err); err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return &link{fd: fd, addr: addr, in: make([]byte, buffer)}, nil
}

func (k *link) close() error {
	if k.fd < 0 {
		return nil
	}
	fd := k.fd
	k.fd = -1
	return unix.Close(fd)
}

// fail ends the link for a reason; the first one stays.
func (k *link) fail(err error) {
	if k.broken != nil {
		return
	}
	k.broken = fmt.Errorf("%s: %w", k.addr, err)
	if k.fd >= 0 {
		k.loop.drop(k)
	}
	_ = k.close()
}

// send writes a frame or keeps what of it there is no room for; small ones wait for flush, to leave together. Nothing of frame
// is kept by reference.
func (k *link) send(frame []byte) {
	if k.broken != nil {
		return
	}
	if len(frame) < direct || len(k.out) > 0 {
		k.out = append(k.out, frame...)
		if len(k.out)-k.written >= 4*direct {
			k.flush()
		}
		return
	}
	n := k.write(frame)
	if n < len(frame) && k.broken == nil {
		k.out = append(k.out, frame[n:]...)
	}
}

// flush writes what is gathered, as far as there is room.
func (k *link) flush() {
	if k.blocked || k.broken != nil {
		return
	}
	if k.written < len(k.out) {
		k.written += k.write(k.out[k.written:])
	}
	if k.written == len(k.out) {
		k.out, k.written = k.out[:0], 0
	}
}

func (k *link) write(p []byte) int {
	done := 0
	for done < len(p) && !k.blocked {
		n, err := unix.Write(k.fd, p[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			k.blocked = true
			k.loop.want(k, true)
		case err != nil:
			k.fail(fmt.Errorf("write: %w", err))
			return done
		default:
			done += n
		}
	}
	return done
}

// writable is called when there is room again.
func (k *link) writable() {
	if !k.blocked {
		return
	}
	k.blocked = false
	k.flush()
	if !k.blocked && k.broken == nil {
		k.loop.want(k, false)
	}
}

// queued is how many bytes have not gone out.
func (k *link) queued() int { return len(k.out) - k.written }

// read takes in what is there, as much as fits, with one call.
func (k *link) read() {
	if k.broken != nil {
		return
	}
	if k.taken == k.filled {
		k.taken, k.filled = 0, 0
	}
	if size, ok := k.pending(); ok && k.taken+size > len(k.in) { // the answer that has begun would not fit
		if size > len(k.in) {
			bigger := make([]byte, size+size/4)
			k.filled = copy(bigger, k.in[k.taken:k.filled])
			k.in = bigger
		} else {
			k.filled = copy(k.in, k.in[k.taken:k.filled])
		}
		k.taken = 0
	} else if len(k.in)-k.filled < 4 {
		k.filled = copy(k.in, k.in[k.taken:k.filled])
		k.taken = 0
	}
	n, err := unix.Read(k.fd, k.in[k.filled:])
	switch {
	case err == unix.EINTR || err == unix.EAGAIN:
	case err != nil:
		k.fail(fmt.Errorf("read: %w", err))
	case n == 0:
		k.fail(errors.New("the broker closed the connection"))
	default:
		k.filled += n
	}
}

// pending is the whole size of the answer that comes next, when its beginning is there.
func (k *link) pending() (int, bool) {
	if k.filled-k.taken < 4 {
		return 0, false
	}
	size := int(int32(binary.BigEndian.Uint32(k.in[k.taken:])))
	if size < 4 || size > maxFrame {
		k.fail(fmt.Errorf("an answer of %d bytes", size))
		return 0, false
	}
	return 4 + size, true
}

// next returns the next answer without its size, when all of it is there. It lives until the next read.
func (k *link) next() ([]byte, bool) {
	size, ok := k.pending()
	if !ok || k.filled-k.taken < size {
		return nil, false
	}
	frame := k.in[k.taken+4 : k.taken+size : k.taken+size]
	k.taken += size
	return frame, true
}

// answerTimeout is how long an answer may take before the connection is given up.
const answerTimeout = 60 * time.Second
