package broker

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// fetch sends a fetch of one partition and returns the partition's answer.
func (c *rawClient) fetch(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	return onlyPartition(c.t, ask[*kmsg.FetchResponse](c, req))
}

func onlyPartition(t testing.TB, resp *kmsg.FetchResponse) kmsg.FetchResponseTopicPartition {
	t.Helper()
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("not the answer of one partition: %+v", resp)
	}
	return resp.Topics[0].Partitions[0]
}

// fill appends values, one record a batch.
func fill(c *rawClient, topic string, partition int32, values ...string) {
	c.t.Helper()
	for _, v := range values {
		wantCode(c.t, c.produce(produceRequest(9, -1, topic, wire.UUID{}, partition, batchOf(c.t, record.None, v))).ErrorCode, wire.None)
	}
}

func wantValues(t testing.TB, p kmsg.FetchResponseTopicPartition, want ...string) {
	t.Helper()
	wantCode(t, p.ErrorCode, wire.None)
	if got, _ := valuesOf(t, p.RecordBatches); !slices.Equal(got, want) {
		t.Errorf("fetched %q, not %q", got, want)
	}
}

func TestFetchInEveryVersion(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a", "b")
	for version := int16(4); version <= 18; version++ {
		req := fetchRequest(version, "t", id, 0, 1)
		p := c.fetch(req)
		wantValues(t, p, "b")
		if p.HighWatermark != 2 || p.LastStableOffset != 2 || version >= 5 && p.LogStartOffset != 0 || version >= 11 && p.PreferredReadReplica != -1 {
			t.Errorf("v%d: %+v", version, p)
		}
		// At the end: empty, and not null, which librdkafka refuses.
		p = c.fetch(fetchRequest(version, "t", id, 0, 2))
		wantValues(t, p)
		if p.RecordBatches == nil {
			t.Errorf("v%d: the empty record set is null", version)
		}
	}
}

// 2.4 #13: what is not flushed on a durable topic is not there for consumers; all that is acknowledged is.
func TestFetch13SeesWhatIsAcknowledged(t *testing.T) {
	for _, durability := range []string{"fsync", "os"} {
		n := startNode(t)
		id := createTopic(t, n, "t", 1, "millrace.durability", durability)
		c := dial(t, n)
		for i := range 20 {
			fill(c, "t", 0, value(i))
			wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, int64(i))), value(i))
		}
		p := n.table.Lookup("t", 0)
		if durability == "fsync" && p.Log().FlushedTo() < p.HighWatermark() {
			t.Errorf("high watermark %d above what is flushed, %d", p.HighWatermark(), p.Log().FlushedTo())
		}
	}
}

// 2.4 #14: a fetch parks until its bytes are there, and no longer.
func TestFetch14WaitsForMinBytes(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 2)
	reader, writer := dial(t, n), dial(t, n)
	fill(writer, "t", 0, "before")

	req := fetchRequest(12, "t", id, 0, 1)
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchPartition(1, 0))
	one := len(batchOf(t, record.None, "0123456789"))
	req.MaxWaitMillis, req.MinBytes = 15_000, int32(3*one)
	correlation := reader.send(req)
	begin := time.Now()
	waitParked(t, n, 1)
	fill(writer, "t", 0, "0123456789")
	fill(writer, "t", 1, "0123456789")
	// Two of three are there: the fetch is parked still, though woken fetches answer at once.
	waitParked(t, n, 1)
	fill(writer, "t", 1, "0123456789")
	resp := kmsg.NewPtrFetchResponse()
	reader.receive(resp, 12, correlation)
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("woken after %v", d)
	}
	wantValues(t, resp.Topics[0].Partitions[0], "0123456789")
	wantValues(t, resp.Topics[0].Partitions[1], "0123456789", "0123456789")
}

// waitParked waits until so many fetches are parked on the node.
func waitParked(t testing.TB, n *Node, want int) {
	t.Helper()
	await(t, fmt.Sprint(want, " parked fetches"), func() bool {
		n.fetchTimers.mu.Lock()
		defer n.fetchTimers.mu.Unlock()
		return len(n.fetchTimers.heap) == want
	})
}

