package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/vfs"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestGiantAndNegativeSizesCloseAndAreLogged(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int32{-1, -1 << 31, limit + 1, 1<<31 - 1} {
		for _, cut := range []bool{false, true} { // the size comes in one piece, or in two
			t.Run(fmt.Sprintf("%d %v", size, cut), func(t *testing.T) {
				closed := make(chan error, 1)
				s, log := serve(t, funcs{closed: func(_ *Conn, err error) { closed <- err }}, func(o *Options) { o.MaxFrame = limit })
				c := dial(t, s)
				head := append(frameOf([]byte("fine")), binary.BigEndian.AppendUint32(nil, uint32(size))...)
				if cut {
					if _, err := c.Write(head[:len(head)-2]); err != nil {
						t.Fatal(err)
					}
					c.expect([]byte("fine"))
					head = head[len(head)-2:]
				}
				if _, err := c.Write(head); err != nil {
					t.Fatal(err)
				}
				if !cut {
					c.expect([]byte("fine")) // what came before is answered
				}
				c.expectClosed()
				var fe *FrameSizeError
				if err := <-closed; !errors.As(err, &fe) || fe.Size != int(size) || fe.Limit != limit {
					t.Errorf("closed with %v", err)
				}
				if !log.has(fmt.Sprintf("frame of %d bytes; the limit is %d", size, limit)) {
					t.Error("not logged with size and limit")
				}
			})
		}
	}
}

func TestTheLargestFrameFits(t *testing.T) {
	s, _ := serve(t, funcs{}, func(o *Options) { o.MaxFrame = 3<<20 + 7 })
	c := dial(t, s)
	p := bytes.Repeat([]byte("m"), 3<<20+7)
	go c.send(p)
	c.expect(p)
}

// Announcing a large frame must cost the server next to nothing.
func TestAnAnnouncedSizeIsNotAllocated(t *testing.T) {
	s, _ := serve(t, funcs{}, nil)
	var conns []*client
	for range 50 {
		c := dial(t, s)
		c.send([]byte("x"))
		c.expect([]byte("x"))
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, 100<<20), "start"...)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	await(t, "50 frames to begin", func() bool { return s.Stats().Reserved >= 50*firstFrame })
	if got := s.Stats().Reserved; got != 50*firstFrame {
		t.Errorf("%d bytes are reserved for 50 announced frames", got)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	await(t, "the memory to come back", func() bool { return s.Stats().Reserved == 0 })
}

