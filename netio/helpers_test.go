package netio

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/vfs"
)

// funcs is a Handler of funcs. Requests are echoed by default.
type funcs struct {
	opened func(*Conn)
	frame  func(*Conn, *Reply)
	closed func(*Conn, error)
}

func (f funcs) Opened(c *Conn) {
	if f.opened != nil {
		f.opened(c)
	}
}

func (f funcs) Frame(c *Conn, r *Reply) {
	if f.frame == nil {
		echo(c, r)
		return
	}
	f.frame(c, r)
}

func (f funcs) Closed(c *Conn, err error) {
	if f.closed != nil {
		f.closed(c, err)
	}
}

func echo(_ *Conn, r *Reply) {
	r.Buf = append(r.Buf, r.Frame...)
	r.Send()
}

// logBuffer is a log to look into.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) has(s string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.buf.String(), s)
}

// serve starts a server with one listener and closes it with the test. At the end no memory may be charged and no connection open.
func serve(t testing.TB, h Handler, change func(*Options)) (*Server, *logBuffer) {
	t.Helper()
	log := new(logBuffer)
	o := Options{Listeners: []Listener{{Name: "test", Host: "127.0.0.1"}}, Loops: 2, Log: slog.New(slog.NewTextHandler(log, nil)),
		Fatal: func(err error) { t.Errorf("fatal: %v", err) }}
	if change != nil {
		change(&o)
	}
	s, err := Listen(o, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if st := s.Stats(); st.Connections != 0 || st.Reserved != 0 || st.BudgetWaiters != 0 {
			t.Errorf("after close: %+v", st)
		}
		if log.has("stale connection") {
			t.Error("a connection was closed while gnet held an event of it")
		}
		if t.Failed() {
			t.Logf("log:\n%s", log.buf.String())
		}
	})
	return s, log
}

// patience bounds everything that a test waits for.
const patience = 60 * time.Second

type client struct {
	t testing.TB
	*net.TCPConn
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr("test").String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = c.Close() })
	return &client{t, c.(*net.TCPConn)}
}

func frameOf(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func (c *client) send(payloads ...[]byte) {
	c.t.Helper()
	var b []byte
	for _, p := range payloads {
		b = append(b, frameOf(p)...)
	}
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) receive() []byte {
	c.t.Helper()
	p, err := readFrame(c)
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return p
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, p)
	return p, err
}

func (c *client) expect(payloads ...[]byte) {
	c.t.Helper()
	for i, want := range payloads {
		if got := c.receive(); !bytes.Equal(got, want) {
			c.t.Fatalf("reply %d: got %d bytes, want %d: %.40q, want %.40q", i, len(got), len(want), got, want)
		}
	}
}

// expectClosed reads until the server has closed the connection.
func (c *client) expectClosed() {
	c.t.Helper()
	n, err := io.Copy(io.Discard, c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatalf("not closed after %d bytes", n)
	}
}

// file is a file of known bytes. All slices of it must have been released when the test ends.
type file struct {
	pin   *vfs.Pin
	bytes []byte
	last  chan struct{} // closed by the last release
}

func pattern(i int64) byte { return byte(i*7 + i>>8*13 + i>>16*31) }

func newFile(t testing.TB, fs vfs.FS, dir string, size int, mapped bool) *file {
	t.Helper()
	f, err := fs.OpenFile(filepath.Join(dir, "file"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = pattern(int64(i))
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	var m vfs.Mapping
	if mapped {
		if m, err = f.Map(int64(size), vfs.MapOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	v := &file{bytes: b, last: make(chan struct{})}
	v.pin = vfs.NewPin(f, m, func() { close(v.last) })
	t.Cleanup(func() {
		v.pin.Release()
		select {
		case <-v.last:
		case <-time.After(patience):
			t.Error("a slice was not released")
		}
		if err := v.pin.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func (f *file) slice(position int64, length int) vfs.Slice {
	if !f.pin.TryRetain() {
		panic("the file is closed")
	}
	return vfs.Slice{Pin: f.pin, Position: position, Length: length}
}

func random(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}
