package broker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

var everyCodec = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

func codecName(c record.Codec) string {
	if c == record.None {
		return "uncompressed"
	}
	return c.String()
}

// stored are the batches of a partition, as a consumer gets them.
func stored(c *rawClient, topic string, id wire.UUID, partition int32) (batches []record.Batch) {
	c.t.Helper()
	for offset := int64(0); ; {
		p := c.fetch(fetchRequest(12, topic, id, partition, offset))
		wantCode(c.t, p.ErrorCode, wire.None)
		rest := p.RecordBatches
		if len(rest) == 0 {
			return batches
		}
		for len(rest) > 0 {
			b, more, err := record.Next(rest)
			if err != nil {
				break // cut short
			}
			if err := b.CheckHeader(); err != nil {
				c.t.Fatal(err)
			}
			batches, rest, offset = append(batches, b), more, b.NextOffset()
		}
	}
}

// Whatever codec a producer uses, the topic's is stored, with the same records; what has it already is stored as it came.
func TestCompressionTypeEveryPair(t *testing.T) {
	n := startNode(t)
	c := dial(t, n)
	var values []string
	for i := range 500 {
		values = append(values, fmt.Sprintf("value %d of a batch that compresses well enough", i))
	}
	for _, target := range everyCodec {
		topic := "to-" + codecName(target)
		id := createTopic(t, n, topic, 1, "compression.type", codecName(target))
		var sent [][]byte
		for i, codec := range everyCodec {
			b := batchOf(t, codec, values...)
			sent = append(sent, bytes.Clone(b))
			for _, acks := range []int16{1, -1} { // what is answered last is what can be read last
				p := c.produce(produceRequest(9, acks, topic, id, 0, b))
				wantCode(t, p.ErrorCode, wire.None)
				if want := int64((2*i)*len(values)) + int64(map[int16]int{1: 0, -1: len(values)}[acks]); p.BaseOffset != want {
					t.Errorf("%s from %v acks=%d: base offset %d, want %d", topic, codec, acks, p.BaseOffset, want)
				}
			}
		}
		batches := stored(c, topic, id, 0)
		if len(batches) != 2*len(everyCodec) {
			t.Fatalf("%s: %d batches", topic, len(batches))
		}
		for i, b := range batches {
			from := everyCodec[i/2]
			if b.Codec() != target || b.BaseOffset() != int64(i*len(values)) || b.Count() != int32(len(values)) {
				t.Errorf("%s from %v: stored as %v, offset %d, %d records", topic, from, b.Codec(), b.BaseOffset(), b.Count())
			}
			if got, _ := valuesOf(t, b); !slices.Equal(got, values) {
				t.Errorf("%s from %v: other records", topic, from)
			}
			if from == target {
				record.Batch(sent[i/2]).Stamp(b.BaseOffset(), 0)
				if !bytes.Equal(b, sent[i/2]) {
					t.Errorf("%s: a batch that has its codec was changed", topic)
				}
			}
		}
	}
}

// The default of all topics is the broker's compression.type, which changes at run time; a topic's own counts more.
func TestCompressionTypeChangesAtRunTime(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("t", 1, 1), newTopic("own", 1, 1, "compression.type=producer"))
	c := dial(t, a.Node)
	var want []record.Codec
	put := func(codec record.Codec) {
		t.Helper()
		for _, topic := range []string{"t", "own"} {
			wantCode(t, c.produce(produceRequest(9, -1, topic, wire.UUID{}, 0, batchOf(t, record.Snappy, "a", "b"))).ErrorCode, wire.None)
		}
		want = append(want, codec)
	}
	put(record.Snappy)
	a.mustAlter(ofBroker, "", "compression.type=zstd")
	put(record.Zstd)
	a.mustAlter(ofBroker, "1", "compression.type=uncompressed")
	put(record.None)
	a.mustAlter(ofTopic, "t", "compression.type=gzip", "compression.gzip.level=9")
	put(record.Gzip)
	a.restart()
	c = dial(t, a.Node)
	put(record.Gzip)
	a.mustAlter(ofTopic, "t", "-compression.type")
	put(record.None)
	for topic, want := range map[string][]record.Codec{"t": want, "own": slices.Repeat([]record.Codec{record.Snappy}, len(want))} {
		var got []record.Codec
		for _, b := range stored(c, topic, wire.UUID{}, 0) {
			got = append(got, b.Codec())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", topic, got, want)
		}
	}
}

