// kafka-go drives github.com/segmentio/kafka-go; see compat/clients/README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/compat/clients/go/contract"
)

func main() {
	contract.Main(map[string]func(contract.Flags) error{
		"produce": produce, "consume": consume, "assign": assign, "seek": seek,
		"offsets": offsets, "describe": describe, "groups": groups, "delete-group": deleteGroup, "transact": transact,
	})
}

func produce(f contract.Flags) error {
	records, err := contract.Input(f["in"])
	if err != nil {
		return err
	}
	w := &kafka.Writer{
		Addr: kafka.TCP(f["bootstrap"]), Topic: f["topic"], Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchSize: 500,
		Compression: map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}[f["codec"]],
	}
	all := make([]kafka.Message, len(records))
	for i, r := range records {
		all[i] = kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			all[i].Headers = append(all[i].Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
	}
	if err := w.WriteMessages(context.Background(), all...); err != nil {
		return err
	}
	contract.Say("done", len(records))
	return w.Close()
}

func record(m kafka.Message) contract.Record {
	r := contract.Record{Partition: m.Partition, Offset: m.Offset, Timestamp: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, contract.Header{Name: h.Key, Value: h.Value})
	}
	return r
}

var ownedPartition = regexp.MustCompile(`\{(\S+) (\d+)\}`)

// told is the reader's log. Its line about a new generation is the only place where a Reader tells its partitions.
func told(format string, args ...any) {
	if format != "subscribed to topics and partitions: %+v" {
		return
	}
	owned := map[string][]int{}
	for _, m := range ownedPartition.FindAllStringSubmatch(fmt.Sprint(args...), -1) {
		p, _ := strconv.Atoi(m[2])
		owned[m[1]] = append(owned[m[1]], p)
	}
	contract.SayAssigned(owned)
}

func consume(f contract.Flags) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if f.Int("count") == 0 {
		go func() { <-contract.Stopped(); stop() }()
	}
	balancer := kafka.GroupBalancer(kafka.RangeGroupBalancer{})
	if f["assignor"] == "roundrobin" {
		balancer = kafka.RoundRobinGroupBalancer{}
	}
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{f["bootstrap"]}, GroupID: f["group"], Topic: f["topic"], GroupBalancers: []kafka.GroupBalancer{balancer}, StartOffset: kafka.FirstOffset,
		SessionTimeout: 6 * time.Second, HeartbeatInterval: time.Second, MaxWait: 200 * time.Millisecond, JoinGroupBackoff: 200 * time.Millisecond,
		WatchPartitionChanges: true, PartitionWatchInterval: time.Second, Logger: kafka.LoggerFunc(told),
	})
	reading := contract.NewReading(f)
	commit := func() error {
		var all []kafka.Message
		for p, offset := range reading.Pending {
			all = append(all, kafka.Message{Topic: f["topic"], Partition: p, Offset: offset - 1})
		}
		if len(all) == 0 {
			return nil
		}
		err := r.CommitMessages(context.Background(), all...)
		if err == nil {
			reading.Committed()
		}
		return err
	}
	for !reading.Done() {
		m, err := r.FetchMessage(ctx)
		if errors.Is(err, context.Canceled) {
			if err := commit(); err != nil {
				return err
			}
			break
		} else if err != nil {
			return err
		}
		if reading.Add(record(m)) {
			if err := commit(); err != nil && (!moved(err) || reading.Done()) {
				return fmt.Errorf("commit: %w", err)
			}
		}
	}
	return r.Close()
}

// moved tells that the group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
func moved(err error) bool {
	return errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId)
}

func client(f contract.Flags) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(f["bootstrap"]), Timeout: 10 * time.Second}
}

