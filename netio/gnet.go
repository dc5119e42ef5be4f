package netio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"runtime/debug"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// engine is gnet's event loops. This file alone names gnet.
//
// It is a gnet.Client, which is gnet's engine without listeners: a gnet server ends, with all its connections, when accept fails once for
// want of a descriptor, and without an error at that. So accept.go accepts, and connections are enrolled with a loop of our choice.
//
// Each loop keeps one connection of ours, a sentinel. Through it we have the loop's handle, and when it closes although we did not ask for
// it, the loop has ended: that is fatal, for its connections are gone and new ones would wait forever.
type engine struct {
	server *Server
	client *gnet.Client
	loops  []*gnetLoop
	ends   []net.Conn // the sentinels' other ends
}

const (
	readBuffer  = 256 << 10
	gnetModule  = "github.com/panjf2000/gnet/v2"
	gnetVersion = "v2.9.8"
)

// gnetLoop is one of gnet's loops.
type gnetLoop struct {
	handle gnet.EventLoop
	epoll  int // the loop's own epoll instance
	loop   *loop
}

type sentinel struct{ loop *loop }

func startEngine(s *Server) (*engine, error) {
	e := &engine{server: s}
	client, err := gnet.NewClient(&events{server: s}, gnet.WithOptions(gnet.Options{
		NumEventLoop:  len(s.loops),
		ReadBufferCap: readBuffer,
		Logger:        gnetLog{s.log},
	}))
	if err != nil {
		return nil, fmt.Errorf("gnet: %w", err)
	}
	if err := client.Start(); err != nil {
		return nil, fmt.Errorf("gnet: %w", err)
	}
	e.client = client
	for _, l := range s.loops {
		if err := e.take(l); err != nil {
			s.stopping.Store(true)
			e.stop()
			return nil, err
		}
	}
	return e, nil
}

// take puts a sentinel on the next of gnet's loops and makes that loop l's.
func (e *engine) take(l *loop) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "sentinel")
		ends[i], err = net.FileConn(f)
		_ = f.Close() // FileConn has made a duplicate
		if err != nil {
			return fmt.Errorf("sentinel: %w", err)
		}
	}
	e.ends = append(e.ends, ends[1])
	conn, err := e.client.EnrollContext(ends[0], sentinel{l}) // goes to the loop with the fewest connections
	if err != nil {
		return fmt.Errorf("gnet: %w", err)
	}
	g := &gnetLoop{handle: conn.EventLoop(), loop: l}
	for _, other := range e.loops {
		if other.handle == g.handle {
			return fmt.Errorf("gnet %s gives out its loops in another way than %s, for which netio is written", loadedGnet(), gnetVersion)
		}
	}
	if g.epoll, err = epollOf(g.handle); err != nil {
		return err
	}
	if err := g.watch(conn.Fd(), unix.EPOLLIN|unix.EPOLLPRI); err != nil {
		return fmt.Errorf("gnet %s does not keep its sockets where %s does, for which netio is written: %w", loadedGnet(), gnetVersion, err)
	}
	e.loops = append(e.loops, g)
	l.waker, l.transport = g, g
	return nil
}

// epollOf finds the descriptor of a loop's epoll instance, which gnet does not give out. Without it reading could not be paused.
func epollOf(handle gnet.EventLoop) (fd int, err error) {
	defer func() {
		if p := recover(); p != nil {
			fd, err = -1, fmt.Errorf("gnet %s is built in another way than %s, for which netio is written: eventloop.poller.fd: %v", loadedGnet(), gnetVersion, p)
		}
	}()
	poller := reflect.Indirect(reflect.ValueOf(handle)).FieldByName("poller")
	return int(poller.Elem().FieldByName("fd").Int()), nil
}

// loadedGnet is the version of gnet this program was built with.
func loadedGnet() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == gnetModule {
				return m.Version
			}
		}
	}
	return "of unknown version"
}

// enrolled is what comes of an enrolment.
type enrolled = gnet.RegisteredResult

// follow waits until the connection is with its loop.
func (e enrolment) follow() {
	var r enrolled
	select {
	case r = <-e.result:
	case <-e.c.loop.ended:
		// Whether it has taken the connection over is settled now.
	}
	if r.Err == nil && e.c.state.Load() == accepted {
		r.Err = errors.New("the event loop could not watch the socket, or has ended") // gnet closes it and says nothing
	}
	if r.Err != nil {
		e.c.lost(r.Err)
	}
}

