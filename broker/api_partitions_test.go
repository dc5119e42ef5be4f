package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/meta"
)

func morePartitions(name string, count int32, assignments ...[]int32) kmsg.CreatePartitionsRequestTopic {
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, replicas := range assignments {
		a := kmsg.NewCreatePartitionsRequestTopicAssignment()
		a.Replicas = replicas
		t.Assignment = append(t.Assignment, a)
	}
	return t
}

func (a *adminNode) createPartitions(v int16, validate bool, topics ...kmsg.CreatePartitionsRequestTopic) []kmsg.CreatePartitionsResponseTopic {
	a.t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.SetVersion(v)
	req.TimeoutMillis, req.ValidateOnly, req.Topics = 5000, validate, topics
	return askAdmin[*kmsg.CreatePartitionsResponse](a, req).Topics
}

// The codes and texts are those of Apache Kafka 4.4.0, which was asked.
func TestCreatePartitions(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("p", 2, 1))
	for i, c := range []struct {
		validate bool
		topic    kmsg.CreatePartitionsRequestTopic
		code     int16
		message  string // "": null
		have     int    // afterwards
	}{
		{false, morePartitions("p", 3), 0, "", 3},
		{false, morePartitions("p", 3), 37, "Topic already has 3 partition(s).", 3},
		{false, morePartitions("p", 2), 37, "The topic p currently has 3 partition(s); 2 would not be an increase.", 3},
		{false, morePartitions("p", -1), 37, "The topic p currently has 3 partition(s); -1 would not be an increase.", 3},
		{false, morePartitions("missing", 3), 3, "", 3},
		{false, morePartitions("bad!", 3), 3, "", 3},
		{true, morePartitions("p", 4), 0, "", 3},
		{false, morePartitions("p", 4, []int32{1}), 0, "", 4},
		{false, morePartitions("p", 5, []int32{1}, []int32{1}), 39, "Attempted to add 1 additional partition(s), but only 2 assignment(s) were specified.", 4},
		{false, morePartitions("p", 5, []int32{2}), 39, "The manual partition assignment includes broker 2, but no such broker is registered.", 4},
		{false, morePartitions("p", 5, []int32{1, 1}), 39, "The manual partition assignment includes the broker 1 more than once.", 4},
		{false, morePartitions("p", 5, []int32{}), 39, "The manual partition assignment includes an empty replica list.", 4},
		{false, morePartitions("p", 20000), 44, "Excessively large number of additional partitions per request.", 4},
	} {
		r := a.createPartitions(int16(i%4), c.validate, c.topic)[0]
		message := ""
		if r.ErrorMessage != nil {
			message = *r.ErrorMessage
		}
		if r.Topic != c.topic.Topic || r.ErrorCode != c.code || message != c.message {
			t.Errorf("%+v: %d %q, want %d %q", c.topic, r.ErrorCode, message, c.code, c.message)
		}
		if got := len(a.image().TopicByName("p").Partitions); got != c.have {
			t.Errorf("%+v: %d partitions, want %d", c.topic, got, c.have)
		}
	}
	none := morePartitions("p", 5)
	none.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{}
	if r := a.createPartitions(3, false, none)[0]; r.ErrorCode != 39 || *r.ErrorMessage != "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified." {
		t.Errorf("an empty list of assignments: %+v", r)
	}
	rs := a.createPartitions(3, false, morePartitions("p", 7), morePartitions("missing", 8), morePartitions("p", 8))
	if len(rs) != 2 || rs[0].ErrorCode != 42 || *rs[0].ErrorMessage != "Duplicate topic name." || rs[1].ErrorCode != 3 {
		t.Errorf("a name twice: %+v", rs)
	}
}

