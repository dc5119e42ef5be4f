package netio

import (
	"sync/atomic"
	"time"
)

// counters are a loop's own. It publishes them at the end of each pass.
type counters struct {
	frames, bytesIn, bytesOut, stalls, passes int64
	busy                                      int64 // ns in passes
	sendfile, copied                          sliced
}

// sliced counts file slices that have left, and their bytes.
type sliced struct{ slices, bytes int64 }

type published struct {
	frames, bytesIn, bytesOut, stalls, passes atomic.Int64
	busy                                      atomic.Int64
	sendfile, copied                          struct{ slices, bytes atomic.Int64 }
}

func (l *loop) publish() {
	p, c := &l.published, &l.counters
	set := func(a *atomic.Int64, v int64) {
		if a.Load() != v {
			a.Store(v)
		}
	}
	set(&p.frames, c.frames)
	set(&p.bytesIn, c.bytesIn)
	set(&p.bytesOut, c.bytesOut)
	set(&p.stalls, c.stalls)
	set(&p.passes, c.passes)
	set(&p.busy, c.busy)
	set(&p.sendfile.slices, c.sendfile.slices)
	set(&p.sendfile.bytes, c.sendfile.bytes)
	set(&p.copied.slices, c.copied.slices)
	set(&p.copied.bytes, c.copied.bytes)
}

// now is the server's clock: nanoseconds since its start.
func (s *Server) now() int64 { return int64(time.Since(s.started)) }

// now is the time after the last thing that takes time: a system call that has sent something, a request that was handled. The clock is read for the
// first who asks. With the pass's beginning that makes two readings for a wake-up that is answered with one system call.
func (l *loop) now() int64 {
	if l.looked == 0 {
		l.looked = l.server.now()
	}
	return l.looked
}

// Stats are counters since the start, and gauges.
type Stats struct {
	Connections   int64 // open now
	Accepted      int64
	Refused       int64 // beyond MaxConnections, or for want of descriptors
	Frames        int64
	BytesIn       int64
	BytesOut      int64
	Sendfile      Sliced // file slices that the kernel has sent by itself,
	Copied        Sliced // and that were sent from memory together with what is around them
	Stalls        int64  // times a socket was full
	Passes        int64  // times a loop was woken, by whatever
	Reserved      int64  // bytes of the budget in use
	BudgetWaiters int64  // connections paused because the budget is spent
}

// Sliced counts file slices that have left whole, and the bytes of all.
type Sliced struct{ Slices, Bytes int64 }

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	st := Stats{
		Connections:   s.open.Load(),
		Accepted:      int64(s.lastID.Load()),
		Refused:       s.refused.Load(),
		Reserved:      s.budget.used.Load(),
		BudgetWaiters: int64(s.budget.waiting.Load()),
	}
	for _, l := range s.loops {
		p := &l.published
		st.Frames += p.frames.Load()
		st.BytesIn += p.bytesIn.Load()
		st.BytesOut += p.bytesOut.Load()
		st.Sendfile.Slices += p.sendfile.slices.Load()
		st.Sendfile.Bytes += p.sendfile.bytes.Load()
		st.Copied.Slices += p.copied.slices.Load()
		st.Copied.Bytes += p.copied.bytes.Load()
		st.Stalls += p.stalls.Load()
		st.Passes += p.passes.Load()
	}
	return st
}

// Busy is how long each loop has worked since the start, and how long that is ago. A pass counts when it ends.
func (s *Server) Busy() (loops []time.Duration, uptime time.Duration) {
	for _, l := range s.loops {
		loops = append(loops, time.Duration(l.published.busy.Load()))
	}
	return loops, time.Since(s.started)
}

// ConnectionsOn is how many connections a listener has open.
func (s *Server) ConnectionsOn(name string) int64 {
	for _, l := range s.accept.listeners {
		if l.name == name {
			return l.open.Load()
		}
	}
	return 0
}