// 2.4 #2 holds for what is recompressed: the append's time in the answer and in the batch, the records' own in the records.
func TestCompressionTypeLogAppendTime(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "compression.type", "lz4", "message.timestamp.type", "LogAppendTime")
	c := dial(t, n)
	before := time.Now().UnixMilli()
	p := c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "a", "b")))
	wantCode(t, p.ErrorCode, wire.None)
	b := stored(c, "t", id, 0)[0]
	if p.LogAppendTime < before || !b.LogAppendTime() || b.MaxTimestamp() != p.LogAppendTime || b.Codec() != record.LZ4 {
		t.Errorf("answered %d, stored %v with %d", p.LogAppendTime, b.LogAppendTime(), b.MaxTimestamp())
	}
}

// Idempotent producers see what they always do: order, duplicates by sequence, and gaps.
func TestCompressionTypeIdempotence(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "compression.type", "zstd")
	c := dial(t, n)
	batch := func(sequence int32) []byte {
		t.Helper()
		var w record.Builder
		w.Reset(record.BuildOptions{Codec: record.Gzip, Idempotent: true, ProducerID: 9, BaseSequence: sequence})
		for i := range 3 {
			w.Add(time.Now().UnixMilli(), nil, fmt.Appendf(nil, "%d", sequence+int32(i)))
		}
		out, _, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// Five in flight on one connection, as producers have them.
	var correlations []int32
	var pipelined []byte
	for i := range int32(5) {
		pipelined = append(pipelined, c.frame(produceRequest(9, -1, "t", id, 0, batch(3*i)))...)
		correlations = append(correlations, c.next)
	}
	c.write(pipelined)
	for i, correlation := range correlations {
		resp := kmsg.NewPtrProduceResponse()
		c.receive(resp, 9, correlation)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(3*i) {
			t.Errorf("batch %d: %+v", i, p)
		}
	}
	if p := c.produce(produceRequest(9, -1, "t", id, 0, batch(3))); p.ErrorCode != 0 || p.BaseOffset != 3 {
		t.Errorf("a batch again: %+v", p)
	}
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batch(30))).ErrorCode, wire.OutOfOrderSequenceNumber)
	var values []string
	for i, b := range stored(c, "t", id, 0) {
		if b.ProducerID() != 9 || b.BaseSequence() != int32(3*i) || b.Codec() != record.Zstd {
			t.Errorf("batch %d: producer %d sequence %d %v", i, b.ProducerID(), b.BaseSequence(), b.Codec())
		}
		got, _ := valuesOf(t, b)
		values = append(values, got...)
	}
	if len(values) != 15 || values[0] != "0" || values[14] != "14" {
		t.Errorf("stored %v", values)
	}
}

