package netio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/vfs"
)

func numbered(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = []byte{byte(i >> 8), byte(i)}
	}
	return list
}

func TestRepliesLeaveInRequestOrderWhateverTheOrderOfSend(t *testing.T) {
	got := make(chan *Reply, 100)
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) { r.Keep(); got <- r }}, nil)
	c := dial(t, s)
	requests := numbered(100)
	c.send(requests...)
	replies := make([]*Reply, 100)
	for i := range replies {
		replies[i] = <-got
	}
	for _, i := range random(t).Perm(100) {
		if !bytes.Equal(replies[i].Frame, requests[i]) {
			t.Fatalf("request %d: frame is %x", i, replies[i].Frame)
		}
		echo(nil, replies[i])
	}
	c.expect(requests...)
}

func TestDiscardFreesTheSlotWithoutAReply(t *testing.T) {
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) {
		if len(r.Frame) == 0 {
			r.Discard()
			return
		}
		echo(c, r)
	}}, nil)
	c := dial(t, s)
	c.send([]byte("a"), nil, nil, []byte("b"), nil)
	c.expect([]byte("a"), []byte("b"))
	c.send([]byte("c"))
	c.expect([]byte("c"))
}

func TestHoldStopsFramesUntilUnhold(t *testing.T) {
	held := make(chan *Reply, 1)
	var handled []string // loop only
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) {
		handled = append(handled, string(r.Frame))
		switch string(r.Frame) {
		case "hold":
			r.Keep()
			c.Hold()
			held <- r
		case "log":
			r.Buf = append(r.Buf, strings.Join(handled, " ")...)
			r.Send()
		default:
			echo(c, r)
		}
	}}, func(o *Options) { o.Loops = 1 })
	c, other := dial(t, s), dial(t, s)
	big := bytes.Repeat([]byte("b"), 600<<10)
	c.send([]byte("a"), []byte("hold"), []byte("c"))
	c.expect([]byte("a"))
	r := <-held
	wrote := make(chan error, 1)
	go func() { // arrives, in part, while the connection is held
		_, err := c.Write(append(frameOf(big), frameOf([]byte("d"))...))
		wrote <- err
	}()
	other.send([]byte("log")) // the loop serves others meanwhile, and has handled nothing of what follows
	other.expect([]byte("a hold log"))
	conn := r.Conn()
	// Holding again before the posted func has returned: still nothing is handled.
	again := make(chan struct{})
	conn.Post(func() { conn.Unhold(); conn.Hold(); close(again) })
	<-again
	other.send([]byte("log"))
	other.expect([]byte("a hold log log"))
	conn.Post(func() { conn.Unhold(); echo(conn, r) })
	c.expect([]byte("hold"), []byte("c"), big, []byte("d"))
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func TestUnholdWithinFrameGoesOn(t *testing.T) {
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) { c.Hold(); echo(c, r); c.Unhold() }}, nil)
	c := dial(t, s)
	c.send(numbered(300)...)
	c.expect(numbered(300)...)
}

// A held connection's frames lie in a stash that Keep must copy from, as it must from the loop's buffer.
func TestKeepOutlivesTheBufferTheFrameCameIn(t *testing.T) {
	kept := make(chan *Reply, 4000)
	s, _ := serve(t, funcs{frame: func(c *Conn, r *Reply) {
		if string(r.Frame) == "hold" {
			c.Hold()
			c.Post(c.Unhold)
			r.Discard()
			return
		}
		r.Keep()
		kept <- r
	}}, func(o *Options) { o.Loops, o.MaxQueued = 1, 5000 })
	c := dial(t, s)
	requests := [][]byte{bytes.Repeat([]byte("x"), 300<<10), []byte("hold")}
	for i := range 2000 {
		requests = append(requests, bytes.Repeat([]byte{byte(i)}, i%700))
	}
	go c.send(requests...)
	var replies []*Reply
	for range len(requests) - 1 {
		replies = append(replies, <-kept)
	}
	for _, r := range replies {
		echo(nil, r)
	}
	c.expect(requests[0])
	c.expect(requests[2:]...)
}

func TestAbortClosesAfterEarlierRepliesAndBeforeLaterOnes(t *testing.T) {
	closed := make(chan error, 1)
	s, _ := serve(t, funcs{
		frame: func(c *Conn, r *Reply) {
			if string(r.Frame) == "abort" {
				r.Abort(errors.New("no such request"))
				return
			}
			echo(c, r)
		},
		closed: func(_ *Conn, err error) { closed <- err },
	}, nil)
	c := dial(t, s)
	c.send([]byte("a"), []byte("abort"), []byte("b"))
	c.expect([]byte("a"))
	if p, err := readFrame(c); err == nil {
		t.Errorf("a reply %q after the abort", p)
	}
	if err := <-closed; err == nil || err.Error() != "no such request" {
		t.Errorf("closed with %v", err)
	}
}

func TestCloseByTheHandlerInOpenedAndInFrame(t *testing.T) {
	boom := errors.New("boom")
	closed := make(chan error, 2)
	s, _ := serve(t, funcs{
		opened: func(c *Conn) {
			if c.ID()>>loopBits == 1 {
				c.Close(boom)
			}
		},
		frame:  func(c *Conn, r *Reply) { echo(c, r); c.Close(boom); c.Close(io.EOF) },
		closed: func(c *Conn, err error) { closed <- err },
	}, nil)
	dial(t, s).expectClosed()
	c := dial(t, s)
	c.send([]byte("x"), []byte("y"))
	c.expect([]byte("x"))
	c.expectClosed()
	for range 2 {
		if err := <-closed; err != boom {
			t.Errorf("closed with %v", err)
		}
	}
}

