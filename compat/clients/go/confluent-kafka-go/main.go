// confluent-kafka-go drives github.com/confluentinc/confluent-kafka-go with the librdkafka it bundles; see compat/clients/README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/compat/clients/go/contract"
)

func main() {
	contract.Main(map[string]func(contract.Flags) error{
		"produce": produce, "consume": consume, "assign": assign, "seek": seek,
		"offsets": offsets, "describe": describe, "groups": groups, "delete-group": deleteGroup, "transact": transact,
	})
}

const patience = 20 * time.Second

func produce(f contract.Flags) error {
	records, err := contract.Input(f["in"])
	if err != nil {
		return err
	}
	p, err := kafka.NewProducer(&kafka.ConfigMap{
		"bootstrap.servers": f["bootstrap"], "compression.codec": f["codec"], "enable.idempotence": f.Bool("idempotent"), "acks": "all",
		"max.in.flight": 1, "message.timeout.ms": 60_000, "queue.buffering.max.messages": 1_000_000,
	})
	if err != nil {
		return err
	}
	defer p.Close()
	topic := f["topic"]
	for _, r := range records {
		m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		if err := p.Produce(m, nil); err != nil {
			return err
		}
	}
	for range records {
		switch e := (<-p.Events()).(type) {
		case *kafka.Message:
			if err := e.TopicPartition.Error; err != nil {
				return err
			}
		case kafka.Error:
			return e
		}
	}
	contract.Say("done", len(records))
	return nil
}

func record(m *kafka.Message) contract.Record {
	r := contract.Record{Partition: int(m.TopicPartition.Partition), Offset: int64(m.TopicPartition.Offset), Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, contract.Header{Name: h.Key, Value: h.Value})
	}
	return r
}

func newConsumer(f contract.Flags, more kafka.ConfigMap) (*kafka.Consumer, error) {
	c := kafka.ConfigMap{
		"bootstrap.servers": f["bootstrap"], "group.id": f["group"], "enable.auto.commit": false, "auto.offset.reset": "earliest", "check.crcs": true,
		"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, "topic.metadata.refresh.interval.ms": 1000,
	}
	for k, v := range more {
		c[k] = v
	}
	return kafka.NewConsumer(&c)
}

func commit(c *kafka.Consumer, topic string, offsets contract.Offsets) error {
	var all []kafka.TopicPartition
	for p, offset := range offsets {
		all = append(all, kafka.TopicPartition{Topic: &topic, Partition: int32(p), Offset: kafka.Offset(offset)})
	}
	done, err := c.CommitOffsets(all)
	for _, p := range done {
		err = errors.Join(err, p.Error)
	}
	return err
}

func consume(f contract.Flags) error {
	more := kafka.ConfigMap{"partition.assignment.strategy": "cooperative-sticky"}
	if a := f["assignor"]; a != "" && a != "cooperative" {
		more["partition.assignment.strategy"] = a
	}
	if f["instance"] != "" {
		more["group.instance.id"] = f["instance"]
	}
	c, err := newConsumer(f, more)
	if err != nil {
		return err
	}
	reading, owned := contract.NewReading(f), map[int]bool{}
	commitPending := func() error {
		if len(reading.Pending) == 0 {
			return nil
		}
		err := commit(c, f["topic"], reading.Pending)
		if err == nil {
			reading.Committed()
		}
		return err
	}
	tell := func() {
		all := map[string][]int{}
		for p := range owned {
			all[f["topic"]] = append(all[f["topic"]], p)
		}
		contract.SayAssigned(all)
	}
	rebalanced := func(c *kafka.Consumer, e kafka.Event) error { // the default (un)assignment follows
		switch e := e.(type) {
		case kafka.AssignedPartitions:
			for _, p := range e.Partitions {
				owned[int(p.Partition)] = true
			}
		case kafka.RevokedPartitions:
			if !f.Bool("stay") && !c.AssignmentLost() {
				_ = commitPending() // a group that has gone on refuses it, and the records are read again
			}
			for _, p := range e.Partitions {
				delete(owned, int(p.Partition))
				reading.Lost(int(p.Partition))
			}
		}
		tell()
		return nil
	}
	if err := c.Subscribe(f["topic"], rebalanced); err != nil {
		return err
	}
	var stopped <-chan struct{}
	if f.Int("count") == 0 {
		stopped = contract.Stopped()
	}
	for !reading.Done() {
		select {
		case <-stopped:
			if err := commitPending(); err != nil {
				return err
			}
			return c.Close()
		default:
		}
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			if reading.Add(record(e)) {
				if err := commitPending(); err != nil && (!moved(err) || reading.Done()) {
					return fmt.Errorf("commit: %w", err)
				}
			}
		case kafka.Error:
			if e.Code() != kafka.ErrUnknownTopicOrPart {
				return e
			}
		}
	}
	return c.Close()
}

