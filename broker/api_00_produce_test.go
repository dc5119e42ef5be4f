package broker

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// produce sends one batch to one partition and returns the partition's answer.
func (c *rawClient) produce(req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	resp := ask[*kmsg.ProduceResponse](c, req)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.t.Fatalf("answer has another shape than the request: %+v", resp)
	}
	return resp.Topics[0].Partitions[0]
}

func wantCode(t testing.TB, got int16, want wire.Code) {
	t.Helper()
	if wire.Code(got) != want {
		t.Errorf("error %v, not %v", wire.Code(got), want)
	}
}

// Every version that is served appends, with each acks, and tells the offset.
func TestProduceInEveryVersion(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	next := int64(0)
	for version := int16(3); version <= 13; version++ {
		for _, acks := range []int16{-1, 1} {
			got := c.produce(produceRequest(version, acks, "t", id, 0, batchOf(t, record.None, "a", "b")))
			wantCode(t, got.ErrorCode, wire.None)
			if got.BaseOffset != next {
				t.Errorf("v%d acks=%d: base offset %d, not %d", version, acks, got.BaseOffset, next)
			}
			next += 2
			if version >= 5 && got.LogStartOffset != 0 {
				t.Errorf("v%d: log start %d", version, got.LogStartOffset)
			}
			if got.LogAppendTime != -1 {
				t.Errorf("v%d: log append time %d under CreateTime", version, got.LogAppendTime)
			}
		}
	}
}

// Produce 0-2 is advertised and closes the connection, as Kafka 4 does; so does every key and version that is not served (2.2.5).
func TestUnservedVersionsCloseTheConnection(t *testing.T) {
	n := startNode(t)
	for _, c := range []struct{ key, version int16 }{{0, 0}, {0, 2}, {0, 14}, {1, 3}, {1, 19}, {4, 0}, {999, 0}, {-1, 0}, {math.MinInt16, 0}, {math.MaxInt16, math.MaxInt16}} {
		raw := dial(t, n)
		frame := binary.BigEndian.AppendUint32(nil, 14)
		frame = binary.BigEndian.AppendUint16(frame, uint16(c.key))
		frame = binary.BigEndian.AppendUint16(frame, uint16(c.version))
		frame = binary.BigEndian.AppendUint32(frame, 7)
		frame = append(frame, 0xff, 0xff, 0, 0, 0, 0)
		raw.write(frame)
		raw.mustClose()
	}
}

// 2.4 #1: the wire batch is the disk batch: only base offset and leader epoch differ.
func TestProduce1BatchIsStoredAsItCame(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	sent := batchOf(t, record.LZ4, "one", "two", "three")
	want := append([]byte(nil), sent...)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "x"))).ErrorCode, wire.None)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, sent)).ErrorCode, wire.None)
	got := c.fetch(fetchRequest(12, "t", id, 0, 1)).RecordBatches
	record.Batch(want).Stamp(1, 0)
	if string(got) != string(want) {
		t.Errorf("stored %x\nsent   %x", got, want)
	}
}

// 2.4 #2: LogAppendTime is told in the answer and stands in the batch; clients take it for every record.
func TestProduce2LogAppendTime(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "message.timestamp.type", "LogAppendTime")
	c := dial(t, n)
	before := time.Now().UnixMilli()
	got := c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "a", "b")))
	wantCode(t, got.ErrorCode, wire.None)
	if got.LogAppendTime < before || got.LogAppendTime > time.Now().UnixMilli() {
		t.Fatalf("log append time %d", got.LogAppendTime)
	}
	b, _, err := record.Next(c.fetch(fetchRequest(12, "t", id, 0, 0)).RecordBatches)
	if err != nil {
		t.Fatal(err)
	}
	if !b.LogAppendTime() || b.MaxTimestamp() != got.LogAppendTime || b.CheckHeader() != nil {
		t.Errorf("stored: LogAppendTime %v, max timestamp %d, %v", b.LogAppendTime(), b.MaxTimestamp(), b.CheckHeader())
	}
}

