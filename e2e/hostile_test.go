package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dial opens a raw connection to the broker, closed with the test.
func (b *broker) dial() *net.TCPConn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return c.(*net.TCPConn)
}

// frame is a request as a client sends it, size and all.
func frame(correlation int32, req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hostile")).AppendRequest(nil, req, correlation)
}

// produceFrame appends one record batch, compressed by whatever the caller says it is, to a topic's partition 0.
func produceFrame(topic string, attributes int16, count int32, records []byte) []byte {
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes, LastOffsetDelta: count - 1, FirstTimestamp: 1, MaxTimestamp: 1,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: count, Records: records}
	batch.Length = int32(len(batch.AppendTo(nil))) - 12
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 1000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = raw
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, part)
	req.Topics = append(req.Topics, rt)
	return frame(7, req)
}

// roundTrip sends a frame and returns the payload of the answer.
func roundTrip(t *testing.T, c *net.TCPConn, frame []byte) []byte {
	t.Helper()
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(c, size); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return body
}

// neighbour is a well-behaved client that appends and reads back one record after another while others misbehave.
type neighbour struct {
	rounds atomic.Int64
	stop   chan struct{}
	done   sync.WaitGroup
}

func (b *broker) neighbour(topic string) *neighbour {
	n := &neighbour{stop: make(chan struct{})}
	producer := b.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	consumer := b.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	n.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-n.stop:
				return
			default:
			}
			want := fmt.Sprintf("record %d", i)
			if err := producer.ProduceSync(within(b.t, 20*time.Second), kgo.StringRecord(want)).FirstErr(); err != nil {
				b.t.Errorf("the neighbour's produce %d: %v", i, err)
				return
			}
			fetches := consumer.PollFetches(within(b.t, 20*time.Second))
			if err := fetches.Err(); err != nil {
				b.t.Errorf("the neighbour's fetch %d: %v", i, err)
				return
			}
			if got := string(fetches.Records()[0].Value); got != want || fetches.NumRecords() != 1 {
				b.t.Errorf("the neighbour read %q where it wrote %q", got, want)
				return
			}
			n.rounds.Add(1)
		}
	})
	return n
}

// end stops the neighbour and says whether it got anywhere.
func (n *neighbour) end(t *testing.T) {
	t.Helper()
	close(n.stop)
	n.done.Wait()
	if n.rounds.Load() == 0 && !t.Failed() {
		t.Error("the neighbour completed no round")
	}
	t.Logf("the neighbour completed %d rounds", n.rounds.Load())
}

// ended waits until the broker closes the connection; what it answers before that is dropped.
func ended(c *net.TCPConn) error {
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection is still open: %w", err)
	}
	return nil
}

// Garbage, false lengths, cut frames and bombs: the broker closes or refuses, stays up, stays small, and its other clients notice nothing.
func TestHostileFrames(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	create(t, b, "good", 1, nil)
	create(t, b, "bad", 1, nil)
	fill(t, b, "good", 0, 0, 1000)
	good := b.neighbour("good")
	random := rand.New(rand.NewPCG(1, 2))

	t.Run("random", func(t *testing.T) {
		for range 300 {
			c := b.dial()
			junk := make([]byte, 4+random.IntN(4096))
			for i := range junk {
				junk[i] = byte(random.Uint32())
			}
			if random.IntN(2) == 0 { // a true size, so that the rest is looked at
				binary.BigEndian.PutUint32(junk, uint32(len(junk)-4))
			}
			_, _ = c.Write(junk)
			_ = c.CloseWrite()
			if err := ended(c); err != nil {
				t.Fatalf("%x...: %v", junk[:16], err)
			}
			_ = c.Close()
		}
	})
	t.Run("sizes", func(t *testing.T) {
		for _, size := range []int32{-1, -1 << 31, 0, 1, 7, 1<<31 - 1, 100<<20 + 1} {
			c := b.dial()
			_, _ = c.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
			_, _ = c.Write(make([]byte, 64))
			_ = c.CloseWrite()
			if err := ended(c); err != nil {
				t.Errorf("size %d: %v", size, err)
			}
			_ = c.Close()
		}
	})
	t.Run("cut", func(t *testing.T) {
		fetch := kmsg.NewPtrFetchRequest()
		fetch.Version, fetch.SessionEpoch = 12, -1
		ft, fp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		ft.Topic, ft.Partitions = "bad", append(ft.Partitions, fp)
		fetch.Topics = append(fetch.Topics, ft)
		for _, whole := range [][]byte{produceFrame("bad", 0, 1, []byte{14, 0, 0, 0, 1, 2, 'x', 0}), frame(1, fetch)} {
			for cut := 5; cut < len(whole); cut++ { // the size says that the cut frame is whole
				c := b.dial()
				short := bytes.Clone(whole[:cut])
				binary.BigEndian.PutUint32(short, uint32(cut-4))
				_, _ = c.Write(short)
				_ = c.CloseWrite()
				if err := ended(c); err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				_ = c.Close()
			}
		}
	})
	t.Run("bombs", func(t *testing.T) {
		const raw = 512 << 20
		zeros := make([]byte, 1<<20)
		var zipped bytes.Buffer
		w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
		var zst bytes.Buffer
		z, err := zstd.NewWriter(&zst)
		if err != nil {
			t.Fatal(err)
		}
		for range raw >> 20 {
			_, _ = w.Write(zeros)
			_, _ = z.Write(zeros)
		}
		_, _ = w.Close(), z.Close()
		for codec, bomb := range map[int16][]byte{1: zipped.Bytes(), 4: zst.Bytes()} {
			c := b.dial()
			body := roundTrip(t, c, produceFrame("bad", codec, 1, bomb))
			resp := kmsg.NewPtrProduceResponse()
			resp.Version = 9
			if err := resp.ReadFrom(body[5:]); err != nil { // correlation id and the header's tags
				t.Fatal(err)
			}
			if code := resp.Topics[0].Partitions[0].ErrorCode; code == 0 {
				t.Errorf("codec %d: a batch of %d bytes that unpacks to %d was accepted", codec, len(bomb), raw)
			}
			_ = c.Close()
		}
	})
	good.end(t)
	anon := status(t, b.pid(), "RssAnon")
	t.Logf("RssAnon %d kB after it all", anon)
	if anon > 192<<10 {
		t.Errorf("the broker holds %d kB of memory after hostile input, want at most 192 MiB", anon)
	}
	b.stop()
}