// 2.4 #14: max wait ends the wait with what is there, not before its time.
func TestFetch14MaxWait(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	req := fetchRequest(12, "t", id, 0, 0)
	req.MaxWaitMillis, req.MinBytes = 120, 1<<20
	begin := time.Now()
	p := c.fetch(req)
	if d := time.Since(begin); d < 115*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
	wantValues(t, p, "a")
}

// 2.4 #14: errors, other epochs and deleted topics are told at once.
func TestFetch14DoesNotWaitForNothing(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	long := func(req *kmsg.FetchRequest) *kmsg.FetchRequest {
		req.MaxWaitMillis, req.MinBytes = 60_000, 1
		return req
	}
	wantCode(t, c.fetch(long(fetchRequest(12, "nowhere", id, 0, 0))).ErrorCode, wire.UnknownTopicOrPartition)
	wantCode(t, c.fetch(long(fetchRequest(13, "", wire.UUID{9}, 0, 0))).ErrorCode, wire.UnknownTopicID)
	wantCode(t, c.fetch(long(fetchRequest(12, "t", id, 5, 0))).ErrorCode, wire.UnknownTopicOrPartition)
	empty := kmsg.NewPtrFetchRequest()
	empty.Version, empty.MaxWaitMillis, empty.MinBytes, empty.SessionEpoch = 12, 60_000, 1, -1
	if resp := ask[*kmsg.FetchResponse](c, empty); len(resp.Topics) != 0 || resp.ErrorCode != 0 {
		t.Errorf("answer to an empty fetch: %+v", resp)
	}
	// A new leader epoch wakes the parked.
	correlation := c.send(long(fetchRequest(12, "t", id, 0, 1)))
	waitParked(t, n, 1)
	bumpEpoch(t, n, "t", id)
	resp := kmsg.NewPtrFetchResponse()
	parked := dial(t, n)
	correlation2 := parked.send(long(fetchRequest(12, "t", id, 0, 1)))
	waitParked(t, n, 2) // the first fetch did not name an epoch: it parks again
	deleteTopic(t, n, "t")
	c.receive(resp, 12, correlation)
	wantCode(t, onlyPartition(t, resp).ErrorCode, wire.UnknownTopicOrPartition)
	parked.receive(resp, 12, correlation2)
	wantCode(t, onlyPartition(t, resp).ErrorCode, wire.UnknownTopicOrPartition)
}

// bumpEpoch elects this node again, in a new leader epoch.
func bumpEpoch(t testing.TB, n *Node, topic string, id wire.UUID) {
	t.Helper()
	if err := n.decide(func(*meta.Image, int64) ([]meta.Record, error) {
		return []meta.Record{meta.PartitionChangeRecord{TopicID: id, Leader: n.id}}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// 2.4 #15: the first partition that has something returns at least one whole batch; those behind it keep within what is left.
func TestFetch15FirstBatchIsWhole(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 3)
	c := dial(t, n)
	big := strings.Repeat("x", 10_000)
	fill(c, "t", 1, big, big)
	fill(c, "t", 2, big)
	req := fetchRequest(12, "t", id, 0, 0)
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, fetchPartition(1, 0), fetchPartition(2, 0))
	req.MaxBytes = 1
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 1
	}
	got := ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions
	wantValues(t, got[0])
	wantValues(t, got[1], big)
	wantValues(t, got[2])
	if len(got[2].RecordBatches) != 0 {
		t.Errorf("%d bytes of a batch that does not fit", len(got[2].RecordBatches))
	}
	// Room for the first partition's batch and a half: the rest keeps within it.
	req.MaxBytes = 15_000
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 1 << 20
	}
	got = ask[*kmsg.FetchResponse](c, req).Topics[0].Partitions
	wantValues(t, got[1], big)
	if total := len(got[1].RecordBatches) + len(got[2].RecordBatches); total > 15_000 {
		t.Errorf("%d bytes, more than max bytes", total)
	}
}

// 2.4 #16: a fetch may begin in the middle of a batch and gets the whole of it.
func TestFetch16MidBatch(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	for range 3 {
		wantCode(t, c.produce(produceRequest(9, -1, "t", id, 0, batchOf(t, record.None, "a", "b", "c", "d"))).ErrorCode, wire.None)
	}
	p := c.fetch(fetchRequest(12, "t", id, 0, 6))
	if _, offsets := valuesOf(t, p.RecordBatches); len(offsets) == 0 || offsets[0] != 4 || offsets[len(offsets)-1] != 11 {
		t.Errorf("offsets %v", offsets)
	}
}