// 2.4 #3, #4, #5: what is refused, partition by partition, and with which code. Nothing of it is appended.
func TestProduce3to5Refusals(t *testing.T) {
	n := startNode(t)
	plain := createTopic(t, n, "plain", 1)
	compacted := createTopic(t, n, "compacted", 1, "cleanup.policy", "compact")
	small := createTopic(t, n, "small", 1, "max.message.bytes", "100")
	tiny := createTopic(t, n, "tiny", 1, "segment.bytes", "1048576", "max.message.bytes", "2000000")
	dated := createTopic(t, n, "dated", 1, "message.timestamp.after.max.ms", "1000")

	change := func(f func(b []byte)) []byte {
		b := batchOf(t, record.None, "a", "b")
		f(b)
		return b
	}
	recrc := func(b []byte) { binary.BigEndian.PutUint32(b[17:], record.CRC32C(b[21:])) }
	future := func() []byte {
		var w record.Builder
		w.Reset(record.BuildOptions{})
		w.Add(time.Now().UnixMilli()+3_600_000, []byte("k"), []byte("v"))
		out, _, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}()
	for _, c := range []struct {
		name    string
		topic   string
		id      wire.UUID
		version int16
		records []byte
		code    wire.Code
	}{
		{"crc", "plain", plain, 9, change(func(b []byte) { b[len(b)-1] ^= 1 }), wire.CorruptMessage},
		{"two batches", "plain", plain, 9, append(batchOf(t, record.None, "a"), batchOf(t, record.None, "b")...), wire.InvalidRecord},
		{"no batch", "plain", plain, 9, []byte{}, wire.InvalidRecord},
		{"null", "plain", plain, 9, nil, wire.InvalidRecord},
		{"cut short", "plain", plain, 9, batchOf(t, record.None, "a")[:40], wire.InvalidRecord},
		{"format 1", "plain", plain, 9, change(func(b []byte) { b[16] = 1 }), wire.InvalidRecord},
		{"format 3", "plain", plain, 9, change(func(b []byte) { b[16] = 3 }), wire.CorruptMessage},
		{"count", "plain", plain, 9, change(func(b []byte) { b[60] = 3; recrc(b) }), wire.InvalidRecord},
		{"control", "plain", plain, 9, change(func(b []byte) { b[22] |= 0x20; recrc(b) }), wire.InvalidRecord},
		{"transactional without an id", "plain", plain, 9, change(func(b []byte) { b[22] |= 0x10; recrc(b) }), wire.TransactionalIDAuthorizationFailed},
		{"zstd before v7", "plain", plain, 6, batchOf(t, record.Zstd, "a"), wire.UnsupportedCompressionType},
		{"no key", "compacted", compacted, 9, batchOf(t, record.None, "a"), wire.InvalidRecord},
		{"no key, compressed", "compacted", compacted, 9, batchOf(t, record.Gzip, "a"), wire.InvalidRecord},
		{"too large", "small", small, 9, batchOf(t, record.None, strings.Repeat("x", 200)), wire.MessageTooLarge},
		{"larger than a segment", "tiny", tiny, 9, batchOf(t, record.None, strings.Repeat("x", 1_100_000)), wire.RecordListTooLarge},
		{"from the future", "dated", dated, 9, future, wire.InvalidTimestamp},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := dial(t, n)
			raw.t = t
			got := raw.produce(produceRequest(c.version, -1, c.topic, c.id, 0, c.records))
			wantCode(t, got.ErrorCode, c.code)
			if got.BaseOffset != -1 {
				t.Errorf("base offset %d of a refused batch", got.BaseOffset)
			}
			if end := n.table.Lookup(c.topic, 0).Log().LogEnd(); end != 0 {
				t.Errorf("log end %d: something was appended", end)
			}
		})
	}
	// #4: every bad record is named from v8 on.
	raw := dial(t, n)
	got := raw.produce(produceRequest(8, -1, "compacted", compacted, 0, batchOf(t, record.None, "a", "b")))
	if len(got.ErrorRecords) != 2 || got.ErrorRecords[0].RelativeOffset != 0 || got.ErrorRecords[1].RelativeOffset != 1 || got.ErrorMessage == nil {
		t.Errorf("record errors %+v, message %v", got.ErrorRecords, got.ErrorMessage)
	}
}