// Clients that send a byte at a time, clients that never read, and 2,000 that do nothing at all: memory stays within the budget of bytes
// for all connections, and the others are served.
func TestSlowAndIdleClients(t *testing.T) {
	raiseFiles(t)
	b := start(t, t.TempDir(), 0)
	create(t, b, "good", 1, nil)
	create(t, b, "big", 1, nil)
	fill(t, b, "big", 8192, 1000, 900_000)
	before := status(t, b.pid(), "RssAnon")
	idle := make([]*net.TCPConn, 2000)
	for i := range idle {
		idle[i] = b.dial()
	}
	if !poll(30*time.Second, func() bool { return established(t, b.port, false) >= len(idle) }) {
		t.Fatal("not all connections were accepted")
	}
	grown := status(t, b.pid(), "RssAnon") - before
	t.Logf("2,000 idle connections: RssAnon +%d kB", grown)
	if grown > 16<<10 {
		t.Errorf("2,000 idle connections cost %d kB, want at most 16 MiB", grown)
	}
	good := b.neighbour("good")
	var slow sync.WaitGroup
	for i := range 32 { // each announces 64 MiB and sends a little of it
		slow.Go(func() {
			c := idle[i]
			_, _ = c.Write(binary.BigEndian.AppendUint32(nil, 64<<20))
			for range 200 {
				if _, err := c.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		})
	}
	for i := range 32 { // each asks for 8 MiB sixteen times and reads nothing
		slow.Go(func() {
			fetch := kmsg.NewPtrFetchRequest()
			fetch.Version, fetch.SessionEpoch, fetch.MaxBytes, fetch.MinBytes = 12, -1, 8<<20, 1
			ft, fp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
			fp.PartitionMaxBytes, fp.CurrentLeaderEpoch = 8<<20, -1
			ft.Topic, ft.Partitions = "big", append(ft.Partitions, fp)
			fetch.Topics = append(fetch.Topics, ft)
			c := idle[100+i]
			_ = c.SetReadBuffer(4096)
			for n := range int32(16) {
				if _, err := c.Write(frame(n, fetch)); err != nil {
					return
				}
			}
		})
	}
	slow.Wait()
	target := good.rounds.Load() + 200
	if !poll(60*time.Second, func() bool { return good.rounds.Load() >= target || t.Failed() }) {
		t.Errorf("the neighbour made no progress beside slow clients")
	}
	good.end(t)
	anon := status(t, b.pid(), "RssAnon")
	t.Logf("RssAnon %d kB beside slow clients", anon)
	if anon > 192<<10 {
		t.Errorf("slow clients make the broker hold %d kB, want at most 192 MiB", anon)
	}
	b.stop()
}

func raiseFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < 4500 {
		t.Skipf("only %d files may be open here: 2,000 connections need both ends", limit.Cur)
	}
}