// await polls for what no event tells. It does not sleep: it lets other goroutines run and bounds the wait.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestSlowSendersAreClosedAndOthersAreNot(t *testing.T) {
	closed := make(chan error, 10)
	s, log := serve(t, funcs{closed: func(_ *Conn, err error) { closed <- err }}, func(o *Options) { o.progressWindow = time.Second })
	size := binary.BigEndian.AppendUint32(nil, 60<<10)
	steady := dial(t, s)
	idle := dial(t, s) // sends nothing: that is not slow
	done := make(chan error, 1)
	go func() { // 1 KiB each 50 ms for three windows: enough
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		if _, err := steady.Write(size); err != nil {
			done <- err
			return
		}
		for range 60 {
			<-tick.C
			if _, err := steady.Write(make([]byte, 1<<10)); err != nil {
				done <- err
				return
			}
		}
		_, err := readFrame(steady)
		done <- err
	}()
	for _, start := range [][]byte{size[:2], size, append(size, make([]byte, 1000)...)} {
		c := dial(t, s)
		if _, err := c.Write(start); err != nil {
			t.Fatal(err)
		}
		c.expectClosed()
		if err := <-closed; err != ErrSlow {
			t.Errorf("after %d bytes closed with %v", len(start), err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("steady sender: %v", err)
	}
	idle.send([]byte("x"))
	idle.expect([]byte("x"))
	if !log.has(ErrSlow.Error()) {
		t.Error("not logged")
	}
}

func TestIdleConnectionsAreClosedAndBusyOnesAreNot(t *testing.T) {
	closed := make(chan error, 10)
	waiting := make(chan *Reply, 1)
	s, _ := serve(t, funcs{
		frame: func(c *Conn, r *Reply) {
			if string(r.Frame) == "wait" {
				waiting <- r
				return
			}
			echo(c, r)
		},
		closed: func(_ *Conn, err error) { closed <- err },
	}, func(o *Options) { o.IdleTimeout = 200 * time.Millisecond })
	poll := dial(t, s)
	poll.send([]byte("wait")) // a long poll is not idle
	r := <-waiting
	for range 2 {
		c := dial(t, s)
		c.send([]byte("x"))
		c.expect([]byte("x"))
		start := time.Now()
		c.expectClosed()
		if took := time.Since(start); took < 150*time.Millisecond {
			t.Errorf("closed after %v", took)
		}
		if err := <-closed; err != ErrIdle {
			t.Errorf("closed with %v", err)
		}
	}
	r.Buf = append(r.Buf, "late"...)
	r.Send()
	poll.expect([]byte("late"))
	poll.expectClosed()
}

func TestMaxConnections(t *testing.T) {
	closed := make(chan struct{}, 10)
	s, log := serve(t, funcs{closed: func(*Conn, error) { closed <- struct{}{} }}, func(o *Options) { o.MaxConnections = 3 })
	var conns []*client
	for range 3 {
		c := dial(t, s)
		c.send([]byte("x"))
		c.expect([]byte("x"))
		conns = append(conns, c)
	}
	dial(t, s).expectClosed()
	if !log.has("too many are open") || s.Stats().Refused != 1 {
		t.Errorf("not logged or not counted: %+v", s.Stats())
	}
	for _, c := range conns {
		c.send([]byte("still here"))
		c.expect([]byte("still here"))
	}
	_ = conns[0].Close()
	<-closed
	await(t, "the count to fall", func() bool { return s.Stats().Connections == 2 })
	c := dial(t, s)
	c.send([]byte("room again"))
	c.expect([]byte("room again"))
}

func TestConnectionsPerAddress(t *testing.T) {
	closed := make(chan struct{}, 10)
	var most atomic.Int64
	most.Store(2)
	s, log := serve(t, funcs{closed: func(*Conn, error) { closed <- struct{}{} }}, func(o *Options) {
		o.PerAddress = func(ip netip.Addr) int {
			if ip != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("asked about %v", ip)
			}
			return int(most.Load())
		}
	})
	talk := func(c *client) {
		t.Helper()
		c.send([]byte("x"))
		c.expect([]byte("x"))
	}
	first, second := dial(t, s), dial(t, s)
	talk(first)
	talk(second)
	dial(t, s).expectClosed()
	if !log.has("too many are open from its address") || s.Stats().Refused != 1 {
		t.Errorf("not logged or not counted: %+v", s.Stats())
	}
	_ = first.Close()
	<-closed
	await(t, "the count to fall", func() bool { return s.Stats().Connections == 1 })
	talk(dial(t, s))
	most.Store(3)
	talk(dial(t, s))
	dial(t, s).expectClosed()
	talk(second)
}

func cpuTime(t testing.TB) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestASlowReaderCostsNoCPUAndBoundedMemory(t *testing.T) {
	const requests, size = 2000, 1 << 20
	f := newFile(t, vfs.OS, t.TempDir(), size, true)
	var stuck atomic.Int64
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) {
		if len(r.Frame) == 1 {
			echo(nil, r)
			return
		}
		stuck.Add(1)
		r.Buf = append(r.Buf, r.Frame...)
		r.Insert(len(r.Buf), f.slice(0, size))
		r.Send()
	}}, func(o *Options) { o.Loops, o.MaxQueued = 1, 64 })
	c, other := dial(t, s), dial(t, s)
	before := heap()
	go func() {
		var b []byte
		for _, p := range numbered(requests) {
			b = append(b, frameOf(p)...)
		}
		_, _ = c.Write(b)
	}()
	await(t, "the socket to fill", func() bool {
		st := s.Stats()
		return st.Stalls > 0 && st.Frames >= 64
	})
	frames := stuck.Load()
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	// One second is what is measured, not a wait for something.
	passes, cpu := s.Stats().Passes, cpuTime(t)
	<-time.After(time.Second)
	passes, cpu = s.Stats().Passes-passes, cpuTime(t)-cpu
	t.Logf("stuck for 1 s: %d passes of the loop, %v of CPU", passes, cpu)
	if passes > 5 || cpu > 100*time.Millisecond {
		t.Errorf("a stuck reader costs %d passes and %v of CPU in a second", passes, cpu)
	}
	for range 100 {
		other.send([]byte("x"))
		other.expect([]byte("x"))
	}
	if got := stuck.Load(); got != frames || frames > 100 {
		t.Errorf("%d requests of the stuck client were handled, then %d more", frames, got-frames)
	}
	buf := make([]byte, 4+2+size)
	for i, p := range numbered(requests) {
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		if !bytes.Equal(buf[4:6], p) || !bytes.Equal(buf[6:], f.bytes) {
			t.Fatalf("reply %d is wrong", i)
		}
	}
	// A socket that can be written to, with nothing to write, wakes nobody either.
	other.send([]byte("x"))
	other.expect([]byte("x"))
	passes = s.Stats().Passes
	<-time.After(300 * time.Millisecond)
	if passes = s.Stats().Passes - passes; passes > 5 {
		t.Errorf("%d passes of the loop in 0.3 s with nothing to do", passes)
	}
	t.Logf("drained: %+v", s.Stats())
}

