// Package netio serves framed requests over TCP: event loops, frames, replies in request order, file slices sent by the kernel.
// It is the only room that knows sockets.
//
// A frame is what Kafka puts on a stream:
//
//	0        4
//	| size   | payload, size bytes |     size: big-endian int32, >= 0
//
// A connection belongs to one event loop for life, and only a pass of that loop touches it: its frames, the reply slots, the queue of bytes
// and file slices that wait to be sent. A pass is done by the loop's goroutine, or by whoever visits it (loop.go, visitor.go). Other goroutines reach it through the loop's inbox (loop.go): a finished reply, a posted func. What a
// pass of the loop has finished leaves at the end of that pass, many replies in one system call (sendqueue.go).
//
// gnet runs the loops (gnet.go, the only file that names it). It cannot tell when a socket is writable again, cannot pause reading, closes at
// once when a client has sent all it wants to say, and dies when it runs out of descriptors; writable.go, gnet.go, halfclose.go and accept.go
// say what stands in for that.
//
// What clients can make us hold is bounded: frames and unsent replies of all connections by one budget (budget.go), the requests of one
// connection by MaxQueued, the connections by MaxConnections, the time a client may take by IdleTimeout and a least speed (sweep.go).
package netio

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Handler is told what happens on connections. Every call for one connection is made on that connection's loop and must not block.
type Handler interface {
	// Opened is the first call for a connection. It may set c.Context.
	Opened(c *Conn)
	// Frame takes one request: r.Frame is its payload. Frames come in order; the next may come before r is finished (see Conn.Hold).
	// Exactly one of r.Send, r.Discard and r.Abort must be called, now or later, on any goroutine.
	Frame(c *Conn, r *Reply)
	// Closed is the last call for a connection. err is io.EOF when the client closed it.
	Closed(c *Conn, err error)
}

// Listener is an address to accept connections on.
type Listener struct {
	Name string // in logs, Conn.Listener and Server.Addr
	Host string // a name or address; empty is all interfaces
	Port int    // 0 is any free port
}

// Options of a server.
type Options struct {
	Listeners      []Listener
	Loops          int                  // event loops; default GOMAXPROCS
	MaxFrame       int                  // bytes of one request's payload; default 100 MiB
	MaxConnections int                  // default and upper limit: what the limit of open files leaves
	Connections    func() int           // most at a time, asked at each accept; nil: MaxConnections, which it cannot exceed
	PerAddress     func(netip.Addr) int // most at a time from one client address, asked at each accept; nil: no limit
	IdleTimeout    time.Duration        // a connection without traffic and without a request in work is closed; default 10 minutes, < 0 is never
	Budget         int64                // bytes that frames and unsent replies of all connections may hold together; default 128 MiB. See budget.go for what may exceed it
	MaxQueued      int                  // requests of one connection in work or with their reply unsent; default 512. At the limit reading pauses
	Visitor        *Visitor             // who else does the passes of loops that sleep; nil: nobody
	Log            *slog.Logger         // default slog.Default
	Fatal          func(error)          // the server died by itself: called once, on a goroutine of its own; default: panic

	// What tests shorten.
	progressWindow time.Duration // a partial frame must grow by progressBytes within this time; default 10 s
	pressureTime   time.Duration // how long one may sit on memory that others wait for; default 5 s
	drainStall     time.Duration // how long Drain waits for a client that does not read; default 5 s
	maxQueuedBytes int64         // bytes of one connection's unsent replies at which reading pauses; default 4 MiB
	stormSize      int64         // connections that come or go in one stretch, after which memory is given back; default 1000
	giveBack       func()        // gives it back; default debug.FreeOSMemory
	flushBudget    int           // bytes after which one connection's sending lets others on the loop go first; default 4 MiB
}

const (
	progressBytes = 1 << 10

	// A connection whose replies pile up to this many times maxQueuedBytes is closed: it asks faster than it reads, and by pausing alone we
	// could not stop what it has asked for already.
	hardQueueFactor = 16
)

func (o Options) withDefaults() Options {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.Loops, runtime.GOMAXPROCS(0))
	def(&o.MaxFrame, 100<<20)
	def(&o.MaxQueued, 512)
	def(&o.flushBudget, 4<<20)
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 10 * time.Minute
	}
	if o.Budget == 0 {
		o.Budget = 128 << 20
	}
	if o.progressWindow == 0 {
		o.progressWindow = 10 * time.Second
	}
	if o.pressureTime == 0 {
		o.pressureTime = 5 * time.Second
	}
	if o.drainStall == 0 {
		o.drainStall = 5 * time.Second
	}
	if o.maxQueuedBytes == 0 {
		o.maxQueuedBytes = 4 << 20
	}
	if o.stormSize == 0 {
		o.stormSize = stormSize
	}
	if o.giveBack == nil {
		o.giveBack = debug.FreeOSMemory
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	bad := func(cond bool, format string, a ...any) {
		if cond {
			errs = append(errs, fmt.Errorf("netio: "+format, a...))
		}
	}
	bad(len(o.Listeners) == 0, "no listener")
	bad(o.Loops < 1 || o.Loops > MaxLoops, "%d loops: must be 1 to %d", o.Loops, MaxLoops)
	bad(o.MaxFrame < 1 || o.MaxFrame > 1<<31-1, "largest frame of %d bytes: must be 1 to 2147483647", o.MaxFrame)
	bad(o.MaxConnections < 0, "%d connections", o.MaxConnections)
	bad(o.Budget < 1<<20, "budget of %d bytes: must be at least 1 MiB", o.Budget)
	bad(o.MaxQueued < 1, "%d queued requests: must be at least 1", o.MaxQueued)
	names := map[string]bool{}
	for _, l := range o.Listeners {
		bad(names[l.Name], "two listeners named %q", l.Name)
		names[l.Name] = true
	}
	return errors.Join(errs...)
}

