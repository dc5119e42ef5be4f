package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/vfs"
)

// A chaos request is how it wants to be answered, its number, padding, and ranges of the file:
//
//	| mode 1 | number 8 | count 1 | count x (position 4, length 4) | padding |
//
// and the reply is the number, then each range with its length before it, then the padding's length.
const (
	now      = iota // during Frame
	later           // by a worker, in random order
	discard         // never answered
	withHold        // by a worker; the connection handles nothing until then
	modeCount
)

type chaosRange struct{ position, length uint32 }

func appendChaos(b []byte, mode byte, number uint64, ranges []chaosRange, padding int) []byte {
	b = append(b, mode)
	b = binary.BigEndian.AppendUint64(b, number)
	b = append(b, byte(len(ranges)))
	for _, r := range ranges {
		b = binary.BigEndian.AppendUint32(b, r.position)
		b = binary.BigEndian.AppendUint32(b, r.length)
	}
	return append(b, make([]byte, padding)...)
}

// chaosServer answers chaos requests. Workers keep some requests back and finish them in random order.
type chaosServer struct {
	file *file
	work chan *Reply
	done sync.WaitGroup
}

func (h *chaosServer) start(r *rand.Rand, workers int) {
	h.work = make(chan *Reply, 1<<16)
	for range workers {
		rnd := rand.New(rand.NewPCG(r.Uint64(), 1))
		h.done.Go(func() {
			var kept []*Reply
			finish := func() {
				i := rnd.IntN(len(kept))
				r := kept[i]
				kept[i] = kept[len(kept)-1]
				kept = kept[:len(kept)-1]
				h.finish(r)
			}
			for {
				if len(kept) > 0 {
					select {
					case r, ok := <-h.work:
						if !ok {
							for len(kept) > 0 {
								finish()
							}
							return
						}
						kept = append(kept, r)
					default: // nothing more to keep back
						finish()
						continue
					}
					if rnd.IntN(4) == 0 {
						finish()
					}
					continue
				}
				r, ok := <-h.work
				if !ok {
					return
				}
				kept = append(kept, r)
			}
		})
	}
}

func (h *chaosServer) stop() {
	close(h.work)
	h.done.Wait()
}

func (h *chaosServer) Opened(c *Conn) {
	c.Context = 0
	if c.id>>loopBits%3 == 0 {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10) // so that it fills often
	}
}

func (h *chaosServer) Closed(c *Conn, err error) {}

func (h *chaosServer) Frame(c *Conn, r *Reply) {
	if c.Context.(int) != 0 {
		panic("a frame while the connection was held")
	}
	switch r.Frame[0] {
	case now:
		h.fill(r)
		r.Send()
	case later:
		r.Keep()
		h.work <- r
	case discard:
		r.Discard()
	case withHold:
		r.Keep()
		c.Hold()
		c.Context = 1
		h.work <- r
	}
}

func (h *chaosServer) finish(r *Reply) {
	if r.Frame[0] != withHold {
		h.fill(r)
		r.Send()
		return
	}
	c := r.Conn()
	c.Post(func() {
		c.Context = 0
		c.Unhold()
		h.fill(r)
		r.Send()
	})
}

func (h *chaosServer) fill(r *Reply) {
	p := r.Frame
	r.Buf = append(r.Buf, p[1:9]...)
	n := int(p[9])
	p = p[10:]
	for range n {
		r.Buf = append(r.Buf, p[4:8]...)
		r.Insert(len(r.Buf), h.file.slice(int64(binary.BigEndian.Uint32(p)), int(binary.BigEndian.Uint32(p[4:]))))
		p = p[8:]
	}
	r.Buf = binary.BigEndian.AppendUint32(r.Buf, uint32(len(p)))
}

// chaosClient pipelines requests, checks each byte of the replies, and may leave in the middle.
type chaosClient struct {
	addr     string
	rnd      *rand.Rand
	file     []byte
	rounds   int
	requests int
	bytes    int64
}

func (c *chaosClient) run() error {
	for range c.rounds {
		if err := c.connection(); err != nil {
			return err
		}
	}
	return nil
}

func (c *chaosClient) length() uint32 {
	limit := 8 << c.rnd.IntN(18) // 8 B to 1 MiB, small ones as often as large ones
	return uint32(c.rnd.IntN(limit + 1))
}