// 2.4 #23, #19: offsets out of range and leader epochs that are not ours.
func TestFetch23And19OutOfRangeAndFencing(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a", "b")
	for _, offset := range []int64{-1, 3, 1 << 40} {
		p := c.fetch(fetchRequest(12, "t", id, 0, offset))
		wantCode(t, p.ErrorCode, wire.OffsetOutOfRange)
		if p.HighWatermark != 2 || p.LogStartOffset != 0 {
			t.Errorf("offset %d: high watermark %d, log start %d", offset, p.HighWatermark, p.LogStartOffset)
		}
	}
	wantValues(t, c.fetch(fetchRequest(12, "t", id, 0, 2))) // at the end: empty
	bumpEpoch(t, n, "t", id)
	for epoch, code := range map[int32]wire.Code{-1: wire.None, 0: wire.FencedLeaderEpoch, 1: wire.None, 2: wire.UnknownLeaderEpoch} {
		req := fetchRequest(12, "t", id, 0, 0)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		p := c.fetch(req)
		wantCode(t, p.ErrorCode, code)
	}
}

// 2.4 #11: a leader that is elsewhere is named, with its address (KIP-951), by Produce and by Fetch.
func TestProduceAndFetch11NotLeader(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	if err := n.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		rs, err := meta.RegisterBroker(im, meta.Broker{ID: 2, Endpoints: []meta.Endpoint{{Name: "PLAINTEXT", Host: "elsewhere.example", Port: 9999}}})
		return append(rs, meta.PartitionChangeRecord{TopicID: id, Leader: 2, Replicas: []int32{2, 1}, ISR: []int32{2, 1}}), err
	}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, n)
	pr := ask[*kmsg.ProduceResponse](c, produceRequest(10, -1, "t", id, 0, batchOf(t, record.None, "a")))
	pp := pr.Topics[0].Partitions[0]
	wantCode(t, pp.ErrorCode, wire.NotLeaderOrFollower)
	if pp.CurrentLeader.LeaderID != 2 || pp.CurrentLeader.LeaderEpoch != 1 {
		t.Errorf("produce: leader %+v", pp.CurrentLeader)
	}
	if len(pr.Brokers) != 1 || pr.Brokers[0].Host != "elsewhere.example" || pr.Brokers[0].Port != 9999 {
		t.Errorf("produce: endpoints %+v", pr.Brokers)
	}
	fr := ask[*kmsg.FetchResponse](c, fetchRequest(16, "", id, 0, 0))
	fp := fr.Topics[0].Partitions[0]
	wantCode(t, fp.ErrorCode, wire.NotLeaderOrFollower)
	if fp.CurrentLeader.LeaderID != 2 || len(fr.Brokers) != 1 || fr.Brokers[0].Host != "elsewhere.example" {
		t.Errorf("fetch: leader %+v, endpoints %+v", fp.CurrentLeader, fr.Brokers)
	}
}

// sessionFetch is a fetch in a session.
func sessionFetch(id, epoch int32, topics ...kmsg.FetchRequestTopic) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MinBytes, r.MaxBytes, r.SessionID, r.SessionEpoch = 12, -1, 1, 50<<20, id, epoch
	r.Topics = topics
	return r
}

func topicWith(name string, partitions ...kmsg.FetchRequestTopicPartition) kmsg.FetchRequestTopic {
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.Partitions = name, partitions
	return rt
}

// shape prints which partitions an answer has, and with what: topic-partition:records, or its error.
func shape(t testing.TB, resp *kmsg.FetchResponse) string {
	t.Helper()
	var b strings.Builder
	if resp.ErrorCode != 0 {
		fmt.Fprintf(&b, "error %s ", wire.Code(resp.ErrorCode).String())
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			fmt.Fprintf(&b, "%s-%d:", rt.Topic, rp.Partition)
			if rp.ErrorCode != 0 {
				fmt.Fprintf(&b, "%s ", wire.Code(rp.ErrorCode).String())
				continue
			}
			values, _ := valuesOf(t, rp.RecordBatches)
			fmt.Fprintf(&b, "%d ", len(values))
		}
	}
	return strings.TrimSpace(b.String())
}

