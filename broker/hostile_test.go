package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// neighbour is a client that keeps producing and consuming, and must not notice what others do.
type neighbour struct {
	stop  chan struct{}
	done  sync.WaitGroup
	count int
	worst time.Duration
}

func startNeighbour(t *testing.T, n *Node) *neighbour {
	createTopic(t, n, "neighbour", 1)
	nb := &neighbour{stop: make(chan struct{})}
	c := dial(t, n)
	nb.done.Add(1)
	go func() {
		defer nb.done.Done()
		for {
			select {
			case <-nb.stop:
				return
			default:
			}
			begin := time.Now()
			v := value(nb.count)
			got := c.produce(produceRequest(9, -1, "neighbour", wire.UUID{}, 0, batchOf(t, record.None, v)))
			if wire.Code(got.ErrorCode) != wire.None || got.BaseOffset != int64(nb.count) {
				t.Errorf("the neighbour's record %d: offset %d, %v", nb.count, got.BaseOffset, wire.Code(got.ErrorCode))
				return
			}
			values, _ := valuesOf(t, c.fetch(fetchRequest(12, "neighbour", wire.UUID{}, 0, int64(nb.count))).RecordBatches)
			if len(values) != 1 || values[0] != v {
				t.Errorf("the neighbour fetched %q, not %q", values, v)
				return
			}
			nb.count++
			nb.worst = max(nb.worst, time.Since(begin))
		}
	}()
	return nb
}

func (nb *neighbour) end(t *testing.T) {
	close(nb.stop)
	nb.done.Wait()
	if nb.count == 0 {
		t.Error("the neighbour got nothing done")
	}
	t.Logf("the neighbour produced and consumed %d records, the slowest in %v", nb.count, nb.worst)
}

// attack sends bytes on a connection of its own and waits until the broker has answered or closed, shortly.
func attack(t *testing.T, n *Node, p []byte) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", n.testAddr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(p); err != nil {
		return // closed while we were writing: fine
	}
	conn.(*net.TCPConn).CloseWrite()
	var b [512]byte
	for {
		if _, err := conn.Read(b[:]); err != nil {
			return
		}
	}
}

// requestsOfEveryAPI is a full request of each API served, in its lowest, highest, and first flexible versions.
func requestsOfEveryAPI(id wire.UUID, records []byte) []kmsg.Request {
	var all []kmsg.Request
	for _, a := range apis {
		versions := []int16{a.min, a.max, (a.min + a.max) / 2}
		for _, v := range versions {
			var req kmsg.Request
			switch a.key {
			case 0:
				req = produceRequest(v, -1, "t", id, 0, records)
			case 1:
				f := fetchRequest(v, "t", id, 0, 0)
				f.SessionEpoch = 0
				ft := kmsg.NewFetchRequestForgottenTopic()
				ft.Topic, ft.Partitions = "t", []int32{1, 2}
				f.ForgottenTopics = append(f.ForgottenTopics, ft)
				req = f
			case 2:
				req = listRequest(v, "t", 0, -1)
			case 19:
				r := kmsg.NewPtrCreateTopicsRequest()
				rt := kmsg.NewCreateTopicsRequestTopic()
				rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "t", 1, 1
				rt.Configs = append(rt.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: "retention.ms", Value: kmsg.StringPtr("1")})
				r.Topics, r.ValidateOnly = append(r.Topics, rt), true
				req = r
			case 20:
				r := kmsg.NewPtrDeleteTopicsRequest()
				r.TopicNames = []string{"nowhere"}
				req = r
			case 32:
				r := kmsg.NewPtrDescribeConfigsRequest()
				rr := kmsg.NewDescribeConfigsRequestResource()
				rr.ResourceType, rr.ResourceName, rr.ConfigNames = kmsg.ConfigResourceTypeTopic, "t", []string{"a", "b"}
				r.Resources = append(r.Resources, rr)
				req = r
			default:
				if req = groupRequest(a.key, v, id); req == nil {
					req = kmsg.RequestForKey(a.key)
				}
			}
			req.SetVersion(v)
			all = append(all, req)
		}
	}
	return all
}