// One request may hold more than is recompressed at a time, among partitions that need nothing: it goes on in parts, each partition gets its answer.
func TestCompressionTypeManyPartitions(t *testing.T) {
	n := startNode(t)
	const partitions = 40
	id := createTopic(t, n, "t", partitions, "compression.type", "uncompressed")
	plain := createTopic(t, n, "plain", partitions)
	c := dial(t, n)
	big := strings.Repeat("x", 900<<10) // 40 of them are many times recompressAtOnce
	for _, acks := range []int16{1, -1} {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks, req.TimeoutMillis = 13, acks, 20000
		for _, topic := range []wire.UUID{id, plain} {
			rt := kmsg.NewProduceRequestTopic()
			rt.TopicID = topic
			for i := range int32(partitions) {
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition, rp.Records = i, batchOf(t, record.Gzip, big, fmt.Sprint(i))
				if i%7 == 3 {
					rp.Records = batchOf(t, record.None, "small")
				}
				if i == 5 {
					rp.Records = []byte("garbage")
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		for _, topic := range ask[*kmsg.ProduceResponse](c, req).Topics {
			for _, p := range topic.Partitions {
				if want := map[bool]wire.Code{true: wire.InvalidRecord}[p.Partition == 5]; wire.Code(p.ErrorCode) != want {
					t.Errorf("acks=%d partition %d: %v, want %v", acks, p.Partition, wire.Code(p.ErrorCode), want)
				}
			}
		}
	}
	for _, i := range []int32{0, 3, 39} {
		batches := stored(c, "t", id, i)
		if len(batches) != 2 || batches[0].Codec() != record.None {
			t.Errorf("partition %d: %d batches", i, len(batches))
		}
		if values, _ := valuesOf(t, batches[0]); i%7 == 3 && values[0] != "small" || i%7 != 3 && (values[0] != big || values[1] != fmt.Sprint(i)) {
			t.Errorf("partition %d: other records", i)
		}
	}
	n.recompressions.mu.Lock()
	defer n.recompressions.mu.Unlock()
	if n.recompressions.taken != 0 || len(n.recompressions.queue) != 0 {
		t.Errorf("%d turns are taken, %d wait", n.recompressions.taken, len(n.recompressions.queue))
	}
}

// What is too large as it would be stored is refused, with the code of what is too large as it was sent; damage has its own.
func TestCompressionTypeRefusals(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "compression.type", "uncompressed", "max.message.bytes", "10000", "millrace.batch.validation", "header")
	c := dial(t, n)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.Gzip, strings.Repeat("x", 20_000)))).ErrorCode, wire.MessageTooLarge)
	damaged := batchOf(t, record.Gzip, strings.Repeat("x", 2000))
	copy(damaged[len(damaged)-20:], make([]byte, 20))
	b := record.Batch(damaged)
	b.SetMaxTimestamp(b.MaxTimestamp()-1, false) // and with it the checksum
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, damaged)).ErrorCode, wire.InvalidRecord)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.Gzip, "small"))).ErrorCode, wire.None)
	if got := stored(c, "t", id, 0); len(got) != 1 || got[0].BaseOffset() != 0 {
		t.Errorf("%d batches", len(got))
	}
}

// A connection that goes away in the middle gives its turn back, and takes nothing of others with it.
func TestCompressionTypeClosedConnection(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "compression.type", "zstd", "max.message.bytes", "20000000")
	payload := batchOf(t, record.Gzip, strings.Repeat("abcdefgh", 1<<17))
	for range 2 * maxRecompressions {
		c := dial(t, n)
		c.write(c.frame(produceRequest(9, -1, "t", id, 0, payload)))
		c.conn.Close()
	}
	c := dial(t, n)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.Gzip, "last"))).ErrorCode, wire.None)
	turns := make(chan struct{})
	for range maxRecompressions { // all at once: none is lost
		n.recompressions.take(func() { go func() { turns <- struct{}{} }() })
	}
	for range maxRecompressions {
		select {
		case <-turns:
		case <-time.After(patience):
			t.Fatal("a turn does not come back")
		}
	}
}

// franz-go produces with each codec to a topic of each, and reads back what it wrote.
func TestCompressionTypeClient(t *testing.T) {
	n := startNode(t)
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		for _, target := range everyCodec {
			topic := fmt.Sprintf("t-%d-%s", i, codecName(target))
			createTopic(t, n, topic, 1, "compression.type", codecName(target))
			cl := newClient(t, n, kgo.ProducerBatchCompression(codec), kgo.ConsumeTopics(topic))
			ctx := testContext(t)
			var rs []*kgo.Record
			for j := range 100 {
				rs = append(rs, &kgo.Record{Topic: topic, Key: []byte(value(j)), Value: bytes.Repeat([]byte(value(j)), 20), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1}}}})
			}
			if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			got := 0
			for got < len(rs) {
				fetches := cl.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					t.Fatalf("%s: %v", topic, err)
				}
				fetches.EachRecord(func(r *kgo.Record) {
					if string(r.Key) != value(got) || len(r.Value) != 20*len(value(got)) || len(r.Headers) != 1 || r.Offset != int64(got) || !r.Timestamp.Equal(rs[got].Timestamp) {
						t.Errorf("%s: record %d is %s at %d, %v", topic, got, r.Key, r.Offset, r.Timestamp)
					}
					got++
				})
			}
			cl.Close()
		}
	}
}