// 2.4 #17, #18: an incremental session's life.
func TestFetch17And18Sessions(t *testing.T) {
	n := startNode(t)
	createTopic(t, n, "t", 3)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	step := func(req *kmsg.FetchRequest, want string) *kmsg.FetchResponse {
		t.Helper()
		resp := ask[*kmsg.FetchResponse](c, req)
		if got := shape(t, resp); got != want {
			t.Errorf("session %d epoch %d: %q, not %q", req.SessionID, req.SessionEpoch, got, want)
		}
		return resp
	}
	all := topicWith("t", fetchPartition(0, 0), fetchPartition(1, 0), fetchPartition(2, 0))
	first := step(sessionFetch(0, 0, all), "t-0:1 t-1:0 t-2:0")
	id := first.SessionID
	if id == 0 {
		t.Fatal("no session was made")
	}
	// What had data is read last (#17), and only news is told (#18).
	resp := step(sessionFetch(id, 1, topicWith("t", fetchPartition(0, 1))), "")
	if resp.SessionID != id {
		t.Errorf("session id %d", resp.SessionID)
	}
	fill(c, "t", 1, "b")
	fill(c, "t", 0, "c")
	step(sessionFetch(id, 2), "t-0:1 t-1:1")
	// Both moved to the end: 2, 0, 1. Not read on, 0 and 1 are told again.
	fill(c, "t", 2, "d")
	step(sessionFetch(id, 3), "t-2:1 t-0:1 t-1:1")
	step(sessionFetch(id, 4, topicWith("t", fetchPartition(0, 2), fetchPartition(1, 1), fetchPartition(2, 1))), "")
	// A partition that does not exist is told each time.
	step(sessionFetch(id, 5, topicWith("t", fetchPartition(7, 0))), "t-7:UNKNOWN_TOPIC_OR_PARTITION")
	step(sessionFetch(id, 6), "t-7:UNKNOWN_TOPIC_OR_PARTITION")
	forget := sessionFetch(id, 7)
	ft := kmsg.NewFetchRequestForgottenTopic()
	ft.Topic, ft.Partitions = "t", []int32{7, 1}
	forget.ForgottenTopics = append(forget.ForgottenTopics, ft)
	step(forget, "")
	fill(c, "t", 1, "not asked for")
	step(sessionFetch(id, 8), "")
	// Epochs and ids that are wrong.
	step(sessionFetch(id, 8), "error INVALID_FETCH_SESSION_EPOCH")
	step(sessionFetch(id+1, 1), "error FETCH_SESSION_ID_NOT_FOUND")
	byID := sessionFetch(id, 9)
	byID.Version = 13
	step(byID, "error FETCH_SESSION_TOPIC_ID_ERROR")
	// The session goes on all the same, through the removal of its topic and its return under the same name (other id).
	deleteTopic(t, n, "t")
	step(sessionFetch(id, 9), "t-2:UNKNOWN_TOPIC_OR_PARTITION t-0:UNKNOWN_TOPIC_OR_PARTITION")
	createTopic(t, n, "t", 3)
	step(sessionFetch(id, 10, topicWith("t", fetchPartition(0, 0), fetchPartition(2, 0))), "t-2:0 t-0:0")
	step(sessionFetch(id, 11), "")
	// The end.
	step(sessionFetch(id, -1), "")
	step(sessionFetch(id, 12), "error FETCH_SESSION_ID_NOT_FOUND")
}

// 2.4 #18: with the slots taken the answer has session id 0, and the client goes on without.
func TestFetch18NoSlotLeft(t *testing.T) {
	n := startNode(t, "max.incremental.fetch.session.cache.slots=1")
	createTopic(t, n, "t", 1)
	c := dial(t, n)
	if got := ask[*kmsg.FetchResponse](c, sessionFetch(0, 0, topicWith("t", fetchPartition(0, 0)))); got.SessionID == 0 {
		t.Error("the first session was refused")
	}
	got := ask[*kmsg.FetchResponse](c, sessionFetch(0, 0, topicWith("t", fetchPartition(0, 0))))
	if got.SessionID != 0 || shape(t, got) != "t-0:0" {
		t.Errorf("session id %d, %s", got.SessionID, shape(t, got))
	}
}