func TestAReaderOfLargeRepliesFromMemoryIsPausedThenClosed(t *testing.T) {
	// 1 MiB replies from memory: reading pauses at maxQueuedBytes. Requests in work can still answer, up to the hard cap.
	work := make(chan *Reply, 1000)
	closed := make(chan error, 1)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { work <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, func(o *Options) { o.MaxQueued, o.maxQueuedBytes = 100, 1<<20 })
	c := dial(t, s)
	c.send(numbered(100)...)
	for range 100 {
		r := <-work
		r.Buf = append(r.Buf, make([]byte, 1<<20)...)
		r.Send()
	}
	if err := <-closed; err != ErrQueue {
		t.Errorf("closed with %v", err)
	}
}

func TestBudgetLetsManyBigFramesThroughOneAfterTheOther(t *testing.T) {
	const clients, size = 12, 5 << 20
	var peak atomic.Int64
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) {
		peak.Store(max(peak.Load(), c.loop.server.budget.used.Load())) // one loop
		if len(r.Frame) == size {
			r.Keep()
			r.Buf = append(r.Buf, r.Frame[:8]...)
			c.Post(r.Send) // a little later
			return
		}
		echo(c, r)
	}}, func(o *Options) { o.Loops, o.Budget, o.MaxFrame, o.pressureTime = 1, 8<<20, size, time.Hour })
	var wait sync.WaitGroup
	for i := range clients {
		c := dial(t, s)
		wait.Go(func() {
			for round := range 3 {
				p := bytes.Repeat([]byte{byte(i), byte(round)}, size/2)
				if _, err := c.Write(frameOf(p)); err != nil {
					t.Error(err)
					return
				}
				if got, err := readFrame(c); err != nil || !bytes.Equal(got, p[:8]) {
					t.Errorf("client %d: %x, %v", i, got, err)
					return
				}
			}
		})
	}
	other := dial(t, s) // small requests pass meanwhile
	for range 200 {
		other.send([]byte("small"))
		other.expect([]byte("small"))
	}
	wait.Wait()
	if limit := int64(2*8<<20 + size); peak.Load() > limit {
		t.Errorf("%d bytes were in use, the bound is %d", peak.Load(), limit)
	}
	t.Logf("peak %d, %+v", peak.Load(), s.Stats())
}

func TestBudgetBoundsManySmallUnfinishedFrames(t *testing.T) {
	const clients, size, budget = 40, 60 << 10, 1 << 20
	s, _ := serve(t, funcs{}, func(o *Options) { o.Budget, o.pressureTime = budget, time.Hour })
	var conns []*client
	frame := frameOf(bytes.Repeat([]byte("s"), size))
	for range clients {
		c := dial(t, s)
		conns = append(conns, c)
		if _, err := c.Write(frame[:len(frame)/2]); err != nil {
			t.Fatal(err)
		}
	}
	in := int64(clients * len(frame) / 2)
	await(t, "all to arrive", func() bool { return s.Stats().BytesIn == in })
	// What has been read already must be kept, beyond the limit; only as many frames may grow as fit, and the one with the token.
	if st := s.Stats(); st.Reserved > 2*budget || st.BudgetWaiters < 20 || st.Connections != clients {
		t.Errorf("%+v", st)
	}
	var wait sync.WaitGroup
	for _, c := range conns {
		wait.Go(func() {
			if _, err := c.Write(frame[len(frame)/2:]); err != nil {
				t.Error(err)
			}
			if p, err := readFrame(c); err != nil || !bytes.Equal(p, frame[4:]) {
				t.Errorf("%d bytes, %v", len(p), err)
			}
		})
	}
	wait.Wait()
}

// Clients that send half of a big frame and stop take all memory. Who waits behind them gets it in bounded time, and small requests do not notice.
// A connection that was half-closed while it waited for memory does not keep what it is given, nor the token.
func TestBudgetGrantedToAFrameThatWillNotCome(t *testing.T) {
	s := &Server{}
	s.budget.init(1 << 20)
	c := &Conn{loop: newLoop(s, 0), half: true, waiting: true}
	s.budget.add(64 << 10) // as grant has done it
	s.budget.mu.token = true
	c.granted(64<<10, true)
	if used := s.budget.used.Load(); used != 0 || s.budget.mu.token || c.waiting || c.in.parts != nil && c.in.parts.token {
		t.Errorf("%d bytes are in use, token %v", used, s.budget.mu.token)
	}
}