// nowhereIP takes the place of addresses in what gnet keeps of a connection.
var nowhereIP = net.IPv4zero.To4()

// enroll gives an accepted connection to a loop. The result comes on the channel; on success the loop owns a duplicate and nc is closed.
func (e *engine) enroll(c *Conn, nc *net.TCPConn) (<-chan enrolled, error) {
	for _, a := range []net.Addr{nc.LocalAddr(), nc.RemoteAddr()} {
		if tcp, ok := a.(*net.TCPAddr); ok {
			tcp.IP = nowhereIP // the Conn has it; as a slice it would keep alive what the kernel filled in at accept
			tcp.Zone = ""      // gnet puts the bytes of the zone's name, which are not its own, into a pool of buffers when the connection closes
		}
	}
	return e.loops[c.loop.index].handle.Enroll(gnet.NewContext(context.Background(), c), nc)
}

// stop ends the loops and waits for them. Their connections are closed.
func (e *engine) stop() {
	if err := e.client.Stop(); err != nil {
		e.server.log.Debug("gnet has stopped", "err", err)
	}
	for _, c := range e.ends {
		_ = c.Close()
	}
}

// wake implements waker.
func (g *gnetLoop) wake() {
	if err := g.handle.Execute(context.Background(), g); err != nil {
		// The engine has stopped: whatever waits is handled when the loop is buried.
		g.loop.server.log.Debug("wake of a stopped loop", "err", err)
	}
}

// Run implements gnet.Runnable: what wake leads to.
func (g *gnetLoop) Run(context.Context) error {
	g.loop.pass()
	return nil
}

// watch sets what gnet's loop wants to know of a socket. It is in accord with gnet as long as gnet's outbound buffer is never used.
func (g *gnetLoop) watch(fd int, events uint32) error {
	if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// pause implements transport, as the next two do.
func (g *gnetLoop) pause(c *Conn) error { return g.watch(c.fd, 0) }

func (g *gnetLoop) resume(c *Conn) error { return g.watch(c.fd, unix.EPOLLIN|unix.EPOLLPRI) }

func (g *gnetLoop) close(c *Conn) {
	if err := g.handle.Close(c.sock.(gnet.Conn)); err != nil { // leads to OnClose
		g.loop.server.log.Error("close of a connection", "err", err)
	}
}

// events takes gnet's calls.
type events struct {
	gnet.BuiltinEventEngine
	server *Server
}

func (e *events) OnOpen(conn gnet.Conn) ([]byte, gnet.Action) {
	if c, ok := conn.Context().(*Conn); ok {
		c.loop.beginEvent(c)
		c.opened(conn.Fd(), conn)
		c.loop.end()
	}
	return nil, gnet.None
}

func (e *events) OnTraffic(conn gnet.Conn) gnet.Action {
	p, _ := conn.Next(-1) // all of it, always: then it is the loop's read buffer, not a copy
	if c, ok := conn.Context().(*Conn); ok {
		c.loop.beginEvent(c)
		c.feed(p, len(p) == readBuffer)
		c.loop.end()
	}
	return gnet.None
}

func (e *events) OnClose(conn gnet.Conn, err error) gnet.Action {
	switch c := conn.Context().(type) {
	case *Conn:
		c.loop.beginEvent(c)
		c.detached(err)
		c.loop.end()
	case sentinel:
		if !e.server.stopping.Load() {
			if err == nil {
				err = errors.New("an event loop has stopped")
			}
			close(c.loop.ended)
			e.server.died(err)
		}
	}
	return gnet.None
}

// gnetLog is gnet's way into our log. What gnet calls information is noise to us.
type gnetLog struct{ log *slog.Logger }

func (l gnetLog) Debugf(string, ...any)         {}
func (l gnetLog) Infof(string, ...any)          {}
func (l gnetLog) Warnf(format string, a ...any) { l.log.Warn("gnet", "err", fmt.Sprintf(format, a...)) }
func (l gnetLog) Errorf(format string, a ...any) {
	l.log.Error("gnet", "err", fmt.Sprintf(format, a...))
}
func (l gnetLog) Fatalf(format string, a ...any) {
	l.log.Error("gnet", "err", fmt.Sprintf(format, a...))
}