// 2.4 #18: sessions that grow from request to request are bounded too, and names that no topic can have are not remembered.
func TestFetch18SessionsDoNotGrowWithoutBound(t *testing.T) {
	n := startNode(t)
	c := dial(t, n)
	many := make([]kmsg.FetchRequestTopicPartition, maxSessionPartitions)
	for i := range many {
		many[i] = fetchPartition(int32(i), 0)
	}
	var ended bool
	for range maxCachedPartitions/maxSessionPartitions + 1 {
		first := ask[*kmsg.FetchResponse](c, sessionFetch(0, 0, topicWith("t", fetchPartition(0, 0))))
		next := ask[*kmsg.FetchResponse](c, sessionFetch(first.SessionID, 1, topicWith("u", many...)))
		ended = ended || wire.Code(next.ErrorCode) == wire.FetchSessionIDNotFound
	}
	n.sessions.mu.Lock()
	remembered := n.sessions.partitions
	n.sessions.mu.Unlock()
	if !ended || remembered > maxCachedPartitions {
		t.Errorf("%d partitions are remembered", remembered)
	}
	long := ask[*kmsg.FetchResponse](c, sessionFetch(0, 0, topicWith(strings.Repeat("x", maxTopicName+1), fetchPartition(0, 0))))
	if long.SessionID != 0 || len(long.Topics) != 1 {
		t.Errorf("session %d for a name that is too long", long.SessionID)
	}
}

// transaction appends a batch of a transaction, or its marker, as the coordinator will.
func transaction(t testing.TB, p *replica.Partition, producer int64, sequence int32, commit *bool) {
	t.Helper()
	var b record.Batch
	if commit == nil {
		var w record.Builder
		w.Reset(record.BuildOptions{Transactional: true, Idempotent: true, ProducerID: producer, BaseSequence: sequence})
		w.Add(time.Now().UnixMilli(), nil, []byte(fmt.Sprint("tx", producer)))
		out, _, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		b = out
	} else {
		_, b = record.AppendControl(nil, record.Marker{Commit: *commit, ProducerID: producer, Timestamp: time.Now().UnixMilli()})
	}
	for {
		_, _, err := p.Append(b, replica.AppendOptions{Now: time.Now().UnixMilli()}, nil)
		if err == nil {
			return
		}
		if !isWait(err) {
			t.Fatal(err)
		}
		waitFor(p)
	}
}

// 2.4 #21: the last stable offset bounds read_committed, and aborted transactions are listed.
func TestFetch21ReadCommitted(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "millrace.durability", "os")
	c := dial(t, n)
	fill(c, "t", 0, "plain") // 0
	p := n.table.Lookup("t", 0)
	yes, no := true, false
	transaction(t, p, 1, 0, nil) // 1
	transaction(t, p, 2, 0, nil) // 2
	committed := func(offset int64) kmsg.FetchResponseTopicPartition {
		req := fetchRequest(12, "t", id, 0, offset)
		req.IsolationLevel = 1
		return c.fetch(req)
	}
	got := committed(0)
	wantValues(t, got, "plain")
	if got.LastStableOffset != 1 || got.HighWatermark != 3 || len(got.AbortedTransactions) != 0 || got.AbortedTransactions == nil {
		t.Errorf("open: last stable %d, high watermark %d, aborted %v", got.LastStableOffset, got.HighWatermark, got.AbortedTransactions)
	}
	uncommitted := c.fetch(fetchRequest(12, "t", id, 0, 0))
	wantValues(t, uncommitted, "plain", "tx1", "tx2")
	if uncommitted.LastStableOffset != 1 || uncommitted.AbortedTransactions != nil {
		t.Errorf("uncommitted: last stable %d, aborted %v", uncommitted.LastStableOffset, uncommitted.AbortedTransactions)
	}
	transaction(t, p, 2, 0, &no) // 3: aborts
	if got := committed(0); got.LastStableOffset != 1 {
		t.Errorf("last stable %d while the first transaction is open", got.LastStableOffset)
	}
	transaction(t, p, 1, 0, &yes) // 4: commits
	got = committed(0)
	if got.LastStableOffset != 5 || len(got.AbortedTransactions) != 1 || got.AbortedTransactions[0].ProducerID != 2 || got.AbortedTransactions[0].FirstOffset != 2 {
		t.Errorf("closed: last stable %d, aborted %v", got.LastStableOffset, got.AbortedTransactions)
	}
	if got := committed(4); len(got.AbortedTransactions) != 0 {
		t.Errorf("aborted %v beyond the abort", got.AbortedTransactions)
	}
}

