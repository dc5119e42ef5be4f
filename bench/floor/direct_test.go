package floor

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// batchOf is one record of which nobody looks at more than the header.
func batchOf(size int, fill byte) record.Batch {
	b := record.Batch(bytes.Repeat([]byte{fill}, size))
	clear(b[:record.HeaderSize])
	binary.BigEndian.PutUint32(b[8:], uint32(size-12))
	b[16] = 2
	binary.BigEndian.PutUint32(b[57:], 1)
	binary.BigEndian.PutUint32(b[17:], record.CRC32C(b[21:]))
	return b
}

// requestOf is a produce request as franz-go writes it.
func requestOf(version int16, id wire.UUID, correlation int32, batches ...[]byte) []byte {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks = version, -1
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = "t", id
	for _, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = b
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, r, correlation)
}

// inside is a loop that is driven by hand, and one connection of it with its other end.
func inside(t *testing.T, h how) (l *loop, c *conn, peer int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if l, err = newLoop(int(file.Fd()), listener.Addr().(*net.TCPAddr), t.TempDir(), h); err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	c = &conn{fd: pair[0]}
	l.conns[int32(c.fd)] = c
	t.Cleanup(func() {
		l.close()
		_ = unix.Close(pair[1])
		_ = file.Close()
		_ = listener.Close()
	})
	return l, c, pair[1]
}

// A request with a large batch, one with two partitions, and a small one arrive cut at every place that matters.
func TestDirectReadsRequestsCutAnywhere(t *testing.T) {
	for version := int16(3); version <= 13; version++ {
		l, c, peer := inside(t, how{mapped: true, direct: true, files: 1 << 20})
		top, err := l.newTopic("t", 1)
		if err != nil {
			t.Fatal(err)
		}
		large, small := batchOf(directAbove+20_000, 'a'), batchOf(100, 'b')
		var all []byte
		all = append(all, requestOf(version, top.id, 7, large)...)
		first := len(all)
		all = append(all, requestOf(version, top.id, 8, large, small)...)
		all = append(all, requestOf(version, top.id, 9, small)...)
		var cuts []int
		for cut := 1; cut < len(all); cut++ {
			if cut < 200 || cut > first-10 && cut < first+150 || cut%1009 == 0 || cut > len(all)-len(small)-150 {
				cuts = append(cuts, cut)
			}
		}
		p := top.partitions[0]
		for round, cut := range cuts {
			sawDirect := false
			for _, part := range [][]byte{all[:cut], all[cut:]} {
				for len(part) > 0 {
					n, err := unix.Write(peer, part)
					if err != nil {
						t.Fatal(err)
					}
					part = part[n:]
					for {
						before := c.direct.got + len(c.rest) + int(p.next)
						if err := l.read(c); err != nil {
							t.Fatalf("version %d, cut at %d: %v", version, cut, err)
						}
						sawDirect = sawDirect || c.direct.segment != nil
						if c.direct.got+len(c.rest)+int(p.next) == before {
							break // nothing left to read
						}
					}
				}
			}
			if want := int64(4 * (round + 1)); p.next != want {
				t.Fatalf("version %d, cut at %d: the partition ends at %d, want %d", version, cut, p.next, want)
			}
			if !sawDirect {
				t.Errorf("version %d, cut at %d: nothing was read to its place", version, cut)
			}
			found, n := p.read(nil, p.next-4, 1<<30)
			var back []byte
			for _, e := range found {
				back = append(back, e.segment.bytes[e.position:e.position+e.length]...)
			}
			if n != len(back) || n != 2*len(large)+2*len(small) {
				t.Fatalf("version %d, cut at %d: %d bytes in %d, want %d", version, cut, n, len(back), 2*len(large)+2*len(small))
			}
			for i, want := range []record.Batch{large, large, small, small} {
				got := record.Batch(back[:len(want)])
				back = back[len(want):]
				if got.BaseOffset() != p.next-4+int64(i) || !bytes.Equal(got[17:], want[17:]) {
					t.Fatalf("version %d, cut at %d: batch %d has offset %d or other bytes", version, cut, i, got.BaseOffset())
				}
			}
			c.out.buf, c.out.pieces, c.out.mark = nil, nil, 0
		}
	}
}

// Records of two connections arrive at the same time. Offsets are in the order in which they were whole, wherever they lie; who hangs up
// in the middle leaves a hole and nothing else.
func TestDirectReadsOverlap(t *testing.T) {
	l, a, peerA := inside(t, how{mapped: true, direct: true, files: 1 << 20})
	top, err := l.newTopic("t", 1)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	b := &conn{fd: pair[0]}
	l.conns[int32(b.fd)] = b
	send := func(c *conn, peer int, bytes []byte) {
		if n, err := unix.Write(peer, bytes); err != nil || n < len(bytes) {
			t.Fatal(n, err)
		}
		for range 20 {
			if err := l.read(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := top.partitions[0]
	x, y, z := batchOf(20_000, 'x'), batchOf(20_000, 'y'), batchOf(300, 'z')
	of := func(b record.Batch) []byte { return requestOf(9, top.id, 1, b) }
	send(a, peerA, of(x)[:10_000])
	send(b, pair[1], of(y))
	send(a, peerA, of(x)[10_000:])
	send(a, peerA, of(x)[:10_000])
	l.hangUp(a)
	send(b, pair[1], of(z))
	if p.next != 3 {
		t.Fatalf("the partition ends at %d, want 3", p.next)
	}
	for i, want := range []record.Batch{y, x, z} {
		found, n := p.read(nil, int64(i), 1)
		if n != len(want) || len(found) != 1 || !bytes.Equal(found[0].segment.bytes[found[0].position+17:][:n-17], want[17:]) {
			t.Errorf("offset %d: %d bytes in %d extents", i, n, len(found))
		}
	}
	if found, n := p.read(nil, 0, 1<<20); n != len(x)+len(y)+len(z) || len(found) != 3 {
		t.Errorf("%d bytes in %d extents, want three places", n, len(found))
	}
}

// Batches whose CRC does not hold, and those of nobody's topic, are refused, whole or read to their place.
func TestRefused(t *testing.T) {
	for _, h := range []how{{}, {mapped: true}, {mapped: true, direct: true}} {
		l, c, peer := inside(t, h)
		top, err := l.newTopic("t", 1)
		if err != nil {
			t.Fatal(err)
		}
		bad := batchOf(20_000, 'x')
		bad[15_000]++
		for _, request := range [][]byte{requestOf(13, top.id, 1, bad), requestOf(13, wire.UUID{1}, 2, batchOf(100, 'y'))} {
			if n, err := unix.Write(peer, request); err != nil || n < len(request) {
				t.Fatal(n, err)
			}
			for range 20 {
				if err := l.read(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		var codes []int16
		for buf := c.out.buf; len(buf) > 0; {
			size := int(binary.BigEndian.Uint32(buf))
			r := kmsg.NewPtrProduceResponse()
			r.Version = 13
			if err := r.ReadFrom(buf[4+4+1 : 4+size]); err != nil {
				t.Fatal(err)
			}
			codes = append(codes, r.Topics[0].Partitions[0].ErrorCode)
			buf = buf[4+size:]
		}
		if len(codes) != 2 || codes[0] != int16(wire.CorruptMessage) || codes[1] != int16(wire.UnknownTopicOrPartition) {
			t.Errorf("%+v: codes %v", h, codes)
		}
		if p := top.partitions[0]; p.next != 0 {
			t.Errorf("%+v: the partition ends at %d", h, p.next)
		}
	}
}
