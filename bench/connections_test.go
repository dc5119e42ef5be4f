package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// greeter is a broker that knows ApiVersions only.
type greeter struct {
	address string
	asked   atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// newGreeter answers each request with an error code.
func newGreeter(t *testing.T, code uint16) *greeter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &greeter{address: listener.Addr().String()}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				g.end(len(g.conns))
				return
			}
			g.mu.Lock()
			g.conns = append(g.conns, conn)
			g.mu.Unlock()
			serving.Go(func() { g.answer(conn, code) })
		}
	})
	return g
}

func (g *greeter) answer(conn net.Conn, code uint16) {
	defer conn.Close()
	request := make([]byte, len(greeting))
	for {
		if _, err := io.ReadFull(conn, request); err != nil || string(request) != string(greeting) {
			return
		}
		g.asked.Add(1)
		p := binary.BigEndian.AppendUint32(nil, 4+2+4)
		p = binary.BigEndian.AppendUint32(p, 1)
		p = binary.BigEndian.AppendUint16(p, code)
		p = binary.BigEndian.AppendUint32(p, 0)
		if _, err := conn.Write(p); err != nil {
			return
		}
	}
}

// end closes n of the connections and returns their clients' addresses.
func (g *greeter) end(n int) map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	clients := map[string]bool{}
	for _, conn := range g.conns[:n] {
		clients[conn.RemoteAddr().String()] = true
		conn.Close()
	}
	return clients
}

func TestIdleConnectionsAreHeldAndTheirEndIsTold(t *testing.T) {
	a, b := newGreeter(t, 0), newGreeter(t, 0)
	idle, err := openIdle(t.Context(), []string{a.address, b.address}, 101)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.close()
	if a.asked.Load() != 51 || b.asked.Load() != 50 {
		t.Errorf("%d and %d connections have asked, want 51 and 50", a.asked.Load(), b.asked.Load())
	}
	if n := idle.closed(); n != 0 {
		t.Errorf("%d are closed while all are held", n)
	}
	ended := a.end(7)
	for _, conn := range idle.conns {
		if ended[conn.LocalAddr().String()] {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Fatalf("a connection that was closed says %v", err)
			}
		}
	}
	if n := idle.closed(); n != 7 {
		t.Errorf("%d are closed, want 7", n)
	}
	if none := (*idlers)(nil); none.closed() != 0 {
		t.Error("no idle connections, and one is closed")
	}
}

func TestIdleConnectionThatIsNotAnsweredEndsTheRun(t *testing.T) {
	g := newGreeter(t, 35)
	if _, err := openIdle(t.Context(), []string{g.address}, 3); err == nil || !strings.Contains(err.Error(), "of 3: ApiVersions of "+g.address) || !strings.Contains(err.Error(), "error code 35") {
		t.Errorf("the error is %v", err)
	}
	if err := advise(&net.OpError{Op: "dial", Err: syscall.EMFILE}); !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("without files: %v", err)
	}
}

func TestChurnKeepsItsScheduleAndCountsFailures(t *testing.T) {
	g := newGreeter(t, 0)
	c := churn{brokers: []string{g.address}, rate: 1000}
	begin := time.Now()
	c.run(t.Context(), begin, 200*time.Millisecond)
	if c.opened.Load() != 200 || c.failed.Load() != 0 || g.asked.Load() != 200 {
		t.Errorf("%d opened, %d failed, %d asked: 200 were due", c.opened.Load(), c.failed.Load(), g.asked.Load())
	}
	if d := time.Since(begin); d < 199*time.Millisecond {
		t.Errorf("the last of 200 at 1,000 a second was opened after %v", d)
	}
	refusing := newGreeter(t, 35)
	c = churn{brokers: []string{g.address, refusing.address}, rate: 1000}
	c.run(t.Context(), time.Now(), 20*time.Millisecond)
	if c.opened.Load() != 10 || c.failed.Load() != 10 || !strings.Contains((*c.first.Load()).Error(), "error code 35") {
		t.Errorf("%d opened, %d failed with %v: 10 each", c.opened.Load(), c.failed.Load(), c.first.Load())
	}
}