// Why a connection was closed, as Handler.Closed hears it. Others are io.EOF, system call errors, and what the handler gave to Close or Abort.
var (
	ErrShutdown = errors.New("the server is stopping")
	ErrIdle     = errors.New("no traffic for the idle time-out")
	ErrSlow     = errors.New("the client sends or reads too slowly")
	ErrQueue    = errors.New("the client does not read its replies")
	ErrMemory   = errors.New("the budget of memory for requests and replies is spent")
)

// FrameSizeError is a frame whose announced size is negative or above Options.MaxFrame.
type FrameSizeError struct{ Size, Limit int }

func (e *FrameSizeError) Error() string {
	return fmt.Sprintf("frame of %d bytes; the limit is %d", e.Size, e.Limit)
}

// Server accepts connections and serves them.
type Server struct {
	options Options
	handler Handler
	log     *slog.Logger
	noise   limiter // for log lines that clients can cause
	engine  *engine
	loops   []*loop
	poll    *poll
	budget  budget
	accept  acceptor

	lastID  atomic.Uint64
	open    atomic.Int64 // connections accepted and not yet closed
	from    addresses    // the same, by client address
	refused atomic.Int64
	storm   storm        // the ticker's
	tick    atomic.Int64 // sweeps since the start: the clock of idle and slow connections
	every   time.Duration
	started time.Time

	stopping atomic.Bool // Close has begun: what closes now closes because of us
	fatal    sync.Once
	stop     chan struct{} // ends the ticker
	ticker   sync.WaitGroup

	drain struct {
		sync.Mutex
		on   bool
		done chan struct{} // closed when the last connection is gone
	}
	closeOnce sync.Once
}

// Listen binds all listeners and starts the loops. Connections are accepted before it returns.
func Listen(o Options, h Handler) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{options: o, handler: h, log: o.Log, stop: make(chan struct{}), started: time.Now()}
	s.noise.log = o.Log
	s.drain.done = make(chan struct{})
	s.every = sweepEvery(&o)
	s.budget.init(o.Budget)
	limit := raiseFileLimit()
	if o.MaxConnections == 0 || o.MaxConnections > limit {
		if o.MaxConnections > limit {
			s.log.Warn("fewer connections than configured: the limit of open files is too low", "configured", o.MaxConnections, "maxConnections", limit)
		}
		s.options.MaxConnections = limit
	}
	if err := s.accept.bind(s); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		s.accept.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start() error {
	var err error
	if s.poll, err = newPoll(); err != nil {
		return err
	}
	s.loops = make([]*loop, s.options.Loops)
	for i := range s.loops {
		s.loops[i] = newLoop(s, i)
	}
	if s.engine, err = startEngine(s); err != nil {
		s.poll.stop()
		return err
	}
	s.poll.start(s.loops)
	s.ticker.Go(s.runTicker)
	s.accept.start()
	return nil
}

// Addr is the address a listener is bound to; the zero value when there is no such listener.
func (s *Server) Addr(listener string) netip.AddrPort { return s.accept.addr(listener) }

// Drain stops accepting and reading, lets the replies of all requests in work leave, then closes the connections. After timeout it closes
// what is left and says how many that were. A client that does not read its replies is cut off sooner. Close must still be called.
func (s *Server) Drain(timeout time.Duration) error {
	s.accept.close()
	s.drain.Lock()
	first := !s.drain.on
	s.drain.on = true
	s.drain.Unlock()
	if first {
		for _, l := range s.loops {
			l.post(l.drain)
		}
		s.closedOne(0)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.drain.done:
		return nil
	case <-timer.C:
	}
	left := s.open.Load()
	for _, l := range s.loops {
		l.post(l.cut)
	}
	return fmt.Errorf("%d connections still had requests in work after %v and were cut", left, timeout)
}

// closedOne notes that n connections are gone and tells Drain when they were the last.
func (s *Server) closedOne(n int64) {
	if s.open.Add(-n) != 0 {
		return
	}
	s.drain.Lock()
	defer s.drain.Unlock()
	if !s.drain.on {
		return
	}
	select {
	case <-s.drain.done:
	default:
		close(s.drain.done)
	}
}

// Close closes everything at once and waits until the loops have ended. Replies finished later only release what they hold.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.stopping.Store(true)
		s.accept.close()
		close(s.stop)
		s.ticker.Wait()
		s.engine.stop()
		s.poll.stop()
		for _, l := range s.loops {
			l.bury()
		}
	})
	return nil
}

// died is called when a loop has ended although nobody asked for it.
func (s *Server) died(err error) {
	s.fatal.Do(func() {
		s.log.Error("the network engine has ended by itself", "err", err)
		go s.options.Fatal(fmt.Errorf("netio: the network engine has ended by itself: %w", err))
	})
}