// 2.4 #4: every bad record is named, and the answer tells where the log begins. The texts are those of Apache Kafka 4.4.0, which was asked.
func TestProduce4EveryBadRecordIsNamed(t *testing.T) {
	n := startNode(t)
	compacted := createTopic(t, n, "compacted", 1, "cleanup.policy", "compact")
	dated := createTopic(t, n, "dated", 1, "message.timestamp.before.max.ms", "1000")
	c := dial(t, n)
	for _, codec := range []record.Codec{record.None, record.Gzip} {
		got := c.produce(produceRequest(9, -1, "compacted", compacted, 0, batchOf(t, codec, "a", "b", "c", "d")))
		const one = "Compacted topic cannot accept message without key in topic partition compacted-0"
		var first []string
		for i, r := range got.ErrorRecords {
			if r.RelativeOffset != int32(i) || r.ErrorMessage == nil || *r.ErrorMessage != one {
				t.Errorf("%v: record %+v", codec, r)
			}
			first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", i, one))
		}
		if want := "One or more records have been rejected due to 4 record errors in total, and only showing the first three errors at most: [" + strings.Join(first[:3], ", ") + "]"; len(got.ErrorRecords) != 4 ||
			*got.ErrorMessage != want || got.LogStartOffset != 0 {
			t.Errorf("%v: %d records, start %d, %s", codec, len(got.ErrorRecords), got.LogStartOffset, *got.ErrorMessage)
		}
	}
	var w record.Builder
	w.Reset(record.BuildOptions{})
	w.Add(5000, nil, nil)
	w.Add(time.Now().UnixMilli(), nil, nil)
	w.Add(7000, nil, nil)
	old, _, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.produce(produceRequest(9, -1, "dated", dated, 0, old))
	if len(got.ErrorRecords) != 2 || got.ErrorRecords[1].RelativeOffset != 2 || *got.ErrorMessage != "One or more records have been rejected due to invalid timestamp" ||
		!strings.HasPrefix(*got.ErrorRecords[1].ErrorMessage, "Timestamp 7000 of message with offset 2 is out of range. The timestamp should be within [") {
		t.Errorf("%+v %s", got.ErrorRecords, *got.ErrorMessage)
	}
	if got := c.produce(produceRequest(9, -1, "dated", dated, 0, []byte("garbage"))); got.LogStartOffset != -1 {
		t.Errorf("no batch at all: log start %d", got.LogStartOffset)
	}
}

// 2.4 #3: batches of every codec are validated, on the loop or by a worker, and the requests of a connection keep their order.
func TestProduce3EveryCodecKeepsTheOrder(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	c := dial(t, n)
	large := strings.Repeat("millrace ", 20_000) // more than a loop decompresses
	var frames []byte
	var correlations []int32
	const rounds = 10
	for i := range rounds {
		for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
			frames = append(frames, c.frame(produceRequest(9, -1, "t", id, 0, batchOf(t, codec, fmt.Sprint(i, codec), large)))...)
			correlations = append(correlations, c.next)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.conn.Write(frames)
	}()
	for i, correlation := range correlations {
		resp := kmsg.NewPtrProduceResponse()
		c.receive(resp, 9, correlation)
		p := resp.Topics[0].Partitions[0]
		wantCode(t, p.ErrorCode, wire.None)
		if p.BaseOffset != int64(2*i) {
			t.Fatalf("request %d got base offset %d", i, p.BaseOffset)
		}
	}
	<-done
}

// 2.4 #6: acks=0 has no answer; an error closes the connection; other acks are refused.
func TestProduce6Acks(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	c.send(produceRequest(9, 0, "t", id, 0, batchOf(t, record.None, "silent")))
	// The next answer on the connection is that of the next request.
	got := c.produce(produceRequest(9, 1, "t", id, 0, batchOf(t, record.None, "loud")))
	wantCode(t, got.ErrorCode, wire.None)
	if got.BaseOffset != 1 {
		t.Errorf("base offset %d after a produce with acks=0", got.BaseOffset)
	}
	for _, acks := range []int16{-2, 2, math.MaxInt16} {
		got := c.produce(produceRequest(9, acks, "t", id, 0, batchOf(t, record.None, "x")))
		wantCode(t, got.ErrorCode, wire.InvalidRequiredAcks)
	}
	c.send(produceRequest(9, 0, "unknown", id, 0, batchOf(t, record.None, "x")))
	c.mustClose()
}