func TestRepliesAndPostsAfterTheConnectionHasClosed(t *testing.T) {
	f := newFile(t, vfs.OS, t.TempDir(), 1<<20, true)
	got, closed := make(chan *Reply, 4), make(chan struct{}, 1)
	s, _ := serve(t, funcs{
		frame: func(_ *Conn, r *Reply) {
			r.Keep()
			r.Insert(len(r.Buf), f.slice(0, 1<<20)) // the file's cleanup checks that each is released
			got <- r
		},
		closed: func(*Conn, error) { closed <- struct{}{} },
	}, nil)
	c := dial(t, s)
	c.send(numbered(4)...)
	replies := []*Reply{<-got, <-got, <-got, <-got}
	_ = c.SetLinger(0)
	_ = c.Close()
	<-closed
	conn := replies[0].Conn()
	if !conn.Closed() {
		t.Error("not Closed")
	}
	replies[0].Send()
	replies[1].Discard()
	replies[2].Abort(io.EOF)
	ran := make(chan bool, 1)
	conn.Post(func() { ran <- conn.Closed() })
	if !<-ran {
		t.Error("posted func sees an open connection")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	replies[3].Send() // after the server's end
	conn.Post(func() { conn.Unhold(); conn.Post(func() { ran <- true }) })
	<-ran
}

func TestZeroLengthSlicesDelayNothing(t *testing.T) {
	f := newFile(t, vfs.OS, t.TempDir(), 100, false)
	s, _ := serve(t, funcs{frame: func(_ *Conn, r *Reply) {
		r.Insert(4, f.slice(0, 0))
		r.Buf = append(r.Buf, "abc"...)
		r.Insert(6, f.slice(0, 0))
		r.Insert(6, f.slice(7, 0))
		r.Insert(7, f.slice(0, 0))
		r.Send()
	}}, nil)
	c := dial(t, s)
	start := time.Now()
	for range 100 {
		c.send(nil)
		c.expect([]byte("abc"))
	}
	// Announcing more bytes than follow (MSG_MORE) costs 200 ms each: 20 s.
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("100 round trips took %v", took)
	}
}

func TestAFileShorterThanItsSliceClosesTheConnection(t *testing.T) {
	for _, tc := range []struct {
		name string
		fs   vfs.FS
	}{{"sendfile", vfs.OS}, {"read", vfs.NewMem()}} {
		t.Run(tc.name, func(t *testing.T) {
			dir := "/"
			if tc.fs == vfs.OS {
				dir = t.TempDir()
			}
			f := newFile(t, tc.fs, dir, 100<<10, false)
			closed := make(chan error, 1)
			s, log := serve(t, funcs{
				frame:  func(_ *Conn, r *Reply) { r.Insert(4, f.slice(0, 200<<10)); r.Send() },
				closed: func(_ *Conn, err error) { closed <- err },
			}, nil)
			c := dial(t, s)
			c.send(nil)
			if err := <-closed; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("closed with %v", err)
			}
			if !log.has("unexpected EOF") {
				t.Error("not logged")
			}
			c.expectClosed()
		})
	}
}

func TestAddressesAndListeners(t *testing.T) {
	conns := make(chan *Conn, 2)
	s, _ := serve(t, funcs{opened: func(c *Conn) { conns <- c }}, func(o *Options) {
		o.Listeners = append(o.Listeners, Listener{Name: "all"})
	})
	all := s.Addr("all")
	if all.Port() == 0 || s.Addr("test").Port() == 0 || all.Port() == s.Addr("test").Port() {
		t.Fatalf("addresses %v and %v", all, s.Addr("test"))
	}
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", itoa(int(all.Port()))))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := <-conns
	if got := conn.LocalAddr().String(); got != c.RemoteAddr().String() {
		t.Errorf("local address %v, the client reached %v", got, c.RemoteAddr())
	}
	if got := conn.RemoteAddr().String(); got != c.LocalAddr().String() {
		t.Errorf("remote address %v, the client has %v", got, c.LocalAddr())
	}
	if conn.Listener() != "all" || s.Addr("none").IsValid() {
		t.Errorf("listener %q", conn.Listener())
	}
	dial(t, s)
	if second := <-conns; second.Listener() != "test" || second.ID() == conn.ID() {
		t.Errorf("second connection: listener %q, id %d after %d", second.Listener(), second.ID(), conn.ID())
	}
}

func TestListenNamesWhatIsWrong(t *testing.T) {
	s, _ := serve(t, funcs{}, nil)
	_, err := Listen(Options{Listeners: []Listener{{Name: "free", Host: "127.0.0.1"}, {Name: "busy", Host: "127.0.0.1", Port: int(s.Addr("test").Port())}}}, funcs{})
	if err == nil || !strings.Contains(err.Error(), `"busy"`) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("busy port: %v", err)
	}
	_, err = Listen(Options{MaxFrame: -1, Loops: 1000, Listeners: []Listener{{Name: "a"}, {Name: "a"}}}, funcs{})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three mistakes: %v", err)
	}
}
