package meta

import (
	"fmt"

	"github.com/millrace/millrace/wire"
)

// TopicPartitions names partitions of a topic.
type TopicPartitions struct {
	Topic      string
	Partitions []int32
}

// PartitionResult is what became of one partition of a request.
type PartitionResult struct {
	Topic     string
	Partition int32
	Code      wire.Code
	Message   string // "" when the code says it all
}

// ElectionType says which leaders an ElectLeaders request wants; the numbers are Kafka's.
type ElectionType int8

const (
	PreferredElection ElectionType = 0
	UncleanElection   ElectionType = 1
)

// ElectLeaders elects leaders because somebody asks for it (KIP-460): the preferred ones, or unclean ones where nobody leads, whatever the topic's
// settings say. There is a result for each partition asked for, in their order. topics may be nil for all partitions; then those that need no election are
// left out of the results.
func ElectLeaders(im *Image, kind ElectionType, topics []TopicPartitions, rules *Rules) ([]Record, []PartitionResult, error) {
	if kind != PreferredElection && kind != UncleanElection {
		return nil, nil, refused(wire.InvalidRequest, "Unknown election type %d", kind)
	}
	var rs []Record
	var results []PartitionResult
	ruled := rules.topics(im)
	elect := func(of topicPartition) PartitionResult {
		result := PartitionResult{Topic: of.topic, Partition: of.partition}
		rs, result.Code, result.Message = electLeader(im, kind, of, ruled, rs)
		return result
	}
	if topics == nil {
		im.EachTopic(func(t *Topic) bool {
			for i := range t.Partitions {
				if result := elect(topicPartition{t.Name, int32(i)}); result.Code != wire.ElectionNotNeeded {
					results = append(results, result)
				}
			}
			return len(rs) <= MaxPartitionsPerRequest
		})
	}
	done := map[topicPartition]PartitionResult{}
	for _, t := range topics {
		for _, partition := range t.Partitions {
			of := topicPartition{t.Topic, partition}
			result, twice := done[of]
			if !twice {
				result = elect(of)
				done[of] = result
			}
			results = append(results, result)
		}
	}
	if len(rs) > MaxPartitionsPerRequest {
		return nil, nil, refused(wire.PolicyViolation, "Unable to perform excessively large batch operation.")
	}
	return rs, results, nil
}

type topicPartition struct {
	topic     string
	partition int32
}

func electLeader(im *Image, kind ElectionType, of topicPartition, topics func(*Topic) TopicRules, rs []Record) ([]Record, wire.Code, string) {
	t := im.TopicByName(of.topic)
	if t == nil {
		return rs, wire.UnknownTopicOrPartition, fmt.Sprintf("No such topic as %s", of.topic)
	}
	p := t.Partition(of.partition)
	switch {
	case p == nil:
		return rs, wire.UnknownTopicOrPartition, fmt.Sprintf("No such partition as %s-%d", of.topic, of.partition)
	case kind == PreferredElection && p.Leader == p.Replicas[0], kind == UncleanElection && p.Leader != NoLeader:
		return rs, wire.ElectionNotNeeded, wire.ElectionNotNeeded.Message()
	}
	c := newChange(im, t, of.partition, topics(t))
	c.election = preferred
	if kind == UncleanElection {
		c.election = unclean
	}
	if r, ok := c.record(); ok {
		return append(rs, r), wire.None, ""
	}
	if kind == PreferredElection {
		return rs, wire.PreferredLeaderNotAvailable, wire.PreferredLeaderNotAvailable.Message()
	}
	return rs, wire.EligibleLeadersNotAvailable, wire.EligibleLeadersNotAvailable.Message()
}

// BalanceLeaders moves leaderships back to the preferred replicas that are in sync, as many as one decision should; more tells that there were more.
// It is due every leader.imbalance.check.interval.seconds where auto.leader.rebalance.enable is set; like Kafka 4 it tolerates no imbalance.
func BalanceLeaders(im *Image, rules *Rules) (rs []Record, more bool) {
	imbalanced := func(p *Partition) bool { return p.Leader != p.Replicas[0] && im.active(p.Replicas[0]) }
	rs = im.sweep(rules, maxMoves, imbalanced, func(c *change) { c.election = preferred })
	return rs, len(rs) == maxMoves
}

// ElectUncleanLeaders gives the partitions that nobody leads to whoever is there, where unclean.leader.election.enable allows it. It is due now and then:
// the setting may have changed after the leader was lost.
func ElectUncleanLeaders(im *Image, rules *Rules) (rs []Record, more bool) {
	leaderless := func(p *Partition) bool { return p.Leader == NoLeader }
	rs = im.sweep(rules, maxMoves, leaderless, func(*change) {})
	return rs, len(rs) == maxMoves
}