func (c *chaosClient) connection() error {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	tcp := nc.(*net.TCPConn)
	type expected struct {
		number  uint64
		ranges  []chaosRange
		padding int
	}
	count := 1 + c.rnd.IntN(40)
	var queue []expected
	var out []byte
	total := 0
	for i := range count {
		mode := byte(c.rnd.IntN(modeCount))
		e := expected{number: c.rnd.Uint64(), padding: c.rnd.IntN(200)}
		if c.rnd.IntN(20) == 0 {
			e.padding = c.rnd.IntN(700 << 10)
		}
		for range c.rnd.IntN(4) {
			length := c.length()
			e.ranges = append(e.ranges, chaosRange{uint32(c.rnd.IntN(len(c.file) - int(length) + 1)), length})
			total += int(length)
		}
		if i == count-1 && mode == discard {
			mode = now
		}
		out = append(out, frameOf(appendChaos(nil, mode, e.number, e.ranges, e.padding))...)
		if mode != discard {
			queue = append(queue, e)
		}
	}
	wrote := make(chan error, 1)
	rnd := rand.New(rand.NewPCG(c.rnd.Uint64(), 2))
	go func() {
		for len(out) > 0 {
			n := min(len(out), 1+rnd.IntN(300<<10))
			if _, err := nc.Write(out[:n]); err != nil {
				wrote <- err
				return
			}
			out = out[n:]
		}
		wrote <- nil
	}()
	leave := -1
	if c.rnd.IntN(2) == 0 {
		leave = c.rnd.IntN(total + 1) // in the middle of a reply, likely
		if c.rnd.IntN(2) == 0 {
			_ = tcp.SetLinger(0) // by a reset
		}
	}
	got := 0
	read := func(p []byte) error {
		_, err := io.ReadFull(nc, p)
		got += len(p)
		c.bytes += int64(len(p))
		return err
	}
	buf := make([]byte, 1<<20)
	check := func(e expected) error {
		size := 8 + 4
		for _, r := range e.ranges {
			size += 4 + int(r.length)
		}
		if err := read(buf[:12]); err != nil {
			return err
		}
		if s := int(binary.BigEndian.Uint32(buf)); s != size {
			return fmt.Errorf("reply of %d bytes, want %d", s, size)
		}
		if n := binary.BigEndian.Uint64(buf[4:]); n != e.number {
			return fmt.Errorf("reply %x where %x was due", n, e.number)
		}
		for _, r := range e.ranges {
			if err := read(buf[:4]); err != nil {
				return err
			}
			if l := binary.BigEndian.Uint32(buf); l != r.length {
				return fmt.Errorf("range of %d bytes, want %d", l, r.length)
			}
			if err := read(buf[:r.length]); err != nil {
				return err
			}
			if !bytes.Equal(buf[:r.length], c.file[r.position:][:r.length]) {
				return fmt.Errorf("the range at %d differs from the file", r.position)
			}
			if leave >= 0 && got >= leave {
				return errLeave
			}
		}
		if err := read(buf[:4]); err != nil {
			return err
		}
		if n := int(binary.BigEndian.Uint32(buf)); n != e.padding {
			return fmt.Errorf("padding of %d bytes arrived, want %d", n, e.padding)
		}
		return nil
	}
	for _, e := range queue {
		if err := check(e); errors.Is(err, errLeave) {
			_ = nc.Close()
			<-wrote
			return nil
		} else if err != nil {
			return err
		}
		c.requests++
	}
	return <-wrote
}

var errLeave = errors.New("leave")

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestRepliesKeepOrderAndBytesInChaos(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fs     vfs.FS
		mapped bool
		change func(*Options)
	}{
		{"sendfile and mapping", vfs.OS, true, nil},
		{"sendfile alone", vfs.OS, false, nil},
		{"no descriptor", vfs.NewMem(), false, nil},
		{"small limits", vfs.OS, true, func(o *Options) {
			o.Loops, o.MaxQueued, o.flushBudget, o.maxQueuedBytes = 1, 3, 64<<10, 256
		}},
		{"small budget", vfs.OS, true, func(o *Options) { o.Budget = 12 << 20 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rnd := random(t)
			before := openFiles(t)
			const clients = 24
			total := 0
			var received int64
			t.Run("run", func(t *testing.T) {
				dir := "/"
				if tc.fs == vfs.OS {
					dir = t.TempDir()
				}
				h := &chaosServer{file: newFile(t, tc.fs, dir, 4<<20, tc.mapped)}
				h.start(rnd, 4)
				s, _ := serve(t, h, tc.change)
				var wait sync.WaitGroup
				errs := make(chan error, clients)
				all := make([]*chaosClient, clients)
				for i := range all {
					c := &chaosClient{addr: s.Addr("test").String(), rnd: rand.New(rand.NewPCG(rnd.Uint64(), uint64(i))), file: h.file.bytes, rounds: 6}
					all[i] = c
					wait.Go(func() { errs <- c.run() })
				}
				wait.Wait()
				close(errs)
				for err := range errs {
					if err != nil {
						t.Error(err)
					}
				}
				for _, c := range all {
					total += c.requests
					received += c.bytes
				}
				t.Logf("%d replies, %d MiB, %+v", total, received>>20, s.Stats())
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				h.stop() // late completions, after the server's end
			})
			if total == 0 {
				t.Error("nothing was answered")
			}
			if after := openFiles(t); after != before {
				t.Errorf("%d descriptors are open, %d were before", after, before)
			}
		})
	}
}
