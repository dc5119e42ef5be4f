package netio

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptor accepts connections: one goroutine for each listener, and no more for each connection.
//
// Without descriptors accept fails. A client that is left in the kernel's queue then waits for a time-out; so a descriptor is held in
// reserve, given up to accept the client and to close it at once, and taken again.
type acceptor struct {
	server    *Server
	listeners []*listener
	once      sync.Once
	running   sync.WaitGroup
	pick      struct {
		sync.Mutex
		next int
	}
}

type listener struct {
	name    string
	tcp     *net.TCPListener
	addr    netip.AddrPort
	reserve int // a descriptor, -1 when it is lost
	open    atomic.Int64
	local   *netip.AddrPort // of the connection accepted last: most are reached at the same
}

// raiseFileLimit raises the limit of open files as far as we may, and returns how many connections that leaves room for: log segments,
// indexes and the rest of the process use descriptors too.
func raiseFileLimit() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 1024 / 2 // the least that systems give
	}
	if lim.Cur < lim.Max {
		raised := unix.Rlimit{Cur: lim.Max, Max: lim.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			lim.Cur = lim.Max
		}
	}
	limit := int(min(lim.Cur, 1<<24))
	return max(limit-min(limit/2, 4096), 1)
}

// bind binds all listeners or none.
func (a *acceptor) bind(s *Server) error {
	a.server = s
	for _, o := range s.options.Listeners {
		config := net.ListenConfig{
			KeepAlive: -1, // by the listening socket, below, and not by three system calls for each connection
			Control: func(_, _ string, raw syscall.RawConn) error {
				var err error
				if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) }); cerr != nil {
					return cerr
				}
				return err
			},
		}
		config.SetMultipathTCP(false)
		ln, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
		if err != nil {
			a.close()
			return fmt.Errorf("listener %q: %w", o.Name, err)
		}
		tcp := ln.(*net.TCPListener)
		l := &listener{name: o.Name, tcp: tcp, addr: addrPort(tcp.Addr()), reserve: -1}
		l.takeReserve()
		a.listeners = append(a.listeners, l)
	}
	return nil
}

func (a *acceptor) start() {
	for _, l := range a.listeners {
		a.running.Go(func() { a.run(l) })
	}
}

// close stops accepting and waits until every accepted connection is with its loop. It may be called more than once.
func (a *acceptor) close() {
	a.once.Do(func() {
		for _, l := range a.listeners {
			_ = l.tcp.Close() // ends run
		}
		a.running.Wait()
		for _, l := range a.listeners {
			l.dropReserve()
		}
	})
}

func (a *acceptor) addr(name string) netip.AddrPort {
	for _, l := range a.listeners {
		if l.name == name {
			return l.addr
		}
	}
	return netip.AddrPort{}
}

func (a *acceptor) run(l *listener) {
	s := a.server
	pending := make(chan enrolment, 8) // gnet enrols on goroutines of its own: no crowd of them
	var follow sync.WaitGroup
	follow.Go(func() {
		for e := range pending {
			e.follow()
		}
	})
	defer follow.Wait()
	defer close(pending) // before Wait
	for {
		nc, err := l.tcp.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			a.survive(l, err)
			continue
		}
		if !s.admit(l, nc) {
			s.refused.Add(1)
			_ = nc.Close() // it has heard nothing from us
			s.closedOne(1)
			continue
		}
		c := a.newConn(l, nc)
		result, err := s.engine.enroll(c, nc)
		if err != nil {
			c.lost(err)
			_ = nc.Close()
			continue
		}
		pending <- enrolment{c, result}
	}
}

// admit counts a new connection, and tells whether there may be one more, in all and from its address. It has counted it among all in any case.
func (s *Server) admit(l *listener, nc *net.TCPConn) bool {
	from := addrPort(nc.RemoteAddr())
	most := s.options.MaxConnections
	if s.options.Connections != nil {
		most = min(most, s.options.Connections())
	}
	if s.open.Add(1) > int64(most) {
		s.noise.warn("connection refused: too many are open", "client", from, "listener", l.name, "maxConnections", most)
		return false
	}
	most = math.MaxInt
	if s.options.PerAddress != nil {
		most = s.options.PerAddress(from.Addr())
	}
	if !s.from.enter(from.Addr(), most) {
		s.noise.warn("connection refused: too many are open from its address", "client", from, "listener", l.name, "maxConnectionsPerIP", most)
		return false
	}
	return true
}

// newConn makes the connection and gives it to the loop that has the fewest.
func (a *acceptor) newConn(l *listener, nc *net.TCPConn) *Conn {
	s := a.server
	a.pick.Lock()
	n := len(s.loops)
	best := s.loops[a.pick.next%n]
	for i := 1; i < n; i++ {
		if other := s.loops[(a.pick.next+i)%n]; other.load.Load() < best.load.Load() {
			best = other
		}
	}
	a.pick.next++
	best.load.Add(1)
	l.open.Add(1)
	a.pick.Unlock()
	if local := addrPort(nc.LocalAddr()); l.local == nil || *l.local != local {
		l.local = &local
	}
	remote := addrPort(nc.RemoteAddr())
	return &Conn{
		id:         s.lastID.Add(1)<<loopBits | uint64(best.index),
		loop:       best,
		listener:   l,
		local:      l.local,
		remote:     remote.Addr(),
		remotePort: remote.Port(),
		fd:         -1,
	}
}

// enrolment is a connection on its way to its loop.
type enrolment struct {
	c      *Conn
	result <-chan enrolled
}

// lost notes that a connection never came to its loop.
func (c *Conn) lost(err error) {
	s := c.loop.server
	s.refused.Add(1)
	s.noise.warn("connection refused", "client", c.RemoteAddr(), "listener", c.listener.name, "err", err)
	c.loop.load.Add(-1)
	c.listener.open.Add(-1)
	s.from.leave(c.remote)
	s.closedOne(1)
}

// survive deals with an error of accept, which is hardly ever about the connection.
func (a *acceptor) survive(l *listener, err error) {
	s := a.server
	short := errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
	if !short {
		s.noise.warn("accept", "listener", l.name, "err", err)
		l.rest()
		return
	}
	s.refused.Add(1)
	s.noise.warn("connection refused: no more open files", "listener", l.name, "err", err)
	if l.reserve < 0 {
		l.takeReserve()
		l.rest()
		return
	}
	l.dropReserve()
	_ = l.tcp.SetDeadline(time.Now().Add(10 * time.Millisecond)) // it may have gone
	if nc, err := l.tcp.AcceptTCP(); err == nil {
		_ = nc.Close()
	}
	_ = l.tcp.SetDeadline(time.Time{}) // fails only when closed: then the next accept ends run
	l.takeReserve()
}

// rest keeps a persistent error from becoming a busy loop.
func (l *listener) rest() { time.Sleep(20 * time.Millisecond) }

func (l *listener) takeReserve() {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	l.reserve = fd
}

func (l *listener) dropReserve() {
	if l.reserve >= 0 {
		_ = unix.Close(l.reserve)
		l.reserve = -1
	}
}

// addrPort is a TCP address as a value, IPv4 as IPv4 also where it came over an IPv6 socket.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
