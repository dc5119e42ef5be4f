// Package netio serves framed requests over TCP: event loops, frames, replies in request order, file slices sent by the kernel.
//
// A frame is what Kafka puts on a stream:
//
//	0        4
//	| size   | payload, size bytes |     size: big-endian int32, >= 0
package netio

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Handler is told what happens on connections. Every call for one connection is made on that connection's loop and must not block.
type Handler interface {
	// Opened is the first call for a connection. It may set c.Context.
	Opened(c *Conn)
	// Frame takes one request: r.Frame is its payload. Frames come in order; the next may come before r is finished (see Conn.Hold).
	// Exactly one of r.Send, r.Discard and r.Abort must be called, now or later, on any goroutine.
	Frame(c *Conn, r *Reply)
	// Closed is the last call for a connection.
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
	Loops          int           // event loops; default GOMAXPROCS
	MaxFrame       int           // bytes of one request's payload; default 100 MiB
	MaxConnections int           // default and upper limit: what the limit of open files leaves
	IdleTimeout    time.Duration // a connection without traffic and without a request in work is closed; default 10 minutes, < 0 is never
	Budget         int64         // bytes that frames and queued replies of all connections may hold together; default 256 MiB
	MaxQueued      int           // requests of one connection in work or with their reply unsent; default 512. At the limit reading pauses
	Log            *slog.Logger  // default slog.Default
	Fatal          func(error)   // the server died by itself: called once, on its own goroutine; default: panic
}

// Server accepts connections and serves them.
type Server struct{}

// Stats are counters since the start, and gauges.
type Stats struct {
	Connections int64
}

// Listen binds all listeners and starts the loops. Connections are accepted before it returns.
func Listen(o Options, h Handler) (*Server, error) { return nil, errors.New("netio: not yet") }

// Addr is the address a listener is bound to.
func (s *Server) Addr(listener string) netip.AddrPort { return netip.AddrPort{} }

// Drain stops accepting and reading, lets the replies of all requests in work leave, then closes the connections. After timeout it closes what is left and says so.
func (s *Server) Drain(timeout time.Duration) error { return nil }

// Close closes everything at once and waits until the loops have ended.
func (s *Server) Close() error { return nil }

// Stats returns a snapshot.
func (s *Server) Stats() Stats { return Stats{} }