// moved tells that the group has begun a new generation without us, or is about to: a later commit counts, or what is lost is read again.
func moved(err error) bool {
	var e kafka.Error
	return errors.As(err, &e) && (e.Code() == kafka.ErrRebalanceInProgress || e.Code() == kafka.ErrIllegalGeneration || e.Code() == kafka.ErrUnknownMemberID)
}

// next reads one record.
func next(c *kafka.Consumer) (*kafka.Message, error) {
	m, err := c.ReadMessage(patience)
	if err != nil {
		return nil, err
	}
	contract.SayRecords(record(m))
	return m, nil
}

func assign(f contract.Flags) error {
	c, err := newConsumer(f, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	topic := f["topic"]
	at := kafka.TopicPartition{Topic: &topic, Partition: int32(f.Int("partition")), Offset: kafka.Offset(f.Int("offset"))}
	if at.Offset < 0 {
		at.Offset = kafka.OffsetStored
	}
	if err := c.Assign([]kafka.TopicPartition{at}); err != nil {
		return err
	}
	end := int64(-1)
	for range f.Int("count") {
		m, err := next(c)
		if err != nil {
			return err
		}
		end = int64(m.TopicPartition.Offset) + 1
	}
	if err := commit(c, topic, contract.Offsets{f.Int("partition"): end}); err != nil {
		return err
	}
	contract.Say("committed", f.Int("partition"), end)
	return nil
}

func seek(f contract.Flags) error {
	f["group"] = "seek"
	c, err := newConsumer(f, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	topic := f["topic"]
	meta, err := c.GetMetadata(&topic, false, int(patience.Milliseconds()))
	if err != nil {
		return err
	}
	var times, from []kafka.TopicPartition
	for _, p := range meta.Topics[topic].Partitions {
		times = append(times, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.Offset(f.Int("timestamp"))})
	}
	found, err := c.OffsetsForTimes(times, int(patience.Milliseconds()))
	if err != nil {
		return err
	}
	for _, p := range found {
		at := int64(p.Offset)
		if p.Offset == kafka.OffsetEnd {
			at = -1
		} else {
			from = append(from, p)
		}
		contract.Say("offset", topic, p.Partition, at)
	}
	for _, p := range from {
		if err := c.Assign([]kafka.TopicPartition{p}); err != nil {
			return err
		}
		if _, err := next(c); err != nil {
			return err
		}
	}
	return nil
}

func admin(f contract.Flags, ask func(context.Context, *kafka.AdminClient) error) error {
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": f["bootstrap"]})
	if err != nil {
		return err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return ask(ctx, a)
}

func offsets(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kafka.AdminClient) error {
		all, err := a.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: f["group"]}})
		if err != nil {
			return err
		}
		for _, p := range all.ConsumerGroupsTopicPartitions[0].Partitions {
			if p.Error != nil {
				return p.Error
			}
			contract.Say("offset", *p.Topic, p.Partition, int64(p.Offset))
		}
		return nil
	})
}

func describe(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kafka.AdminClient) error {
		all, err := a.DescribeConsumerGroups(ctx, []string{f["group"]})
		if err != nil {
			return err
		}
		for _, g := range all.ConsumerGroupDescriptions {
			if g.Error.Code() != kafka.ErrNoError {
				return g.Error
			}
			contract.Say("group", g.State, g.PartitionAssignor, len(g.Members))
		}
		return nil
	})
}

func groups(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kafka.AdminClient) error {
		all, err := a.ListConsumerGroups(ctx)
		for _, g := range all.Valid {
			contract.Say("name", g.GroupID)
		}
		return errors.Join(append(all.Errors, err)...)
	})
}

func deleteGroup(f contract.Flags) error {
	return admin(f, func(ctx context.Context, a *kafka.AdminClient) error {
		all, err := a.DeleteConsumerGroups(ctx, []string{f["group"]})
		if err != nil {
			return err
		}
		if e := all.ConsumerGroupResults[0].Error; e.Code() != kafka.ErrNoError {
			contract.Say("refused", e)
			return nil
		}
		contract.Say("deleted")
		return nil
	})
}

func transact(f contract.Flags) error {
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": f["bootstrap"], "transactional.id": "confluent-kafka-go-" + f["topic"]})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	topic := f["topic"]
	try := func() error {
		if err := p.InitTransactions(ctx); err != nil {
			return err
		}
		if err := p.BeginTransaction(); err != nil {
			return err
		}
		if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Value: []byte("in a transaction")}, nil); err != nil {
			return err
		}
		return p.CommitTransaction(ctx)
	}
	if err := try(); err != nil {
		contract.Say("refused", err)
		return nil
	}
	contract.Say("committed")
	return nil
}
