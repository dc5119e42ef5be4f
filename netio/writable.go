package netio

import (
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// poll tells loops that a full socket can be written to again, which gnet does not.
//
// It is an epoll instance of its own with one goroutine. A stalled connection is armed with EPOLLONESHOT under its id, not its descriptor:
// an event that comes late, after the descriptor has a new owner, names a connection that no longer exists. Arming again asks the kernel for
// the state as it is, so no wake-up is lost. The goroutine never touches a socket: it pushes ids to the loops.
type poll struct {
	epoll, event int // event: an eventfd, to stop and to kick
	loops        []*loop
	stopped      chan struct{}
	ended        sync.WaitGroup
}

func newPoll() (*poll, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN}) // id 0: no connection has it
		if err != nil {
			_ = unix.Close(event)
		}
	}
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &poll{epoll: epoll, event: event, stopped: make(chan struct{})}, nil
}

func (p *poll) start(loops []*loop) {
	p.loops = loops
	p.ended.Go(p.run)
}

// arm asks for one event, errors and hang-up always included.
func (p *poll) arm(c *Conn, events uint32) error {
	op := unix.EPOLL_CTL_MOD
	if !c.out.registered {
		op = unix.EPOLL_CTL_ADD
	}
	ev := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(uint32(c.id)), Pad: int32(uint32(c.id >> 32))}
	if err := unix.EpollCtl(p.epoll, op, c.fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	c.out.registered = true
	c.loop.armed[c.id] = c
	return nil
}

// remove must come before the descriptor is closed: where a duplicate exists, closing alone leaves the registration behind.
func (p *poll) remove(c *Conn) {
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, c.fd, nil) // it was registered
	c.out.registered = false
	delete(c.loop.armed, c.id)
}

// kick has a loop run another pass after it has looked at its sockets.
func (p *poll) kick(l *loop) {
	l.kicked.Store(true)
	p.signal()
}

func (p *poll) signal() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.event, one[:]) // fails only when the counter is full: then it is set
}

func (p *poll) stop() {
	close(p.stopped)
	p.signal()
	p.ended.Wait()
	_ = unix.Close(p.epoll)
	_ = unix.Close(p.event)
}

func (p *poll) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			panic(fmt.Sprintf("netio: epoll_wait: %v", err)) // our descriptor was closed under us
		}
		for i := range events[:n] {
			ev := &events[i]
			if id := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32; id != 0 {
				p.loops[id%MaxLoops].push(item{id: id, events: ev.Events})
				continue
			}
			var count [8]byte
			_, _ = unix.Read(p.event, count[:]) // EAGAIN: somebody else's signal was read with the last
			for _, l := range p.loops {
				if l.kicked.Swap(false) {
					l.waker.wake()
				}
			}
		}
		select {
		case <-p.stopped:
			return
		default:
		}
	}
}
