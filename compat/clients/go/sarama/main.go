// sarama drives github.com/IBM/sarama; see compat/clients/README.md. Sarama speaks the versions of the release it is told about: the
// idempotent producer and the cooperative member are told its newest one, everything else goes with its default.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/compat/clients/go/contract"
)

func main() {
	contract.Main(map[string]func(contract.Flags) error{
		"produce": produce, "consume": consume, "assign": assign, "seek": seek,
		"offsets": offsets, "describe": describe, "groups": groups, "delete-group": deleteGroup, "transact": transact,
	})
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "sarama"
	c.Consumer.Return.Errors = true
	c.Consumer.MaxWaitTime = 50 * time.Millisecond // commits share a connection with fetches and wait their turn
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = time.Second
	c.Metadata.RefreshFrequency = 2 * time.Second
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	return c
}

func addrs(f contract.Flags) []string { return []string{f["bootstrap"]} }

func produce(f contract.Flags) error {
	records, err := contract.Input(f["in"])
	if err != nil {
		return err
	}
	c := config()
	c.Producer.Compression = map[string]sarama.CompressionCodec{
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}[f["codec"]]
	c.Net.MaxOpenRequests = 1
	if f.Bool("idempotent") {
		c.Version, c.Producer.Idempotent = sarama.MaxVersion, true
	}
	p, err := sarama.NewAsyncProducer(addrs(f), c)
	if err != nil {
		return err
	}
	go func() {
		for _, r := range records {
			m := &sarama.ProducerMessage{Topic: f["topic"], Timestamp: time.UnixMilli(r.Timestamp)}
			if r.Key != nil {
				m.Key = sarama.ByteEncoder(r.Key)
			}
			if r.Value != nil {
				m.Value = sarama.ByteEncoder(r.Value)
			}
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
			}
			p.Input() <- m
		}
	}()
	for range records {
		select {
		case <-p.Successes():
		case err := <-p.Errors():
			return err
		}
	}
	contract.Say("done", len(records))
	return p.Close()
}

func record(m *sarama.ConsumerMessage) contract.Record {
	r := contract.Record{Partition: int(m.Partition), Offset: m.Offset, Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, contract.Header{Name: string(h.Key), Value: h.Value})
	}
	return r
}

func strategy(name string) sarama.BalanceStrategy {
	switch name {
	case "range":
		return sarama.NewBalanceStrategyRange()
	case "roundrobin":
		return sarama.NewBalanceStrategyRoundRobin()
	case "sticky":
		return sarama.NewBalanceStrategySticky()
	}
	return sarama.NewBalanceStrategyCooperativeSticky()
}

// member is the handler of a group's sessions: each partition is read by a goroutine of its own, and they take turns.
type member struct {
	topic string
	stay  bool
	stop  func()

	mu      sync.Mutex
	reading *contract.Reading
	owned   map[int]bool
}

func (m *member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	p := int(claim.Partition())
	m.own(p, true)
	defer func() {
		m.mu.Lock()
		if !m.stay {
			m.commitLocked(s, p)
		}
		m.reading.Lost(p)
		m.mu.Unlock()
		m.own(p, false)
	}()
	for {
		select {
		case <-s.Context().Done():
			return nil
		case msg, ok := <-claim.Messages():
			if !ok || !m.read(s, msg) {
				return nil
			}
		}
	}
}

// read tells whether to read on.
func (m *member) read(s sarama.ConsumerGroupSession, msg *sarama.ConsumerMessage) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading.Done() {
		return false
	}
	if m.reading.Add(record(msg)) {
		m.commitLocked(s)
	}
	if m.reading.Done() {
		m.stop()
	}
	return true
}

// commitLocked commits what is pending, of some partitions only if they are named.
func (m *member) commitLocked(s sarama.ConsumerGroupSession, only ...int) {
	if len(m.reading.Pending) == 0 {
		return
	}
	for p, offset := range m.reading.Pending {
		if len(only) == 0 || p == only[0] {
			s.MarkOffset(m.topic, int32(p), offset, "")
		}
	}
	s.Commit()
	if len(only) == 0 {
		m.reading.Committed()
	} else if offset, ok := m.reading.Pending[only[0]]; ok {
		contract.Say("committed", only[0], offset)
	}
}

func (m *member) own(p int, now bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owned[p] = now
	all := map[string][]int{}
	for p, mine := range m.owned {
		if mine {
			all[m.topic] = append(all[m.topic], p)
		}
	}
	contract.SayAssigned(all)
}

