package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// patience bounds every wait of these tests; nothing waits for it when all is well.
const patience = 20 * time.Second

// startNode starts a node on a free port and a directory of its own. Settings are key=value.
func startNode(t testing.TB, settings ...string) *Node {
	t.Helper()
	return startNodeIn(t, t.TempDir(), settings...)
}

func startNodeIn(t testing.TB, dir string, settings ...string) *Node {
	t.Helper()
	n := tryStart(t, Options{DataDir: dir}, settings...)
	return n
}

func tryStart(t testing.TB, o Options, settings ...string) *Node {
	t.Helper()
	base := []string{"node.id=1", "listeners=PLAINTEXT://127.0.0.1:0", "auto.create.topics.enable=true", "num.partitions=1"}
	c, err := config.Load("", append(base, settings...))
	if err != nil {
		t.Fatal(err)
	}
	o.Config = c
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("the node gave up: %v", err) }
	}
	n, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(t, n) })
	return n
}

func stopNode(t testing.TB, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func (n *Node) testAddr() string { return n.Addrs()["PLAINTEXT"].String() }

// createTopic makes a topic by the controller's decision, settings key, value, key, value.
func createTopic(t testing.TB, n *Node, name string, partitions int32, settings ...string) wire.UUID {
	t.Helper()
	nt := meta.NewTopic{Name: name, Partitions: partitions, ReplicationFactor: 1}
	for i := 0; i < len(settings); i += 2 {
		nt.Configs = append(nt.Configs, meta.ConfigValue{Name: settings[i], Value: settings[i+1]})
	}
	seed := uint64(time.Now().UnixNano())
	random := func() uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed ^ seed>>29
	}
	var results []meta.TopicResult
	err := n.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		var rs []meta.Record
		rs, results = meta.CreateTopics(im, []meta.NewTopic{nt}, &meta.Rules{Partitions: 1, ReplicationFactor: 1}, random)
		return rs, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Code != wire.None {
		t.Fatalf("create %s: %v", name, results[0])
	}
	return n.image().TopicByName(name).ID
}

// deleteTopic removes it the same way.
func deleteTopic(t testing.TB, n *Node, name string) {
	t.Helper()
	id := n.image().TopicByName(name).ID
	if err := n.decide(func(*meta.Image, int64) ([]meta.Record, error) {
		return []meta.Record{meta.RemoveTopicRecord{ID: id}}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// rawClient speaks single requests over one connection, and sees everything that comes back.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	id   string
	next int32
}

func dial(t testing.TB, n *Node) *rawClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", n.testAddr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t: t, conn: conn, id: "raw"}
}

// frame is a request as it goes over the wire, size and all.
func (c *rawClient) frame(req kmsg.Request) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.id))
	c.next++
	return f.AppendRequest(nil, req, c.next)
}

func (c *rawClient) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.write(c.frame(req))
	return c.next
}

func (c *rawClient) write(p []byte) {
	c.t.Helper()
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one response and decodes it into resp.
func (c *rawClient) receive(resp kmsg.Response, version int16, correlation int32) {
	c.t.Helper()
	body, err := c.readFrame(patience)
	if err != nil {
		c.t.Fatalf("%T: %v", resp, err)
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != correlation {
		c.t.Fatalf("%T: answer to request %d, not %d", resp, got, correlation)
	}
	body = body[4:]
	resp.SetVersion(version)
	if resp.IsFlexible() && resp.Key() != 18 {
		if body[0] != 0 {
			c.t.Fatalf("%T: response header has tags", resp)
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("%T v%d does not decode: %v", resp, version, err)
	}
}

func (c *rawClient) readFrame(limit time.Duration) ([]byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c.conn, body)
	return body, err
}

// mustClose fails the test unless the broker closes the connection without another byte.
func (c *rawClient) mustClose() {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	var b [1]byte
	n, err := c.conn.Read(b[:])
	if ne, ok := err.(net.Error); n > 0 || err == nil || ok && ne.Timeout() {
		c.t.Fatalf("the connection stays open: read %d bytes, %v", n, err)
	}
}

// ask sends a request and waits for its answer.
func ask[R kmsg.Response](c *rawClient, req kmsg.Request) R {
	c.t.Helper()
	correlation := c.send(req)
	resp := req.ResponseKind()
	c.receive(resp, req.GetVersion(), correlation)
	return resp.(R)
}

// batchOf makes a batch of values without keys.
func batchOf(t testing.TB, codec record.Codec, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.BuildOptions{Codec: codec})
	now := time.Now().UnixMilli()
	for _, v := range values {
		b.Add(now, nil, []byte(v))
	}
	out, _, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func produceRequest(version, acks int16, topic string, id wire.UUID, partition int32, records []byte) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = version, acks, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	return r
}

func fetchRequest(version int16, topic string, id wire.UUID, partition int32, offset int64) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MaxWaitMillis, r.MinBytes, r.MaxBytes = version, -1, 0, 1, 50<<20
	r.SessionID, r.SessionEpoch = 0, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rt.Partitions = append(rt.Partitions, fetchPartition(partition, offset))
	r.Topics = append(r.Topics, rt)
	return r
}

func fetchPartition(partition int32, offset int64) kmsg.FetchRequestTopicPartition {
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, 1<<20
	return rp
}

// valuesOf iterates the batches of a fetched record set.
func valuesOf(t testing.TB, records []byte) (values []string, offsets []int64) {
	t.Helper()
	for len(records) > 0 {
		b, rest, err := record.Next(records)
		if err == io.ErrUnexpectedEOF {
			return values, offsets // a batch cut short at the end is legal
		}
		if err != nil {
			t.Fatal(err)
		}
		records = rest
		it := record.NewIterator(b, record.Limits{})
		for it.Next() {
			r := it.Record()
			values, offsets = append(values, string(r.Value)), append(offsets, r.Offset)
		}
		if err := it.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return values, offsets
}

// newClient is a franz-go client of the node.
func newClient(t testing.TB, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.testAddr())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func value(i int) string { return fmt.Sprintf("value-%06d", i) }
