// Package console shows a broker over HTTP: its metrics for Prometheus, whether it lives and is ready, and Go's profiles. It reads a broker.View
// and changes nothing.
//
// It listens before the broker starts, so that /livez answers while a log is recovered, and costs next to nothing until somebody asks: a listener
// and one goroutine that waits for connections. What one who asks can make us spend is bounded: connections, their headers and times here, the
// size of an answer by the limits of metrics.go, one of which is gathered at a time.
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/broker"
)

// Options of a Server.
type Options struct {
	Host     string // a name or address; empty is all interfaces
	Port     int    // 0 is any free port
	Pprof    bool   // serve Go's profiles
	Loopback bool   // it listens on loopback: who names another host than this machine is refused (DNS rebinding)
	Series   int    // most series of topics and partitions in an answer, and as many of groups
	Log      *slog.Logger
}

const (
	maxConnections = 32
	maxHeaderBytes = 16 << 10
	headerTime     = 5 * time.Second  // for the headers of a request to arrive
	writeTime      = 20 * time.Second // for an answer to leave
	idleTime       = 90 * time.Second // between two requests: longer than the usual minute between two scrapes
)

// Server is the admin listener.
type Server struct {
	options  Options
	listener net.Listener
	http     http.Server
	metrics  metrics
	ended    sync.WaitGroup

	view     atomic.Pointer[broker.View] // nil: the broker is starting
	stopping atomic.Bool
}

// Listen opens the port and serves. Until Show, the broker is starting.
func Listen(o Options) (*Server, error) {
	s := &Server{options: o}
	if s.options.Log == nil {
		s.options.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	s.listener = newLimited(l, maxConnections)
	s.metrics.server = s
	s.http = http.Server{
		Handler:           s.guard(s.routes()),
		ReadHeaderTimeout: headerTime, // no ReadTimeout: it would end a profile that takes longer
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(quiet{s.options.Log.Handler()}, slog.LevelDebug),
	}
	s.ended.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error("the admin listener has ended by itself", "err", err)
		}
	})
	return s, nil
}

// quiet has what strangers can make net/http say logged as debugging.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Addr is the address it listens on.
func (s *Server) Addr() netip.AddrPort {
	a := s.listener.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Show has it show a broker, which serves now.
func (s *Server) Show(v broker.View) { s.view.Store(&v) }

// Stopping makes /readyz say so.
func (s *Server) Stopping() { s.stopping.Store(true) }

// Close ends it, and whatever is being answered.
func (s *Server) Close() error {
	err := s.http.Close()
	s.ended.Wait()
	return err
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", s.metrics.serve)
	mux.HandleFunc("GET /metrics/detail", s.metrics.serveDetail)
	mux.HandleFunc("GET /{$}", s.index)
	if s.options.Pprof {
		profiles(mux)
	}
	return mux
}

// guard gives every answer its time, takes no bodies and, on loopback, refuses who was sent here under another name.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.options.Loopback && !local(r.Host) {
			http.Error(w, "this listener answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // what is on its way is not waited for
			w.Header().Set("Connection", "close")
			http.Error(w, "a request here has no body", http.StatusBadRequest)
			return
		}
		allow(w, writeTime)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// allow gives an answer so much time from now.
func allow(w http.ResponseWriter, d time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d)) // fails only when the connection is gone
}

// local tells whether a Host header names this machine.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if name == "localhost" || name == "" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := "/metrics         for Prometheus, by topic\n/metrics/detail  the same by partition\n/livez           200 while the process serves\n" +
		"/readyz          200 when clients are served, else 503 and why\n"
	if s.options.Pprof {
		text += "/debug/pprof/    Go's profiles\n"
	}
	_, _ = w.Write([]byte(text)) // who does not read it misses it
}
