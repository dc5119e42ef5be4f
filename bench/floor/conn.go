package floor

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/wire"
	"golang.org/x/sys/unix"
)

// conn is a connection.
type conn struct {
	fd     int
	events uint32 // that epoll watches for
	rest   []byte // the beginning of a frame that has not come whole
	out    queue

	direct direct      // records that are on their way into a file
	fetch  parkedFetch // valid while parked
	parked bool        // a fetch waits; what comes behind it is not looked at
	deaf   bool        // something has come behind it, and is not read
}

// read takes what is there, once: epoll tells of the rest.
func (l *loop) read(c *conn) error {
	if c.direct.segment != nil && c.direct.missing() > 0 {
		return l.readDirect(c)
	}
	into := l.scratch
	if n := len(c.rest); n > 0 {
		want := readSize
		if n >= 4 {
			want = max(want, 4+int(binary.BigEndian.Uint32(c.rest))) // its size has been checked
		}
		if cap(c.rest) < want {
			c.rest = append(make([]byte, 0, want), c.rest...)
		}
		into = c.rest[n:cap(c.rest)]
	}
	if l.how.direct {
		into = into[:min(len(into), peekSize)]
	}
	n, err := try(func() (int, error) { return unix.Read(c.fd, into) })
	switch {
	case err == unix.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errClosed
	}
	if len(c.rest) > 0 {
		c.rest = c.rest[:len(c.rest)+n]
		return l.process(c, nil)
	}
	return l.process(c, into[:n])
}

// process handles the frames that are whole, in more or else in what was left of the last time, and keeps the rest.
func (l *loop) process(c *conn, more []byte) error {
	data := more
	if data == nil {
		data = c.rest
	}
	for !c.parked {
		if c.direct.segment != nil {
			if c.direct.missing() > 0 || len(data) < c.direct.trailer {
				break
			}
			data = data[c.direct.trailer:]
			l.finishDirect(c)
		}
		if len(data) < 4 {
			break
		}
		size := int(int32(binary.BigEndian.Uint32(data)))
		if size < 8 || size > maxFrame {
			return fmt.Errorf("frame of %d bytes", size)
		}
		if len(data) < 4+size {
			if l.how.direct {
				if rest, ok := l.startDirect(c, data, size); ok {
					data = rest
					continue
				}
			}
			break
		}
		if err := l.frame(c, data[4:4+size]); err != nil {
			return err
		}
		data = data[4+size:]
	}
	switch {
	case len(data) > 0:
		c.rest = append(c.rest[:0], data...) // forwards, when data is its own end
	case cap(c.rest) > keepSize:
		c.rest = nil
	default:
		c.rest = c.rest[:0]
	}
	return nil
}

// frame answers one request.
func (l *loop) frame(c *conn, frame []byte) error {
	h, body, err := wire.DecodeHeader(frame)
	if err != nil {
		return err
	}
	switch h.Key {
	case wire.KeyProduce:
		return l.produce(c, h, body)
	case wire.KeyFetch:
		return l.takeFetch(c, h, body)
	}
	return l.setUp(c, h, body)
}

// answer appends a reply.
func (q *queue) answer(h wire.Header, body func(dst []byte) []byte) {
	at := len(q.buf)
	q.buf = append(q.buf, 0, 0, 0, 0)
	q.buf = wire.AppendResponseHeader(q.buf, h.Key, h.Version, h.CorrelationID)
	q.buf = body(q.buf)
	binary.BigEndian.PutUint32(q.buf[at:], uint32(len(q.buf)-at-4))
}
