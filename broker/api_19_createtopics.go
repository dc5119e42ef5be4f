package broker

import (
	"crypto/rand"
	"encoding/binary"
	"errors"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/quorum"
	"github.com/millrace/millrace/wire"
)

// CreateTopics, versions 2-7. protocol.md 2.4, 29, 30.
//
//   - Each topic stands for itself; meta.CreateTopics decides, with Kafka's codes and texts.
//   - The answer comes when the topics are durable and this broker serves them, so a client that goes on at once finds them. Kafka may
//     answer before; a request with time-out 0, which it refuses, is served like any other.
//   - Configs of the response are never null (version 5 and up): Kafka's own admin client fails on null.

func (n *Node) handleCreateTopics(c *call) {
	req := new(wire.CreateTopicsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	var results []meta.TopicResult
	n.quorum.Propose(func(im *meta.Image, _ int64) (rs []meta.Record, err error) {
		rs, results = meta.CreateTopics(im, newTopics(req), n.topicRules(), random64)
		if req.ValidateOnly {
			rs = nil
		}
		return rs, nil
	}, func(_ *meta.Image, err error) {
		for i := range results {
			if r := &results[i]; err != nil && r.Code == wire.None {
				*r = meta.TopicResult{Name: r.Name, Code: proposalCode(err), Message: err.Error()}
			}
		}
		if err != nil && results == nil { // it never came to a decision
			for i := range req.Topics {
				results = append(results, meta.TopicResult{Name: req.Topics[i].Name, Code: proposalCode(err), Message: err.Error()})
			}
		}
		// A response may list the settings of thousands of topics: not on the quorum's goroutine.
		n.workers.check.Go(func() {
			resp := n.createTopicsResponse(results)
			c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
		})
	})
}

func newTopics(req *wire.CreateTopicsRequest) []meta.NewTopic {
	topics := make([]meta.NewTopic, len(req.Topics))
	for i := range req.Topics {
		t := &req.Topics[i]
		topics[i] = meta.NewTopic{Name: t.Name, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
		for _, a := range t.Assignments {
			topics[i].Assignments = append(topics[i].Assignments, meta.Assignment{Partition: a.PartitionIndex, Replicas: a.BrokerIDs})
		}
		for _, s := range t.Configs {
			topics[i].Configs = append(topics[i].Configs, meta.ConfigValue{Name: s.Name, Value: s.Value.Value, Null: !s.Value.Valid})
		}
	}
	return topics
}

func (n *Node) createTopicsResponse(results []meta.TopicResult) *wire.CreateTopicsResponse {
	resp := new(wire.CreateTopicsResponse)
	resp.Default()
	for i := range results {
		r, t := &results[i], resp.AddTopic()
		t.Name, t.ErrorCode, t.ErrorMessage = r.Name, r.Code, wire.StrOrNull(r.Message)
		t.Configs = []wire.CreateTopicsResponseConfig{}
		if r.Code != wire.None {
			continue
		}
		t.TopicID, t.NumPartitions, t.ReplicationFactor = r.ID, r.Partitions, r.ReplicationFactor
		for _, e := range n.config.EffectiveTopic(r.Config) {
			s := t.AddConfig()
			s.Name, s.Value, s.ReadOnly, s.ConfigSource, s.IsSensitive = e.Name, entryValue(e), e.ReadOnly, int8(e.Source), e.Sensitive
		}
	}
	return resp
}

func entryValue(e config.Entry) wire.NullString {
	if e.Null {
		return wire.NullString{}
	}
	return wire.Str(e.Value)
}

// topicRules are the broker's settings that the controller decides by.
func (n *Node) topicRules() *meta.Rules {
	return &meta.Rules{
		Partitions:        int32(n.config.Int("num.partitions")),
		ReplicationFactor: int16(n.config.Int("default.replication.factor")),
		CheckConfig: func(overrides map[string]string) error {
			_, err := n.config.TopicConfig(overrides)
			return err
		},
		Topics:      n.topicsUnder,
		CheckBroker: n.config.CheckDynamic,
		ListConfig: func(kind meta.ResourceType, name string) (def string, list, known bool) {
			return config.ListSetting(kind == meta.TopicResource, name)
		},
	}
}

// topicsUnder are the settings of topics that the controller decides about their partitions by, as an image has them.
func (n *Node) topicsUnder(im *meta.Image) func(*meta.Topic) meta.TopicRules {
	mine, all := n.settingsIn(im)
	settings := n.config.TopicsUnder(mine, all)
	return func(t *meta.Topic) meta.TopicRules {
		s := settings(t.Config)
		return meta.TopicRules{
			MinISR:  int(s.MinInsyncReplicas),
			Unclean: s.UncleanElection,
			Fsync:   s.Durability == config.Fsync || meta.Internal(t.Name),
		}
	}
}

// proposalCode is what a client is told of a proposal that came to nothing.
func proposalCode(err error) wire.Code {
	var code wire.Code
	switch {
	case errors.As(err, &code):
		return code
	case errors.Is(err, quorum.ErrTooLarge):
		return wire.PolicyViolation
	case errors.Is(err, engine.ErrDiskFull):
		return wire.KafkaStorageError
	}
	return wire.NotController // it is closing, or its log has failed: the client looks for another
}

// random64 draws what nobody can guess: topic ids are the only thing that tells a topic from one of the same name that was deleted.
func random64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.BigEndian.Uint64(b[:])
}
