package netio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"
)

// nowhere is a transport, a waker and a peer that does not exist: frames are fed by hand.
type nowhere struct{}

func (nowhere) wake()              {}
func (nowhere) pause(*Conn) error  { return nil }
func (nowhere) resume(*Conn) error { return nil }
func (nowhere) close(c *Conn)      { c.detached(nil) }

// feedAll feeds a stream to a connection in pieces and returns the frames that come of it, and why it was closed, if it was.
// Some frames hold the connection, some are kept: as their first byte says.
func feedAll(t testing.TB, stream []byte, piece func() int, maxFrame int) (frames [][]byte, closed error) {
	kept := map[int]*Reply{}
	s := &Server{options: Options{MaxFrame: maxFrame, MaxQueued: 1 << 20, Budget: 1 << 30, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}.withDefaults()}
	s.log, s.noise.log = s.options.Log, s.options.Log
	s.drain.done = make(chan struct{})
	s.budget.init(s.options.Budget)
	s.handler = funcs{
		frame: func(c *Conn, r *Reply) {
			frames = append(frames, bytes.Clone(r.Frame))
			if len(r.Frame) > 0 {
				switch r.Frame[0] {
				case 1:
					r.Keep()
					kept[len(frames)-1] = r
					return
				case 2:
					c.Hold()
				}
			}
			r.Discard()
		},
		closed: func(_ *Conn, err error) { closed = err },
	}
	l := newLoop(s, 0)
	s.loops = []*loop{l}
	c := &Conn{id: 1 << loopBits, loop: l, listener: &listener{name: "feed"}, fd: -1}
	l.waker, l.transport = nowhere{}, nowhere{}
	s.open.Add(1)
	l.begin()
	c.opened(-1, nowhere{})
	l.end()
	feed := func(p []byte) {
		l.beginEvent(c)
		c.feed(p, false)
		l.end()
	}
	buf := make([]byte, readBuffer)
	for len(stream) > 0 && closed == nil {
		n := min(max(piece(), 1), len(stream), len(buf))
		copy(buf, stream[:n])
		stream = stream[n:]
		feed(buf[:n])
		for i := range buf[:n] {
			buf[i] = 0xee // the transport uses its buffer again
		}
		for c.held {
			l.begin()
			c.Unhold()
			l.end()
		}
	}
	for i, r := range kept {
		if !bytes.Equal(frames[i], r.Frame) {
			t.Errorf("kept frame %d has changed: %.40x", i, r.Frame)
		}
		r.Discard()
	}
	l.begin()
	l.end()
	if closed == nil && c.out.slots != 0 {
		t.Errorf("%d replies are still in work", c.out.slots)
	}
	l.begin()
	err := closed
	c.detached(io.EOF)
	l.end()
	if used := s.budget.used.Load(); used != 0 {
		t.Errorf("%d bytes are still charged", used)
	}
	return frames, err
}

// reference cuts a stream into frames the simple way.
func reference(stream []byte, maxFrame int) (frames [][]byte, bad *FrameSizeError) {
	for len(stream) >= sizeBytes {
		size := int(int32(binary.BigEndian.Uint32(stream)))
		if size < 0 || size > maxFrame {
			return frames, &FrameSizeError{size, maxFrame}
		}
		if stream = stream[sizeBytes:]; len(stream) < size {
			break
		}
		frames = append(frames, stream[:size])
		stream = stream[size:]
	}
	return frames, nil
}

func checkFeed(t testing.TB, stream []byte, piece func() int, maxFrame int) {
	want, bad := reference(stream, maxFrame)
	got, err := feedAll(t, stream, piece, maxFrame)
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d (closed: %v)", len(got), len(want), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d: %d bytes %.40x, want %d bytes %.40x", i, len(got[i]), got[i], len(want[i]), want[i])
		}
	}
	var fe *FrameSizeError
	if bad != nil != errors.As(err, &fe) || bad != nil && *fe != *bad {
		t.Fatalf("closed with %v, want %v", err, bad)
	}
}

func TestFramesAreTheSameHoweverTheStreamIsCut(t *testing.T) {
	rnd := random(t)
	for range 100 {
		var stream []byte
		for range rnd.IntN(20) {
			size := rnd.IntN(1 << rnd.IntN(20))
			p := make([]byte, size)
			for i := 0; i+8 <= size; i += 8 {
				binary.LittleEndian.PutUint64(p[i:], rnd.Uint64())
			}
			if size > 0 {
				p[0] = byte(rnd.IntN(4))
			}
			stream = append(stream, frameOf(p)...)
		}
		stream = stream[:len(stream)-rnd.IntN(len(stream)+1)/(1+rnd.IntN(5))]
		largest := 8 << rnd.IntN(16)
		checkFeed(t, stream, func() int { return rnd.IntN(largest + 1) }, 1<<20)
	}
}

func TestAStreamCutAtEachByte(t *testing.T) {
	stream := append(frameOf([]byte{1, 2, 3}), frameOf(nil)...)
	stream = append(stream, frameOf([]byte{2, 9})...)
	stream = append(stream, frameOf([]byte{0, 1, 2, 3, 4, 5})...)
	for end := range len(stream) + 1 {
		for first := range end + 1 {
			pieces := []int{first, end - first}
			next := 0
			checkFeed(t, stream[:end], func() int { next++; return pieces[min(next-1, 1)] }, 100)
		}
	}
}

func FuzzFeed(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2}, uint8(3))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint8(1))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1}, uint8(2))
	f.Add(append(frameOf(make([]byte, 5000)), 0, 0), uint8(200))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		checkFeed(t, stream, func() int { return int(step) }, 4096)
	})
}