// New partitions take records when the answer is there, and are there after kill -9; the old ones keep theirs.
func TestCreatePartitionsServed(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("p", 1, 1))
	produce := func(partition int32) {
		t.Helper()
		client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "p", Partition: partition, Value: []byte("x")}).FirstErr(); err != nil {
			t.Errorf("partition %d: %v", partition, err)
		}
	}
	produce(0)
	before := a.image().TopicByName("p").ID
	if r := a.createPartitions(3, false, morePartitions("p", 3))[0]; r.ErrorCode != 0 {
		t.Fatal(r)
	}
	produce(2)
	a.restart()
	if topic := a.image().TopicByName("p"); topic.ID != before || len(topic.Partitions) != 3 {
		t.Errorf("after kill -9: %+v", topic)
	}
	produce(1)
	for partition := range int32(3) {
		if start, end := bounds(t, a, "p", partition); start != 0 || end != 1 {
			t.Errorf("partition %d: [%d, %d)", partition, start, end)
		}
	}
}

func describePages(a *adminNode, limit int32, cursor string, partition int32, names ...string) string {
	a.t.Helper()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	for _, name := range names {
		topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
		topic.Topic = name
		req.Topics = append(req.Topics, topic)
	}
	if cursor != "" {
		at := kmsg.NewDescribeTopicPartitionsRequestCursor()
		at.Topic, at.Partition = cursor, partition
		req.Cursor = &at
	}
	resp := askAdmin[*kmsg.DescribeTopicPartitionsResponse](a, req)
	var out []string
	for _, topic := range resp.Topics {
		line := fmt.Sprintf("%s:%d", *topic.Topic, topic.ErrorCode)
		for _, p := range topic.Partitions {
			line += fmt.Sprintf(",%d", p.Partition)
			if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
				a.t.Errorf("%s/%d: a list of eligible leaders is null", *topic.Topic, p.Partition)
			}
			if p.ErrorCode != 0 || p.LeaderID != 1 || p.LeaderEpoch != 0 || !slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.ISR, []int32{1}) || len(p.OfflineReplicas) != 0 {
				a.t.Errorf("%s: %+v", *topic.Topic, p)
			}
		}
		switch {
		case topic.ErrorCode == 0 && topic.TopicID != [16]byte(a.image().TopicByName(*topic.Topic).ID):
			a.t.Errorf("%s: id %x", *topic.Topic, topic.TopicID)
		case topic.ErrorCode != 42 && topic.AuthorizedOperations != 3576:
			a.t.Errorf("%s: operations %d", *topic.Topic, topic.AuthorizedOperations)
		}
		out = append(out, line)
	}
	if at := resp.NextCursor; at != nil {
		out = append(out, fmt.Sprintf("next %s/%d", at.Topic, at.Partition))
	}
	return strings.Join(out, " ")
}

// 29: pages, as Apache Kafka 4.4.0 makes them, which was asked.
func TestDescribeTopicPartitions29(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("a", 1, 1), newTopic("b", 2, 1), newTopic("p", 7, 1), newTopic("q", 2, 1))
	for _, c := range []struct {
		limit     int32
		cursor    string
		partition int32
		names     string
		want      string
	}{
		{2000, "", 0, "p", "p:0,0,1,2,3,4,5,6"},
		{2, "", 0, "p", "p:0,0,1 next p/2"},
		{2, "p", 2, "p", "p:0,2,3 next p/4"},
		{3, "p", 4, "p", "p:0,4,5,6"},
		{0, "", 0, "p", "p:0,0 next p/1"},
		{-1, "", 0, "p", "p:0,0 next p/1"},
		{2000, "p", 100, "p", "p:0"},
		{2000, "p", -1, "p", "p:42"},
		{3, "", 0, "q p", "p:0,0,1,2 next p/3"},
		{7, "", 0, "q p", "p:0,0,1,2,3,4,5,6 next q/0"},
		{3, "", 0, "", "a:0,0 b:0,0,1 next p/0"},
		{3, "p", 2, "", "p:0,2,3,4 next p/5"},
		{3, "pp", 0, "", "q:0,0,1"},
		{3, "pp", 0, "p q", "p:42 q:42"},
		{3, "q", 0, "p q", "q:0,0,1"},
		{2000, "", 0, "missing q", "missing:3 q:0,0,1"},
		{2000, "missing", 0, "missing q", "missing:3 q:0,0,1"},
		{2000, "", 0, "bad! q", "bad!:17 q:0,0,1"},
		{2000, "", 0, "q q", "q:0,0,1"},
		{2, "", 0, "missing missing2 q p", "missing:3 missing2:3 p:0,0,1 next p/2"},
	} {
		if got := describePages(a, c.limit, c.cursor, c.partition, strings.Fields(c.names)...); got != c.want {
			t.Errorf("limit %d from %s/%d of %q:\n got %s\nwant %s", c.limit, c.cursor, c.partition, c.names, got, c.want)
		}
	}
	small := startAdminNode(t, "max.request.partition.size.limit=2")
	small.mustCreate(newTopic("p", 3, 1))
	if got := describePages(small, 2000, "", 0, "p"); got != "p:0,0,1 next p/2" {
		t.Errorf("beyond max.request.partition.size.limit: %s", got)
	}
}