// 2.4 #7: with fewer replicas in sync than the topic asks for, acks=all is refused before the append; acks=1 is not, but is not shown either. A
// topic with one replica cannot have two in sync, and is not asked to.
func TestProduce7NotEnoughReplicas(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "min.insync.replicas", "2")
	c := dial(t, n)
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "a"))).ErrorCode, wire.None)
	if err := n.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		rs, err := meta.RegisterBroker(im, meta.Broker{ID: 2})
		return append(rs, meta.PartitionChangeRecord{TopicID: id, Leader: meta.LeaderUnchanged, Replicas: []int32{1, 2}}), err
	}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "b"))).ErrorCode, wire.NotEnoughReplicas)
	if end := n.table.Lookup("t", 0).Log().LogEnd(); end != 1 {
		t.Errorf("log end %d", end)
	}
	wantCode(t, c.produce(produceRequest(9, 1, "t", id, 0, batchOf(t, record.None, "c"))).ErrorCode, wire.None)
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 0)), "a")
}

// idempotent makes a batch of a producer's.
func idempotent(t testing.TB, producer int64, epoch int16, sequence int32, values ...string) []byte {
	t.Helper()
	var w record.Builder
	w.Reset(record.BuildOptions{Idempotent: true, ProducerID: producer, ProducerEpoch: epoch, BaseSequence: sequence})
	for _, v := range values {
		w.Add(time.Now().UnixMilli(), nil, []byte(v))
	}
	out, _, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// 2.4 #8, #9: duplicates among the last five batches get the original offset; gaps and old epochs are refused.
func TestProduce8And9Idempotence(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	send := func(epoch int16, sequence int32, code wire.Code, base int64) {
		t.Helper()
		got := c.produce(produceRequest(9, -1, "t", id, 0, idempotent(t, 77, epoch, sequence, "v")))
		wantCode(t, got.ErrorCode, code)
		if code == wire.None && got.BaseOffset != base {
			t.Errorf("sequence %d: base offset %d, not %d", sequence, got.BaseOffset, base)
		}
	}
	for i := range 6 {
		send(0, int32(i), wire.None, int64(i))
	}
	for i := 1; i < 6; i++ {
		send(0, int32(i), wire.None, int64(i)) // the original's
	}
	send(0, 8, wire.OutOfOrderSequenceNumber, 0)
	send(1, 3, wire.OutOfOrderSequenceNumber, 0) // a new epoch begins at 0
	send(1, 0, wire.None, 6)
	send(0, 6, wire.InvalidProducerEpoch, 0)
	if end := n.table.Lookup("t", 0).Log().LogEnd(); end != 7 {
		t.Errorf("log end %d, not 7", end)
	}
}

// 2.4 #10: the producers' state survives a restart, clean or not.
func TestProduce10IdempotenceSurvivesRestart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("clean=", clean), func(t *testing.T) {
			dir := t.TempDir()
			n := startNodeIn(t, dir)
			id := createTopic(t, n, "t", 1)
			c := dial(t, n)
			for i := range 3 {
				wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, idempotent(t, 5, 0, int32(i), "v"))).ErrorCode, wire.None)
			}
			if clean {
				stopNode(t, n)
			} else {
				n.Kill()
			}
			n = startNodeIn(t, dir)
			c = dial(t, n)
			got := c.produce(produceRequest(9, -1, "t", id, 0, idempotent(t, 5, 0, 2, "v")))
			wantCode(t, got.ErrorCode, wire.None)
			if got.BaseOffset != 2 {
				t.Errorf("the duplicate got base offset %d", got.BaseOffset)
			}
			got = c.produce(produceRequest(9, -1, "t", id, 0, idempotent(t, 5, 0, 3, "v")))
			wantCode(t, got.ErrorCode, wire.None)
			if got.BaseOffset != 3 {
				t.Errorf("the next batch got base offset %d", got.BaseOffset)
			}
		})
	}
}

// 2.4 #11: unknown names, ids and partitions.
func TestProduce11Unknown(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	batch := batchOf(t, record.None, "a")
	wantCode(t, c.produce(produceRequest(12, -1, "nowhere", id, 0, batch)).ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, c.produce(produceRequest(12, -1, "t", id, 1, batch)).ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, c.produce(produceRequest(12, -1, "t", id, -1, batch)).ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, c.produce(produceRequest(13, -1, "", wire.UUID{1}, 0, batch)).ErrorCode, wire.UnknownTopicID)
	wantCode(t, c.produce(produceRequest(13, -1, "", wire.UUID{}, 0, batch)).ErrorCode, wire.UnknownTopicID)
	wantCode(t, c.produce(produceRequest(13, -1, "", id, 1, batch)).ErrorCode, wire.UnknownTopicOrPartition)
	deleteTopic(t, n, "t")
	wantCode(t, c.produce(produceRequest(13, -1, "", id, 0, batch)).ErrorCode, wire.UnknownTopicID)
}

