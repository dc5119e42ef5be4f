package meta

import (
	"slices"

	"github.com/millrace/millrace/wire"
)

// ISRChange is what the leader of a partition asks for: another ISR, or to be no longer recovering.
type ISRChange struct {
	TopicID        wire.UUID
	Partition      int32
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR            []Member
	Recovering     bool
}

// Member is a replica in the life that has caught up: another life of it need not have (KIP-903).
type Member struct {
	ID    int32
	Epoch int64 // of the broker
}

// ISRResult is the partition after the change, or why there is none. MinISR is how many replicas in sync the controller counts as enough; a leader
// whose own image is older must not take fewer for enough, or its high watermark passes who is eligible.
type ISRResult struct {
	Code           wire.Code
	Leader         int32
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR            []int32
	MinISR         int
	Recovering     bool
}

// AlterPartition decides on what a leader asks for its partitions, each by itself, with a result for each (KIP-497). A change that completes a
// reassignment may cost the leader its place: then it is made, and the result is NEW_LEADER_ELECTED all the same, as in Kafka.
func AlterPartition(im *Image, broker int32, brokerEpoch int64, changes []ISRChange, rules *Rules) ([]Record, []ISRResult, error) {
	if b := im.Broker(broker); b == nil || b.Epoch != brokerEpoch {
		return nil, nil, wire.StaleBrokerEpoch
	}
	var rs []Record
	results := make([]ISRResult, len(changes))
	topics := rules.topics(im)
	var known lists
	type partition struct {
		topic  wire.UUID
		number int32
	}
	done := make(map[partition]bool, len(changes))
	for i := range changes {
		ask := &changes[i]
		t := im.TopicByID(ask.TopicID)
		code := checkISRChange(im, broker, t, ask)
		of := partition{ask.TopicID, ask.Partition}
		if code == wire.None && done[of] {
			code = wire.InvalidUpdateVersion // the one before has changed the epoch
		}
		if code != wire.None {
			results[i].Code = code
			continue
		}
		p := t.Partitions[ask.Partition]
		c := newChange(im, t, ask.Partition, topics(t))
		c.isr = pick(p.Replicas, func(id int32) bool { return ask.has(id) })
		c.recovered = !ask.Recovering
		if len(c.isr) == len(p.ISR) && covers(c.isr, p.ISR) { // the same in another order
			c.isr = p.ISR
		}
		if r, ok := c.record(); ok {
			rs, done[of] = append(rs, r), true
			p = known.after(p, &r)
		}
		if p.Leader != broker {
			results[i].Code = wire.NewLeaderElected
			continue
		}
		results[i] = ISRResult{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, ISR: p.ISR,
			MinISR: p.MinISR(c.rules.MinISR), Recovering: p.Recovering}
	}
	return rs, results, nil
}

func (c *ISRChange) has(id int32) bool {
	return slices.ContainsFunc(c.ISR, func(m Member) bool { return m.ID == id })
}

// checkISRChange tells why the change is refused, in the order in which Kafka looks: first whether controller and leader talk of the same partition, then
// whether the ISR is one, then whether its members may be in it (KIP-841, KIP-903).
func checkISRChange(im *Image, broker int32, t *Topic, ask *ISRChange) wire.Code {
	if t == nil {
		return wire.UnknownTopicID
	}
	p := t.Partition(ask.Partition)
	switch {
	case p == nil:
		return wire.UnknownTopicOrPartition
	case ask.LeaderEpoch > p.LeaderEpoch, ask.PartitionEpoch > p.PartitionEpoch:
		return wire.NotController // who knows more than this image has it from a newer controller
	case ask.LeaderEpoch < p.LeaderEpoch:
		return wire.FencedLeaderEpoch
	case broker != p.Leader:
		return wire.InvalidRequest
	case ask.PartitionEpoch < p.PartitionEpoch:
		return wire.InvalidUpdateVersion
	case !ask.has(p.Leader), ask.Recovering && len(ask.ISR) > 1, ask.Recovering && !p.Recovering:
		return wire.InvalidRequest
	}
	for i, m := range ask.ISR {
		if !contains(p.Replicas, m.ID) || slices.ContainsFunc(ask.ISR[:i], func(other Member) bool { return other.ID == m.ID }) {
			return wire.InvalidRequest
		}
	}
	for _, m := range ask.ISR {
		b := im.Broker(m.ID)
		if b == nil || b.Fenced || b.ShutdownOffset > 0 || m.Epoch != b.Epoch {
			return wire.IneligibleReplica
		}
	}
	return wire.None
}
