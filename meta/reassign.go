package meta

import (
	"slices"

	"github.com/millrace/millrace/wire"
)

// PartitionReassignment asks that a partition get other replicas, or that the reassignment that is going on be taken back.
type PartitionReassignment struct {
	Topic     string
	Partition int32
	Cancel    bool
	Replicas  []int32 // the first will be the preferred leader
}

// AlterPartitionReassignments decides on other replicas for partitions, each by itself (KIP-455). The new replicas join the old ones; the old ones
// go with the change of the ISR that has all the new ones in it, or at once when it has. sameFactor refuses what would change the number of replicas
// (KIP-860).
func AlterPartitionReassignments(im *Image, asked []PartitionReassignment, sameFactor bool, rules *Rules) ([]Record, []PartitionResult) {
	var rs []Record
	results := make([]PartitionResult, len(asked))
	done := map[topicPartition]bool{}
	topics := rules.topics(im)
	for i := range asked {
		ask := &asked[i]
		key := topicPartition{ask.Topic, ask.Partition}
		var err *Refusal
		var r PartitionChangeRecord
		var ok bool
		switch {
		case len(asked) > MaxPartitionsPerRequest:
			err = &Refusal{wire.PolicyViolation, "Unable to perform excessively large batch operation."}
		case done[key]:
			err = refused(wire.InvalidRequest, "The partition %s:%d is in the request twice.", ask.Topic, ask.Partition)
		default:
			r, ok, err = reassign(im, ask, sameFactor, topics)
		}
		done[key] = true
		if ok {
			rs = append(rs, r)
		}
		results[i] = PartitionResult{Topic: ask.Topic, Partition: ask.Partition}
		if err != nil {
			results[i].Code, results[i].Message = err.Code, err.Message
		}
	}
	return rs, results
}

func reassign(im *Image, ask *PartitionReassignment, sameFactor bool, topics func(*Topic) TopicRules) (PartitionChangeRecord, bool, *Refusal) {
	var none PartitionChangeRecord
	t := im.TopicByName(ask.Topic)
	if t == nil {
		return none, false, refused(wire.UnknownTopicOrPartition, "Unable to find a topic named %s.", ask.Topic)
	}
	if t.Partition(ask.Partition) == nil {
		return none, false, refused(wire.UnknownTopicOrPartition, "Unable to find partition %s:%d.", ask.Topic, ask.Partition)
	}
	c := newChange(im, t, ask.Partition, topics(t))
	var err *Refusal
	if ask.Cancel {
		err = c.revert()
	} else {
		err = c.reassign(im, ask.Replicas, sameFactor)
	}
	if err != nil {
		return none, false, err
	}
	r, ok := c.record()
	return r, ok, nil
}

// reassign sets the replicas. Those that an earlier reassignment was adding and this one does not want stay until it completes, as in Kafka, for they may be
// what is in sync; they count as added, and removed, so that taking it back leads to the replicas from before both.
func (c *change) reassign(im *Image, target []int32, sameFactor bool) *Refusal {
	if result := checkReplicas(im, target); result.Code != wire.None {
		return &Refusal{result.Code, result.Message}
	}
	if now := len(minus(c.replicas, c.removing...)); sameFactor && now != len(target) {
		return refused(wire.InvalidReplicationFactor, "The replication factor is changed from %d to %d", now, len(target))
	}
	if c.election == unclean { // nothing is lost for a move
		c.election = online
	}
	original := minus(c.replicas, c.adding...)
	removing := slices.Sorted(slices.Values(minus(c.replicas, target...)))
	c.replicas = slices.Concat(target, removing)
	c.adding = slices.Sorted(slices.Values(minus(c.replicas, original...)))
	c.removing = removing
	return nil
}

// revert goes back to the replicas from before the reassignment. That must not be what loses records: too few of the old ones may have them now.
func (c *change) revert() *Refusal {
	if c.was.Reassignment == nil {
		return &Refusal{Code: wire.NoReassignmentInProgress}
	}
	minISR := c.minISR()
	have := len(c.was.ISR) + len(c.was.ELR)
	c.replicas, c.isr = minus(c.replicas, c.adding...), minus(c.isr, c.adding...)
	c.adding, c.removing = nil, nil
	keep := len(c.isr)
	if keep < minISR {
		keep += len(c.eligible())
	}
	switch {
	case c.rules.Unclean:
		return nil
	case keep == 0:
		return refused(wire.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", c.topic.Name, c.number)
	case keep < minISR && keep < have:
		return refused(wire.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because only %d of its old replicas have all "+
			"records, of the %d that min.insync.replicas asks for.", c.topic.Name, c.number, keep, minISR)
	}
	return nil
}

// ReassigningPartition is a partition whose reassignment is not complete.
type ReassigningPartition struct {
	Topic     string
	Partition int32
	Replicas  []int32
	Reassignment
}

// ListPartitionReassignments returns those of the partitions, or with nil of all, that are being reassigned.
func ListPartitionReassignments(im *Image, topics []TopicPartitions) (list []ReassigningPartition) {
	add := func(t *Topic, number int32) {
		if p := t.Partition(number); p != nil && p.Reassignment != nil {
			list = append(list, ReassigningPartition{t.Name, number, p.Replicas, *p.Reassignment})
		}
	}
	if topics == nil {
		im.EachTopic(func(t *Topic) bool {
			for i := range t.Partitions {
				add(t, int32(i))
			}
			return true
		})
	}
	for _, of := range topics {
		if t := im.TopicByName(of.Topic); t != nil {
			for _, number := range of.Partitions {
				add(t, number)
			}
		}
	}
	return list
}