// 2.4 #12: internal topics are written by coordinators and by the __admin_client only.
func TestProduce12InternalTopics(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "__consumer_offsets", 1)
	c := dial(t, n)
	wantCode(t, c.produce(produceRequest(9, -1, "__consumer_offsets", id, 0, batchOf(t, record.None, "a"))).ErrorCode, wire.InvalidTopicException)
	c.id = "__admin_client"
	wantCode(t, c.produce(produceRequest(9, -1, "__consumer_offsets", id, 0, batchOf(t, record.None, "a"))).ErrorCode, wire.None)
}

// DESIGN D1: transactions fail at once, and say why.
func TestProduceOfATransactionIsRefused(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	req := produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "a"))
	req.TransactionID = kmsg.StringPtr("tx")
	got := c.produce(req)
	wantCode(t, got.ErrorCode, wire.InvalidRequest)
	if got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, "transactions") {
		t.Errorf("message %v", got.ErrorMessage)
	}
}

// One request, several partitions: each has its own outcome, in the request's order, and acks=all waits for all of them.
func TestProduceToSeveralPartitions(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "a", 3)
	createTopic(t, n, "b", 1)
	c := dial(t, n)
	for round := range int64(3) {
		req := produceRequest(9, -1, "a", wire.UUID{}, 0, batchOf(t, record.None, "0"))
		for p := int32(1); p < 4; p++ {
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = p, batchOf(t, record.Gzip, "x")
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, rp)
		}
		req.Topics = append(req.Topics, produceRequest(9, -1, "gone", wire.UUID{}, 0, batchOf(t, record.None, "x")).Topics...)
		req.Topics = append(req.Topics, produceRequest(9, -1, "b", wire.UUID{}, 0, batchOf(t, record.None, "x", "y")).Topics...)
		resp := ask[*kmsg.ProduceResponse](c, req)
		if len(resp.Topics) != 3 || resp.Topics[0].Topic != "a" || resp.Topics[1].Topic != "gone" || resp.Topics[2].Topic != "b" {
			t.Fatalf("topics of the answer: %+v", resp.Topics)
		}
		for p := range int32(3) {
			got := resp.Topics[0].Partitions[p]
			wantCode(t, got.ErrorCode, wire.None)
			if got.Partition != p || got.BaseOffset != round {
				t.Errorf("partition %d: %+v", p, got)
			}
		}
		wantCode(t, resp.Topics[0].Partitions[3].ErrorCode, wire.UnknownTopicOrPartition)
		wantCode(t, resp.Topics[1].Partitions[0].ErrorCode, wire.UnknownTopicOrPartition)
		wantCode(t, resp.Topics[2].Partitions[0].ErrorCode, wire.None)
		if got := resp.Topics[2].Partitions[0].BaseOffset; got != 2*round {
			t.Errorf("b: base offset %d", got)
		}
	}
}

// The first request of a connection meets a log that has no folder yet; those pipelined behind it keep their order, and nothing is
// appended twice.
func TestProduceToANewPartitionKeepsTheOrder(t *testing.T) {
	n := startNode(t)
	for round := range 10 {
		name := fmt.Sprint("t", round)
		createTopic(t, n, name, 2)
		c := dial(t, n)
		var frames []byte
		var correlations []int32
		for range 20 {
			req := produceRequest(9, -1, name, wire.UUID{}, 0, batchOf(t, record.None, "x"))
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
			req.Topics[0].Partitions[1].Partition = 1
			req.Topics[0].Partitions[1].Records = batchOf(t, record.None, "y")
			frames = append(frames, c.frame(req)...)
			correlations = append(correlations, c.next)
		}
		c.write(frames)
		for i, correlation := range correlations {
			resp := kmsg.NewPtrProduceResponse()
			c.receive(resp, 9, correlation)
			for _, p := range resp.Topics[0].Partitions {
				wantCode(t, p.ErrorCode, wire.None)
				if p.BaseOffset != int64(i) {
					t.Fatalf("request %d partition %d: base offset %d", i, p.Partition, p.BaseOffset)
				}
			}
		}
	}
}