func assign(f contract.Flags) error {
	ctx, topic, p := context.Background(), f["topic"], f.Int("partition")
	at := int64(f.Int("offset"))
	if at < 0 {
		got, err := client(f).ConsumerOffsets(ctx, kafka.TopicAndGroup{Topic: topic, GroupId: f["group"]})
		if err != nil {
			return err
		}
		at = got[p]
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{f["bootstrap"]}, Topic: topic, Partition: p, MaxWait: 200 * time.Millisecond})
	defer r.Close()
	if err := r.SetOffset(at); err != nil {
		return err
	}
	next := int64(-1)
	for range f.Int("count") {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		contract.SayRecords(record(m))
		next = m.Offset + 1
	}
	resp, err := client(f).OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: f["group"], GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: p, Offset: next}}},
	})
	if err != nil {
		return err
	}
	if err := resp.Topics[topic][0].Error; err != nil {
		return err
	}
	contract.Say("committed", p, next)
	return nil
}

func partitions(f contract.Flags) ([]kafka.Partition, error) {
	meta, err := client(f).Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{f["topic"]}})
	if err != nil {
		return nil, err
	}
	return meta.Topics[0].Partitions, meta.Topics[0].Error
}

func seek(f contract.Flags) error {
	ctx, topic := context.Background(), f["topic"]
	ps, err := partitions(f)
	if err != nil {
		return err
	}
	for _, p := range ps {
		resp, err := client(f).ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{topic: {kafka.TimeOffsetOf(p.ID, time.UnixMilli(int64(f.Int("timestamp"))))}},
		})
		if err != nil {
			return err
		}
		at := int64(-1)
		for offset := range resp.Topics[topic][0].Offsets {
			at = offset
		}
		contract.Say("offset", topic, p.ID, at)
		if at < 0 {
			continue
		}
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{f["bootstrap"]}, Topic: topic, Partition: p.ID, MaxWait: 200 * time.Millisecond})
		if err := r.SetOffset(at); err != nil {
			return err
		}
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		contract.SayRecords(record(m))
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A client of this kind asks about partitions it names.
func offsets(f contract.Flags) error {
	ps, err := partitions(f)
	if err != nil {
		return err
	}
	req := &kafka.OffsetFetchRequest{GroupID: f["group"], Topics: map[string][]int{f["topic"]: nil}}
	for _, p := range ps {
		req.Topics[f["topic"]] = append(req.Topics[f["topic"]], p.ID)
	}
	resp, err := client(f).OffsetFetch(context.Background(), req)
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return err
	}
	for topic, ps := range resp.Topics {
		for _, p := range ps {
			if p.Error != nil {
				return p.Error
			}
			if p.CommittedOffset >= 0 {
				contract.Say("offset", topic, p.Partition, p.CommittedOffset)
			}
		}
	}
	return nil
}

func describe(f contract.Flags) error {
	resp, err := client(f).DescribeGroups(context.Background(), &kafka.DescribeGroupsRequest{GroupIDs: []string{f["group"]}})
	if err != nil {
		return err
	}
	for _, g := range resp.Groups {
		if g.Error != nil {
			return g.Error
		}
		contract.Say("group", g.GroupState, "?", len(g.Members))
	}
	return nil
}

func groups(f contract.Flags) error {
	resp, err := client(f).ListGroups(context.Background(), &kafka.ListGroupsRequest{})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return err
	}
	for _, g := range resp.Groups {
		contract.Say("name", g.GroupID)
	}
	return nil
}

func deleteGroup(f contract.Flags) error {
	resp, err := client(f).DeleteGroups(context.Background(), &kafka.DeleteGroupsRequest{GroupIDs: []string{f["group"]}})
	if err == nil {
		err = resp.Errors[f["group"]]
	}
	if err != nil {
		contract.Say("refused", err)
		return nil
	}
	contract.Say("deleted")
	return nil
}

// The library has no transactional producer, only the requests of one.
func transact(f contract.Flags) error {
	ctx, c, id := context.Background(), client(f), "kafka-go-"+f["topic"]
	try := func() error {
		coordinator, err := c.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: id, KeyType: kafka.CoordinatorKeyTypeTransaction})
		if err == nil {
			err = coordinator.Error
		}
		if err != nil {
			return err
		}
		producer, err := c.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: id, TransactionTimeoutMs: 30_000})
		if err == nil {
			err = producer.Error
		}
		return err
	}
	if err := try(); err != nil {
		contract.Say("refused", err)
		return nil
	}
	contract.Say("committed")
	return nil
}
