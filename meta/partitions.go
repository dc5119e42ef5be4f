package meta

import "github.com/millrace/millrace/wire"

// MorePartitions asks that a topic have Count partitions, the old ones included. Assignments are those of the new ones, in order; without
// them the controller chooses.
type MorePartitions struct {
	Name        string
	Count       int32
	Assigned    bool
	Assignments [][]int32
}

// CreatePartitions decides on new partitions of topics, each topic by itself, unless they are too many together. A name that the request has
// twice is refused both times, in one result. The codes and texts are Kafka's, except that Kafka lets internal topics grow, and with the next start
// finds neither groups nor offsets any more.
func CreatePartitions(im *Image, topics []MorePartitions, rand Rand) ([]Record, []TopicResult) {
	var records []Record
	results := make([]TopicResult, 0, len(topics))
	times := map[string]int{}
	for i := range topics {
		times[topics[i].Name]++
	}
	more := 0 // in all
	for i := range topics {
		if t := im.TopicByName(topics[i].Name); t != nil && times[t.Name] == 1 {
			more += max(0, int(topics[i].Count)-len(t.Partitions))
		}
	}
	for i := range topics {
		t := &topics[i]
		var result TopicResult
		switch n := times[t.Name]; {
		case n == 0: // answered already
			continue
		case n > 1:
			times[t.Name] = 0
			result = refuse(wire.InvalidRequest, "Duplicate topic name.")
		case more > MaxPartitionsPerRequest:
			result = refuse(wire.PolicyViolation, "Excessively large number of additional partitions per request.")
		default:
			var rs []Record
			rs, result = createPartitions(im, t, rand)
			records = append(records, rs...)
		}
		result.Name, result.Named = t.Name, true
		results = append(results, result)
	}
	return records, results
}

func createPartitions(im *Image, t *MorePartitions, rand Rand) ([]Record, TopicResult) {
	topic := im.TopicByName(t.Name)
	if topic == nil {
		return nil, TopicResult{Code: wire.UnknownTopicOrPartition}
	}
	have := len(topic.Partitions)
	more := int(t.Count) - have
	switch {
	case Internal(t.Name):
		return nil, refuse(wire.InvalidTopicException, "The number of partitions of the internal topic %s cannot be changed: what it holds would be looked for in others.", t.Name)
	case more == 0:
		return nil, refuse(wire.InvalidPartitions, "Topic already has %d partition(s).", have)
	case more < 0:
		return nil, refuse(wire.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Name, have, t.Count)
	case t.Assigned && len(t.Assignments) != more:
		return nil, refuse(wire.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.",
			more, len(t.Assignments))
	}
	factor := len(topic.Partitions[0].Replicas)
	var share lists
	var placed []Partition
	var result TopicResult
	if t.Assigned {
		placed, result = placeMore(im, t.Assignments, have, factor, &share)
	} else {
		placed, result = placeSpread(im, more, factor, &share, rand)
	}
	if result.Code != wire.None {
		return nil, result
	}
	records := make([]Record, len(placed))
	for i, p := range placed {
		records[i] = PartitionRecord{TopicID: topic.ID, Number: int32(have + i), Partition: p}
	}
	return records, TopicResult{ID: topic.ID, Partitions: t.Count, ReplicationFactor: int16(factor)}
}

// placeMore places the partitions from number first on by hand.
func placeMore(im *Image, assignments [][]int32, first, factor int, share *lists) ([]Partition, TopicResult) {
	placed := make([]Partition, len(assignments))
	for i, replicas := range assignments {
		if result := checkReplicas(im, replicas); result.Code != wire.None {
			return nil, result
		}
		if len(replicas) != factor {
			return nil, refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not "+
				"consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
		}
		placed[i] = newPartition(im, share.share(replicas), share)
		if placed[i].Leader == NoLeader {
			return nil, refuse(wire.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", first+i)
		}
	}
	return placed, TopicResult{}
}