// A partition without a leader says so, with its replicas.
func TestDescribeTopicPartitions29Leaderless(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("p", 1, 1))
	if err := a.decide(func(im *meta.Image, _ int64) ([]meta.Record, error) {
		return []meta.Record{meta.PartitionChangeRecord{TopicID: im.TopicByName("p").ID, Leader: meta.NoLeader, Replicas: []int32{1, 2}, ISR: []int32{2}, ELR: []int32{1}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 10
	p := askAdmin[*kmsg.DescribeTopicPartitionsResponse](a, req).Topics[0].Partitions[0]
	if p.ErrorCode != kerr.LeaderNotAvailable.Code || p.LeaderID != -1 || p.LeaderEpoch != 1 || !slices.Equal(p.OfflineReplicas, []int32{2}) ||
		!slices.Equal(p.EligibleLeaderReplicas, []int32{1}) || !slices.Equal(p.ISR, []int32{2}) {
		t.Errorf("%+v", p)
	}
}

// fillTopic produces count records of 1,000 bytes, each in a batch of its own.
func fillTopic(t *testing.T, a *adminNode, topic string, partition int32, count int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range count {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: slices.Repeat([]byte{byte('a' + i%26)}, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescribeLogDirs(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("empty", 1, 1), newTopic("full", 2, 1))
	fillTopic(t, a, "full", 1, 3)
	ask := func(v int16, topics []kmsg.DescribeLogDirsRequestTopic) (kmsg.DescribeLogDirsResponseDir, map[string]int64) {
		t.Helper()
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.SetVersion(v)
		req.Topics = topics
		resp := askAdmin[*kmsg.DescribeLogDirsResponse](a, req)
		if resp.ErrorCode != 0 || len(resp.Dirs) != 1 || resp.Dirs[0].ErrorCode != 0 || !filepath.IsAbs(resp.Dirs[0].Dir) {
			t.Fatalf("v%d: %+v", v, resp)
		}
		sizes := map[string]int64{}
		for _, topic := range resp.Dirs[0].Topics {
			for _, p := range topic.Partitions {
				sizes[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = p.Size
				if p.IsFuture || p.OffsetLag != 0 {
					t.Errorf("v%d: %+v", v, p)
				}
			}
		}
		return resp.Dirs[0], sizes
	}
	check := func(v int16) {
		t.Helper()
		d, sizes := ask(v, nil)
		if len(sizes) != 3 || sizes["empty-0"] != 0 || sizes["full-0"] != 0 || sizes["full-1"] < 3000 || sizes["full-1"] > 4000 {
			t.Errorf("v%d: sizes %v", v, sizes)
		}
		if v >= 4 && (d.TotalBytes <= 0 || d.UsableBytes <= 0 || d.UsableBytes > d.TotalBytes) || v < 4 && (d.TotalBytes != -1 || d.UsableBytes != -1) {
			t.Errorf("v%d: %d of %d bytes usable", v, d.UsableBytes, d.TotalBytes)
		}
	}
	for v := int16(1); v <= 5; v++ {
		check(v)
	}
	topic := kmsg.NewDescribeLogDirsRequestTopic()
	topic.Topic, topic.Partitions = "full", []int32{1, 1, 77, -1}
	missing := kmsg.NewDescribeLogDirsRequestTopic()
	missing.Topic, missing.Partitions = "missing", []int32{0}
	if _, sizes := ask(4, []kmsg.DescribeLogDirsRequestTopic{topic, missing, topic}); len(sizes) != 1 || sizes["full-1"] < 3000 {
		t.Errorf("one partition: %v", sizes)
	}
	if d, sizes := ask(5, []kmsg.DescribeLogDirsRequestTopic{}); len(sizes) != 0 || d.TotalBytes <= 0 {
		t.Errorf("no topic: %+v", d)
	}
	a.stop() // what is closed has its size, too: nothing has opened the logs after this start
	a.start()
	check(5)
}

func (a *adminNode) deleteRecords(v int16, partitions map[int32]int64, topic string) map[int32]kmsg.DeleteRecordsResponseTopicPartition {
	a.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.SetVersion(v)
	req.TimeoutMillis = 5000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	for index, offset := range partitions {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = index, offset
		rt.Partitions = append(rt.Partitions, p)
	}
	req.Topics = append(req.Topics, rt)
	got := map[int32]kmsg.DeleteRecordsResponseTopicPartition{}
	for _, topic := range askAdmin[*kmsg.DeleteRecordsResponse](a, req).Topics {
		for _, p := range topic.Partitions {
			got[p.Partition] = p
		}
	}
	return got
}

// Topics that are not there are answered, too, each with more than its name: their number is bounded.
func TestDescribeTopicPartitionsIsBounded(t *testing.T) {
	a := startAdminNode(t)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for i := range maxPartitions + 1 {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: fmt.Sprint(i)})
	}
	c := dial(t, a.Node)
	c.send(req)
	c.mustClose()
}

// 26: the start of a partition moves up, durably; codes as Apache Kafka 4.4.0, which was asked.
func TestDeleteRecords26(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("d", 2, 1), newTopic("compacted", 1, 1, "cleanup.policy=compact"))
	fillTopic(t, a, "d", 0, 10)
	fillTopic(t, a, "d", 1, 5)
	for i, c := range []struct {
		topic      string
		partitions map[int32]int64
		want       string
	}{
		{"d", map[int32]int64{0: 0}, "0:0@0"},
		{"d", map[int32]int64{0: 4, 1: -1}, "0:0@4 1:0@5"},
		{"d", map[int32]int64{0: 2}, "0:0@4"},
		{"d", map[int32]int64{0: 11}, "0:1@-1"},
		{"d", map[int32]int64{0: -5}, "0:1@-1"},
		{"d", map[int32]int64{77: 0}, "77:3@-1"},
		{"missing", map[int32]int64{0: 0}, "0:3@-1"},
		{"__cluster_metadata", map[int32]int64{0: 0}, "0:3@-1"},
		{"compacted", map[int32]int64{0: 0}, "0:44@-1"},
	} {
		var got []string
		answer := a.deleteRecords(int16(i%3), c.partitions, c.topic)
		for _, index := range slices.Sorted(maps.Keys(answer)) {
			got = append(got, fmt.Sprintf("%d:%d@%d", index, answer[index].ErrorCode, answer[index].LowWatermark))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %v: %v, want %s", c.topic, c.partitions, got, c.want)
		}
	}
	for round := range 2 {
		for index, want := range []struct{ start, end int64 }{{4, 10}, {5, 5}} {
			p := a.table.Lookup("d", int32(index))
			if at, end := bounds(t, a, "d", int32(index)); at != want.start || end != want.end || p == nil {
				t.Errorf("round %d: partition %d begins at %d and ends at %d, want %+v", round, index, at, end, want)
			}
		}
		a.restart()
	}
}

// A request that names very many partitions does not fill the queue of those who wait for the disk.
func TestDeleteRecordsLeavesRoomForOthers(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("d", 100, 1))
	cold := &a.workers.cold
	hold := make(chan struct{})
	for range cold.max {
		cold.Go(func() { <-hold })
	}
	partitions := map[int32]int64{}
	for i := range int32(100) {
		partitions[i] = -1
	}
	answer := make(chan map[int32]kmsg.DeleteRecordsResponseTopicPartition)
	go func() { answer <- a.deleteRecords(2, partitions, "d") }()
	queued := 0
	await(t, "the request", func() bool {
		cold.mu.Lock()
		defer cold.mu.Unlock()
		queued = cold.n
		return queued > 0
	})
	for range 2 * runtime.GOMAXPROCS(0) { // its loop has come to others since: no more of it comes
		ask[*kmsg.ApiVersionsResponse](dial(t, a.Node), kmsg.NewPtrApiVersionsRequest())
	}
	cold.mu.Lock()
	queued = cold.n
	cold.mu.Unlock()
	if queued > 16 {
		t.Errorf("%d partitions are queued at once", queued)
	}
	close(hold)
	got := <-answer
	for i := range int32(100) {
		if p, ok := got[i]; !ok || p.ErrorCode != 0 || p.LowWatermark != 0 {
			t.Fatalf("partition %d: %+v", i, got[i])
		}
	}
}

// bounds asks for a partition's bounds over the network.
func bounds(t *testing.T, a *adminNode, topic string, partition int32) (start, end int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := starts.Lookup(topic, partition)
	e, _ := ends.Lookup(topic, partition)
	return s.Offset, e.Offset
}

// Clients cannot delete what the coordinators keep.
func TestDeleteRecords26InternalTopics(t *testing.T) {
	a := startAdminNode(t)
	createTopic(t, a.Node, "__transaction_state", 1)
	if p := a.deleteRecords(2, map[int32]int64{0: 0}, "__transaction_state")[0]; p.ErrorCode != kerr.InvalidTopicException.Code || p.LowWatermark != -1 {
		t.Errorf("%+v", p)
	}
}

// franz-go's admin client goes through all of it.
func TestPartitionsAdminClient(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("life", 1, 1))
	fillTopic(t, a, "life", 0, 3)
	client, err := kgo.NewClient(kgo.SeedBrokers(a.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if rs, err := admin.UpdatePartitions(ctx, 4, "life"); err != nil || rs["life"].Err != nil {
		t.Fatal(rs, err)
	}
	if rs, err := admin.CreatePartitions(ctx, 1, "life"); err != nil || rs["life"].Err != nil {
		t.Fatal(rs, err)
	}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "life", Partition: 0, At: 2})
	if rs, err := admin.DeleteRecords(ctx, offsets); err != nil || rs["life"][0].Err != nil || rs["life"][0].LowWatermark != 2 {
		t.Fatal(rs, err)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		t.Fatal(dirs, err)
	}
	count := 0
	for _, d := range dirs[1] {
		count += len(d.Topics["life"])
	}
	if count != 5 {
		t.Errorf("%d partitions in the log directory, want 5", count)
	}
	if rs, err := admin.UpdatePartitions(ctx, 2, "life"); err != nil || !errors.Is(rs["life"].Err, kerr.InvalidPartitions) {
		t.Errorf("fewer partitions: %v %v", rs, err)
	}
}

// Frames that are no requests end their connection and change nothing.
func TestPartitionsAPIsCloseOnGarbage(t *testing.T) {
	a := startAdminNode(t)
	a.mustCreate(newTopic("p", 1, 1))
	parts := kmsg.NewPtrCreatePartitionsRequest()
	parts.SetVersion(3)
	parts.Topics = append(parts.Topics, morePartitions("p", 5))
	describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
	describe.Topics = append(describe.Topics, kmsg.NewDescribeTopicPartitionsRequestTopic())
	dirs := kmsg.NewPtrDescribeLogDirsRequest()
	dirs.SetVersion(5)
	dirs.Topics = append(dirs.Topics, kmsg.NewDescribeLogDirsRequestTopic())
	records := kmsg.NewPtrDeleteRecordsRequest()
	records.SetVersion(2)
	records.Topics = append(records.Topics, kmsg.NewDeleteRecordsRequestTopic())
	for _, req := range []kmsg.Request{parts, describe, dirs, records} {
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
		cut := frame[:len(frame)-3]
		binary.BigEndian.PutUint32(cut, uint32(len(cut)-4))
		conn := a.dial()
		if _, err := conn.Write(cut); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("%s cut short: %d bytes, %v", kmsg.NameForKey(req.Key()), n, err)
		}
	}
	if got := len(a.image().TopicByName("p").Partitions); got != 1 {
		t.Errorf("%d partitions", got)
	}
}
