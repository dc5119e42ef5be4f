package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	idleOpening = 64                     // connections being opened at a time
	idlePace    = 500 * time.Microsecond // between two that are begun: 2,000 a second
)

// idlers are connections that asked one question and say nothing from then on. No goroutine waits on them: what the broker closed
// is found by looking, and what an idle connection costs is the broker's cost alone.
type idlers struct{ conns []net.Conn }

// openIdle opens n connections, dealt out over the brokers, and returns when each was answered.
func openIdle(ctx context.Context, brokers []string, n int) (*idlers, error) {
	all := &idlers{conns: make([]net.Conn, n)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var opening sync.WaitGroup
	pace := time.NewTicker(idlePace)
	defer pace.Stop()
	for range min(idleOpening, n) {
		opening.Go(func() {
			for {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				conn, err := greet(brokers[i%len(brokers)])
				if err != nil {
					cancel(fmt.Errorf("idle connection %d of %d: %w", i+1, n, advise(err)))
					return
				}
				all.conns[i] = conn
			}
		})
	}
	opening.Wait()
	if err := context.Cause(ctx); err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

// advise adds the way out where the limit is the generator's own.
func advise(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		var limit unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		return fmt.Errorf("%w: this process may have %d; raise it (ulimit -n) or ask for fewer connections", err, limit.Cur)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no local port is left; widen net.ipv4.ip_local_port_range or ask for fewer connections", err)
	}
	return err
}

// closed counts the connections that the broker has ended.
func (i *idlers) closed() (n int) {
	if i == nil {
		return 0
	}
	for _, conn := range i.conns {
		if gone(conn) {
			n++
		}
	}
	return n
}

// gone looks for the end of a connection, or for an error on it, without waiting and without taking anything from it.
func gone(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var failed error
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, failed = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err != nil || failed == nil && n == 0 || failed != nil && failed != unix.EAGAIN && failed != unix.EINTR
}

// close ends them all. A nil one has none.
func (i *idlers) close() {
	if i == nil {
		return
	}
	for _, conn := range i.conns {
		if conn != nil {
			conn.Close()
		}
	}
}
