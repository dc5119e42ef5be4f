package console

import (
	"net"
	"sync"
	"sync/atomic"
)

// limited is a listener with so many connections at most: one more is closed as soon as it is accepted, which a client sees at once.
type limited struct {
	net.Listener
	most int64
	open atomic.Int64
}

func newLimited(l net.Listener, most int64) *limited { return &limited{Listener: l, most: most} }

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &counted{Conn: c, limited: l}, nil
		}
		l.open.Add(-1)
		_ = c.Close() // it has heard nothing from us
	}
}

// counted is a connection of a limited listener.
type counted struct {
	net.Conn
	limited *limited
	once    sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.limited.open.Add(-1) })
	return c.Conn.Close()
}
