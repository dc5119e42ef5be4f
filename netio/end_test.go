package netio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/millrace/millrace/internal/vfs"
)

func TestHalfCloseStillGetsAllReplies(t *testing.T) {
	f := newFile(t, vfs.OS, t.TempDir(), 8<<20, true)
	got := make(chan *Reply, 100)
	closed := make(chan error, 1)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { r.Keep(); got <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	c := dial(t, s)
	requests := numbered(20)
	c.send(requests...)
	if _, err := c.Write([]byte{0, 0}); err != nil { // the start of one more that never comes
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var replies []*Reply
	for range requests {
		replies = append(replies, <-got)
	}
	conn := replies[0].Conn()
	awaitHalf(t, conn)
	for i := len(replies) - 1; i >= 0; i-- { // more than the socket takes at once
		r := replies[i]
		r.Buf = append(r.Buf, r.Frame...)
		r.Insert(len(r.Buf), f.slice(0, len(f.bytes)))
		r.Send()
	}
	for i, p := range requests {
		reply := c.receive()
		if !bytes.Equal(reply[:2], p) || !bytes.Equal(reply[2:], f.bytes) {
			t.Fatalf("reply %d is wrong", i)
		}
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the last reply: %v", err)
	}
	if err := <-closed; err != io.EOF {
		t.Errorf("closed with %v", err)
	}
}

// awaitHalf waits until the loop has seen the end of what the client sends.
func awaitHalf(t *testing.T, c *Conn) {
	t.Helper()
	await(t, "the half-close", func() bool {
		half := make(chan bool, 1)
		c.Post(func() { half <- c.half })
		return <-half
	})
}

func TestHalfCloseWhileHeldHandlesWhatHasArrived(t *testing.T) {
	held := make(chan *Reply, 1)
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) {
		if string(r.Frame) == "hold" {
			r.Keep()
			c.Hold()
			held <- r
			return
		}
		echo(c, r)
	}}, nil)
	c := dial(t, s)
	big := bytes.Repeat([]byte("b"), 500<<10)
	c.send([]byte("hold"))
	r := <-held
	c.send([]byte("a"), big, []byte("c"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	conn := r.Conn()
	conn.Post(func() { conn.Unhold(); echo(conn, r) })
	c.expect([]byte("hold"), []byte("a"), big, []byte("c"))
	c.expectClosed()
}

func TestAClientThatResetsWhileHalfClosedIsNoticed(t *testing.T) {
	got, closed := make(chan *Reply, 1), make(chan error, 1)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { got <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	c := dial(t, s)
	c.send([]byte("x"))
	r := <-got
	conn := r.Conn()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	awaitHalf(t, conn)
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := <-closed; err != io.EOF { // long before the request is answered
		t.Errorf("closed with %v", err)
	}
	r.Send()
}

func TestAClientThatClosesWithARequestInWork(t *testing.T) {
	got, closed := make(chan *Reply, 1), make(chan error, 1)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { got <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	c := dial(t, s)
	c.send([]byte("x"))
	r := <-got
	_ = c.Close()
	r.Send()
	<-closed
}

func TestDrainLetsRepliesLeaveAndReadsNoMore(t *testing.T) {
	f := newFile(t, vfs.OS, t.TempDir(), 8<<20, true)
	got := make(chan *Reply, 100)
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) { r.Keep(); got <- r }}, nil)
	busy, idle := dial(t, s), dial(t, s)
	busy.send(numbered(3)...)
	replies := []*Reply{<-got, <-got, <-got}
	conn := replies[0].Conn()
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(patience) }()
	idle.expectClosed() // at once
	if c, err := net.Dial("tcp", s.Addr("test").String()); err == nil {
		_ = c.Close()
		t.Error("a connection was accepted while draining")
	}
	await(t, "the loop of the busy connection to drain", func() bool { // the other's may have been first
		draining := make(chan bool, 1)
		conn.Post(func() { draining <- conn.draining })
		return <-draining
	})
	busy.send([]byte("too late"))
	seen := make(chan bool)
	conn.Post(func() { close(seen) })
	<-seen
	select {
	case <-got:
		t.Error("a frame was handled while draining")
	case err := <-drained:
		t.Fatalf("drained with requests in work: %v", err)
	default:
	}
	for _, r := range replies {
		r.Buf = append(r.Buf, r.Frame...)
		r.Insert(len(r.Buf), f.slice(0, len(f.bytes)))
		r.Send()
	}
	for i, p := range numbered(3) {
		if reply := busy.receive(); !bytes.Equal(reply[:2], p) || !bytes.Equal(reply[2:], f.bytes) {
			t.Fatalf("reply %d is wrong", i)
		}
	}
	if _, err := busy.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the last reply: %v, want the end without a reset", err)
	}
	_ = busy.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	got := make(chan *Reply, 1)
	closed := make(chan error, 1)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { got <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	c := dial(t, s)
	c.send([]byte("x"))
	r := <-got
	if err := s.Drain(50 * time.Millisecond); err == nil || !strings.HasPrefix(err.Error(), "1 connections") {
		t.Errorf("drain: %v", err)
	}
	if err := <-closed; err != ErrShutdown {
		t.Errorf("closed with %v", err)
	}
	c.expectClosed()
	r.Send()
}

func TestDrainDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	f := newFile(t, vfs.OS, t.TempDir(), 16<<20, true)
	closed := make(chan error, 2)
	s, _ := serve(t, funcs{
		frame: func(_ *Conn, r *Reply) {
			r.Insert(len(r.Buf), f.slice(0, len(f.bytes)))
			r.Send()
		},
		closed: func(_ *Conn, err error) { closed <- err },
	}, func(o *Options) { o.drainStall = 200 * time.Millisecond })
	stuck, reading := dial(t, s), dial(t, s)
	stuck.send(nil, nil)
	reading.send(nil, nil)
	await(t, "both sockets to fill", func() bool { return s.Stats().Stalls >= 2 && s.Stats().Frames == 4 })
	if _, err := stuck.Write([]byte{0, 0, 1, 0, 1}); err != nil { // the start of a frame is nothing to wait for
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(patience) }()
	for i := range 2 {
		if p := reading.receive(); !bytes.Equal(p, f.bytes) {
			t.Errorf("reply %d is wrong", i)
		}
	}
	_ = reading.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if a, b := <-closed, <-closed; (a == ErrSlow) == (b == ErrSlow) {
		t.Errorf("closed with %v and %v, one of them should be cut", a, b)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	closed := make(chan error, 3)
	got := make(chan *Reply, 3)
	s, _ := serve(t, funcs{
		frame:  func(_ *Conn, r *Reply) { got <- r },
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	for i := range 3 {
		c := dial(t, s)
		c.send([]byte("x"))
		r := <-got
		if i == 0 { // one is half-closed: gnet knows nothing of it any more
			conn := r.Conn()
			_ = c.CloseWrite()
			awaitHalf(t, conn)
		}
		defer r.Send()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-closed; err != ErrShutdown {
			t.Errorf("closed with %v", err)
		}
	}
}

func TestALoopThatEndsByItselfIsFatal(t *testing.T) {
	fatal := make(chan error, 2)
	s, log := serve(t, funcs{}, func(o *Options) { o.Fatal = func(err error) { fatal <- err } })
	c := dial(t, s)
	c.send([]byte("x"))
	c.expect([]byte("x"))
	err := s.engine.loops[1].handle.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error { return gneterrors.ErrEngineShutdown }))
	if err != nil {
		t.Fatal(err)
	}
	if err := <-fatal; err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("fatal: %v", err)
	}
	if !log.has("ended by itself") {
		t.Error("not logged")
	}
	if err := s.Close(); err != nil { // does not hang
		t.Error(err)
	}
	select {
	case err := <-fatal:
		t.Errorf("fatal twice: %v", err)
	default:
	}
}

type otherLoop struct {
	gnet.EventLoop
	poller struct{ descriptor int }
}

func TestListenFailsWhenGnetIsBuiltDifferently(t *testing.T) {
	_, err := epollOf(&otherLoop{poller: struct{ descriptor int }{3}})
	if err == nil || !strings.Contains(err.Error(), gnetVersion) || !strings.Contains(err.Error(), "eventloop.poller.fd") {
		t.Errorf("error: %v", err)
	}
	s, _ := serve(t, funcs{}, nil)
	for _, l := range s.engine.loops {
		if fd, err := epollOf(l.handle); err != nil || fd != l.epoll {
			t.Errorf("epoll descriptor %d, %v", fd, err)
		}
	}
}

// A panic of the handler is our mistake: it must end the process, with its message.
func TestAPanicOfTheHandlerEndsTheProcess(t *testing.T) {
	if os.Getenv("NETIO_CHILD") == "panic" {
		s, _ := serve(t, funcs{frame: func(*Conn, *Reply) { panic("the handler is broken") }}, nil)
		c := dial(t, s)
		c.send([]byte("x"))
		c.expectClosed()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAPanicOfTheHandlerEndsTheProcess$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "NETIO_CHILD=panic")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !bytes.Contains(out, []byte("the handler is broken")) {
		t.Errorf("child: %v\n%s", err, out)
	}
}
