package bench

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/wire/record"
)

// leader is a broker that only answers produce requests, each with the code that answer says; a negative one closes the connection.
type leader struct {
	address string
	answer  func(partition int32, n int) int16

	mu   sync.Mutex
	came map[int32]int // records, by partition
}

func startLeader(t *testing.T, answer func(partition int32, n int) int16) *leader {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	l := &leader{address: listener.Addr().String(), answer: answer, came: map[int32]int{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	return l
}

func (l *leader) serve(conn net.Conn) {
	defer conn.Close()
	for n := 0; ; n++ {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		head, at := appendProduce(nil, "topic", 0, 0)
		partition := int32(be.Uint32(frame[at-4:]))
		b, _, err := record.Next(frame[len(head):]) // the head has a size before it, the frame a length after the partition
		if err != nil {
			return
		}
		code := l.answer(partition, n)
		if code < 0 {
			return
		}
		l.mu.Lock()
		l.came[partition] += int(b.Count())
		l.mu.Unlock()
		p := append([]byte{0, 0, 0, 0}, frame[4:8]...) // the correlation id
		p = be.AppendUint32(p, 1)
		p = appendString(p, "topic")
		p = be.AppendUint32(p, 1)
		p = be.AppendUint32(p, uint32(partition))
		p = be.AppendUint16(p, uint16(code))
		p = append(p, make([]byte, 8+8+8+4)...)
		putSize(p)
		if _, err := conn.Write(p); err != nil {
			return
		}
	}
}

// of is how many records of a partition came.
func (l *leader) of(partition int32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.came[partition]
}

// sendTo has producers send to leaders, and returns what came of it.
func sendTo(t *testing.T, s Spec, leaders ...*leader) (*run, *collector) {
	t.Helper()
	s = s.WithDefaults()
	s.Partitions = len(leaders)
	words, err := newWorkload(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{spec: s, words: words, id: 7, clock: clock{time.Now()}, collect: newCollector(), place: &place{topic: "topic"}, books: newBooks(s.Producers, s.Partitions)}
	for _, l := range leaders {
		r.place.leaders = append(r.place.leaders, l.address)
	}
	d := newRaw(r)
	defer d.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.connectProducers(ctx); err != nil {
		t.Fatal(err)
	}
	r.span.begin = r.clock.now()
	r.span.from, r.span.to = r.span.begin, r.span.begin+s.Duration
	ended := make(chan struct{})
	go func() { r.collect.run(r.span); close(ended) }()
	if err := d.produce(ctx); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := ctx.Err(); err != nil {
		t.Fatal("it did not end by itself")
	}
	var attempted int64
	for _, b := range r.books {
		for _, p := range b.partitions {
			attempted += p.next
		}
	}
	if w := r.collect.whole; attempted != w.acked+w.failed || w.acked != r.acked.Load() {
		t.Errorf("attempted %d, acknowledged %d (%d), failed %d", attempted, w.acked, r.acked.Load(), w.failed)
	}
	return r, r.collect
}

func TestRawSendsToEveryLeader(t *testing.T) {
	fine := func(int32, int) int16 { return 0 }
	a, b := startLeader(t, fine), startLeader(t, fine)
	_, c := sendTo(t, Spec{Rate: 2000, Duration: 200 * time.Millisecond, Producers: 5, BatchRecords: 4}, a, b, a)
	if c.whole.acked != 400 || a.of(1)+b.of(0)+b.of(2) > 0 || a.of(0)+b.of(1)+a.of(2) != 400 || b.of(1) < 100 {
		t.Errorf("acknowledged %d; %v and %v came", c.whole.acked, a.came, b.came)
	}
}

// A leader that is none any more, or that goes away, costs the records of its partitions and nothing else.
func TestRawLosesALeader(t *testing.T) {
	for _, c := range []struct {
		name string
		code int16
		says string
	}{
		{"moved", kerr.NotLeaderForPartition.Code, "NOT_LEADER"},
		{"gone", -1, "producer 0: 127.0.0.1:"}, // closed or reset, as the kernel likes
	} {
		t.Run(c.name, func(t *testing.T) {
			fine := startLeader(t, func(int32, int) int16 { return 0 })
			bad := startLeader(t, func(_ int32, n int) int16 {
				if n < 10 {
					return 0
				}
				return c.code
			})
			r, got := sendTo(t, Spec{Rate: 1000, Duration: 200 * time.Millisecond}, fine, bad)
			// A connection that is closed may take answers along that were not read yet.
			if acked := got.whole.acked; fine.of(0) != 100 || acked > 110 || acked < 110 && c.code > 0 || got.whole.failed != 200-acked {
				t.Errorf("acknowledged %d, failed %d; %v and %v came", got.whole.acked, got.whole.failed, fine.came, bad.came)
			}
			if r.errors.n.Load() == 0 || !strings.Contains(strings.Join(r.errors.mu.first, "\n"), c.says) {
				t.Errorf("%d errors: %q", r.errors.n.Load(), r.errors.mu.first)
			}
			if f := r.books[0].partitions[1].failed; len(f.list) != 1 || f.list[0] != (stretch{100 - got.whole.failed, 100}) {
				t.Errorf("failed: %+v", f)
			}
		})
	}
}

// Without a rate nobody goes on for ever against a connection that is closed.
func TestRawEndsWithoutALeader(t *testing.T) {
	bad := startLeader(t, func(_ int32, n int) int16 { return int16(-max(0, n-20)) })
	r, c := sendTo(t, Spec{Duration: 300 * time.Millisecond, Producers: 3}, bad)
	if n := c.whole.acked; n == 0 || n > 3*21 || c.whole.failed == 0 || n+c.whole.failed > 3*(21+5) || r.errors.n.Load() < 3 {
		t.Errorf("acknowledged %d, failed %d, %d errors", c.whole.acked, c.whole.failed, r.errors.n.Load())
	}
}