// Every request cut short at each byte, and with each four bytes turned into a giant, negative or random length.
func TestHostileTruncationsAndLengths(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	nb := startNeighbour(t, n)
	c := &rawClient{t: t, id: "hostile"}
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	attacks := make(chan []byte, 64)
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for p := range attacks {
				attack(t, n, p)
			}
		}()
	}
	for _, req := range requestsOfEveryAPI(id, batchOf(t, record.None, "a")) {
		frame := c.frame(req)
		for cut := 4; cut < len(frame); cut++ {
			p := append([]byte(nil), frame[:cut]...)
			binary.BigEndian.PutUint32(p, uint32(cut-4)) // a frame that ends too early
			attacks <- p
		}
		step := 2
		if invariant.Enabled {
			step = 7 // the race detector makes all of this ten times slower
		}
		for at := 4; at+4 <= len(frame); at += step {
			for _, v := range []uint32{0x7fffffff, 0xffffffff, 0x80000000, 0x00ffffff} {
				p := append([]byte(nil), frame...)
				binary.BigEndian.PutUint32(p[at:], v)
				attacks <- p
			}
		}
	}
	close(attacks)
	all.Wait()
	nb.end(t)
	runtime.GC()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}

// Random bytes, in frames of the size they say and of others.
func TestHostileRandomFrames(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "t", 1)
	nb := startNeighbour(t, n)
	r := rand.New(rand.NewPCG(3, 4))
	for range 1500 {
		p := make([]byte, 4+r.IntN(300))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		switch r.IntN(4) {
		case 0: // any size at all
		case 1:
			binary.BigEndian.PutUint32(p, uint32(r.IntN(1<<20)))
		default:
			binary.BigEndian.PutUint32(p, uint32(len(p)-4))
			if len(p) >= 8 {
				a := apis[r.IntN(len(apis))]
				binary.BigEndian.PutUint16(p[4:], uint16(a.key))
				binary.BigEndian.PutUint16(p[6:], uint16(int(a.min)+r.IntN(int(a.max-a.min)+1)))
			}
		}
		attack(t, n, p)
	}
	nb.end(t)
}

// A small batch that decompresses into very much is refused by a worker, while others go on.
func TestHostileCompressionBombs(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "max.message.bytes", "10485760")
	nb := startNeighbour(t, n)
	zeros := make([]byte, 100<<20)
	for _, codec := range []record.Codec{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		var w record.Builder
		w.Reset(record.BuildOptions{Codec: codec})
		w.Add(time.Now().UnixMilli(), nil, zeros)
		bomb, _, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, n)
		got := c.produce(produceRequest(9, -1, "t", id, 0, bomb))
		if code := wire.Code(got.ErrorCode); code == wire.None {
			t.Errorf("%v: %d bytes that become %d were taken", codec, len(bomb), len(zeros))
		}
		t.Logf("%v: %d bytes: %v", codec, len(bomb), wire.Code(got.ErrorCode))
	}
	nb.end(t)
}

// A request that names very many partitions costs no more than its own size some times over, and is refused.
func TestHostileManyPartitions(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	nb := startNeighbour(t, n)
	fetch := fetchRequest(12, "t", id, 0, 0)
	fetch.Topics[0].Partitions = make([]kmsg.FetchRequestTopicPartition, maxPartitions+1)
	c := dial(t, n)
	c.write(c.frame(fetch))
	c.mustClose()

	produce := produceRequest(9, -1, "t", id, 0, nil)
	produce.Topics[0].Partitions = make([]kmsg.ProduceRequestTopicPartition, maxPartitions+1)
	c = dial(t, n)
	c.write(c.frame(produce))
	c.mustClose()

	// Sessions of many clients with many partitions each: what is remembered is bounded.
	fetch.Topics[0].Partitions = fetch.Topics[0].Partitions[:maxSessionPartitions]
	for i := range fetch.Topics[0].Partitions {
		fetch.Topics[0].Partitions[i] = fetchPartition(int32(i), 0)
	}
	fetch.SessionEpoch = 0
	for range 15 {
		ask[*kmsg.FetchResponse](dial(t, n), fetch)
	}
	n.sessions.mu.Lock()
	remembered := n.sessions.partitions
	n.sessions.mu.Unlock()
	if remembered > maxCachedPartitions {
		t.Errorf("%d partitions are remembered", remembered)
	}
	nb.end(t)
}

// The APIs that carry no records take no request that is as large as records may be.
func TestHostileLargeColdRequests(t *testing.T) {
	n := startNode(t)
	for _, a := range apis {
		frame := binary.BigEndian.AppendUint32(nil, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(a.key))
		frame = binary.BigEndian.AppendUint16(frame, uint16(a.min))
		frame = append(frame, 0, 0, 0, 7, 0xff, 0xff)
		head := len(frame)
		frame = append(frame, make([]byte, coldBody+16)...)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		header, body, err := wire.DecodeHeader(frame[4:])
		if err != nil {
			t.Fatal(err)
		}
		if len(body) <= coldBody || header.Key != a.key {
			t.Fatalf("%s: a body of %d bytes, of %d", a.name, len(body), len(frame)-head)
		}
		c := dial(t, n)
		c.write(frame)
		switch a.key {
		case wire.KeyProduce: // zeros ask for no answer
			ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest())
		case wire.KeyFetch:
			if _, err := c.readFrame(patience); err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
		default:
			c.mustClose()
		}
	}
}

