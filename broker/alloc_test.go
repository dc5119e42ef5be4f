package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// exchange is one request and its answer over a real connection, both sides without allocating: the frame is built once, with room for
// what changes.
type exchange struct {
	t     testing.TB
	conn  net.Conn
	frame []byte
	reply []byte
	patch func(frame []byte) // changes the frame for the next round
}

func newExchange(t testing.TB, n *Node, frame []byte) *exchange {
	t.Helper()
	return &exchange{t: t, conn: dial(t, n).conn, frame: append([]byte(nil), frame...), reply: make([]byte, 2<<20)}
}

func (x *exchange) round() []byte {
	if x.patch != nil {
		x.patch(x.frame)
	}
	if _, err := x.conn.Write(x.frame); err != nil {
		x.t.Fatal(err)
	}
	if _, err := io.ReadFull(x.conn, x.reply[:4]); err != nil {
		x.t.Fatal(err)
	}
	size := binary.BigEndian.Uint32(x.reply)
	if _, err := io.ReadFull(x.conn, x.reply[4:4+size]); err != nil {
		x.t.Fatal(err)
	}
	return x.reply[4 : 4+size]
}

// allocations counts what the whole process allocates per round: the client's side of it is nothing. Background work (a ticker, a new
// mapping) may allocate now and then, so it is the least of a few measurements that counts.
func (x *exchange) allocations(most float64) float64 {
	for range 300 {
		x.round() // fill the pools
	}
	least := 1e9
	for range 5 {
		const rounds = 1000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			x.round()
		}
		runtime.ReadMemStats(&after)
		if least = min(least, float64(after.Mallocs-before.Mallocs)/rounds); least <= most {
			break
		}
	}
	return least
}

// Produce with acks=1 and acks=all and a sendfile fetch allocate nothing in the steady state (DESIGN 4), nor does an answer that waited for its
// flush: whoever flushed sends it. What comes back to its loop from another loop's append may cost gnet's wake-up, two small allocations, which a
// batch of replies shares.
func TestHotPathAllocatesNothing(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		name, durability string
		acks             int16
		version          int16
		codec            record.Codec
		most             float64
	}{
		{"produce acks=1 os", "os", 1, 9, record.None, 0},
		{"produce acks=all os", "os", -1, 9, record.None, 0},
		{"produce acks=all os by id", "os", -1, 13, record.None, 0},
		{"produce acks=all replicated", "replicated", -1, 12, record.None, 0},
		{"produce acks=1 fsync", "fsync", 1, 9, record.None, 0},
		{"produce acks=all fsync", "fsync", -1, 9, record.None, 0},
		{"produce acks=all os lz4", "os", -1, 9, record.LZ4, 0},
		{"produce acks=all os snappy", "os", -1, 9, record.Snappy, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t)
			id := createTopic(t, n, "t", 1, "millrace.durability", c.durability)
			x := newExchange(t, n, dial(t, n).frame(produceRequest(c.version, c.acks, "t", id, 0, batchOf(t, c.codec, "0123456789abcdef"))))
			if got := x.allocations(c.most + 0.05); got > c.most+0.05 {
				t.Errorf("%.2f allocations per request", got)
			}
		})
	}
	for _, c := range []struct {
		name    string
		version int16
		size    int
	}{
		{"fetch by name", 12, 64 << 10},
		{"fetch by id", 13, 64 << 10},
		{"small fetch", 18, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t)
			id := createTopic(t, n, "t", 1, "millrace.durability", "os")
			raw := dial(t, n)
			for range 4 {
				fill(raw, "t", 0, string(make([]byte, c.size)))
			}
			x := newExchange(t, n, raw.frame(fetchRequest(c.version, "t", id, 0, 1)))
			if got := x.allocations(0.05); got > 0.05 {
				t.Errorf("%.2f allocations per request", got)
			}
		})
	}
	t.Run("parked fetch woken by produce", func(t *testing.T) {
		n := startNode(t)
		id := createTopic(t, n, "t", 1, "millrace.durability", "os")
		raw := dial(t, n)
		fill(raw, "t", 0, "first")
		req := fetchRequest(12, "t", id, 0, 1)
		req.MaxWaitMillis = 30_000
		reader := newExchange(t, n, raw.frame(req))
		writer := newExchange(t, n, raw.frame(produceRequest(9, 1, "t", id, 0, batchOf(t, record.None, "next"))))
		offset := int64(1)
		at := offsetPosition(t, reader.frame, 1)
		reader.patch = func(frame []byte) {
			binary.BigEndian.PutUint64(frame[at:], uint64(offset))
			offset++
		}
		ready := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range ready {
				writer.round()
			}
		}()
		least := 1e9
		for range 4 {
			const rounds = 500
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				ready <- struct{}{}
				reader.round()
			}
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs)/rounds)
		}
		close(ready)
		<-done
		if least > 2.05 {
			t.Errorf("%.2f allocations per round", least)
		}
	})
}