func TestBudgetTakesMemoryFromThoseWhoSitOnIt(t *testing.T) {
	const clients, size = 8, 4 << 20
	s, log := serve(t, funcs{}, func(o *Options) {
		o.Budget, o.MaxFrame = 8<<20, size
		o.pressureTime = 200 * time.Millisecond
	})
	for range clients {
		c := dial(t, s)
		head := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, size/2)...)
		go func() { _, _ = c.Write(head) }() // blocks when the server pauses
	}
	await(t, "the budget to be spent", func() bool { return s.Stats().BudgetWaiters > 0 })
	small := dial(t, s)
	small.send([]byte("small"))
	small.expect([]byte("small"))
	c := dial(t, s)
	p := bytes.Repeat([]byte("h"), size)
	go c.send(p)
	c.expect(p)
	if !log.has(ErrSlow.Error()) {
		t.Error("nobody was closed")
	}
}

func rssAnon(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "RssAnon:")
	if !ok {
		t.Fatal("no RssAnon")
	}
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// In a child process, whose heap holds nothing else.
func TestTwoThousandIdleConnections(t *testing.T) {
	if os.Getenv("NETIO_CHILD") == "idle" {
		idleChild(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTwoThousandIdleConnections$", "-test.v", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), "NETIO_CHILD=idle")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("idle connections: RssAnon")) {
		t.Errorf("child: %v", err)
	}
	t.Logf("%s", out)
}

func idleChild(t *testing.T) {
	const n = 2000
	s, _ := serve(t, funcs{}, nil)
	addr := s.Addr("test")
	to := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	dial(t, s).send([]byte("warm"))
	runtime.GC()
	before := rssAnon(t)
	began := time.Now()
	cpu := cpuTime(t)
	fds := make([]int, n) // no net.Conn: its memory is not the server's
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
		for {
			if err = unix.Connect(fd, to); err != unix.EINTR {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all connections", func() bool {
		var in int
		for _, l := range s.loops {
			in += int(l.load.Load())
		}
		return in == n+1 && s.Stats().Connections == n+1
	})
	connect, connectCPU := time.Since(began)/n, (cpuTime(t)-cpu)/n
	runtime.GC()
	after := rssAnon(t)
	cpu = cpuTime(t)
	<-time.After(time.Second) // measured, not waited for
	cpu = cpuTime(t) - cpu
	t.Logf("%d idle connections: RssAnon %+d KiB (%d bytes each), %v and %v of CPU (both ends) to connect one, %v of CPU a second when idle", n, (after-before)>>10, (after-before)/n, connect, connectCPU, cpu)
	if !invariant.Enabled {
		if after-before > n*2048+2<<20 {
			t.Errorf("RssAnon has grown by %d bytes", after-before)
		}
		if cpu > 100*time.Millisecond {
			t.Errorf("%v of CPU in a second", cpu)
		}
	}
	c := dial(t, s)
	c.send([]byte("x"))
	c.expect([]byte("x"))
}

// A child process without free descriptors must not end, must turn clients away at once, and must serve again when there are some.
func TestRunningOutOfDescriptors(t *testing.T) {
	if os.Getenv("NETIO_CHILD") == "emfile" {
		emfileChild(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunningOutOfDescriptors$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "NETIO_CHILD=emfile")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("served again")) {
		t.Errorf("child: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func emfileChild(t *testing.T) {
	s, log := serve(t, funcs{}, func(o *Options) { o.MaxConnections = 1000 })
	addr := s.Addr("test")
	to := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	old := dial(t, s)
	old.send([]byte("before"))
	old.expect([]byte("before"))
	// Client sockets exist before the limit falls; to connect them takes no descriptor of ours, to accept them does.
	fds := make([]int, 40)
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
		fds[i] = fd
	}
	limit := unix.Rlimit{Cur: uint64(openFiles(t) + 10), Max: 20000}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	served, refused := 0, 0
	for _, fd := range fds {
		if err := unix.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
		_, _ = unix.Write(fd, frameOf([]byte("x")))
		var b [5]byte
		n, err := unix.Read(fd, b[:])
		switch {
		case n == 5:
			served++
		case err == nil || err == unix.ECONNRESET: // closed at once
			refused++
		default:
			t.Fatalf("read: %v", err)
		}
	}
	old.send([]byte("during"))
	old.expect([]byte("during"))
	if served == 0 || refused == 0 || !log.has("open files") && !log.has("too many") {
		t.Errorf("%d served, %d refused", served, refused)
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	// The server notices the closes one by one; until then it turns clients away.
	for again := false; !again; {
		c, err := net.Dial("tcp", addr.String())
		if errors.Is(err, syscall.EMFILE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(frameOf([]byte("y")))
		p, err := readFrame(c)
		again = err == nil && string(p) == "y"
		_ = c.Close()
	}
	fmt.Printf("%d served, %d refused, then served again; %+v\n", served, refused, s.Stats())
}