// D17: what each batch alone would be little enough for a loop is not, all together.
func TestHostileManyCheapBatchesAreCheckedByAWorker(t *testing.T) {
	for codec, most := range map[record.Codec]int{record.LZ4: checkOnLoop/cheapBatchIs - 1, record.Zstd: checkOnLoop/zstdBatchIs - 1} {
		t.Run(codec.String(), func(t *testing.T) {
			n := startNode(t)
			id := createTopic(t, n, "t", 1, "millrace.durability", "os")
			c := dial(t, n)
			one := produceRequest(9, -1, "t", id, 0, batchOf(t, codec, string(make([]byte, 60<<10)))).Topics[0].Partitions
			next := int64(0)
			checkersAfter := func(batches int) int {
				req := produceRequest(9, -1, "t", id, 0, nil)
				req.Topics[0].Partitions = slices.Repeat(one, batches)
				for i, p := range ask[*kmsg.ProduceResponse](c, req).Topics[0].Partitions {
					wantCode(t, p.ErrorCode, wire.None)
					if p.BaseOffset != next {
						t.Fatalf("batch %d at offset %d, not %d", i, p.BaseOffset, next)
					}
					next++
				}
				n.workers.check.mu.Lock()
				defer n.workers.check.mu.Unlock()
				return n.workers.check.started
			}
			if checkersAfter(most) != 0 {
				t.Errorf("%d small batches were given to a worker", most)
			}
			if checkersAfter(most+2) == 0 {
				t.Errorf("%d batches that decompress to %d KiB were checked on the loop", most+2, (most+2)*60)
			}
		})
	}
}

// Frames that arrive byte by byte are as good as any.
func TestSlowWriter(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	frame := c.frame(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "slow")))
	correlation := c.next
	for i := range frame {
		c.write(frame[i : i+1])
	}
	resp := kmsg.NewPtrProduceResponse()
	c.receive(resp, 9, correlation)
	wantCode(t, resp.Topics[0].Partitions[0].ErrorCode, wire.None)
}

// A reader that does not read keeps neither the broker nor its neighbours from working; what it asked for comes when it reads.
func TestSlowReader(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	c := dial(t, n)
	big := string(bytes.Repeat([]byte("x"), 900_000))
	for i := range 10 {
		fill(c, "t", 0, fmt.Sprint(i, big))
	}
	nb := startNeighbour(t, n)
	slow := dial(t, n)
	const requests = 100 // 90 MB of answers
	var frames []byte
	first := slow.next + 1
	for i := range requests {
		frames = append(frames, slow.frame(fetchRequest(12, "t", id, 0, int64(i%10)))...)
	}
	go slow.conn.Write(frames)
	await(t, "the neighbour to get on", func() bool { return n.table.Lookup("neighbour", 0).Log().LogEnd() > 50 })
	for i := range requests {
		resp := kmsg.NewPtrFetchResponse()
		slow.receive(resp, 12, first+int32(i))
		if values, _ := valuesOf(t, onlyPartition(t, resp).RecordBatches); len(values) == 0 || values[0] != fmt.Sprint(i%10, big) {
			t.Fatalf("answer %d is not what was asked for", i)
		}
	}
	nb.end(t)
}

// 2.4 #14: a hundred idle long polls wake nothing and cost no goroutine each.
func TestIdleLongPollsCostNothing(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	before := runtime.NumGoroutine()
	for range 100 {
		req := fetchRequest(12, "t", id, 0, 1)
		req.MaxWaitMillis = 600_000
		dial(t, n).send(req)
	}
	waitParked(t, n, 100)
	if more := runtime.NumGoroutine() - before; more > 20 {
		t.Errorf("%d goroutines for 100 parked fetches", more)
	}
	n.fetchTimers.mu.Lock()
	armed := n.fetchTimers.armed - n.fetchTimers.now()
	n.fetchTimers.mu.Unlock()
	if armed < 500_000 {
		t.Errorf("the clock is set to ring in %d ms", armed)
	}
}