// offsetPosition finds the fetch offset in a frame by its value.
func offsetPosition(t testing.TB, frame []byte, offset int64) int {
	t.Helper()
	want := binary.BigEndian.AppendUint64(nil, uint64(offset))
	at := -1
	for i := range len(frame) - 8 {
		if string(frame[i:i+8]) == string(want) {
			at = i
		}
	}
	if at < 0 {
		t.Fatal("no fetch offset in the frame")
	}
	return at
}

// The benchmarks go through the real handlers and a real connection; the client side is one goroutine at depth 1 and allocates nothing.
func benchmarkProduce(b *testing.B, durability string, acks int16, size int) {
	n := startNode(b)
	id := createTopic(b, n, "t", 1, "millrace.durability", durability)
	x := newExchange(b, n, dial(b, n).frame(produceRequest(9, acks, "t", id, 0, batchOf(b, record.None, string(make([]byte, size))))))
	x.round()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		x.round()
	}
}

func BenchmarkProduceOS1KiB(b *testing.B)     { benchmarkProduce(b, "os", -1, 1<<10) }
func BenchmarkProduceOS64KiB(b *testing.B)    { benchmarkProduce(b, "os", -1, 64<<10) }
func BenchmarkProduceFsync1KiB(b *testing.B)  { benchmarkProduce(b, "fsync", -1, 1<<10) }
func BenchmarkProduceFsync64KiB(b *testing.B) { benchmarkProduce(b, "fsync", -1, 64<<10) }

func BenchmarkFetch64KiB(b *testing.B) {
	n := startNode(b)
	id := createTopic(b, n, "t", 1, "millrace.durability", "os")
	raw := dial(b, n)
	raw.t = b
	got := raw.produce(produceRequest(9, 1, "t", wire.UUID{}, 0, batchOf(b, record.None, string(make([]byte, 64<<10)))))
	wantCode(b, got.ErrorCode, wire.None)
	x := newExchange(b, n, raw.frame(fetchRequest(12, "t", id, 0, 0)))
	x.round()
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		x.round()
	}
}

// An empty fetch at the end of a partition with a max wait of nothing: what a poll costs.
func BenchmarkFetchNothing(b *testing.B) {
	n := startNode(b)
	id := createTopic(b, n, "t", 1, "millrace.durability", "os")
	raw := dial(b, n)
	raw.t = b
	fill(raw, "t", 0, "x")
	x := newExchange(b, n, raw.frame(fetchRequest(12, "t", id, 0, 1)))
	x.round()
	b.ReportAllocs()
	for b.Loop() {
		x.round()
	}
}

// The start, from nothing to the first acknowledged produce in fsync mode.
func BenchmarkStartToFirstAcknowledgement(b *testing.B) {
	for b.Loop() {
		begin := time.Now()
		n := startNode(b)
		createTopic(b, n, "t", 1)
		c := dial(b, n)
		wantCode(b, c.produce(produceRequest(9, -1, "t", wire.UUID{}, 0, batchOf(b, record.None, "first"))).ErrorCode, wire.None)
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms/start")
		b.StopTimer()
		stopNode(b, n)
		b.StartTimer()
	}
}

// BenchmarkProducePipelined has 16 requests in flight on one connection: what the broker's own work costs, without the round trips.
func BenchmarkProducePipelined(b *testing.B) {
	n := startNode(b)
	id := createTopic(b, n, "t", 1, "millrace.durability", "os")
	const depth = 16
	one := dial(b, n).frame(produceRequest(9, -1, "t", id, 0, batchOf(b, record.None, string(make([]byte, 1<<10)))))
	x := newExchange(b, n, one)
	x.round()
	frames := bytes.Repeat(one, depth)
	answers := make([]byte, depth*answerSize(b, x))
	b.SetBytes(depth << 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.conn.Write(frames); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(x.conn, answers); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/depth, "ns/request")
}

func answerSize(b *testing.B, x *exchange) int { return 4 + len(x.round()) }
