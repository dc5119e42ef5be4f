package floor

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/millrace/millrace/wire"
	"golang.org/x/sys/unix"
)

const (
	maxFrame = 64 << 20
	readSize = 256 << 10 // what one read takes: it stays in the second cache until its CRC is checked and it is copied
	keepSize = 1 << 20   // the longest buffer that a connection keeps
	peekSize = 4 << 10   // what is read before it is known where the records go, when they are to be read to their place
)

// loop owns everything but the toucher: there are no locks.
type loop struct {
	how      how
	dir      string
	address  *net.TCPAddr
	listener int
	epoll    int
	event    int // an eventfd: written to, it ends the loop
	toucher  *toucher

	conns    map[int32]*conn
	parked   []*conn // that wait for records
	again    []*conn // scratch of unpark
	appended bool    // since the parked ones were last looked at
	scratch  []byte

	topics    map[string]*topic
	ids       map[wire.UUID]*topic
	made      int // topics so far: no two have files of one name
	producers int64

	produceRequest wire.ProduceRequest
	produceAnswer  wire.ProduceResponse
	fetchRequest   wire.FetchRequest
	fetchAnswer    wire.FetchResponse
	holes          []int
	extents        []extent
}

func newLoop(listener int, address *net.TCPAddr, dir string, h how) (*loop, error) {
	l := &loop{
		how: h, dir: dir, address: address, listener: listener,
		conns: map[int32]*conn{}, topics: map[string]*topic{}, ids: map[wire.UUID]*topic{},
		scratch: make([]byte, readSize),
	}
	if err := unix.SetNonblock(listener, true); err != nil {
		return nil, err
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(l.epoll)
		return nil, err
	}
	l.toucher = startToucher()
	for _, fd := range []int{listener, l.event} {
		if err := l.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *loop) watch(how, fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, how, fd, &unix.EpollEvent{Fd: int32(fd), Events: events})
}

// wake makes a loop that waits look whether it should end. On any goroutine.
func (l *loop) wake() {
	_, _ = unix.Write(l.event, binary.NativeEndian.AppendUint64(nil, 1))
}

func (l *loop) run(stopped func() bool) error {
	events := make([]unix.EpollEvent, 128)
	for !stopped() {
		n, err := unix.EpollWait(l.epoll, events, l.patience())
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			switch fd := int(e.Fd); fd {
			case l.event:
			case l.listener:
				l.accept()
			default:
				if c := l.conns[e.Fd]; c != nil {
					l.serve(c, e.Events)
				}
			}
		}
		l.unpark()
	}
	return nil
}

// patience is how long the loop may sleep, in milliseconds: until the first parked fetch has waited enough.
func (l *loop) patience() int {
	switch {
	case len(l.parked) == 0:
		return -1
	case l.appended: // by what came behind a fetch that was parked
		return 0
	}
	first := l.parked[0].fetch.deadline
	for _, c := range l.parked[1:] {
		if c.fetch.deadline.Before(first) {
			first = c.fetch.deadline
		}
	}
	return int(max(0, time.Until(first)+time.Millisecond-1) / time.Millisecond)
}

func (l *loop) accept() {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none left, or too many: those wait
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &conn{fd: fd, events: unix.EPOLLIN}
		if l.watch(unix.EPOLL_CTL_ADD, fd, c.events) != nil {
			_ = unix.Close(fd)
			continue
		}
		l.conns[int32(fd)] = c
	}
}

// serve reads what has come, answers it, and sends the answers.
func (l *loop) serve(c *conn, events uint32) {
	var err error
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		if c.parked {
			c.deaf = true // whoever asks again before he has an answer waits, in the socket; who hung up, too
			if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
				err = errClosed
			}
		} else {
			err = l.read(c)
		}
	}
	l.settle(c, err)
}

// settle sends what there is to send and watches for what is needed next.
func (l *loop) settle(c *conn, err error) {
	all := true
	if err == nil {
		all, err = c.out.flush(c.fd, l.how.sendfile)
	}
	if err == nil {
		c.deaf = c.deaf && c.parked
		want := uint32(0)
		if !c.deaf && all {
			want = unix.EPOLLIN // who does not take his answers is not heard
		}
		if !all {
			want = unix.EPOLLOUT
		}
		if want != c.events {
			c.events = want
			err = l.watch(unix.EPOLL_CTL_MOD, c.fd, want)
		}
	}
	if err != nil {
		l.hangUp(c)
	}
}

func (l *loop) hangUp(c *conn) {
	delete(l.conns, int32(c.fd))
	_ = unix.Close(c.fd)
	c.out.drop()
	if c.direct.segment != nil {
		c.direct.segment.release()
	}
	l.forget(c)
}

// unpark answers the fetches for which there is enough, or that have waited long enough.
func (l *loop) unpark() {
	appended := l.appended
	l.appended = false
	if len(l.parked) == 0 {
		return
	}
	now := time.Now()
	l.again = append(l.again[:0], l.parked...)
	for _, c := range l.again {
		if !c.parked || !appended && now.Before(c.fetch.deadline) || !l.answerFetch(c, now) {
			continue
		}
		l.forget(c)
		l.settle(c, l.process(c, nil)) // what it has asked meanwhile
	}
}

// forget takes a connection off the list of the parked.
func (l *loop) forget(c *conn) {
	c.parked = false
	if i := slices.Index(l.parked, c); i >= 0 {
		l.parked = slices.Delete(l.parked, i, i+1)
	}
}

func (l *loop) close() {
	for _, c := range l.conns {
		l.hangUp(c)
	}
	for _, t := range l.topics {
		for _, p := range t.partitions {
			p.desert()
		}
	}
	l.toucher.stop()
	_ = unix.Close(l.event)
	_ = unix.Close(l.epoll)
}