func consume(f contract.Flags) error {
	c := config()
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy(f["assignor"])}
	if f["assignor"] == "cooperative" {
		c.Version = sarama.MaxVersion
	}
	c.Consumer.Group.InstanceId = f["instance"]
	group, err := sarama.NewConsumerGroup(addrs(f), f["group"], c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if f.Int("count") == 0 {
		go func() { <-contract.Stopped(); stop() }()
	}
	m := &member{topic: f["topic"], stay: f.Bool("stay"), stop: stop, reading: contract.NewReading(f), owned: map[int]bool{}}
	failed := make(chan error, 1)
	go func() {
		for err := range group.Errors() {
			if moved(err) {
				fmt.Fprintln(os.Stderr, err)
			} else if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
				select {
				case failed <- err:
				default:
				}
				stop()
			}
		}
	}()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{f["topic"]}, m); err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			return fmt.Errorf("consume: %w", err)
		}
	}
	if err := group.Close(); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// moved tells that the group has begun a new generation without us, or is about to: what could not be committed is read again.
func moved(err error) bool {
	return errors.Is(err, sarama.ErrRebalanceInProgress) || errors.Is(err, sarama.ErrIllegalGeneration) || errors.Is(err, sarama.ErrUnknownMemberId)
}

func assign(f contract.Flags) error {
	client, err := sarama.NewClient(addrs(f), config())
	if err != nil {
		return err
	}
	defer client.Close()
	om, err := sarama.NewOffsetManagerFromClient(f["group"], client)
	if err != nil {
		return err
	}
	p := int32(f.Int("partition"))
	part, err := om.ManagePartition(f["topic"], p)
	if err != nil {
		return err
	}
	at := int64(f.Int("offset"))
	if at < 0 {
		at, _ = part.NextOffset()
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	pc, err := consumer.ConsumePartition(f["topic"], p, at)
	if err != nil {
		return err
	}
	defer pc.AsyncClose()
	next := int64(-1)
	for range f.Int("count") {
		select {
		case m := <-pc.Messages():
			contract.SayRecords(record(m))
			next = m.Offset + 1
		case err := <-pc.Errors():
			return err
		}
	}
	part.ResetOffset(next, "") // an earlier offset than the committed one counts too
	part.MarkOffset(next, "")
	om.Commit()
	select {
	case err := <-part.Errors():
		return err
	default:
	}
	contract.Say("committed", p, next)
	return om.Close()
}

func seek(f contract.Flags) error {
	client, err := sarama.NewClient(addrs(f), config())
	if err != nil {
		return err
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	ps, err := client.Partitions(f["topic"])
	if err != nil {
		return err
	}
	for _, p := range ps {
		at, err := client.GetOffset(f["topic"], p, int64(f.Int("timestamp")))
		if err != nil {
			return err
		}
		contract.Say("offset", f["topic"], p, at)
		if at < 0 {
			continue
		}
		pc, err := consumer.ConsumePartition(f["topic"], p, at)
		if err != nil {
			return err
		}
		select {
		case m := <-pc.Messages():
			contract.SayRecords(record(m))
		case err := <-pc.Errors():
			return err
		}
		if err := pc.Close(); err != nil {
			return err
		}
	}
	return nil
}

func admin(f contract.Flags, ask func(sarama.ClusterAdmin) error) error {
	c := config()
	c.Version = sarama.MaxVersion
	a, err := sarama.NewClusterAdmin(addrs(f), c)
	if err != nil {
		return err
	}
	defer a.Close()
	return ask(a)
}

func offsets(f contract.Flags) error {
	return admin(f, func(a sarama.ClusterAdmin) error {
		all, err := a.ListConsumerGroupOffsets(f["group"], nil)
		if err != nil {
			return err
		}
		for topic, ps := range all.Blocks {
			for p, b := range ps {
				contract.Say("offset", topic, p, b.Offset)
			}
		}
		return nil
	})
}

func describe(f contract.Flags) error {
	return admin(f, func(a sarama.ClusterAdmin) error {
		all, err := a.DescribeConsumerGroups([]string{f["group"]})
		if err != nil {
			return err
		}
		for _, g := range all {
			if g.Err != sarama.ErrNoError {
				return g.Err
			}
			contract.Say("group", g.State, g.Protocol, len(g.Members))
		}
		return nil
	})
}

func groups(f contract.Flags) error {
	return admin(f, func(a sarama.ClusterAdmin) error {
		all, err := a.ListConsumerGroups()
		for name := range all {
			contract.Say("name", name)
		}
		return err
	})
}

func deleteGroup(f contract.Flags) error {
	return admin(f, func(a sarama.ClusterAdmin) error {
		if err := a.DeleteConsumerGroup(f["group"]); err != nil {
			contract.Say("refused", err)
			return nil
		}
		contract.Say("deleted")
		return nil
	})
}

func transact(f contract.Flags) error {
	c := config()
	c.Version = sarama.MaxVersion
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	c.Producer.Transaction.ID = "sarama-" + f["topic"]
	try := func() error {
		p, err := sarama.NewSyncProducer(addrs(f), c)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := p.BeginTxn(); err != nil {
			return err
		}
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: f["topic"], Value: sarama.StringEncoder("in a transaction")}); err != nil {
			return err
		}
		return p.CommitTxn()
	}
	if err := try(); err != nil {
		contract.Say("refused", err)
		return nil
	}
	contract.Say("committed")
	return nil
}
