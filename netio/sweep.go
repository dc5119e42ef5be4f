package netio

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Idle and slow connections are found by a sweep over all, not by a timer each. The clock is the number of sweeps.

const (
	pressureRate       = 256 << 10 // bytes a second: least speed of who holds memory while others wait for it
	pressureMemory     = 64 << 10  // who holds less is left alone
	finSeconds         = 1         // to close after we said goodbye
	longestSweepPeriod = time.Second
)

// sweepEvery is short enough for the time-outs to be kept about.
func sweepEvery(o *Options) time.Duration {
	every := min(longestSweepPeriod, o.progressWindow/8, o.pressureTime/2, o.drainStall/2)
	if o.IdleTimeout > 0 {
		every = min(every, o.IdleTimeout/8)
	}
	return max(every, time.Millisecond)
}

// ticks is a time in sweeps, rounded up.
func (s *Server) ticks(d time.Duration) int64 { return int64((d + s.every - 1) / s.every) }

func (s *Server) runTicker() {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		s.tick.Add(1)
		s.noise.flush()
		s.afterStorm()
		for _, l := range s.loops {
			if !l.idle.Load() && !l.sweeping.Swap(true) {
				l.push(item{f: l.sweepFunc})
			}
		}
	}
}

// sweep looks at each connection of the loop.
func (l *loop) sweep() {
	l.sweeping.Store(false)
	s := l.server
	var worst *Conn
	var most int64
	pressure := s.budget.waiting.Load() > 0
	for _, c := range l.conns {
		if err := c.overdue(); err != nil {
			c.out.cut = true
			c.Close(err)
			continue
		}
		if pressure {
			if m := c.sitsOn(); m > most {
				worst, most = c, m
			}
		} else {
			c.in.slow = 0 // counted while others wait, and from the beginning each time
		}
		c.in.sweptBytes, c.out.swept = c.in.bytes, c.out.bytes
	}
	if worst != nil {
		worst.out.cut = true
		worst.Close(fmt.Errorf("%w: %w", ErrMemory, ErrSlow))
	}
	l.buffers.trim()
	if n := len(l.replies); n > 64 {
		clear(l.replies[n-n/8:])
		l.replies = l.replies[:n-n/8]
	}
	// An empty loop with nothing to trim sleeps until a connection comes.
	l.idle.Store(len(l.conns) == 0 && l.buffers.bytes == 0)
}

// overdue says why the connection must close now.
func (c *Conn) overdue() error {
	s, now := c.loop.server, c.loop.tick
	switch {
	case c.fin:
		if now-c.since > s.ticks(finSeconds*time.Second) {
			return ErrShutdown
		}
		return nil
	case c.draining && c.out.stalled && now-max(c.active, c.since) > s.ticks(s.options.drainStall):
		return ErrSlow // it does not read what we wait for it to read
	case c.half && now-c.since > s.ticks(halfCloseTimeoutSeconds*time.Second):
		return ErrSlow
	}
	if c.in.partial() && !c.paused && !c.half && now-c.in.parts.markTick > s.ticks(s.options.progressWindow) {
		if c.in.bytes-c.in.parts.markBytes < progressBytes {
			return ErrSlow
		}
		c.in.mark(c)
	}
	ours := c.waiting || c.out.slots > 0 && !c.out.stalled // a stalled one waits for its client, not for us
	if s.options.IdleTimeout > 0 && !ours && now-c.active > s.ticks(s.options.IdleTimeout) {
		return ErrIdle
	}
	return nil
}

// sitsOn is the memory a connection has held for pressureTime with too little progress; 0 if it is not to blame. What is paused by us, or
// waits for our answer, is not.
func (c *Conn) sitsOn() int64 {
	least := max(int64(pressureRate*c.loop.server.every/time.Second), 1)
	var m int64
	if c.in.partial() && !c.paused && c.in.bytes-c.in.sweptBytes < least {
		m += c.in.memory()
	}
	if c.out.stalled && c.out.bytes-c.out.swept < least {
		m += c.out.queued
	}
	if m < pressureMemory {
		c.in.slow = 0
		return 0
	}
	if c.in.slow++; int64(c.in.slow) < c.loop.server.ticks(c.loop.server.options.pressureTime) {
		return 0
	}
	return m
}

// noteClosed logs why a connection has closed, when that is worth a line.
func (l *loop) noteClosed(c *Conn, err error) {
	s := l.server
	if quiet(err) {
		return
	}
	s.noise.warn("connection closed", "client", c.RemoteAddr(), "listener", c.listener.name, "err", err)
}

// quiet: clients come and go.
func quiet(err error) bool {
	for _, normal := range []error{io.EOF, ErrShutdown, ErrIdle, unix.ECONNRESET, unix.EPIPE} {
		if errors.Is(err, normal) {
			return true
		}
	}
	return err == nil
}

// limiter bounds the log lines that clients can cause.
type limiter struct {
	log *slog.Logger

	mu         sync.Mutex
	left       int
	suppressed int
	began      bool
}

const linesPerSweep = 10

func (l *limiter) warn(msg string, args ...any) {
	l.mu.Lock()
	if !l.began {
		l.began, l.left = true, linesPerSweep
	}
	ok := l.left > 0
	if ok {
		l.left--
	} else {
		l.suppressed++
	}
	l.mu.Unlock()
	if ok {
		l.log.Warn(msg, args...)
	}
}

// flush begins a new period.
func (l *limiter) flush() {
	l.mu.Lock()
	n := l.suppressed
	l.left, l.suppressed = linesPerSweep, 0
	l.mu.Unlock()
	if n > 0 {
		l.log.Warn("more connections closed or refused than are logged one by one", "count", n)
	}
}