// Reads cross from one segment to the next without losing anything (2.4, seen failing in a peer), small fetch after small fetch.
func TestFetchAcrossSegments(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1, "segment.bytes", "1048576", "millrace.durability", "os")
	c := dial(t, n)
	const count = 60
	for i := range count {
		wantCode(t, c.produce(produceRequest(9, 1, "t", id, 0, batchOf(t, record.None, value(i)+strings.Repeat(".", 100_000)))).ErrorCode, wire.None)
	}
	next := int64(0)
	for next < count {
		req := fetchRequest(12, "t", id, 0, next)
		req.Topics[0].Partitions[0].PartitionMaxBytes = 150_000
		req.MaxWaitMillis, req.MinBytes = 10_000, 1<<30 // an older segment answers at once
		if next > count/2 {
			req.MaxWaitMillis = 0
		}
		values, offsets := valuesOf(t, c.fetch(req).RecordBatches)
		if len(values) == 0 || offsets[0] != next {
			t.Fatalf("fetch from %d returned offsets %v", next, offsets)
		}
		for i, v := range values {
			if v[:12] != value(int(next) + i)[:12] {
				t.Fatalf("offset %d holds %s", offsets[i], v[:12])
			}
		}
		next = offsets[len(offsets)-1] + 1
	}
}

// The timer of a fetch that somebody else has woken may ring late, when its state is parked again for another request: that one goes on.
func TestLateTimerDoesNotEndAnotherFetch(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c, writer := dial(t, n), dial(t, n)
	fill(writer, "t", 0, "a")
	req := fetchRequest(12, "t", id, 0, 1)
	req.MaxWaitMillis = 60_000
	correlation := c.send(req)
	waitParked(t, n, 1)
	n.fetchTimers.mu.Lock()
	late := n.fetchTimers.heap[0].fire
	n.fetchTimers.mu.Unlock()
	late()
	fill(writer, "t", 0, "b")
	resp := kmsg.NewPtrFetchResponse()
	c.receive(resp, 12, correlation)
	wantValues(t, onlyPartition(t, resp), "b")
}

// What parked fetches may wait on is bounded: beyond it they are answered as they are.
func TestTooManyParkedPartitions(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	req := fetchRequest(12, "t", id, 0, 1)
	req.MaxWaitMillis = 60_000
	dial(t, n).send(req)
	waitParked(t, n, 1)
	if got := n.parkedParts.Load(); got != 1 {
		t.Errorf("%d partitions are waited on", got)
	}
	n.parkedParts.Add(maxParkedParts - 1)
	wantValues(t, c.fetch(req)) // at once
	n.parkedParts.Add(1 - maxParkedParts)
	fill(c, "t", 0, "b")
	await(t, "the parked fetch to end", func() bool { return n.parkedParts.Load() == 0 })
}

// A client that goes away leaves nothing behind.
func TestParkedFetchEndsWithItsConnection(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	for range 20 {
		raw := dial(t, n)
		req := fetchRequest(12, "t", id, 0, 1)
		req.MaxWaitMillis = 60_000
		raw.send(req)
		waitParked(t, n, 1)
		raw.conn.(*net.TCPConn).SetLinger(0) // gone, not only done with writing: netio answers what a half-closed connection has asked
		raw.conn.Close()
		waitParked(t, n, 0)
	}
	fill(c, "t", 0, "b")
}

// Shutdown answers the parked instead of waiting for them.
func TestShutdownAnswersParkedFetches(t *testing.T) {
	n := startNode(t)
	id := createTopic(t, n, "t", 1)
	c := dial(t, n)
	fill(c, "t", 0, "a")
	req := fetchRequest(12, "t", id, 0, 1)
	req.MaxWaitMillis = 600_000
	correlation := c.send(req)
	waitParked(t, n, 1)
	begin := time.Now()
	stopNode(t, n)
	if d := time.Since(begin); d > time.Minute { // the fetch waits ten
		t.Errorf("shutdown took %v", d)
	}
	resp := kmsg.NewPtrFetchResponse()
	c.receive(resp, 12, correlation)
	wantValues(t, onlyPartition(t, resp))
}
